//! Messages to standard output, faults to standard error, both counted.

use std::{
    fmt,
    io::{self, Write},
    path::Path,
};

use forebay_gelf::Encoded;

use crate::collect::{Bad, Collect};

/// Prints what one file gives.
pub(super) struct Printer<'a> {
    file: String,
    out: &'a mut dyn Write,
    errors: &'a mut dyn Write,
    /// Where inside the wrappings of the file.
    inside: Vec<String>,
    messages: u64,
    faults: u64,
    failure: Option<io::Error>,
}

impl<'a> Printer<'a> {
    pub(super) fn new(path: &Path, out: &'a mut dyn Write, errors: &'a mut dyn Write) -> Self {
        let file = path.display().to_string();
        Self {
            file,
            out,
            errors,
            inside: Vec::new(),
            messages: 0,
            faults: 0,
            failure: None,
        }
    }

    /// What follows is inside this part.
    pub(super) fn enter(&mut self, part: String) {
        self.inside.push(part);
    }

    pub(super) fn leave(&mut self) {
        self.inside.pop();
    }

    /// Tells a fault and returns `form`, for the caller to return.
    pub(super) fn fault(&mut self, reason: &dyn fmt::Display, form: &'static str) -> &'static str {
        self.fault_at("", reason);
        form
    }

    /// Tells a fault at this position.
    pub(super) fn fault_at(&mut self, position: &str, reason: &dyn fmt::Display) {
        self.faults += 1;
        let line = format!("{}: {reason}", self.place(position));
        self.tell(&line);
    }

    /// Tells something that is no fault.
    pub(super) fn note(&mut self, what: &dyn fmt::Display) {
        let place = self.place("");
        let line = format!("{place}: {what}, nothing to do");
        self.tell(&line);
    }

    /// Ends the file; with `form` a line tells what it was. Returns the number of faults.
    pub(super) fn finish(mut self, form: Option<&str>) -> io::Result<u64> {
        if let Some(form) = form {
            let line = format!(
                "{}: {form}, {} messages, {} faults",
                self.file, self.messages, self.faults
            );
            self.tell(&line);
        }
        match self.failure {
            Some(failure) => Err(failure),
            None => self.out.flush().map(|()| self.faults),
        }
    }

    fn place(&self, position: &str) -> String {
        let mut place = self.file.clone();
        for part in self
            .inside
            .iter()
            .map(String::as_str)
            .chain((!position.is_empty()).then_some(position))
        {
            place.push_str(", ");
            place.push_str(part);
        }
        place
    }

    fn tell(&mut self, line: &str) {
        // Control characters of the input must not reach the terminal.
        let line: String = line
            .chars()
            .map(|c| {
                if c.is_control() {
                    char::REPLACEMENT_CHARACTER
                } else {
                    c
                }
            })
            .collect();
        // Standard error is the last place to tell anything.
        let _ = writeln!(self.errors, "{line}");
    }
}

impl Collect for Printer<'_> {
    fn message(&mut self, message: &Encoded<'_>) {
        if self.failure.is_some() {
            return;
        }
        self.messages += 1;
        let written = self
            .out
            .write_all(message.as_bytes())
            .and_then(|()| self.out.write_all(b"\n"));
        self.failure = written.err();
    }

    fn bad(&mut self, bad: Bad<'_>) {
        self.fault_at(&bad.position.to_string(), bad.reason);
    }
}
