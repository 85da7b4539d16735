//! Rows as bytes, for stores that keep bytes.
//!
//! A row is a version byte and its attributes; an attribute is its name, a kind byte and its value; every text and
//! every count is preceded by its length in four bytes, big-endian.

use crate::table::row::{Row, Value};

pub(crate) fn encode(row: &Row) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    for (name, value) in row {
        put(&mut bytes, name.as_bytes());
        match value {
            Value::Text(text) => {
                bytes.push(b'S');
                put(&mut bytes, text.as_bytes());
            }
            Value::Number(number) => {
                bytes.push(b'N');
                put(&mut bytes, number.as_bytes());
            }
            Value::Bytes(value) => {
                bytes.push(b'B');
                put(&mut bytes, value);
            }
            Value::Texts(texts) => {
                bytes.push(b'L');
                put_length(&mut bytes, texts.len());
                for text in texts {
                    put(&mut bytes, text.as_bytes());
                }
            }
        }
    }
    bytes
}

/// Reads a row; `None` if the bytes are not what [`encode`] writes.
pub(crate) fn decode(bytes: &[u8]) -> Option<Row> {
    let (&VERSION, mut rest) = bytes.split_first()? else {
        return None;
    };
    let mut row = Row::new();
    while !rest.is_empty() {
        let name = text(&mut rest)?;
        let (kind, after) = rest.split_first()?;
        rest = after;
        let value = match kind {
            b'S' => Value::Text(text(&mut rest)?),
            b'N' => Value::Number(text(&mut rest)?),
            b'B' => Value::Bytes(take(&mut rest)?.to_vec()),
            b'L' => {
                let count = length(&mut rest)?;
                let mut texts = std::collections::BTreeSet::new();
                for _ in 0..count {
                    texts.insert(text(&mut rest)?);
                }
                Value::Texts(texts)
            }
            _ => return None,
        };
        row.insert(name, value);
    }
    Some(row)
}

fn put(bytes: &mut Vec<u8>, value: &[u8]) {
    put_length(bytes, value.len());
    bytes.extend_from_slice(value);
}

fn put_length(bytes: &mut Vec<u8>, length: usize) {
    // Rows are far below the 400 KB that DynamoDB allows.
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

fn length(bytes: &mut &[u8]) -> Option<usize> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    usize::try_from(u32::from_be_bytes(*length)).ok()
}

fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = length(bytes)?;
    let (value, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(value)
}

fn text(bytes: &mut &[u8]) -> Option<String> {
    String::from_utf8(take(bytes)?.to_vec()).ok()
}

const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            ".{0,20}".prop_map(Value::Text),
            "[0-9]{1,20}".prop_map(Value::Number),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bytes),
            prop::collection::btree_set(".{0,10}", 0..4).prop_map(Value::Texts),
        ]
    }

    proptest! {
        #[test]
        fn decode_reads_what_encode_writes(row in prop::collection::btree_map(".{0,10}", value(), 0..6)) {
            prop_assert_eq!(decode(&encode(&row)), Some(row));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
