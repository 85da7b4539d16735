//! [`RecordSplitter`]: JSON text of a log file in, one record at a time out.

mod element;
mod object;

use std::mem;

use self::element::{Element, Place};
use self::object::{Object, opens_records};
use crate::error::{FileError, RecordFault};
use crate::event::{Event, EventIndex};
use crate::limits::{Limits, RECORD_BYTES_MAX};
use crate::outline::is_blank;
use crate::record::{BadRecord, FileKind, Record, Summary};
use crate::scan::{resume_record, scan_record};
use crate::window::Window;

/// Splits the (inflated) text of a log file into its records.
///
/// Feed pieces of any size, take records until there are none, repeat; then [`end`](Self::end), take what that sets free, and
/// [`finish`](Self::finish). How the text is cut into pieces makes no difference. Read are `{"Records":[…]}` with other members before
/// and after, a list of records, single records one after the other (JSON lines), and EventBridge events, whose record is `detail`.
///
/// A record that is no valid JSON is handed out as a [`BadRecord`] and the next one is looked for: behind the closing bracket, or, where
/// quotes or brackets are missing, where the next record begins.
///
/// Memory: what is fed and not yet taken, plus at most one record of [`Limits::record_bytes`].
///
/// ```
/// use forebay_cloudtrail::{Limits, RecordSplitter};
///
/// let mut splitter = RecordSplitter::new(Limits::default());
/// let mut names = Vec::new();
/// for piece in [r#"{"Records":[{"eventName":"A"},{"event"#, r#"Name":"B"}]}"#] {
///     splitter.feed(piece.as_bytes());
///     while let Some(item) = splitter.next_record() {
///         let record = item.map_err(|bad| bad.error())?;
///         names.push(record.event().event_name().unwrap().to_string());
///     }
/// }
/// splitter.end();
/// assert!(splitter.next_record().is_none());
/// assert_eq!(splitter.finish()?.records, 2);
/// assert_eq!(names, ["A", "B"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RecordSplitter {
    cap: usize,
    /// Most records, bad ones included.
    most: u64,
    window: Window,
    index: EventIndex,
    state: State,
    /// Bytes at the window's beginning that belong to the item handed out last.
    taken: usize,
    ended: bool,
    kind: FileKind,
    records: u64,
    bad_records: u64,
    /// Brackets do not match, though reading could go on.
    damaged: bool,
    refused: Option<FileError>,
    /// A record whose bytes were no UTF-8, made readable.
    repaired: String,
}

/// Where in the text the window begins.
#[derive(Clone, Copy, Debug)]
enum State {
    /// At the very beginning.
    Start,
    /// Between top-level values.
    Top,
    /// Between the elements of a list.
    List { wrapped: bool },
    /// At the beginning of an element that is likely to be complete with the next bytes.
    Waiting { wrapped: bool, length: usize },
    /// At the beginning of an element that is not complete, or broken.
    Element(Element),
    /// At the beginning of a top-level object that is not complete, or behind the list of a wrapper.
    Object(Object),
    /// Nothing that follows can be read.
    Cut,
}

/// An item that was found. Positions are of the window.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    Record { from: usize, to: usize },
    Bad { to: usize, fault: RecordFault },
}

enum Next {
    Found(Found),
    More,
    Again,
}

