//! [`RecordSplitter`]: JSON text of a log file in, one record at a time out.

use std::mem;

use crate::error::{FileError, RecordFault};
use crate::event::{Event, EventIndex, Kind};
use crate::limits::{Limits, RECORD_BYTES_MAX};
use crate::member::{Known, Scope};
use crate::outline::{Outline, is_blank, restart_at_line, restart_in_list};
use crate::record::{BadRecord, FileKind, Record, Summary};
use crate::scan::scan_record;
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
    /// At the beginning of an element that is not complete, or broken.
    Element(Element),
    /// At the beginning of a top-level object that is not complete, or behind the list of a wrapper.
    Object(Object),
    /// Nothing that follows can be read.
    Cut,
}

#[derive(Clone, Copy, Debug)]
struct Element {
    place: Place,
    outline: Outline,
    fault: Option<RecordFault>,
    /// Up to here no restart was found.
    searched: usize,
    /// It was handed out already; the rest of it is thrown away.
    dropping: bool,
    /// Its brackets do not match.
    lost: bool,
    /// Where its brackets close, once that is known.
    end: Option<usize>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Top,
    List { wrapped: bool },
}

#[derive(Clone, Copy, Debug)]
struct Object {
    at: usize,
    value: Option<Outline>,
    /// Has members that only digests have.
    digest: bool,
    /// Kept from its brace on, since it may be a record itself.
    kept: bool,
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
    /// A splitter at the beginning of a file. Of the limits only [`Limits::record_bytes`] counts here.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            cap: limits.record_bytes.clamp(2, RECORD_BYTES_MAX),
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
                State::List { wrapped } => self.between_elements(wrapped),
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
                Next::Found(found) => return Some(found),
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
                event: Event::new(text, &self.index),
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
                        event: Event::new(&self.repaired, &self.index),
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
    fn between_elements(&mut self, wrapped: bool) -> Next {
        let bytes = self.window.unread();
        let blank = bytes
            .iter()
            .take_while(|byte| is_blank(**byte) || **byte == b',')
            .count();
        self.window.skip(blank);
        let bytes = self.window.unread();
        match bytes.first() {
            None => Next::More,
            Some(b'{') => match scan_record(capped(bytes, self.cap), &mut self.index) {
                Ok(length) => self.record(0, length, length),
                Err(fault) => self.element(Place::List { wrapped }, fault),
            },
            Some(b']') => {
                self.window.skip(1);
                self.state = if wrapped {
                    State::Object(Object {
                        at: 0,
                        value: None,
                        digest: false,
                        kept: false,
                    })
                } else {
                    State::Top
                };
                Next::Again
            }
            Some(b'}') => {
                self.window.skip(1);
                self.damaged = true;
                self.state = State::Top;
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

    /// A top-level object that is complete, scanned, and `length` bytes long.
    fn object(&mut self, length: usize) -> Next {
        let bytes = self.window.unread();
        let value_of = |name: &[u8]| {
            let members = self
                .index
                .members
                .iter()
                .filter(|member| member.scope == Scope::Record);
            members.rev().find(|member| {
                bytes.get(member.key as usize..member.key_end as usize) == Some(name)
            })
        };
        if let Some(records) = value_of(b"Records") {
            match records.kind {
                Kind::Array => {
                    let start = records.value as usize + 1;
                    self.enter_records(start);
                    return Next::Again;
                }
                Kind::Null => return self.skip_object(FileKind::NullRecords, length),
                _ => return self.bad_object(length),
            }
        }
        if DIGEST_MEMBERS.iter().any(|name| value_of(name).is_some()) {
            return self.skip_object(FileKind::Digest, length);
        }
        if EVENT_MEMBERS
            .iter()
            .any(|known| self.index.find(*known).is_some())
        {
            self.note(FileKind::Lines);
            self.state = State::Top;
            return self.record(0, length, length);
        }
        if let Some(detail) = value_of(b"detail").filter(|detail| detail.kind == Kind::Object) {
            let (from, to) = (detail.value as usize, detail.value_end as usize);
            let scanned = scan_record(bytes.get(from..to).unwrap_or_default(), &mut self.index);
            if scanned.is_ok()
                && EVENT_MEMBERS
                    .iter()
                    .any(|known| self.index.find(*known).is_some())
            {
                self.note(FileKind::EventBridge);
                self.state = State::Top;
                return self.record(from, to, length);
            }
        }
        self.bad_object(length)
    }

    fn skip_object(&mut self, kind: FileKind, length: usize) -> Next {
        self.note(kind);
        self.window.skip(length);
        self.state = State::Top;
        Next::Again
    }

    fn bad_object(&mut self, length: usize) -> Next {
        self.note(FileKind::Other);
        self.state = State::Top;
        self.bad(RecordFault::NotARecord, length, length)
    }

    /// A top-level object, member by member, so that a long list behind other members is found without keeping it.
    fn inside_object(&mut self, mut object: Object) -> Next {
        let bytes = self.window.unread();
        let mut broken = None;
        let more = loop {
            if let Some(outline) = &mut object.value {
                match outline.run(bytes) {
                    Some(end) => {
                        object.at = end;
                        object.value = None;
                    }
                    None => break true,
                }
            }
            let rest = bytes.get(object.at..).unwrap_or_default();
            object.at += rest
                .iter()
                .take_while(|byte| is_blank(**byte) || **byte == b',')
                .count();
            match bytes.get(object.at) {
                None => break true,
                Some(b'}') => break false,
                Some(b'"') => match key_at(bytes, object.at) {
                    Key::Found { name, value, first } => {
                        if name == b"Records" && first == b'[' {
                            self.enter_records(value + 1);
                            return Next::Again;
                        }
                        object.digest |= DIGEST_MEMBERS.contains(&name);
                        object.value = Some(Outline::new(value, first));
                    }
                    Key::More => break true,
                    Key::Broken(at) => {
                        broken = Some(at);
                        break true;
                    }
                },
                Some(_) => {
                    broken = Some(object.at);
                    break true;
                }
            }
        };
        let length = bytes.len();
        if !more {
            let end = object.at + 1;
            if !object.kept {
                self.window.skip(end);
                self.state = State::Top;
                return Next::Again;
            }
            return match scan_record(capped(bytes, self.cap), &mut self.index) {
                Ok(length) => self.object(length),
                Err(RecordFault::Truncated) if object.digest => {
                    self.skip_object(FileKind::Digest, end)
                }
                Err(RecordFault::Truncated) => self.too_long_object(object),
                Err(fault) => self.element(Place::Top, fault),
            };
        }
        if !object.kept {
            if broken.is_some() {
                self.state = State::Cut;
                return Next::Again;
            }
            // Nothing of it is needed any more; an unfinished key is.
            let used = if object.value.is_some() {
                length
            } else {
                object.at
            };
            self.window.skip(used);
            object.at = object.at.saturating_sub(used);
            if let Some(outline) = &mut object.value {
                outline.rebase(used);
            }
            self.state = if self.ended || self.window.unread().len() > self.cap {
                State::Cut
            } else {
                State::Object(object)
            };
            return if self.ended { Next::Again } else { Next::More };
        }
        if let Some(at) = broken {
            // The first fault, whatever this walk stumbled over: how the text is cut into pieces must not show.
            let fault = scan_record(capped(bytes, self.cap), &mut self.index).err();
            let fault = fault.filter(|fault| matches!(fault, RecordFault::Syntax { .. }));
            return self.element(
                Place::Top,
                fault.unwrap_or(RecordFault::Syntax {
                    at,
                    expected: "a member",
                }),
            );
        }
        if length <= self.cap && !self.ended {
            self.state = State::Object(object);
            return Next::More;
        }
        if object.digest && length > self.cap {
            self.note(FileKind::Digest);
            object.kept = false;
            self.state = State::Object(object);
            return Next::Again;
        }
        match scan_record(capped(bytes, self.cap), &mut self.index) {
            Err(fault @ RecordFault::Syntax { .. }) => self.element(Place::Top, fault),
            _ if length > self.cap => self.too_long_object(object),
            _ => {
                self.state = State::Cut;
                Next::Again
            }
        }
    }

    /// Hands the beginning out and throws the rest away, unless a list of records follows in it.
    fn too_long_object(&mut self, mut object: Object) -> Next {
        let used = if object.value.is_some() {
            self.window.unread().len()
        } else {
            object.at
        };
        let shown = used.min(self.cap);
        object.kept = false;
        object.at = object.at.saturating_sub(used);
        if let Some(outline) = &mut object.value {
            outline.rebase(used);
        }
        self.state = State::Object(object);
        self.bad(RecordFault::TooLong { limit: self.cap }, shown, used)
    }

    /// Begins with an element that is incomplete or broken.
    fn element(&mut self, place: Place, fault: RecordFault) -> Next {
        let first = self.window.unread().first().copied().unwrap_or(0);
        let searched = match fault {
            // The fault shows at the first byte behind the broken string; the name that follows may have closed it.
            RecordFault::Syntax { at, .. } => at.saturating_sub(2).max(1),
            _ => 0,
        };
        let fault = Some(fault).filter(|fault| *fault != RecordFault::Truncated);
        self.state = State::Element(Element {
            place,
            outline: Outline::new(0, first),
            fault,
            searched,
            dropping: false,
            lost: false,
            end: None,
        });
        Next::Again
    }

    fn inside_element(&mut self, mut element: Element) -> Next {
        let bytes = self.window.unread();
        // Once brackets have been found not to match, only the next record's beginning helps.
        if element.end.is_none() && !element.lost {
            element.end = element.outline.run(bytes);
        }
        let mut end = element.end.filter(|_| !element.lost);
        if let (Some(end), None) = (end, element.fault) {
            match scan_record(
                bytes.get(..end.min(self.cap)).unwrap_or_default(),
                &mut self.index,
            ) {
                Ok(length) => {
                    self.leave(element.place);
                    return self.record(0, length, length);
                }
                Err(RecordFault::Truncated) if end > self.cap => {
                    element.fault = Some(RecordFault::TooLong { limit: self.cap });
                }
                Err(fault) => {
                    element.fault = Some(fault);
                    if let RecordFault::Syntax { at, .. } = fault {
                        element.searched = at.saturating_sub(2).max(1);
                    }
                }
            }
        }
        let mut looked_at = end.unwrap_or(bytes.len());
        if let Some(fault @ RecordFault::Syntax { .. }) = element.fault {
            let seen = bytes.get(..looked_at).unwrap_or_default();
            let restart = match element.place {
                Place::Top => restart_at_line(seen, element.searched),
                Place::List { .. } => restart_in_list(seen, element.searched),
            };
            if let Some(restart) = restart {
                self.leave(element.place);
                return self.end_element(element.dropping, fault, restart);
            }
            element.searched = element
                .searched
                .max(looked_at.saturating_sub(RESTART_WIDTH));
        }
        if element.fault.is_some_and(is_syntax) && matches!(element.place, Place::List { .. }) {
            // Brackets that match by chance: then something else than the list goes on behind them.
            if let Some(behind) = end {
                match bytes.iter().skip(behind).find(|byte| !is_blank(**byte)) {
                    Some(b',' | b']') => {}
                    None if !self.ended && bytes.len() <= self.cap => {
                        self.state = State::Element(element);
                        return Next::More;
                    }
                    _ => {
                        element.lost = true;
                        end = None;
                        looked_at = bytes.len();
                        let restart = restart_in_list(bytes, element.searched);
                        if let (Some(restart), Some(fault)) = (restart, element.fault) {
                            self.leave(element.place);
                            return self.end_element(element.dropping, fault, restart);
                        }
                        element.searched = element
                            .searched
                            .max(looked_at.saturating_sub(RESTART_WIDTH));
                    }
                }
            }
        }
        if let Some(end) = end {
            self.leave(element.place);
            return self.end_element(
                element.dropping,
                element.fault.unwrap_or(RecordFault::Truncated),
                end,
            );
        }
        if element.dropping {
            return self.drop_element(element);
        }
        let length = bytes.len();
        if length > self.cap {
            // Only now is it certain that more is wrong than one byte: look before giving up on what follows.
            if element.fault.is_none()
                && let Err(fault @ RecordFault::Syntax { at, .. }) =
                    scan_record(capped(bytes, self.cap), &mut self.index)
            {
                element.fault = Some(fault);
                element.searched = at.saturating_sub(2).max(1);
                self.state = State::Element(element);
                return Next::Again;
            }
            let fault = element
                .fault
                .unwrap_or(RecordFault::TooLong { limit: self.cap });
            element.dropping = true;
            element.outline.rebase(length);
            element.searched = 0;
            self.state = State::Element(element);
            return self.bad(fault, self.cap, length);
        }
        if !self.ended {
            self.state = State::Element(element);
            return Next::More;
        }
        // The end of the text, inside a record.
        let scanned = scan_record(bytes, &mut self.index);
        match (element.fault, scanned) {
            (None, Err(fault @ RecordFault::Syntax { at, .. })) => {
                element.fault = Some(fault);
                element.searched = at.saturating_sub(2).max(1);
                self.state = State::Element(element);
                Next::Again
            }
            (Some(fault), _) => {
                self.state = State::Cut;
                self.bad(fault, length, length)
            }
            (None, _) => {
                self.state = State::Cut;
                Next::Again
            }
        }
    }

    /// An element that was handed out before it ended: go on without keeping it.
    fn drop_element(&mut self, mut element: Element) -> Next {
        let length = self.window.unread().len();
        let keep = if matches!(element.fault, Some(RecordFault::Syntax { .. })) {
            RESTART_WIDTH.min(length)
        } else {
            0
        };
        let used = length - keep;
        self.window.skip(used);
        element.outline.rebase(used);
        element.searched = element.searched.saturating_sub(used);
        self.state = if self.ended {
            State::Cut
        } else {
            State::Element(element)
        };
        if self.ended { Next::Again } else { Next::More }
    }

    fn end_element(&mut self, dropping: bool, fault: RecordFault, end: usize) -> Next {
        if dropping {
            self.window.skip(end);
            return Next::Again;
        }
        self.bad(fault, end.min(self.cap), end)
    }

    const fn leave(&mut self, place: Place) {
        self.state = match place {
            Place::Top => State::Top,
            Place::List { wrapped } => State::List { wrapped },
        };
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

const fn is_syntax(fault: RecordFault) -> bool {
    matches!(fault, RecordFault::Syntax { .. })
}

enum Key<'a> {
    Found {
        name: &'a [u8],
        value: usize,
        first: u8,
    },
    More,
    Broken(usize),
}

/// The member name whose quote is at `at`, and where its value begins.
fn key_at(bytes: &[u8], at: usize) -> Key<'_> {
    let mut outline = Outline::new(at, b'"');
    let Some(end) = outline.run(bytes) else {
        return Key::More;
    };
    let blanks = |from: usize| {
        from + bytes
            .iter()
            .skip(from)
            .take_while(|byte| is_blank(**byte))
            .count()
    };
    let colon = blanks(end);
    match bytes.get(colon) {
        None => return Key::More,
        Some(b':') => {}
        Some(_) => return Key::Broken(colon),
    }
    let value = blanks(colon + 1);
    match bytes.get(value) {
        None => Key::More,
        Some(b',' | b'}' | b']') => Key::Broken(value),
        Some(&first) => Key::Found {
            name: bytes.get(at + 1..end - 1).unwrap_or_default(),
            value,
            first,
        },
    }
}

/// Whether an object begins with a list called `Records`; `None` if there is too little of it.
fn opens_records(bytes: &[u8]) -> Option<bool> {
    let blank = bytes
        .iter()
        .skip(1)
        .take_while(|byte| is_blank(**byte))
        .count();
    match bytes.get(1 + blank)? {
        b'"' => match key_at(bytes, 1 + blank) {
            Key::Found { name, first, .. } => Some(name == b"Records" && first == b'['),
            Key::More => (bytes.len() > RESTART_WIDTH).then_some(false),
            Key::Broken(_) => Some(false),
        },
        _ => Some(false),
    }
}

/// One byte more than a record may have, so that a longer one is seen to be cut.
fn capped(bytes: &[u8], cap: usize) -> &[u8] {
    bytes.get(..cap).unwrap_or(bytes)
}

/// Room that is asked for at a time.
const SPARE: usize = 4 << 10;
/// More than the text by which a record's beginning is known, blanks included.
const RESTART_WIDTH: usize = 256;

/// Members that make an object a record: one of them is enough.
const EVENT_MEMBERS: &[Known] = &[
    Known::EventVersion,
    Known::EventSource,
    Known::EventName,
    Known::EventType,
    Known::EventTime,
    Known::EventCategory,
];
/// Members that only digests have.
const DIGEST_MEMBERS: &[&[u8]] = &[
    b"digestS3Object",
    b"digestStartTime",
    b"digestEndTime",
    b"digestSignatureAlgorithm",
];
