//! What objects hold, and how their bytes become records.

use std::fmt;

use forebay_cloudtrail::{Event, FileDecoder, FileError, FileKind, Limits};

use crate::{error::ErrorKind, lines::LineDecoder};

/// What the objects under a bucket and prefix hold.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub enum Content {
    /// CloudTrail log files: each record of `Records` is one.
    #[default]
    CloudTrail,
    /// Text, plain or gzip (once or twice): each line that is not blank is a record. For NDJSON and flow logs. A line longer than
    /// 1 MiB is no record: its first MiB goes to [`Processor::reject`](crate::Processor::reject) with its position, and the lines
    /// behind it are read.
    Lines(Lines),
}

/// Settings of [`Content::Lines`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Lines {
    /// Tells header lines, which are no records. The last one comes with every batch, as
    /// [`Batch::header`](crate::Batch::header). `None`: no line is a header.
    pub is_header: Option<fn(&[u8]) -> bool>,
}

/// Bytes of an object in, records out.
pub(crate) enum Decoder {
    CloudTrail(Box<FileDecoder>),
    Lines(Box<LineDecoder>),
}

/// What a [`Decoder`] finds.
#[derive(Debug)]
pub(crate) enum Item<'a> {
    /// A record and its index within the object; bad ones count.
    Record(u64, Found<'a>),
    /// In the place of a record.
    Bad(BadItem<'a>),
    /// What the records behind it are to be read with.
    Header(&'a [u8]),
}

/// A record as its decoder leaves it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found<'a> {
    /// Scanned already.
    Event(Event<'a>),
    Line(&'a [u8]),
}

#[derive(Debug)]
pub(crate) struct BadItem<'a> {
    pub(crate) index: u64,
    /// Of its first byte in the inflated object.
    pub(crate) offset: u64,
    pub(crate) reason: String,
    pub(crate) bytes: &'a [u8],
}

/// Why an object cannot be read to its end.
#[derive(Debug)]
pub(crate) struct Fault {
    /// [`ErrorKind::Corrupt`] or [`ErrorKind::Unsupported`].
    pub(crate) kind: ErrorKind,
    pub(crate) reason: Box<dyn std::error::Error + Send + Sync>,
}

impl Decoder {
    pub(crate) fn new(content: Content) -> Self {
        match content {
            Content::CloudTrail => Self::CloudTrail(Box::new(FileDecoder::new(Limits::default()))),
            Content::Lines(lines) => Self::Lines(Box::new(LineDecoder::new(lines))),
        }
    }

    /// Takes bytes and returns how many were used. Take all items, then feed the rest.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        match self {
            Self::CloudTrail(decoder) => decoder.feed(bytes).map_err(Fault::from),
            Self::Lines(decoder) => decoder.feed(bytes),
        }
    }

    /// The next item, if what was fed so far holds one.
    pub(crate) fn next(&mut self) -> Option<Item<'_>> {
        match self {
            Self::CloudTrail(decoder) => decoder.next_record().map(|record| match record {
                Ok(record) => Item::Record(record.index(), Found::Event(record.event())),
                Err(bad) => Item::Bad(BadItem {
                    index: bad.error().index(),
                    offset: bad.error().offset(),
                    reason: bad.error().to_string(),
                    bytes: bad.bytes(),
                }),
            }),
            Self::Lines(decoder) => decoder.next(),
        }
    }

    /// Says that no more bytes come. Take the items that this sets free, then ask [`Decoder::finish`].
    pub(crate) fn end(&mut self) {
        match self {
            Self::CloudTrail(decoder) => decoder.end(),
            Self::Lines(decoder) => decoder.end(),
        }
    }

    /// Confirms the verified end; returns the number of records, bad ones included.
    pub(crate) fn finish(&mut self) -> Result<u64, Fault> {
        match self {
            Self::CloudTrail(decoder) => {
                let summary = decoder.finish()?;
                match summary.kind {
                    FileKind::Other => Err(Fault::unsupported("JSON, but no CloudTrail records")),
                    // A digest or an empty file has nothing to deliver.
                    _ => Ok(summary.records + summary.bad_records),
                }
            }
            Self::Lines(decoder) => decoder.finish(),
        }
    }
}

impl<'a> Found<'a> {
    pub(crate) fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Event(event) => event.raw().as_bytes(),
            Self::Line(line) => line,
        }
    }
}

impl Fault {
    pub(crate) fn unsupported(reason: &str) -> Self {
        Self {
            kind: ErrorKind::Unsupported,
            reason: reason.into(),
        }
    }
}

impl From<FileError> for Fault {
    fn from(error: FileError) -> Self {
        let kind = match error {
            // Reading again gives the same bytes; damage may have come on the way.
            FileError::NotALogFile { .. } | FileError::UnsupportedCompression { .. } => {
                ErrorKind::Unsupported
            }
            _ => ErrorKind::Corrupt,
        };
        Self {
            kind,
            reason: error.into(),
        }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::CloudTrail(_) => "CloudTrail",
            Self::Lines(_) => "Lines",
        })
    }
}
