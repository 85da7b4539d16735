//! One pass over the bytes of a record: is it JSON, and where are the members.
//!
//! The pass checks the grammar of RFC 8259 except that bytes above 0x7F are not looked at (the caller checks UTF-8 once per
//! record, which is faster). It keeps no tree: the members of the opened objects go to a flat list that is reused.

use wide::u8x16;

use crate::error::RecordFault;
use crate::event::{EventIndex, Kind, MemberSpan};
use crate::limits::RECORD_DEPTH;
use crate::member::{Known, Scope};
use crate::order::Order;
use crate::outline::is_blank;
use crate::text::{Text, TextForm, hex4};

/// Reads the object that begins at `bytes[0]` and returns the offset behind its last brace. The members end up in `index`.
pub(crate) fn scan_record(bytes: &[u8], index: &mut EventIndex) -> Result<usize, RecordFault> {
    index.clear();
    match bytes.first() {
        Some(b'{') => {}
        Some(_) => return Err(RecordFault::NotAnObject),
        None => return Err(RecordFault::Truncated),
    }
    resume_record(bytes, index)
}

/// Goes on with an object of which there was too little when `index` read it last: its last member is read again.
pub(crate) fn resume_record(bytes: &[u8], index: &mut EventIndex) -> Result<usize, RecordFault> {
    let mut scanner = Scanner {
        bytes,
        at: 0,
        fault: RecordFault::Truncated,
    };
    let done = match index.resume {
        Some(resume) => {
            // The places of the members that are dropped are noted again when they are read again.
            index.members.truncate(resume.members);
            scanner.at = resume.at;
            // The text may have ended among them.
            scanner.blanks();
            scanner.members_from(Scope::Record, 1, resume.before, index)
        }
        None => scanner.members(Scope::Record, 1, index),
    };
    match done {
        Ok(()) => Ok(scanner.at),
        Err(Stop) => Err(scanner.fault),
    }
}

/// Where a member of the record begins, to read on from there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resume {
    at: usize,
    /// Its place for [`Order`].
    before: usize,
    /// Number of members that are listed before it.
    members: usize,
}

struct Scanner<'b> {
    bytes: &'b [u8],
    at: usize,
    /// Why it stopped.
    fault: RecordFault,
}

