//! The last step before standard error: what was logged as one event leaves as one line.

use std::io::{self, Write};

/// A writer that gets one event with each call, and escapes what would end its line, move the cursor or turn the
/// text around.
///
/// Formatters escape most of that in texts, but not in what other crates format by themselves, and JSON lets U+2028,
/// C1 controls and directional characters through. The escapes are those of JSON, so that JSON stays JSON.
#[derive(Debug)]
pub(crate) struct LogLines<W> {
    to: W,
    /// The formatter colours its lines, so that its escape sequences must pass.
    colours: bool,
}

impl<W> LogLines<W> {
    pub(crate) const fn new(to: W, colours: bool) -> Self {
        Self { to, colours }
    }
}

/// `text` as part of one line: what would end it, move the cursor or turn the text around is escaped.
pub(crate) fn escaped(text: &str, colours: bool) -> String {
    let mut line = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        let hostile = match char {
            '\u{1b}' => !colours,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
            _ => char.is_control(),
        };
        if hostile {
            line.push_str(&format!("\\u{:04x}", u32::from(char)));
        } else {
            line.push(char);
        }
    }
    line
}

impl<W: Write> Write for LogLines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let mut line = escaped(text, self.colours);
        line.push('\n');
        self.to.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(event: &str, colours: bool) -> String {
        let mut lines = Vec::new();
        let mut writer = LogLines::new(&mut lines, colours);
        writer.write_all(event.as_bytes()).unwrap();
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn an_event_is_one_line() {
        assert_eq!(written("plain äß\n", false), "plain äß\n");
        assert_eq!(
            written(
                "a\nb\r\u{1b}[2J\u{9b}\u{7f}\u{2028}\u{202e}\u{2067}c\n",
                false
            ),
            "a\\u000ab\\u000d\\u001b[2J\\u009b\\u007f\\u2028\\u202e\\u2067c\n"
        );
        assert_eq!(
            written("\u{1b}[31mred\nblue\n", true),
            "\u{1b}[31mred\\u000ablue\n"
        );
    }

    #[test]
    fn no_text_breaks_a_line() {
        let mut random = 1_u64;
        for _ in 0..100_000 {
            let mut text = String::new();
            for _ in 0..8 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let ranges = [0..0x100, 0x2000..0x2070, 0xe000..0x1_0000];
                let range = ranges[(random >> 33) as usize % 3].clone();
                let code = range.start + (random >> 40) as u32 % (range.end - range.start);
                text.extend(char::from_u32(code));
            }
            text.push('\n');
            let line = written(&text, false);
            let body = line.strip_suffix('\n').unwrap();
            assert!(
                !body.contains(
                    |char: char| char.is_control() || "\u{2028}\u{2029}\u{202e}".contains(char)
                ),
                "{text:?}"
            );
        }
    }
}
