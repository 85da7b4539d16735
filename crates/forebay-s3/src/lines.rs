//! Lines of a text object, plain or compressed, in bounded memory.

use forebay_cloudtrail::{Inflater, Limits};

use crate::{
    content::{BadItem, Fault, Found, Item, Lines},
    error::ErrorKind,
};

/// Inflates an object and splits it into lines.
///
/// Blank lines, a byte order mark and carriage returns at line ends are passed over; the last line needs no line end. A line
/// longer than [`LINE`] is no record but a bad item with its beginning, and reading goes on behind it.
pub(crate) struct LineDecoder {
    settings: Lines,
    limits: Limits,
    inflater: Inflater,
    /// Text that is not taken yet, from `start` on; `searched` bytes of it are known to hold no line end.
    window: Vec<u8>,
    start: usize,
    searched: usize,
    /// Offset of `start` in the inflated object.
    offset: u64,
    /// Records so far.
    index: u64,
    /// The first bytes were looked at.
    known: bool,
    /// Inside a line that was told as too long.
    skipping: bool,
    /// The inflater may have more to give without more to take.
    pending: bool,
    ended: bool,
    failed: Option<Fault>,
}

/// A line in the window, without its line end.
enum Stretch {
    Line(std::ops::Range<usize>),
    TooLong(std::ops::Range<usize>, u64),
}

impl LineDecoder {
    pub(crate) fn new(settings: Lines) -> Self {
        Self {
            settings,
            limits: Limits::default(),
            inflater: Inflater::new(),
            window: Vec::new(),
            start: 0,
            searched: 0,
            offset: 0,
            index: 0,
            known: false,
            skipping: false,
            pending: false,
            ended: false,
            failed: None,
        }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let used = match self.failed {
            None => self.pump(bytes),
            Some(_) => 0,
        };
        self.failed.take().map_or(Ok(used), Err)
    }

    pub(crate) fn next(&mut self) -> Option<Item<'_>> {
        loop {
            match self.find() {
                Some(Stretch::Line(line)) => {
                    let text = self.window.get(line.clone()).unwrap_or_default();
                    if text.trim_ascii().is_empty() {
                        continue;
                    }
                    if self
                        .settings
                        .is_header
                        .is_some_and(|is_header| is_header(text))
                    {
                        return self.window.get(line).map(Item::Header);
                    }
                    self.index += 1;
                    return self
                        .window
                        .get(line)
                        .map(|text| Item::Record(self.index - 1, Found::Line(text)));
                }
                Some(Stretch::TooLong(beginning, offset)) => {
                    self.index += 1;
                    return Some(Item::Bad(BadItem {
                        index: self.index - 1,
                        offset,
                        reason: format!(
                            "the line is longer than {LINE} bytes, of which the first {LINE} are kept"
                        ),
                        bytes: self.window.get(beginning).unwrap_or_default(),
                    }));
                }
                None if self.pending => {
                    self.pump(&[]);
                }
                None => return None,
            }
        }
    }

    pub(crate) fn end(&mut self) {
        self.window.extend_from_slice(self.inflater.end());
        self.look();
        self.ended = true;
    }

    pub(crate) fn finish(&mut self) -> Result<u64, Fault> {
        if let Some(fault) = self.failed.take() {
            return Err(fault);
        }
        self.inflater.finish()?;
        Ok(self.index)
    }

    /// Inflates once into the free end of the window. A failure is remembered.
    fn pump(&mut self, bytes: &[u8]) -> usize {
        self.window.drain(..self.start);
        self.start = 0;
        let (filled, before) = (self.window.len(), self.inflater.produced());
        self.window.resize(filled + PIECE, 0);
        let room = self.window.get_mut(filled..).unwrap_or_default();
        let progress = self.inflater.run(bytes, room, &self.limits);
        // What came out before a failure is good.
        let produced = usize::try_from(self.inflater.produced() - before).unwrap_or(0);
        self.window.truncate(filled + produced);
        self.pending = produced == PIECE;
        if self.window.len() >= 4 {
            self.look();
        }
        match progress {
            Ok(progress) => progress.used,
            Err(error) => {
                self.failed.get_or_insert_with(|| error.into());
                0
            }
        }
    }

    /// Looks at the first bytes of the text, once.
    fn look(&mut self) {
        if std::mem::replace(&mut self.known, true) {
            return;
        }
        if let Some(what) = no_text(&self.window) {
            self.window.clear();
            self.failed = Some(Fault::unsupported(what));
        } else if self.window.starts_with(BYTE_ORDER_MARK) {
            self.pass(BYTE_ORDER_MARK.len());
        }
    }

    fn find(&mut self) -> Option<Stretch> {
        if !self.known
            || self
                .failed
                .as_ref()
                .is_some_and(|fault| fault.kind == ErrorKind::Unsupported)
        {
            return None;
        }
        loop {
            let rest = self.window.get(self.start..).unwrap_or_default();
            let unsearched = rest.get(self.searched..).unwrap_or_default();
            let (length, with_end) = match memchr::memchr(b'\n', unsearched) {
                Some(at) => (self.searched + at, self.searched + at + 1),
                None if self.skipping => {
                    self.pass(rest.len());
                    self.skipping &= !self.ended;
                    return None;
                }
                None if rest.len() > LINE => {
                    let (begin, offset) = (self.start, self.offset);
                    self.pass(rest.len());
                    self.skipping = true;
                    return Some(Stretch::TooLong(begin..begin + LINE, offset));
                }
                None if self.ended && !self.pending && !rest.is_empty() => (rest.len(), rest.len()),
                None => {
                    self.searched = rest.len();
                    return None;
                }
            };
            let (begin, offset) = (self.start, self.offset);
            let text = rest.get(..length).unwrap_or_default();
            let length = text.strip_suffix(b"\r").map_or(length, <[u8]>::len);
            self.pass(with_end);
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            return Some(if length > LINE {
                Stretch::TooLong(begin..begin + LINE, offset)
            } else {
                Stretch::Line(begin..begin + length)
            });
        }
    }

    /// Goes on behind this many bytes of the window.
    fn pass(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
        self.searched = 0;
    }
}