impl Scanner<'_> {
    /// Reads an object whose members are listed. The opening brace is at the current position.
    fn members(&mut self, scope: Scope, depth: u32, index: &mut EventIndex) -> Result<(), Stop> {
        self.at += 1;
        if self.token()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        self.members_from(scope, depth, Order::first(scope), index)
    }

    /// The same from the beginning of a member on, which stands behind `before`.
    fn members_from(
        &mut self,
        scope: Scope,
        depth: u32,
        mut before: usize,
        index: &mut EventIndex,
    ) -> Result<(), Stop> {
        loop {
            if scope == Scope::Record {
                index.resume = Some(Resume {
                    at: self.at,
                    before,
                    members: index.members.len(),
                });
            }
            let (key, key_end, key_escaped, known) = self.member_name(scope, before, index)?;
            if let Some(known) = known {
                before = Order::after(known);
            }
            let span = MemberSpan {
                key: narrow(key),
                key_end: narrow(key_end),
                value: narrow(self.at),
                value_end: 0,
                known,
                scope,
                kind: Kind::Object,
                key_escaped,
            };
            let first = self.peek()?;
            match known.and_then(|known| known.details().opens) {
                Some(inner) if first == b'{' => {
                    // Before its members, so that the list keeps the order of the record.
                    let place = index.push(span).map_err(|fault| self.stop(fault))?;
                    self.members(inner, depth + 1, index)?;
                    index.close(place, narrow(self.at));
                }
                _ => {
                    let kind = self.value_at(first, depth)?;
                    if known.is_some() || scope != Scope::ResponseElements {
                        index
                            .push(MemberSpan {
                                value_end: narrow(self.at),
                                kind,
                                ..span
                            })
                            .map_err(|fault| self.stop(fault))?;
                    } else {
                        index.places.more_response_elements = true;
                    }
                }
            }
            match self.token()? {
                b',' => {
                    self.at += 1;
                    self.blanks();
                }
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.expected("`,` or `}`")),
            }
        }
    }

    /// The name of a member, the colon and the blanks behind it. Returns the name's bounds without quotes, whether it has escapes,
    /// and which member it is. The name that is expected next costs one comparison.
    #[inline]
    fn member_name(
        &mut self,
        scope: Scope,
        before: usize,
        index: &mut EventIndex,
    ) -> Result<(usize, usize, bool, Option<Known>), Stop> {
        if let Some(known) = index.order.expected(before) {
            let written = known.details().written.as_bytes();
            let there = self.bytes.get(self.at..self.at + written.len());
            if there.is_some_and(|there| is_name(there, written)) {
                let key = self.at + 1;
                self.at += written.len();
                let key_end = self.at - 2;
                self.blanks();
                return Ok((key, key_end, false, Some(known)));
            }
        }
        let (key, key_end, escaped) = self.key()?;
        let name = self.bytes.get(key..key_end).unwrap_or_default();
        let known = if escaped {
            find_escaped(scope, name)
        } else {
            Known::find(scope, name)
        };
        if let Some(known) = known {
            index.order.learn(before, known);
        }
        Ok((key, key_end, escaped, known))
    }

    /// A key, the colon and the blanks behind it. Returns the key's bounds without quotes.
    fn key(&mut self) -> Result<(usize, usize, bool), Stop> {
        if self.peek()? != b'"' {
            return Err(self.expected("a member name"));
        }
        let start = self.at + 1;
        let escaped = self.string()?;
        let end = self.at - 1;
        if self.token()? != b':' {
            return Err(self.expected("`:`"));
        }
        self.at += 1;
        self.blanks();
        Ok((start, end, escaped))
    }

    /// Any value, whose first byte is `first`. `depth` brackets are open around it.
    #[inline(always)]
    fn value_at(&mut self, first: u8, depth: u32) -> Result<Kind, Stop> {
        match first {
            b'"' => Ok(if self.string()? {
                Kind::Escaped
            } else {
                Kind::Plain
            }),
            b'{' => self.nested(depth).map(|()| Kind::Object),
            b'[' => self.nested(depth).map(|()| Kind::Array),
            _ => self.scalar(),
        }
    }

    /// An object or array of any shape, without recursion: one bit per open bracket says which it is.
    fn nested(&mut self, depth: u32) -> Result<(), Stop> {
        let room = RECORD_DEPTH.saturating_sub(depth);
        let mut objects: u64 = 0;
        let mut open: u32 = 0;
        loop {
            // A value begins here.
            let byte = self.peek()?;
            if byte == b'{' || byte == b'[' {
                if open >= room {
                    return Err(self.stop(RecordFault::TooDeep { at: self.at }));
                }
                let object = byte == b'{';
                open += 1;
                objects = (objects << 1) | u64::from(object);
                self.at += 1;
                let next = self.token()?;
                if next != if object { b'}' } else { b']' } {
                    if object {
                        self.key()?;
                    }
                    continue;
                }
            } else if byte == b'"' {
                self.string()?;
            } else {
                self.scalar()?;
            }
            // A value ended, or a bracket closes at once.
            loop {
                let object = objects & 1 == 1;
                match (self.token()?, object) {
                    (b',', _) => {
                        self.at += 1;
                        self.blanks();
                        if object {
                            self.key()?;
                        }
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        self.at += 1;
                        open -= 1;
                        objects >>= 1;
                        if open == 0 {
                            return Ok(());
                        }
                    }
                    (_, true) => return Err(self.expected("`,` or `}`")),
                    (_, false) => return Err(self.expected("`,` or `]`")),
                }
            }
        }
    }

    /// A string, from quote to quote. Says whether it has escapes.
    #[inline(always)]
    fn string(&mut self) -> Result<bool, Stop> {
        let end = plain_run(self.bytes, self.at + 1);
        if self.bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(false);
        }
        self.escaped_string(end).map(|()| true)
    }

    /// The rest of a string from the first byte on that is not plain.
    #[inline(never)]
    fn escaped_string(&mut self, mut at: usize) -> Result<(), Stop> {
        loop {
            match self.bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(());
                }
                Some(b'\\') => at = self.escape(at)?,
                Some(_) => {
                    return Err(self.syntax(at, "an escape instead of a control character"));
                }
                None => return Err(self.stop(RecordFault::Truncated)),
            }
            at = plain_run(self.bytes, at);
        }
    }

    /// Returns the offset behind the escape that begins at `at`.
    fn escape(&mut self, at: usize) -> Result<usize, Stop> {
        match self.bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
            Some(b'u') => {
                if self.bytes.len() < at + 6 {
                    // Digits that are there must be digits, whatever follows.
                    let there = self.bytes.get(at + 2..).unwrap_or_default();
                    if there.iter().all(u8::is_ascii_hexdigit) {
                        return Err(self.stop(RecordFault::Truncated));
                    }
                }
                match hex4(self.bytes, at + 2) {
                    Some(_) => Ok(at + 6),
                    None => Err(self.syntax(at, "four hexadecimal digits")),
                }
            }
            Some(_) => Err(self.syntax(at, "a JSON escape")),
            None => Err(self.stop(RecordFault::Truncated)),
        }
    }

    /// A number or a literal.
    fn scalar(&mut self) -> Result<Kind, Stop> {
        match self.peek()? {
            b't' => self.literal(b"true").map(|()| Kind::Bool),
            b'f' => self.literal(b"false").map(|()| Kind::Bool),
            b'n' => self.literal(b"null").map(|()| Kind::Null),
            b'-' | b'0'..=b'9' => self.number().map(|()| Kind::Number),
            _ => Err(self.expected("a value")),
        }
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), Stop> {
        let there = self.bytes.get(self.at..).unwrap_or_default();
        if there.starts_with(word) {
            self.at += word.len();
            Ok(())
        } else if word.starts_with(there) {
            Err(self.stop(RecordFault::Truncated))
        } else {
            Err(self.expected("a value"))
        }
    }

    fn number(&mut self) -> Result<(), Stop> {
        if self.peek()? == b'-' {
            self.at += 1;
        }
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek()? == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek()?, b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek()?, b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Stop> {
        if !self.peek()?.is_ascii_digit() {
            return Err(self.expected("a digit"));
        }
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        Ok(())
    }

    /// The next byte that is not blank.
    #[inline]
    fn token(&mut self) -> Result<u8, Stop> {
        match self.bytes.get(self.at) {
            Some(byte) if *byte > b' ' => Ok(*byte),
            _ => {
                self.skip_blanks();
                self.peek()
            }
        }
    }

    #[inline]
    fn blanks(&mut self) {
        // Log files are written without blanks: one comparison settles it.
        if self.bytes.get(self.at).is_some_and(|byte| *byte <= b' ') {
            self.skip_blanks();
        }
    }

    #[inline(never)]
    fn skip_blanks(&mut self) {
        while self.bytes.get(self.at).is_some_and(|byte| is_blank(*byte)) {
            self.at += 1;
        }
    }

    #[inline]
    fn peek(&mut self) -> Result<u8, Stop> {
        match self.bytes.get(self.at) {
            Some(byte) => Ok(*byte),
            None => Err(self.stop(RecordFault::Truncated)),
        }
    }

    #[cold]
    fn expected(&mut self, expected: &'static str) -> Stop {
        self.syntax(self.at, expected)
    }

    #[cold]
    fn syntax(&mut self, at: usize, expected: &'static str) -> Stop {
        self.stop(RecordFault::Syntax { at, expected })
    }

    #[cold]
    fn stop(&mut self, fault: RecordFault) -> Stop {
        self.fault = fault;
        Stop
    }
}

