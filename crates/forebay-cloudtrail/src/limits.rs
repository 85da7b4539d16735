//! What a reader accepts before it gives up.

/// Limits of a [`FileDecoder`](crate::FileDecoder), a [`FileReader`](crate::FileReader) and a
/// [`RecordSplitter`](crate::RecordSplitter).
///
/// The defaults leave room above everything AWS documents: a CloudTrail event is at most 256 KB, a log file at most 50 MB
/// compressed ("CloudTrail log file examples" and "Quotas in AWS CloudTrail").
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest record in bytes of JSON. A longer one becomes an error item and the next record is read. Default 1 MiB,
    /// at most 256 MiB (larger values are lowered).
    pub record_bytes: usize,
    /// Records of the whole file, bad ones included. Default 10,000,000.
    pub records: u64,
    /// Inflated bytes of the whole file. Default 8 GiB.
    pub inflated_bytes: u64,
    /// Inflated bytes per compressed byte, checked once [`ratio_after`](Self::ratio_after) bytes came out. Default 250:
    /// real log files stay below 100, deflate itself ends at 1,032.
    pub inflate_ratio: u64,
    /// Inflated bytes from which on the ratio is checked. Default 8 MiB.
    pub ratio_after: u64,
    /// Gzip members of one file. Default 1,024.
    pub members: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            record_bytes: 1 << 20,
            records: 10_000_000,
            inflated_bytes: 8 << 30,
            inflate_ratio: 250,
            ratio_after: 8 << 20,
            members: 1024,
        }
    }
}

/// Nesting of arrays and objects inside one record.
pub(crate) const RECORD_DEPTH: u32 = 64;
/// Members that one record may show on its opened levels.
pub(crate) const RECORD_MEMBERS: usize = 4096;
/// Upper bound for [`Limits::record_bytes`], so that positions inside a record fit 32 bits.
pub(crate) const RECORD_BYTES_MAX: usize = 256 << 20;
