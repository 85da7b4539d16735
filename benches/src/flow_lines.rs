//! Flow-log lines of any format, and what it means to decode them.

use std::fmt::Write;
use std::hint::black_box;

use forebay_flowlog::{Field, FieldError, Format, Record, ValueType};

/// So many lines, with widths that vary as in real logs; the same numbers give the same lines.
#[must_use]
pub fn flow_lines(format: &Format, lines: usize) -> Vec<String> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let line = |_| {
        let mut line = String::new();
        for column in format.columns() {
            if !line.is_empty() {
                line.push(' ');
            }
            if let Some(field) = column.field() {
                write_value(&mut line, field, &mut random);
            }
        }
        line
    };
    (0..lines).map(line).collect()
}

fn write_value(line: &mut String, field: Field, random: &mut Random) {
    let bits = random.next();
    let small = bits % 1000;
    let result: std::fmt::Result = match (field, field.value_type()) {
        (Field::Version, _) => write!(line, "2"),
        (Field::AccountId, _) => write!(line, "210987654{small:03}"),
        (Field::Action, _) => write!(line, "{}", if small < 900 { "ACCEPT" } else { "REJECT" }),
        (Field::LogStatus, _) => write!(line, "OK"),
        (Field::Protocol, _) => write!(line, "{}", [6, 6, 6, 17, 1][small as usize % 5]),
        (Field::TcpFlags, _) => write!(line, "{}", [0, 2, 3, 18, 19][small as usize % 5]),
        (Field::SrcPort | Field::DstPort, _) => {
            write!(line, "{}", [443, bits % 65_536][small as usize % 2])
        }
        (Field::Packets, _) => write!(line, "{}", small + 1),
        (Field::Bytes, _) => write!(
            line,
            "{}",
            (bits >> 20) % [1_000, 1_000_000, 10_000_000_000][small as usize % 3]
        ),
        (Field::TrafficPath | Field::EncryptionStatus, _) => write!(line, "{}", small % 3 + 1),
        (_, ValueType::Timestamp) => write!(line, "{}", 1_712_345_600 + small),
        (_, ValueType::Address) if small < 50 => {
            write!(line, "2001:db8:{:x}::{:x}", bits & 0xFFFF, bits >> 48)
        }
        (_, ValueType::Address) => {
            let [a, b, c, d] = (bits as u32).to_be_bytes();
            write!(line, "{a}.{b}.{c}.{d}")
        }
        (_, ValueType::Tag) if small < 500 => write!(line, "web%20tier%20{small}"),
        (_, ValueType::Tag) => write!(line, "-"),
        (_, _) if field.name().ends_with("arn") => {
            write!(
                line,
                "arn:aws:ecs:us-east-1:210987654321:cluster/production-{small}"
            )
        }
        (_, _) if field.name().ends_with("id") => write!(line, "eni-{:017x}", bits),
        (_, _) => write!(line, "value-{small}"),
    };
    // Writing to a String cannot fail.
    let _ = result;
}

/// xorshift64, so that every run sees the same lines.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Decodes all 14 fields of the default format, each in its own type.
///
/// # Errors
///
/// A value is none of its field.
pub fn typed(record: &Record<'_>) -> Result<usize, FieldError> {
    black_box((
        record.version()?,
        record.account_id()?,
        record.interface_id()?,
    ));
    black_box((
        record.src_addr()?,
        record.dst_addr()?,
        record.src_port()?,
        record.dst_port()?,
    ));
    black_box((record.protocol()?, record.packets()?, record.bytes()?));
    black_box((
        record.start()?,
        record.end()?,
        record.action()?,
        record.log_status()?,
    ));
    Ok(1)
}

/// Decodes all fields, each by its type; tags stay percent-encoded, as VRL leaves them.
///
/// # Errors
///
/// A value is none of its field.
pub fn all_values(record: &Record<'_>) -> Result<usize, FieldError> {
    for (_, value) in record.values() {
        black_box(&value?);
    }
    Ok(1)
}