/// The record is broken; the scanner's `fault` says how. Without a size, so that every result fits a register.
struct Stop;

/// Offset of the first byte from `at` on that is a quote, a backslash or a control character; the length if there is none.
///
/// Sixteen bytes at a time: strings of CloudTrail are mostly between 8 and 60 bytes, too short for a call to `memchr` each.
#[inline]
pub(crate) fn plain_run(bytes: &[u8], at: usize) -> usize {
    let mut rest = bytes.get(at..).unwrap_or_default();
    while let Some((block, tail)) = rest.split_first_chunk() {
        let hits = special_bytes(u8x16::new(*block));
        if hits != 0 {
            return bytes.len() - rest.len() + hits.trailing_zeros() as usize;
        }
        rest = tail;
    }
    let plain = |byte: &u8| *byte != b'"' && *byte != b'\\' && *byte >= 0x20;
    let run = rest.iter().take_while(|byte| plain(byte)).count();
    at.max(bytes.len() - rest.len()) + run
}

/// One bit for each byte that is a quote, a backslash or a control character.
#[inline]
fn special_bytes(block: u8x16) -> u32 {
    let control = block.min(u8x16::splat(0x1f)).simd_eq(block);
    let quote = block.simd_eq(u8x16::splat(b'"'));
    let slash = block.simd_eq(u8x16::splat(b'\\'));
    (control | quote | slash).to_bitmask()
}

/// Whether `bytes`, which are as long, are `name`. Names have 4 to 32 bytes with their quotes and colon: two blocks that overlap cover
/// each length without a call.
#[inline(always)]
fn is_name(bytes: &[u8], name: &[u8]) -> bool {
    match name.len() {
        16..=32 => both_ends::<16>(bytes) == both_ends(name),
        8..=15 => both_ends::<8>(bytes) == both_ends(name),
        4..=7 => both_ends::<4>(bytes) == both_ends(name),
        _ => bytes == name,
    }
}

#[inline(always)]
fn both_ends<const N: usize>(text: &[u8]) -> (Option<&[u8; N]>, Option<&[u8; N]>) {
    (text.first_chunk(), text.last_chunk())
}

/// A member name that is written with escapes, which nobody does but may.
#[cold]
fn find_escaped(scope: Scope, name: &[u8]) -> Option<Known> {
    let name = std::str::from_utf8(name).ok()?;
    Known::find(
        scope,
        Text::new(name, TextForm::Escaped).to_cow().as_bytes(),
    )
}

