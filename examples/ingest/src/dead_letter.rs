//! Input that cannot be delivered, kept with reason and origin so that nothing vanishes.
//!
//! One JSON object per line, appended and synced to disk *before* the position of the input counts as settled. The
//! file is created with mode 0600 and renamed to `PATH.1`, `PATH.2`, ... when it is large. When all of them together
//! have reached the limit, writing fails, and whoever reads stops reading: a dead letter that cannot be kept is not
//! dropped. `forebay replay` reads these files.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;

use crate::config;

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
    /// Files that were put aside: bytes, and the number of the next one.
    aside: Aside,
    rotate: u64,
    max_size: u64,
    /// Letters are counted and not kept.
    discard: bool,
    counts: BTreeMap<&'static str, u64>,
    /// Why the last letter could not be kept.
    failure: Option<String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Aside {
    bytes: u64,
    next: u64,
}

impl DeadLetters {
    /// The file that the configuration describes.
    #[must_use]
    pub fn new(settings: &config::DeadLetter) -> Self {
        let shared = Shared {
            path: settings.path.clone(),
            file: None,
            length: 0,
            aside: Aside::default(),
            rotate: settings.rotate.0,
            max_size: settings.max_size.0,
            discard: false,
            counts: BTreeMap::new(),
            failure: None,
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// From now on letters are counted and not kept: for reading that changes nothing.
    pub(crate) fn discard(&self) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.discard = true;
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
        if self.discard {
            return Ok(());
        }
        if self.file.is_none() {
            self.open()?;
        }
        let added = lines.len() as u64;
        if self.length > 0 && self.length + added > self.rotate {
            let mut aside = self.path.clone().into_os_string();
            aside.push(format!(".{}", self.aside.next));
            fs::rename(&self.path, aside)?;
            self.open()?;
        }
        if self.aside.bytes + self.length + added > self.max_size {
            // Somebody may have moved files away since; the next attempt counts anew.
            self.file = None;
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!(
                    "the dead-letter files {}* have reached `max_size` ({} bytes): replay and remove them, or raise the limit",
                    self.path.display(),
                    self.max_size
                ),
            ));
        }
        let Some(file) = self.file.as_mut() else {
            return Ok(());
        };
        if let Err(error) = file.write_all(lines).and_then(|()| file.sync_data()) {
            self.file = None;
            return Err(error);
        }
        self.length += added;
        Ok(())
    }

    fn open(&mut self) -> io::Result<()> {
        let linked = fs::symlink_metadata(&self.path).is_ok_and(|known| known.is_symlink());
        if linked {
            return Err(io::Error::other(format!(
                "the dead-letter file {} is a symbolic link: name the file itself",
                self.path.display()
            )));
        }
        let mut options = OpenOptions::new();
        options.create(true).append(true).read(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&self.path)?;
        self.length = file.metadata()?.len();
        // A crash may have left half a line; what follows must not become a part of it.
        if self.length > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
                self.length += 1;
            }
        }
        self.aside = put_aside(&self.path)?;
        self.file = Some(file);
        Ok(())
    }
}

/// The files `PATH.NUMBER` beside `path`.
fn put_aside(path: &Path) -> io::Result<Aside> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut aside = Aside { bytes: 0, next: 1 };
    for entry in fs::read_dir(folder.unwrap_or_else(|| Path::new(".")))? {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap_or_default();
        let own = path
            .file_name()
            .and_then(|own| name.strip_prefix(own.to_str()?));
        let number = own.and_then(|rest| rest.strip_prefix('.')?.parse::<u64>().ok());
        if let Some(number) = number {
            aside.bytes += entry.metadata()?.len();
            aside.next = aside.next.max(number + 1);
        }
    }
    Ok(aside)
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

    fn at(path: &Path, rotate: u64, max_size: u64) -> DeadLetters {
        DeadLetters::new(&config::DeadLetter {
            path: path.to_owned(),
            rotate: config::ByteSize(rotate),
            max_size: config::ByteSize(max_size),
        })
    }

    #[test]
    fn a_letter_is_one_readable_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.ndjson");
        let letters = at(&path, 1 << 20, 1 << 20);
        letters
            .keep(&letter(b"2 x"), SystemTime::UNIX_EPOCH)
            .unwrap();
        insta::assert_snapshot!(
            fs::read_to_string(&path).unwrap(),
            @r#"{"version":1,"time":"1970-01-01T00:00:00Z","input":"flow","origin":"shardId-000000000000 49","position":"event 3","class":"flow-log","reason":"expected 14 fields, found 13","length":3,"payload":"MiB4"}"#
        );
        assert_eq!(letters.count(), 1);
    }

    #[test]
    fn a_full_file_refuses_instead_of_dropping() {
        let folder = tempfile::tempdir().unwrap();
        let letters = at(&folder.path().join("dead.ndjson"), 1 << 20, 300);
        letters
            .keep(&letter(b"2 x"), SystemTime::UNIX_EPOCH)
            .unwrap();
        let error = letters
            .keep(&letter(b"2 x"), SystemTime::UNIX_EPOCH)
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(letters.count(), 1);
    }

    #[test]
    fn a_large_file_is_put_aside_and_room_that_somebody_makes_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.ndjson");
        let letters = at(&path, 300, 900);
        let keep = || letters.keep(&letter(b"2 x"), SystemTime::UNIX_EPOCH);
        while keep().is_ok() {}
        let aside = |number: u32| folder.path().join(format!("dead.ndjson.{number}"));
        assert!(aside(1).exists() && aside(2).exists() && path.exists());
        let kept = letters.count();
        fs::remove_file(aside(1)).unwrap();
        keep().unwrap();
        assert_eq!(letters.count(), kept + 1);
        assert!(aside(3).exists(), "a number is never used again");
        // A new process goes on where the old one was.
        let again = at(&path, 300, 900);
        assert_eq!(
            again
                .keep(&letter(b"2 x"), SystemTime::UNIX_EPOCH)
                .unwrap_err()
                .kind(),
            io::ErrorKind::StorageFull
        );
    }

    #[test]
    fn half_a_line_of_a_crash_spoils_nothing_that_follows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.ndjson");
        fs::write(&path, "{\"version\":1,\"ti").unwrap();
        at(&path, 1 << 20, 1 << 20)
            .keep(&letter(b"2 x"), SystemTime::UNIX_EPOCH)
            .unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(last["payload"], "MiB4");
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.ndjson");
        at(&path, 1 << 20, 1 << 20)
            .keep(&letter(b"x"), SystemTime::UNIX_EPOCH)
            .unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_run_without_bad_input_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.ndjson");
        let letters = at(&path, 1 << 20, 1 << 20);
        assert_eq!(letters.count(), 0);
        assert!(!path.exists());
    }
}
