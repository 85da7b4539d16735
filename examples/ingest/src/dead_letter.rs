//! Input that cannot be delivered, kept with reason and origin so that nothing vanishes.
//!
//! One JSON object per letter, kept *before* the position of the input counts as settled: in a file that is synced to
//! disk, or in a queue if there is one. What the queue does not take goes into the file. The file is renamed to
//! `PATH.1`, `PATH.2`, ... when it is large. When all of them together have reached the limit, writing fails, and
//! whoever reads stops reading: a dead letter that cannot be kept is not dropped. `forebay replay` reads both.

mod file;
mod queue;

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;

use crate::{config, stats::lock};

use file::LetterFile;
pub(crate) use queue::LetterQueue;

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
    time: &'a str,
    input: &'a str,
    origin: &'a str,
    position: &'a str,
    class: Class,
    reason: &'a str,
    length: usize,
    payload: String,
}

/// Where letters are kept; clones are the same place.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    shared: Arc<Mutex<Shared>>,
    queue: Option<Arc<LetterQueue>>,
}

#[derive(Debug)]
struct Shared {
    file: LetterFile,
    /// Letters are counted and not kept.
    discard: bool,
    counts: BTreeMap<&'static str, u64>,
    /// Why the last letter could not be kept.
    failure: Option<String>,
}

impl DeadLetters {
    /// The file that the configuration describes.
    #[must_use]
    pub fn new(settings: &config::DeadLetter) -> Self {
        let shared = Shared {
            file: LetterFile::new(settings),
            discard: false,
            counts: BTreeMap::new(),
            failure: None,
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
            queue: None,
        }
    }

    /// Letters go to this queue first.
    pub(crate) fn with_queue(mut self, queue: LetterQueue) -> Self {
        self.queue = Some(Arc::new(queue));
        self
    }

    /// From now on letters are counted and not kept: for reading that changes nothing.
    pub(crate) fn discard(&self) {
        lock(&self.shared).discard = true;
    }

    /// Keeps one letter; durable when this returns.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or is full. The input must then not be settled.
    ///
    /// # Cancel safety
    ///
    /// A letter whose future is dropped may be kept all the same; its input comes again.
    pub async fn keep(&self, letter: &DeadLetter<'_>, now: SystemTime) -> io::Result<()> {
        self.keep_all(std::slice::from_ref(letter), now).await
    }

    /// Keeps several letters under one sync to disk, or in as few requests to the queue as can be.
    ///
    /// # Errors
    ///
    /// As [`Self::keep`]; on an error none, some or all of them are kept.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::keep`].
    pub async fn keep_all(&self, letters: &[DeadLetter<'_>], now: SystemTime) -> io::Result<()> {
        if letters.is_empty() {
            return Ok(());
        }
        let time = jiff::Timestamp::try_from(now)
            .map(|time| time.to_string())
            .unwrap_or_default();
        let lines = letters.iter().map(|letter| letter.line(&time));
        let mut lines = lines.collect::<Result<Vec<_>, _>>()?;
        let discard = lock(&self.shared).discard;
        if let Some(queue) = self.queue.as_ref().filter(|_| !discard) {
            lines = queue.send(lines).await;
        }
        let mut shared = lock(&self.shared);
        let kept = if discard || lines.is_empty() {
            Ok(())
        } else {
            shared.file.append((lines.join("\n") + "\n").as_bytes())
        };
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
        lock(&self.shared).counts.clone()
    }

    /// Why the last letter could not be kept; none if it was.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        lock(&self.shared).failure.clone()
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        lock(&self.shared).file.path().to_owned()
    }
}

impl DeadLetter<'_> {
    fn line(&self, time: &str) -> serde_json::Result<String> {
        let kept = self.payload.get(..PAYLOAD_CAP).unwrap_or(self.payload);
        serde_json::to_string(&Line {
            version: 1,
            time,
            input: self.input,
            origin: self.origin,
            position: self.position,
            class: self.class,
            reason: self.reason,
            length: self.payload.len(),
            payload: BASE64_STANDARD.encode(kept),
        })
    }
}

/// Longest payload kept in a letter.
const PAYLOAD_CAP: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

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
            ..config::DeadLetter::default()
        })
    }

    #[tokio::test]
    async fn a_letter_is_one_readable_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.ndjson");
        let letters = at(&path, 1 << 20, 1 << 20);
        letters
            .keep(&letter(b"2 x"), SystemTime::UNIX_EPOCH)
            .await
            .unwrap();
        insta::assert_snapshot!(
            fs::read_to_string(&path).unwrap(),
            @r#"{"version":1,"time":"1970-01-01T00:00:00Z","input":"flow","origin":"shardId-000000000000 49","position":"event 3","class":"flow-log","reason":"expected 14 fields, found 13","length":3,"payload":"MiB4"}"#
        );
        assert_eq!(letters.count(), 1);
    }

    #[tokio::test]
    async fn a_full_file_refuses_instead_of_dropping() {
        let folder = tempfile::tempdir().unwrap();
        let letters = at(&folder.path().join("dead.ndjson"), 1 << 20, 300);
        letters
            .keep(&letter(b"2 x"), SystemTime::UNIX_EPOCH)
            .await
            .unwrap();
        let error = letters
            .keep(&letter(b"2 x"), SystemTime::UNIX_EPOCH)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(letters.count(), 1);
    }

    #[tokio::test]
    async fn a_large_file_is_put_aside_and_room_that_somebody_makes_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.ndjson");
        let letters = at(&path, 300, 900);
        let keep = async || letters.keep(&letter(b"2 x"), SystemTime::UNIX_EPOCH).await;
        while keep().await.is_ok() {}
        let aside = |number: u32| folder.path().join(format!("dead.ndjson.{number}"));
        assert!(aside(1).exists() && aside(2).exists() && path.exists());
        let kept = letters.count();
        fs::remove_file(aside(1)).unwrap();
        keep().await.unwrap();
        assert_eq!(letters.count(), kept + 1);
        assert!(aside(3).exists(), "a number is never used again");
        // A new process goes on where the old one was.
        let again = at(&path, 300, 900);
        assert_eq!(
            again
                .keep(&letter(b"2 x"), SystemTime::UNIX_EPOCH)
                .await
                .unwrap_err()
                .kind(),
            io::ErrorKind::StorageFull
        );
    }

    #[tokio::test]
    async fn half_a_line_of_a_crash_spoils_nothing_that_follows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.ndjson");
        fs::write(&path, "{\"version\":1,\"ti").unwrap();
        at(&path, 1 << 20, 1 << 20)
            .keep(&letter(b"2 x"), SystemTime::UNIX_EPOCH)
            .await
            .unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(last["payload"], "MiB4");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_the_owner_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.ndjson");
        at(&path, 1 << 20, 1 << 20)
            .keep(&letter(b"x"), SystemTime::UNIX_EPOCH)
            .await
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
