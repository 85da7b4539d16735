//! Where a reader of records puts what it finds: messages, and input that gives none.

use std::fmt;

use forebay_gelf::Encoded;

use crate::{
    dead_letter::{Class, DeadLetter},
    delivery::{Origin, Outgoing},
};

/// Takes messages and bad input, in the order of the records.
pub(crate) trait Collect {
    /// One message.
    fn message(&mut self, message: &Encoded<'_>);

    /// Input that gives no message because it cannot be read.
    fn bad(&mut self, bad: Bad<'_>);
}

/// Input that cannot be read.
#[derive(Clone, Copy)]
pub(crate) struct Bad<'a> {
    pub(crate) class: Class,
    /// Where inside the record: event, line, byte.
    pub(crate) position: &'a dyn fmt::Display,
    /// What is wrong.
    pub(crate) reason: &'a dyn fmt::Display,
    /// The bytes themselves.
    pub(crate) payload: &'a [u8],
}

impl<'a> Bad<'a> {
    /// The whole record.
    pub(crate) fn new(class: Class, reason: &'a dyn fmt::Display, payload: &'a [u8]) -> Self {
        Self {
            class,
            position: &"",
            reason,
            payload,
        }
    }

    /// A part of it.
    pub(crate) fn at(self, position: &'a dyn fmt::Display) -> Self {
        Self { position, ..self }
    }
}

/// Collects what one batch of records gives: messages for the sink, letters for the dead-letter file.
#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) outgoing: Outgoing,
    /// Index of the record being read, within its batch.
    record: u32,
    /// The position of that record, for letters.
    label: String,
    letters: Vec<Letter>,
}

#[derive(Debug)]
struct Letter {
    class: Class,
    position: String,
    reason: String,
    payload: Vec<u8>,
}

impl Collector {
    pub(crate) fn new(outgoing: Outgoing) -> Self {
        Self {
            outgoing,
            record: 0,
            label: String::new(),
            letters: Vec::new(),
        }
    }

    /// What follows comes from this record.
    pub(crate) fn begin(&mut self, record: usize, label: impl fmt::Display) {
        use fmt::Write;
        self.record = u32::try_from(record).unwrap_or(u32::MAX);
        self.label.clear();
        // Writing to a String cannot fail.
        let _ = write!(self.label, "{label}");
    }

    pub(crate) fn has_letters(&self) -> bool {
        !self.letters.is_empty()
    }

    /// The letters so far, as the dead-letter file takes them.
    pub(crate) fn letters<'a>(&'a self, origin: &'a Origin) -> Vec<DeadLetter<'a>> {
        let letter = |letter: &'a Letter| DeadLetter {
            input: &origin.input,
            origin: &origin.place,
            position: &letter.position,
            class: letter.class,
            reason: &letter.reason,
            payload: &letter.payload,
        };
        self.letters.iter().map(letter).collect()
    }

    pub(crate) fn clear_letters(&mut self) {
        self.letters.clear();
    }
}

impl Collect for Collector {
    fn message(&mut self, message: &Encoded<'_>) {
        self.outgoing.push(message, self.record);
    }

    fn bad(&mut self, bad: Bad<'_>) {
        let inside = bad.position.to_string();
        let position = if inside.is_empty() {
            self.label.clone()
        } else {
            format!("{}, {inside}", self.label)
        };
        self.letters.push(Letter {
            class: bad.class,
            position,
            reason: bad.reason.to_string(),
            payload: bad.payload.to_vec(),
        });
    }
}
