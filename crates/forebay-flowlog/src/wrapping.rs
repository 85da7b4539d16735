use std::ops::Range;

use crate::format::without_line_end;

/// What a tool has put around every line of a file.
///
/// Nothing is unwrapped unless asked for: any of these could be the beginning of a custom format. Firehose's
/// `{"message": "..."}` is JSON and has to be decoded by a JSON parser before.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Wrapping {
    /// Nothing.
    #[default]
    Bare,
    /// Double quotes around the line, as tables exported to CSV have them.
    Quoted,
    /// A time in RFC 3339 and a blank before the line, as export tasks of CloudWatch Logs write them:
    /// `2024-04-05T19:33:20.000Z 2 123456789012 ...`.
    Timestamped,
}

impl Wrapping {
    /// The part of the line that is the record; the whole line where it is not wrapped.
    pub fn unwrap(self, line: &[u8]) -> &[u8] {
        line.get(self.inner(line)).unwrap_or(line)
    }

    /// Where that part stands.
    pub(crate) fn inner(self, line: &[u8]) -> Range<usize> {
        let inner = match self {
            Self::Bare => None,
            Self::Quoted => match without_line_end(line) {
                line @ [b'"', .., b'"'] => Some(1..line.len() - 1),
                _ => None,
            },
            Self::Timestamped => line
                .iter()
                .position(|byte| *byte == b' ')
                .filter(|blank| line.get(..*blank).is_some_and(is_timestamp))
                .map(|blank| blank + 1..line.len()),
        };
        inner.unwrap_or(0..line.len())
    }
}

/// Whether the text has the shape of an RFC 3339 time: `2024-04-05T19:33:20` and a fraction or zone.
fn is_timestamp(text: &[u8]) -> bool {
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let fits = |(byte, shape): (&u8, &u8)| {
        if *shape == b'd' {
            byte.is_ascii_digit()
        } else {
            byte == shape
        }
    };
    text.len() > shape.len() && text.iter().zip(shape).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wrapped_is_unwrapped() {
        let cases: [(Wrapping, &str, &str); 9] = [
            (Wrapping::Bare, "\"2 840\"", "\"2 840\""),
            (Wrapping::Quoted, "\"2 840\"", "2 840"),
            (Wrapping::Quoted, "\"2 840\" \r", "2 840"),
            (Wrapping::Quoted, "2 840", "2 840"),
            (Wrapping::Quoted, "\"", "\""),
            (
                Wrapping::Timestamped,
                "2024-04-05T19:33:20.000Z 2 840",
                "2 840",
            ),
            (Wrapping::Timestamped, "2 840", "2 840"),
            (
                Wrapping::Timestamped,
                "2024-04-05 2 840",
                "2024-04-05 2 840",
            ),
            (
                Wrapping::Timestamped,
                "2024-04-05T19:33:20Z",
                "2024-04-05T19:33:20Z",
            ),
        ];
        for (wrapping, line, expected) in cases {
            assert_eq!(
                wrapping.unwrap(line.as_bytes()),
                expected.as_bytes(),
                "{wrapping:?} {line}"
            );
        }
    }
}
