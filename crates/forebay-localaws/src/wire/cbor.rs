use serde_json::{Map, Number, Value};

/// Reads one CBOR item as JSON: texts, numbers, arrays, maps, definite or not; tags (times) are dropped.
/// Byte strings become arrays of numbers. `None` if it is broken, nested too deep or of another kind.
pub(crate) fn decode(data: &[u8]) -> Option<Value> {
    let mut reader = Reader { rest: data };
    reader.item(0)
}

/// Writes JSON as CBOR; an empty object is the one byte `0xa0`.
pub(crate) fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn item(&mut self, depth: usize) -> Option<Value> {
        if depth > 32 {
            return None;
        }
        let head = self.byte()?;
        let (major, minor) = (head >> 5, head & 0x1f);
        match major {
            0 => Some(Value::from(self.argument(minor)?)),
            1 => Some(Value::from(-1 - i64::try_from(self.argument(minor)?).ok()?)),
            2 => {
                let bytes = self.string(major, minor)?;
                Some(Value::from(bytes))
            }
            3 => Some(Value::from(
                String::from_utf8(self.string(major, minor)?).ok()?,
            )),
            4 => {
                let mut items = Vec::new();
                let count = self.count(minor)?;
                while self.more(count, items.len()) {
                    items.push(self.item(depth + 1)?);
                }
                Some(Value::Array(items))
            }
            5 => {
                let mut members = Map::new();
                let count = self.count(minor)?;
                let mut read = 0;
                while self.more(count, read) {
                    let Value::String(name) = self.item(depth + 1)? else {
                        return None;
                    };
                    members.insert(name, self.item(depth + 1)?);
                    read += 1;
                }
                Some(Value::Object(members))
            }
            6 => {
                self.argument(minor)?;
                self.item(depth + 1)
            }
            _ => match minor {
                20 => Some(Value::Bool(false)),
                21 => Some(Value::Bool(true)),
                22 | 23 => Some(Value::Null),
                25 => float(half(u16::from_be_bytes(self.array()?))),
                26 => float(f64::from(f32::from_be_bytes(self.array()?))),
                27 => float(f64::from_be_bytes(self.array()?)),
                _ => None,
            },
        }
    }

    /// The length of a collection; `None` inside for one that ends with a break.
    fn count(&mut self, minor: u8) -> Option<Option<usize>> {
        if minor == 31 {
            return Some(None);
        }
        Some(Some(usize::try_from(self.argument(minor)?).ok()?))
    }

    /// Whether another item follows; consumes the break.
    fn more(&mut self, count: Option<usize>, read: usize) -> bool {
        match count {
            Some(count) => read < count,
            None if self.rest.first() == Some(&0xff) => {
                self.rest = self.rest.get(1..).unwrap_or_default();
                false
            }
            None => true,
        }
    }

    fn string(&mut self, major: u8, minor: u8) -> Option<Vec<u8>> {
        if minor != 31 {
            let length = usize::try_from(self.argument(minor)?).ok()?;
            return Some(self.take(length)?.to_vec());
        }
        let mut whole = Vec::new();
        loop {
            let head = self.byte()?;
            if head == 0xff {
                return Some(whole);
            }
            if head >> 5 != major {
                return None;
            }
            let length = usize::try_from(self.argument(head & 0x1f)?).ok()?;
            whole.extend_from_slice(self.take(length)?);
        }
    }

    fn argument(&mut self, minor: u8) -> Option<u64> {
        Some(match minor {
            0..=23 => u64::from(minor),
            24 => u64::from(self.byte()?),
            25 => u64::from(u16::from_be_bytes(self.array()?)),
            26 => u64::from(u32::from_be_bytes(self.array()?)),
            27 => u64::from_be_bytes(self.array()?),
            _ => return None,
        })
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

fn float(value: f64) -> Option<Value> {
    Number::from_f64(value).map(Value::Number)
}

fn half(bits: u16) -> f64 {
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f64::from(bits & 0x3ff);
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (fraction + 1024.0) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0xf6),
        Value::Bool(value) => out.push(if *value { 0xf5 } else { 0xf4 }),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), _, _) => write_head(0, number, out),
            (None, Some(number), _) => write_head(1, number.unsigned_abs() - 1, out),
            (None, None, number) => {
                out.push(0xfb);
                out.extend_from_slice(&number.unwrap_or(0.0).to_be_bytes());
            }
        },
        Value::String(text) => {
            write_head(3, text.len() as u64, out);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Array(items) => {
            write_head(4, items.len() as u64, out);
            items.iter().for_each(|item| write(item, out));
        }
        Value::Object(members) => {
            write_head(5, members.len() as u64, out);
            for (name, member) in members {
                write(&Value::from(name.as_str()), out);
                write(member, out);
            }
        }
    }
}

fn write_head(major: u8, argument: u64, out: &mut Vec<u8>) {
    let major = major << 5;
    match argument {
        0..=23 => out.push(major | argument as u8),
        24..=0xff => out.extend_from_slice(&[major | 24, argument as u8]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend_from_slice(&(argument as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend_from_slice(&(argument as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&argument.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_read_back() {
        let value =
            json!({"a": [1, -7, 2.5, "x", true, null, 70_000, 300, 5_000_000_000u64], "b": {}});
        assert_eq!(decode(&encode(&value)), Some(value));
        assert_eq!(encode(&json!({})), [0xa0]);
    }

    #[test]
    fn indefinite_collections_and_tags_are_read() {
        let data = [
            0xbf, 0x61, b'a', 0x9f, 0xc1, 0x19, 1, 0, 0xf9, 0x3c, 0, 0xff, 0xff,
        ];
        assert_eq!(decode(&data), Some(json!({"a": [256, 1.0]})));
    }

    #[test]
    fn broken_input_is_refused() {
        assert_eq!(decode(&[0x82, 1]), None);
        assert_eq!(decode(&[0xbf]), None);
        assert_eq!(decode(&[0x81; 100]), None);
        assert_eq!(
            decode(&[0x7b, 255, 255, 255, 255, 255, 255, 255, 255]),
            None
        );
    }
}