/// What an object is that is no text, by its first bytes.
fn no_text(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [b'P', b'A', b'R', b'1', ..] => Some(
            "the object is Parquet, which is not read: choose plain text as the file format of the flow log",
        ),
        [0x1f, 0x8b, 8, ..] => {
            Some("the object is compressed more than twice; two layers of gzip are undone")
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("the object is UTF-16; UTF-8 is read"),
        _ => None,
    }
}

impl std::fmt::Debug for LineDecoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("LineDecoder")
            .field("inflater", &self.inflater)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

/// Longest line: CloudWatch and Firehose take no more than 1 MiB either.
pub(crate) const LINE: usize = 1 << 20;

/// Inflated at once.
const PIECE: usize = 32 << 10;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// Every item as text, with the object fed in pieces of `piece` bytes.
    fn items(object: &[u8], piece: usize) -> (Vec<String>, Result<u64, ErrorKind>) {
        let settings = Lines {
            is_header: Some(|line| line.starts_with(b"#")),
        };
        let mut decoder = LineDecoder::new(settings);
        let mut items = Vec::new();
        let mut outcome = Ok(0);
        'fed: for mut rest in object.chunks(piece) {
            while !rest.is_empty() {
                match decoder.feed(rest) {
                    Ok(used) => rest = &rest[used..],
                    Err(fault) => outcome = Err(fault.kind),
                }
                take(&mut decoder, &mut items);
                if outcome.is_err() {
                    break 'fed;
                }
            }
        }
        if outcome.is_ok() {
            decoder.end();
            take(&mut decoder, &mut items);
            outcome = decoder.finish().map_err(|fault| fault.kind);
        }
        (items, outcome)
    }

    fn take(decoder: &mut LineDecoder, items: &mut Vec<String>) {
        while let Some(item) = decoder.next() {
            items.push(match item {
                Item::Record(index, record) => {
                    format!("{index} {}", String::from_utf8_lossy(record.bytes()))
                }
                Item::Header(line) => format!("header {}", String::from_utf8_lossy(line)),
                Item::Bad(bad) => format!(
                    "{} bad at {}, {} bytes: {}",
                    bad.index,
                    bad.offset,
                    bad.bytes.len(),
                    bad.reason
                ),
            });
        }
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(text).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn lines_come_whole_however_the_object_is_cut() {
        let text = b"\xef\xbb\xbf#a b\r\n1 2\r\n\n  \n#c d\n3 4\n5 6";
        let expected = ["header #a b", "0 1 2", "header #c d", "1 3 4", "2 5 6"];
        let mut members = gzip(&text[..12]);
        members.extend(gzip(&text[12..]));
        for object in [text.to_vec(), gzip(text), gzip(&members), members] {
            for piece in [1, 2, 7, 4_096] {
                let (items, outcome) = items(&object, piece);
                assert_eq!(
                    (items.as_slice(), outcome),
                    (&expected.map(str::to_owned)[..], Ok(3))
                );
            }
        }
        assert_eq!(items(b"", 1), (Vec::new(), Ok(0)));
        assert_eq!(items(b"x", 1), (vec!["0 x".to_owned()], Ok(1)));
    }

    #[test]
    fn a_line_that_is_too_long_costs_only_itself() {
        for length in [LINE + 1, 3 * LINE, 7 * LINE] {
            let mut text = b"first\n".to_vec();
            text.resize(6 + length, b'x');
            text.extend_from_slice(b"\nlast\n");
            assert_eq!(items(&text, 4_096), items(&gzip(&text), 64 << 10));
            let (items, outcome) = items(&gzip(&text), 64 << 10);
            assert_eq!(
                items,
                [
                    "0 first".to_owned(),
                    format!(
                        "1 bad at 6, {LINE} bytes: the line is longer than {LINE} bytes, of which the first {LINE} are kept"
                    ),
                    "2 last".to_owned()
                ]
            );
            assert_eq!(outcome, Ok(3));
        }
    }

    #[test]
    fn lines_before_a_damage_are_good() {
        let object = gzip(b"1\n2\n3\n");
        let (cut, outcome) = items(&object[..object.len() - 3], 5);
        assert_eq!((cut.len(), outcome), (3, Err(ErrorKind::Corrupt)));
        let mut damaged = object;
        let checksum = damaged.len() - 8;
        damaged[checksum] ^= 1;
        let (taken, outcome) = items(&damaged, 4_096);
        assert_eq!((taken.len(), outcome), (3, Err(ErrorKind::Corrupt)));
    }

    #[test]
    fn what_is_no_text_is_refused_at_once() {
        for object in [
            b"PAR1....PAR1".to_vec(),
            gzip(&gzip(&gzip(b"1\n"))),
            b"\xff\xfe1\0".to_vec(),
        ] {
            for piece in [4, 4_096] {
                assert_eq!(
                    items(&object, piece),
                    (Vec::new(), Err(ErrorKind::Unsupported))
                );
            }
        }
        assert_eq!(
            items(b"\x28\xb5\x2f\xfd....", 99).1,
            Err(ErrorKind::Unsupported)
        );
    }
}
