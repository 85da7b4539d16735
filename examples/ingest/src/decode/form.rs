//! What some bytes are, told by their content.

use std::io::Read;

use base64::{
    Engine, engine::DecodePaddingMode, engine::GeneralPurpose, engine::GeneralPurposeConfig,
};
use serde_json::Value;

/// A known form.
pub(super) enum Form {
    /// Nothing, or only white space.
    Empty,
    /// One or more subscription payloads, compressed or not.
    Subscription,
    /// A CloudTrail file, compressed or not: records, a digest, a bare record.
    CloudTrail,
    /// A message of a queue, or a Lambda event that holds such messages.
    Notice,
    /// Something around other bytes: its name and what is inside.
    Wrapped(&'static str, Vec<Result<Vec<u8>, String>>),
    /// Lines of text.
    Text(Vec<u8>),
    /// None of these.
    Unknown(&'static str),
}

/// Tells the form of `bytes`.
///
/// # Errors
///
/// Compressed bytes that do not inflate, not even their beginning.
pub(super) fn recognise(bytes: &[u8]) -> Result<Form, String> {
    if let Some(aggregate) = forebay_kpl::Splitter::new()
        .split(bytes)
        .map_err(|error| error.to_string())?
    {
        let records = aggregate.records().map(|record| match record {
            Ok(record) => Ok(record.data.to_vec()),
            Err(error) => Err(error.to_string()),
        });
        return Ok(Form::Wrapped("KPL aggregate", records.collect()));
    }
    if bytes.starts_with(b"PAR1") {
        return Ok(Form::Unknown(
            "Parquet, which is not read: choose the text format for the flow log",
        ));
    }
    if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Ok(Form::Unknown(
            "compressed with zstd, which is not read: decompress it first",
        ));
    }
    let Some(text) = inflate(bytes)? else {
        return Ok(plain(bytes));
    };
    Ok(match plain(&text) {
        // Lines were inflated here; the other readers inflate for themselves, under their own limits.
        Form::Text(text) => Form::Text(text),
        form => form,
    })
}

/// The inflated bytes, or `None` if they are not compressed. A damaged end is left to the reader of the form.
fn inflate(bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut text = Vec::new();
    let outcome = match bytes {
        [0x1f, 0x8b, ..] => flate2::read::MultiGzDecoder::new(bytes)
            .take(INFLATED_BYTES)
            .read_to_end(&mut text),
        [0x78, flags, ..] if is_zlib(*flags) => flate2::read::ZlibDecoder::new(bytes)
            .take(INFLATED_BYTES)
            .read_to_end(&mut text),
        _ => return Ok(None),
    };
    match outcome {
        Ok(_) => Ok(Some(text)),
        Err(error) if text.is_empty() => Err(format!(
            "compressed data is damaged at its beginning: {error}"
        )),
        Err(error) => match plain(&text) {
            // Lines have no reader of their own that would tell.
            Form::Text(_) => Err(format!(
                "compressed data is damaged after {} inflated bytes: {error}",
                text.len()
            )),
            _ => Ok(Some(text)),
        },
    }
}

fn plain(bytes: &[u8]) -> Form {
    let text = bytes
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(bytes)
        .trim_ascii();
    match text.first() {
        None => Form::Empty,
        Some(b'{' | b'[') => json(text),
        Some(_) => match base64(text) {
            Some(inside) if is_marked(&inside) => Form::Wrapped("base64", vec![Ok(inside)]),
            _ if text.contains(&0) => Form::Unknown("binary data of no form that is known"),
            _ => Form::Text(bytes.to_vec()),
        },
    }
}

fn json(text: &[u8]) -> Form {
    let value: Value = match serde_json::from_slice(text) {
        Ok(value) => value,
        // Cut short, or several values one after the other: the readers tell where.
        Err(_) if contains(text, b"\"logEvents\"") => return Form::Subscription,
        Err(_) => return Form::CloudTrail,
    };
    let has = |name: &str| value.get(name).is_some();
    if has("logEvents") || (has("messageType") && has("logGroup")) {
        return Form::Subscription;
    }
    if let Some(data) = value.pointer("/awslogs/data").and_then(Value::as_str) {
        return Form::Wrapped("Lambda event of CloudWatch Logs", vec![unwrap(data)]);
    }
    let first = |list: &str| {
        value
            .get(list)
            .and_then(Value::as_array)
            .and_then(|list| list.first())
    };
    if let Some(record) = first("Records") {
        if record.pointer("/kinesis/data").is_some() {
            return Form::Wrapped(
                "Lambda event of Kinesis",
                list(&value, "Records", "/kinesis/data"),
            );
        }
        let of_a_queue = record.get("body").is_some() || record.get("Sns").is_some();
        let of_a_bucket = record.get("s3").is_some();
        return if of_a_queue || of_a_bucket {
            Form::Notice
        } else {
            Form::CloudTrail
        };
    }
    if first("records").is_some_and(|record| record.get("data").is_some()) {
        return Form::Wrapped("Firehose event", list(&value, "records", "/data"));
    }
    let names_an_object =
        has("s3Bucket") || has("Event") || value.pointer("/detail/object").is_some();
    if has("Type") || names_an_object {
        return Form::Notice;
    }
    if has("Records")
        || has("eventVersion")
        || has("eventName")
        || has("detail")
        || has("digestStartTime")
        || value.is_array()
    {
        return Form::CloudTrail;
    }
    Form::Unknown("JSON of no form that is known")
}

fn list(value: &Value, name: &str, data: &str) -> Vec<Result<Vec<u8>, String>> {
    let records = value
        .get(name)
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let inside = |record: &Value| match record.pointer(data).and_then(Value::as_str) {
        Some(data) => unwrap(data),
        None => Err("the record has no text `data`".to_owned()),
    };
    records.iter().map(inside).collect()
}

fn unwrap(data: &str) -> Result<Vec<u8>, String> {
    BASE64
        .decode(data.trim())
        .map_err(|error| format!("`data` is not base64: {error}"))
}

/// The bytes behind base64 text, which may be broken into lines.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let joined: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    if joined.len() < 8 {
        return None;
    }
    BASE64.decode(joined).ok()
}

/// Whether bytes begin as something that is worth taking out of base64: a word of text may look like base64 too.
fn is_marked(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0x1f, 0x8b, ..] | [b'{' | b'[', ..] | [0xf3, 0x89, 0x9a, 0xc2, ..]
    ) || matches!(bytes, [0x78, flags, ..] if is_zlib(*flags))
}

/// Whether this byte behind an `x` is that of a zlib header (RFC 1950): the check fits, and no dictionary is announced.
fn is_zlib(flags: u8) -> bool {
    (0x7800 + u16::from(flags)).is_multiple_of(31) && flags & 0x20 == 0
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// Standard alphabet, with or without padding, as Lambda, Firehose and the AWS command line write it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Most bytes inflated to tell a form.
const INFLATED_BYTES: u64 = 1 << 30;
