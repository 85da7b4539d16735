/// What one input may cost. Every limit is enforced while working, none after the fact.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of JSON text, after inflating. Default 32 MiB, at most 256 MiB (offsets are kept in 32 bits).
    ///
    /// Deflate can reach 1,032:1, so that a Kinesis record of 10 MiB could become 10 GiB.
    pub inflated_bytes: usize,
    /// Inflated bytes per compressed byte, looked at once more than [`ratio_free_bytes`](Self::ratio_free_bytes)
    /// have come out. Default 250; real logs stay under 100.
    pub inflate_ratio: usize,
    /// Inflated bytes that are allowed whatever the ratio. Default 8 MiB.
    pub ratio_free_bytes: usize,
    /// Gzip members in one input. Default 1,024.
    pub members: usize,
    /// Compressed layers around the text. Default 1 (a Kinesis record), 2 for the S3 objects of a Firehose that
    /// compresses what CloudWatch Logs had compressed. At most 2.
    pub layers: usize,
    /// Envelopes in one input. Default 10,000.
    pub envelopes: usize,
    /// Log events in one input, over all envelopes. Default 100,000; `PutLogEvents` takes 10,000.
    pub events: usize,
    /// Bytes of one message, unescaped. Default 1 MiB, as CloudWatch Logs allows since April 2025.
    pub event_bytes: usize,
    /// Nesting of arrays and objects, the envelope itself counted as 1. Default 64, at most 64.
    pub json_depth: usize,
}

impl Limits {
    /// Sets [`inflated_bytes`](Self::inflated_bytes).
    #[must_use]
    pub const fn with_inflated_bytes(mut self, bytes: usize) -> Self {
        self.inflated_bytes = bytes;
        self
    }

    /// Sets [`inflate_ratio`](Self::inflate_ratio).
    #[must_use]
    pub const fn with_inflate_ratio(mut self, ratio: usize) -> Self {
        self.inflate_ratio = ratio;
        self
    }

    /// Sets [`ratio_free_bytes`](Self::ratio_free_bytes).
    #[must_use]
    pub const fn with_ratio_free_bytes(mut self, bytes: usize) -> Self {
        self.ratio_free_bytes = bytes;
        self
    }

    /// Sets [`members`](Self::members).
    #[must_use]
    pub const fn with_members(mut self, members: usize) -> Self {
        self.members = members;
        self
    }

    /// Sets [`layers`](Self::layers).
    #[must_use]
    pub const fn with_layers(mut self, layers: usize) -> Self {
        self.layers = layers;
        self
    }

    /// Sets [`envelopes`](Self::envelopes).
    #[must_use]
    pub const fn with_envelopes(mut self, envelopes: usize) -> Self {
        self.envelopes = envelopes;
        self
    }

    /// Sets [`events`](Self::events).
    #[must_use]
    pub const fn with_events(mut self, events: usize) -> Self {
        self.events = events;
        self
    }

    /// Sets [`event_bytes`](Self::event_bytes).
    #[must_use]
    pub const fn with_event_bytes(mut self, bytes: usize) -> Self {
        self.event_bytes = bytes;
        self
    }

    /// Sets [`json_depth`](Self::json_depth).
    #[must_use]
    pub const fn with_json_depth(mut self, depth: usize) -> Self {
        self.json_depth = depth;
        self
    }

    /// Brings every limit under its ceiling.
    pub(crate) fn clamped(self) -> Self {
        Self {
            inflated_bytes: self.inflated_bytes.min(MAX_INFLATED_BYTES),
            layers: self.layers.min(MAX_LAYERS),
            json_depth: self.json_depth.min(MAX_JSON_DEPTH),
            ..self
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inflated_bytes: 32 * MIB,
            inflate_ratio: 250,
            ratio_free_bytes: 8 * MIB,
            members: 1024,
            layers: 1,
            envelopes: 10_000,
            events: 100_000,
            event_bytes: MIB,
            json_depth: MAX_JSON_DEPTH,
        }
    }
}

const MIB: usize = 1024 * 1024;
const MAX_INFLATED_BYTES: usize = 256 * MIB;
const MAX_LAYERS: usize = 2;
/// The scanner keeps one bit per open bracket in a `u64`.
const MAX_JSON_DEPTH: usize = 64;
