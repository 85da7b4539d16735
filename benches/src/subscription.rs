//! Subscription payloads of flow logs.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

/// A payload of flow-log events in the default format, as CloudWatch Logs sends it.
#[derive(Debug)]
pub struct Subscription {
    /// How many events it holds.
    pub events: usize,
    /// The lines of the events.
    pub lines: Vec<String>,
    /// The JSON text.
    pub text: String,
    /// The JSON text as one gzip member.
    pub gzip: Vec<u8>,
}

impl Subscription {
    /// So many payloads of so many events, all different; the same numbers give the same payloads.
    ///
    /// One payload again and again would be measured wrongly: a processor learns the branches of a small one by heart, and
    /// inflating, which has the most of them, would look faster than it ever is.
    ///
    /// # Panics
    ///
    /// If memory for the text runs out.
    #[must_use]
    pub fn flow_logs(payloads: usize, events: usize) -> Vec<Self> {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        (0..payloads)
            .map(|_| Self::of_events(events, &mut random))
            .collect()
    }

    fn of_events(events: usize, random: &mut Random) -> Self {
        let lines: Vec<String> = (0..events).map(|_| line(random)).collect();
        let mut text = String::from(concat!(
            r#"{"messageType":"DATA_MESSAGE","owner":"123456789010","logGroup":"/vpc/flow-logs/production","#,
            r#""logStream":"eni-0a1b2c3d4e5f60718-all","subscriptionFilters":["forebay"],"logEvents":["#
        ));
        // Live ids have 56 digits: those in front follow the time, those behind differ from event to event.
        let time = 1_763_029_869_000_u64;
        for (index, line) in lines.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let (first, second) = (random.below(1 << 60), random.below(1 << 60));
            let _ = write!(
                text,
                r#"{comma}{{"id":"39316106606966{first:020}{second:022}","timestamp":{},"message":"{line}"}}"#,
                time + 1000 * random.below(60),
            );
        }
        text.push_str("]}");
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let gzip = encoder
            .write_all(text.as_bytes())
            .and_then(|()| encoder.finish())
            .expect("a vector takes all bytes");
        Self {
            events,
            lines,
            text,
            gzip,
        }
    }
}

fn line(random: &mut Random) -> String {
    let interface = INTERFACES[random.below(4) as usize];
    let start = 1_763_029_800 + random.below(60);
    if random.below(50) == 0 {
        return format!(
            "2 123456789010 {interface} - - - - - - - {start} {} - NODATA",
            start + 59
        );
    }
    let (inside, outside) = (
        format!("10.0.{}.{}", random.below(16), random.below(256)),
        format!(
            "{}.{}.{}.{}",
            1 + random.below(223),
            random.below(256),
            random.below(256),
            random.below(256)
        ),
    );
    let (service, client) = (
        [443, 443, 80, 22, 53, 3306, 8080][random.below(7) as usize],
        1024 + random.below(64_512),
    );
    let ends = if random.below(2) == 0 {
        format!("{inside} {outside} {service} {client}")
    } else {
        format!("{outside} {inside} {client} {service}")
    };
    let magnitude = random.below(12);
    let packets = 1 + random.below(1 << magnitude);
    format!(
        "2 123456789010 {interface} {ends} {} {packets} {} {start} {} {} OK",
        [6, 6, 6, 17, 1][random.below(5) as usize],
        packets * (40 + random.below(1460)),
        start + 1 + random.below(59),
        ["ACCEPT", "ACCEPT", "ACCEPT", "REJECT"][random.below(4) as usize],
    )
}

/// Xorshift: every run measures the same bytes.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 2) % bound
    }
}

const INTERFACES: [&str; 4] = [
    "eni-0a1b2c3d4e5f60718",
    "eni-04fe1a2bb3c9d8e70",
    "eni-0f00ba4deadbeef12",
    "eni-07c1d2e3f4a5b6c78",
];
