//! Top-level objects: a wrapper around records, a record, an event of EventBridge, a digest.

use super::element::{Place, RESTART_WIDTH};
use super::{Next, RecordSplitter, State, capped};
use crate::error::RecordFault;
use crate::event::Kind;
use crate::member::{Known, Scope};
use crate::outline::{Outline, is_blank};
use crate::record::FileKind;
use crate::scan::scan_record;

/// A top-level object that is walked member by member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object {
    pub(super) at: usize,
    pub(super) value: Option<Outline>,
    /// Has members that only digests have.
    pub(super) digest: bool,
    /// Kept from its brace on, since it may be a record itself.
    pub(super) kept: bool,
}

impl RecordSplitter {
    /// A top-level object that is complete, scanned, and `length` bytes long.
    pub(super) fn object(&mut self, length: usize) -> Next {
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

    pub(super) fn skip_object(&mut self, kind: FileKind, length: usize) -> Next {
        self.note(kind);
        self.window.skip(length);
        self.state = State::Top;
        Next::Again
    }

    pub(super) fn bad_object(&mut self, length: usize) -> Next {
        self.note(FileKind::Other);
        self.state = State::Top;
        self.bad(RecordFault::NotARecord, length, length)
    }

    /// A top-level object, member by member, so that a long list behind other members is found without keeping it.
    pub(super) fn inside_object(&mut self, mut object: Object) -> Next {
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
    pub(super) fn too_long_object(&mut self, mut object: Object) -> Next {
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
pub(super) fn opens_records(bytes: &[u8]) -> Option<bool> {
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
