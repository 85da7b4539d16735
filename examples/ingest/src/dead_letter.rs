//! Input that cannot be delivered, kept with reason and origin so that nothing vanishes.
//!
//! One JSON object per line, appended and synced to disk *before* the position of the input counts as settled. The
//! file is created with mode 0600. When it is full, writing fails, and whoever reads stops reading: a dead letter
//! that cannot be kept is not dropped.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;

/// Why an input went to the dead letter.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The compressed or encoded form does not open.
    Payload,
    /// An event of a payload, or a line of a file.
    Event,
    /// A flow-log line that does not fit its format.
    FlowLog,
    /// A record of a CloudTrail file.
    Record,
    /// An S3 object that cannot be read.
    Object,
    /// A notice that is none, or that names what it may not.
    Notice,
    /// A message that the receiver refuses for good.
    Message,
}

impl Class {
    /// The name used in the file and in counters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Payload => "payload",
            Self::Event => "event",
            Self::FlowLog => "flow-log",
            Self::Record => "record",
            Self::Object => "object",
            Self::Notice => "notice",
            Self::Message => "message",
        }
    }
}

/// One input that could not be delivered.
#[derive(Debug)]
pub struct DeadLetter<'a> {
    /// Which input of the configuration.
    pub input: &'a str,
    /// Where it came from: shard and sequence number, or bucket and key.
    pub origin: &'a str,
    /// The position inside: event index, byte offset, line.
    pub position: &'a str,
    /// What kind of thing it is.
    pub class: Class,
    /// What was wrong.
    pub reason: &'a str,
    /// The bytes themselves; longer than 1 MiB they are cut, `length` tells the whole.
    pub payload: &'a [u8],
}

#[derive(Serialize)]
struct Line<'a> {
    version: u8,
    time: String,
    input: &'a str,
    origin: &'a str,
    position: &'a str,
    class: Class,
    reason: &'a str,
    length: usize,
    payload: String,
}

/// The dead-letter file; clones write to the same file.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// Opened when the first letter comes: a run without bad input leaves no file.
    file: Option<File>,
    length: u64,
    max_size: u64,
    counts: BTreeMap<&'static str, u64>,
    /// Why the last letter could not be kept.
    failure: Option<String>,
}

impl DeadLetters {
    /// A file at `path` that takes at most `max_size` bytes.
    #[must_use]
    pub fn new(path: &Path, max_size: u64) -> Self {
        let shared = Shared {
            path: path.to_owned(),
            file: None,
            length: 0,
            max_size,
            counts: BTreeMap::new(),
            failure: None,
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// Keeps one letter; durable when this returns.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or is full. The input must then not be settled.
    pub fn keep(&self, letter: &DeadLetter<'_>, now: SystemTime) -> io::Result<()> {
        self.keep_all(std::slice::from_ref(letter), now)
    }

    /// Keeps several letters under one sync to disk.
    ///
    /// # Errors
    ///
    /// As [`Self::keep`]; on an error none, some or all of them are in the file.
    pub fn keep_all(&self, letters: &[DeadLetter<'_>], now: SystemTime) -> io::Result<()> {
        if letters.is_empty() {
            return Ok(());
        }
        let time = jiff::Timestamp::try_from(now)
            .map(|time| time.to_string())
            .unwrap_or_default();
        let mut lines = Vec::new();
        for letter in letters {
            let kept = letter.payload.get(..PAYLOAD_CAP).unwrap_or(letter.payload);
            serde_json::to_writer(
                &mut lines,
                &Line {
                    version: 1,
                    time: time.clone(),
                    input: letter.input,
                    origin: letter.origin,
                    position: letter.position,
                    class: letter.class,
                    reason: letter.reason,
                    length: letter.payload.len(),
                    payload: BASE64_STANDARD.encode(kept),
                },
            )?;
            lines.push(b'\n');
        }
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = shared.append(&lines);
        shared.failure = kept.as_ref().err().map(ToString::to_string);
        kept?;
        for letter in letters {
            *shared.counts.entry(letter.class.name()).or_default() += 1;
        }
        Ok(())
    }

    /// Letters kept since the start.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts().values().sum()
    }

    /// Letters kept since the start, by class.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .counts
            .clone()
    }

    /// Why the last letter could not be kept; none if it was.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .failure
            .clone()
    }

    /// Where the letters are.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .path
            .clone()
    }
}

impl Shared {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            let mut options = OpenOptions::new();
            options.create(true).append(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let file = options.open(&self.path)?;
            self.length = file.metadata()?.len();
            self.file = Some(file);
        }
        if self.length + lines.len() as u64 > self.max_size {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!(
                    "the dead-letter file {} has reached `max_size` ({} bytes): move it away or raise the limit",
                    self.path.display(),
                    self.max_size
                ),
            ));
        }
        let Some(file) = self.file.as_mut() else {
            return Ok(());
        };
        file.write_all(lines)?;
        file.sync_data()?;
        self.length += lines.len() as u64;
        Ok(())
    }
}

/// Longest payload kept in a letter.
const PAYLOAD_CAP: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(payload: &[u8]) -> DeadLetter<'_> {
        DeadLetter {
            input: "flow",
            origin: "shardId-000000000000 49",
            position: "event 3",
            class: Class::FlowLog,
            reason: "expected 14 fields, found 13",
            payload,
        }
    }

    #[test]
    fn a_letter_is_one_readable_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.ndjson");
        let letters = DeadLetters::new(&path, 1 << 20);
        letters
            .keep(&letter(b"2 x"), SystemTime::UNIX_EPOCH)
            .unwrap();
        insta::assert_snapshot!(
            std::fs::read_to_string(&path).unwrap(),
            @r#"{"version":1,"time":"1970-01-01T00:00:00Z","input":"flow","origin":"shardId-000000000000 49","position":"event 3","class":"flow-log","reason":"expected 14 fields, found 13","length":3,"payload":"MiB4"}"#
        );
        assert_eq!(letters.count(), 1);
    }

    #[test]
    fn a_full_file_refuses_instead_of_dropping() {
        let folder = tempfile::tempdir().unwrap();
        let letters = DeadLetters::new(&folder.path().join("dead.ndjson"), 300);
        letters
            .keep(&letter(b"2 x"), SystemTime::UNIX_EPOCH)
            .unwrap();
        let error = letters
            .keep(&letter(b"2 x"), SystemTime::UNIX_EPOCH)
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(letters.count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.ndjson");
        DeadLetters::new(&path, 1 << 20)
            .keep(&letter(b"x"), SystemTime::UNIX_EPOCH)
            .unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_run_without_bad_input_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.ndjson");
        let letters = DeadLetters::new(&path, 1 << 20);
        assert_eq!(letters.count(), 0);
        assert!(!path.exists());
    }
}