impl RecordSplitter {
    /// A splitter at the beginning of a file. Of the limits only [`Limits::record_bytes`] and [`Limits::records`] count here.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            cap: limits.record_bytes.clamp(2, RECORD_BYTES_MAX),
            most: limits.records,
            window: Window::default(),
            index: EventIndex::new(),
            state: State::Start,
            taken: 0,
            ended: false,
            kind: FileKind::Empty,
            records: 0,
            bad_records: 0,
            damaged: false,
            refused: None,
            repaired: String::new(),
        }
    }

    /// Takes the next piece of text. Take all records before the next piece: what is fed is kept until its records are taken.
    pub fn feed(&mut self, text: &[u8]) {
        self.window.skip(mem::take(&mut self.taken));
        self.window.feed(text);
    }

    /// Says that no more text comes, so that what is left can be judged.
    pub const fn end(&mut self) {
        self.ended = true;
    }

    /// The next record, or the next thing in the place of one. `None`: feed more, or, after [`end`](Self::end), ask
    /// [`finish`](Self::finish).
    pub fn next_record(&mut self) -> Option<Result<Record<'_>, BadRecord<'_>>> {
        let found = self.advance()?;
        Some(self.show(found))
    }

    /// What was read, if the text was complete.
    ///
    /// # Errors
    ///
    /// The text was no log file, or its brackets are not closed.
    pub fn finish(&self) -> Result<Summary, FileError> {
        if let Some(error) = &self.refused {
            return Err(error.clone());
        }
        if self.damaged || !matches!(self.state, State::Start | State::Top) {
            return Err(FileError::Unclosed {
                at: self.window.end_offset(),
            });
        }
        Ok(Summary {
            kind: self.kind,
            records: self.records,
            bad_records: self.bad_records,
            inflated_bytes: self.window.end_offset(),
            compressed_bytes: self.window.end_offset(),
            members: 0,
        })
    }

    /// Room for text to be written in place; say with [`filled`](Self::filled) how much was.
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        self.window.skip(mem::take(&mut self.taken));
        self.window.spare(SPARE)
    }

    pub(crate) fn filled(&mut self, length: usize) {
        self.window.filled(length);
    }

    pub(crate) const fn refused(&self) -> Option<&FileError> {
        self.refused.as_ref()
    }

    /// What the file looks like so far.
    #[must_use]
    pub const fn kind(&self) -> FileKind {
        self.kind
    }

    /// Looks for the next item without borrowing it.
    pub(crate) fn advance(&mut self) -> Option<Found> {
        self.window.skip(mem::take(&mut self.taken));
        loop {
            let next = match self.state {
                State::List { wrapped } => self.between_elements(wrapped, 0),
                State::Waiting { wrapped, length } => self.between_elements(wrapped, length),
                State::Start => self.at_start(),
                State::Top => self.between_values(),
                State::Element(element) => self.inside_element(element),
                State::Object(object) => self.inside_object(object),
                State::Cut => {
                    self.window.skip(usize::MAX);
                    Next::More
                }
            };
            match next {
                Next::Found(found) if self.records + self.bad_records <= self.most => {
                    return Some(found);
                }
                Next::Found(_) => {
                    self.refused = Some(FileError::Limit {
                        what: "records",
                        limit: self.most,
                        at: self.window.offset(),
                    });
                    self.state = State::Cut;
                }
                Next::More => return None,
                Next::Again => {}
            }
        }
    }

    /// Borrows the item that [`advance`](Self::advance) found.
    pub(crate) fn show(&mut self, found: Found) -> Result<Record<'_>, BadRecord<'_>> {
        let index = self.records + self.bad_records - 1;
        let (from, to) = match found {
            Found::Record { from, to } => (from, to),
            Found::Bad { to, .. } => (0, to),
        };
        let offset = self.window.offset() + from as u64;
        let bytes = self.window.unread().get(from..to).unwrap_or_default();
        if let Found::Bad { fault, .. } = found {
            return Err(BadRecord {
                bytes,
                index,
                offset,
                fault,
            });
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Record {
                event: Event::new(text, self.index.found()),
                index,
                offset,
                repaired: false,
            }),
            Err(_) => {
                self.repaired.clear();
                self.repaired.push_str(&String::from_utf8_lossy(bytes));
                // Replacing bytes above 0x7F inside strings changes positions only, so this cannot fail.
                match scan_record(self.repaired.as_bytes(), &mut self.index) {
                    Ok(_) => Ok(Record {
                        event: Event::new(&self.repaired, self.index.found()),
                        index,
                        offset,
                        repaired: true,
                    }),
                    Err(fault) => Err(BadRecord {
                        bytes,
                        index,
                        offset,
                        fault,
                    }),
                }
            }
        }
    }

    /// The way of nearly all records: complete in the window, and read in one pass.
    /// `seen` bytes of it were there before, and were not enough.
    fn between_elements(&mut self, wrapped: bool, seen: usize) -> Next {
        let bytes = self.window.unread();
        let blank = bytes
            .iter()
            .take_while(|byte| is_blank(**byte) || **byte == b',')
            .count();
        self.window.skip(blank);
        let bytes = self.window.unread();
        let scan = if seen == 0 {
            scan_record
        } else {
            resume_record
        };
        match bytes.first() {
            None => Next::More,
            Some(b'{') if bytes.len() < 2 * seen => {
                self.element(Place::List { wrapped }, RecordFault::Truncated)
            }
            Some(b'{') => match scan(capped(bytes, self.cap), &mut self.index) {
                Ok(length) => {
                    self.state = State::List { wrapped };
                    self.record(0, length, length)
                }
                // Reading on is cheaper than following its outline, if there is much more of it then.
                Err(RecordFault::Truncated) if bytes.len() < self.cap && !self.ended => {
                    self.state = State::Waiting {
                        wrapped,
                        length: bytes.len(),
                    };
                    Next::More
                }
                Err(fault) => self.element(Place::List { wrapped }, fault),
            },
            Some(bracket @ (b']' | b'}')) => {
                let ends = self.ends_list(*bracket, bytes.get(1..).unwrap_or_default(), wrapped);
                let Some(ends) = ends else {
                    return Next::More;
                };
                self.damaged |= *bracket == b'}' || !ends;
                self.state = match (ends, bracket) {
                    (false, _) => State::List { wrapped },
                    (true, b']') if wrapped => State::Object(Object {
                        at: 0,
                        value: None,
                        digest: false,
                        kept: false,
                    }),
                    (true, _) => State::Top,
                };
                self.window.skip(1);
                Next::Again
            }
            Some(b'"' | b'[' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                self.element(Place::List { wrapped }, RecordFault::NotAnObject)
            }
            Some(_) => {
                let fault = RecordFault::Syntax {
                    at: 0,
                    expected: "a record",
                };
                self.element(Place::List { wrapped }, fault);
                if let State::Element(element) = &mut self.state {
                    element.lost = true;
                }
                Next::Again
            }
        }
    }

    /// Whether a bracket between elements ends the list, by what is `behind` it; `None` if there is too little of that. If
    /// not, it stands where a comma or the beginning of a record was, and the list goes on.
    fn ends_list(&self, bracket: u8, behind: &[u8], wrapped: bool) -> Option<bool> {
        if bracket == b']' && !wrapped {
            return Some(true);
        }
        let blank = behind.iter().take_while(|byte| is_blank(**byte)).count();
        let behind = behind.get(blank..).unwrap_or_default();
        match (bracket, behind.first()) {
            (_, None) => self.ended.then_some(true),
            (b']', next) => Some(matches!(next, Some(b',' | b'}'))),
            // The next of several wrappers.
            (_, Some(b'{')) => opens_records(behind).or_else(|| self.ended.then_some(false)),
            _ => Some(false),
        }
    }

    fn at_start(&mut self) -> Next {
        let bytes = self.window.unread();
        if !self.ended && bytes.len() < 4 && !matches!(bytes.first(), Some(b'{' | b'[')) {
            return Next::More;
        }
        let mark = if bytes.starts_with(b"\xef\xbb\xbf") {
            3
        } else {
            0
        };
        let blank = bytes
            .iter()
            .skip(mark)
            .take_while(|byte| is_blank(**byte))
            .count();
        let found = match bytes.get(mark + blank..).unwrap_or_default() {
            [] => {
                // Only blanks so far. Looked at again with what comes, the byte order mark being gone.
                self.window.skip(mark + blank);
                return Next::More;
            }
            [b'{' | b'[', ..] => None,
            [b'n', b'u', b'l', b'l', ..] => {
                self.window.skip(mark + blank + 4);
                self.kind = FileKind::Other;
                self.state = State::Top;
                return Next::Again;
            }
            rest if rest.len() < 4 && !self.ended => {
                self.window.skip(mark + blank);
                return Next::More;
            }
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16 text"),
            [b'P', b'A', b'R', b'1', ..] => Some("an Apache Parquet file"),
            [0x1f, 0x8b, ..] => Some("gzip inside more layers than are read"),
            _ => Some("no JSON object or list at its beginning"),
        };
        if let Some(found) = found {
            self.refused = Some(FileError::NotALogFile { found });
            self.state = State::Cut;
            return Next::Again;
        }
        self.window.skip(mark + blank);
        self.state = State::Top;
        Next::Again
    }

    fn between_values(&mut self) -> Next {
        let bytes = self.window.unread();
        let blank = bytes.iter().take_while(|byte| is_blank(**byte)).count();
        self.window.skip(blank);
        let bytes = self.window.unread();
        match bytes.first() {
            None => Next::More,
            Some(b'[') => {
                self.window.skip(1);
                self.note(FileKind::List);
                self.state = State::List { wrapped: false };
                Next::Again
            }
            Some(b'{') => match opens_records(bytes) {
                Some(true) => {
                    self.enter_records(memchr::memchr(b'[', bytes).map_or(0, |at| at + 1));
                    Next::Again
                }
                None if !self.ended => Next::More,
                _ => match scan_record(capped(bytes, self.cap), &mut self.index) {
                    Ok(length) => self.object(length),
                    // Cut or broken: a list of records may follow in it all the same.
                    Err(_) => {
                        self.state = State::Object(Object {
                            at: 1,
                            value: None,
                            digest: false,
                            kept: true,
                        });
                        Next::Again
                    }
                },
            },
            Some(_) => match memchr::memchr(b'\n', bytes) {
                // Text between the values; the line is all that is lost.
                Some(end) if end <= self.cap => self.bad(RecordFault::NotAnObject, end, end),
                Some(end) => self.bad(RecordFault::NotAnObject, self.cap, end),
                None if self.ended || bytes.len() > self.cap => {
                    let length = bytes.len();
                    self.bad(RecordFault::NotAnObject, length.min(self.cap), length)
                }
                None => Next::More,
            },
        }
    }

    fn enter_records(&mut self, start: usize) {
        self.window.skip(start);
        self.note(FileKind::Records);
        self.state = State::List { wrapped: true };
    }

    fn note(&mut self, kind: FileKind) {
        if matches!(self.kind, FileKind::Empty | FileKind::Other) {
            self.kind = kind;
        }
    }

    const fn record(&mut self, from: usize, to: usize, taken: usize) -> Next {
        self.taken = taken;
        self.records += 1;
        Next::Found(Found::Record { from, to })
    }

    const fn bad(&mut self, fault: RecordFault, shown: usize, taken: usize) -> Next {
        self.taken = taken;
        self.bad_records += 1;
        Next::Found(Found::Bad { to: shown, fault })
    }
}

/// One byte more than a record may have, so that a longer one is seen to be cut.
fn capped(bytes: &[u8], cap: usize) -> &[u8] {
    bytes.get(..cap).unwrap_or(bytes)
}

/// Room that is asked for at a time.
const SPARE: usize = 4 << 10;