/// Positions fit: records are at most 256 MiB.
fn narrow(position: usize) -> u32 {
    position as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<usize, RecordFault> {
        scan_record(text.as_bytes(), &mut EventIndex::new())
    }

    #[test]
    fn valid_objects_end_behind_their_brace() {
        for text in [
            "{}",
            "{ \n}",
            r#"{"a":1}"#,
            r#"{"a":-0.5e+10,"b":[],"c":{},"d":[[],[{}]],"e":null,"f":true,"g":false}"#,
            r#"{ "a" : [ 1 , { "b" : "c" } , "d" ] , "e" : "\u00e9\"" }"#,
            r#"{"userIdentity":{"sessionContext":{"attributes":{}}}}"#,
        ] {
            assert_eq!(check(&format!("{text}rest")), Ok(text.len()), "{text}");
        }
    }

    #[test]
    fn invalid_objects_say_where() {
        for (text, at) in [
            (r#"{"a"}"#, 4),
            (r#"{"a":}"#, 5),
            (r#"{"a":1,}"#, 7),
            (r#"{"a":01}"#, 6),
            (r#"{"a":1.}"#, 7),
            (r#"{"a":-}"#, 6),
            (r#"{"a":1e}"#, 7),
            (r#"{"a":[1,]}"#, 8),
            (r#"{"a":[1}}"#, 7),
            (r#"{"a":{"b":1]}"#, 11),
            (r#"{"a":"\x"}"#, 6),
            (r#"{"a":"\u12g4"}"#, 6),
            ("{\"a\":\"\n\"}", 6),
            (r#"{"a":nul}"#, 5),
            (r#"{a:1}"#, 1),
            (r#"{"a":1 "b":2}"#, 7),
        ] {
            match check(text) {
                Err(RecordFault::Syntax { at: found, .. }) => assert_eq!(found, at, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn every_cut_of_a_record_is_truncated_and_nothing_else() {
        let text = r#"{"a":-1.5e+3,"b":[true,false,null,"\u00e9\n"],"userIdentity":{"type":"x"}}"#;
        for cut in 0..text.len() {
            assert_eq!(check(&text[..cut]), Err(RecordFault::Truncated), "{cut}");
        }
    }

    #[test]
    fn depth_is_limited_to_64_and_64_are_fine() {
        let nest = |depth: usize| {
            format!(
                "{{\"a\":{}{}}}",
                "[".repeat(depth - 1),
                "]".repeat(depth - 1)
            )
        };
        assert!(check(&nest(64)).is_ok());
        assert!(matches!(check(&nest(65)), Err(RecordFault::TooDeep { .. })));
        assert!(matches!(
            check(&format!("{{\"a\":{}", "[".repeat(100_000))),
            Err(RecordFault::TooDeep { .. })
        ));
    }

    #[test]
    fn an_object_that_was_cut_anywhere_is_read_on() {
        let text = concat!(
            r#"{ "eventVersion" : "1.\u0031", "userIdentity":{"type":"Role","type":"A","x":[1, {"a":2}]},"#,
            "\n\t",
            r#""responseElements":{"status":"ok","other":1}, "unknown":-1.5e3,"eventVersion":"1.2" ,"readOnly":true }"#,
        );
        let mut whole = EventIndex::new();
        assert_eq!(scan_record(text.as_bytes(), &mut whole), Ok(text.len()));
        for cut in 1..text.len() {
            for second in [cut, (cut + text.len()) / 2] {
                let mut index = EventIndex::new();
                let cut_short = Err(RecordFault::Truncated);
                assert_eq!(scan_record(&text.as_bytes()[..cut], &mut index), cut_short);
                assert_eq!(
                    resume_record(&text.as_bytes()[..second], &mut index),
                    cut_short
                );
                assert_eq!(resume_record(text.as_bytes(), &mut index), Ok(text.len()));
                assert_eq!(listed(&index), listed(&whole), "{cut} {second}");
            }
        }
    }

    /// All that a reader of the index sees.
    fn listed(index: &EventIndex) -> String {
        let places = Known::ALL
            .iter()
            .filter_map(|known| index.find(*known))
            .map(|span| span.value);
        format!(
            "{:?} {:?} {}",
            index.members,
            places.collect::<Vec<_>>(),
            index.places.more_response_elements
        )
    }

    #[test]
    fn plain_runs_stop_at_every_special_byte() {
        for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
            for place in 0..20 {
                let mut bytes = vec![0xe9; 20];
                bytes[place] = special;
                assert_eq!(plain_run(&bytes, 0), place, "{special} at {place}");
            }
        }
        let harmless: Vec<u8> = (0x20..=0xff)
            .filter(|byte| *byte != b'"' && *byte != b'\\')
            .collect();
        assert_eq!(plain_run(&harmless, 0), harmless.len());
    }
}
