use serde_json::Value;

use crate::ServiceError;

/// A text member, if it is there and not null.
pub(crate) fn text<'a>(input: &'a Value, name: &str) -> Option<&'a str> {
    input.get(name).and_then(Value::as_str)
}

/// A text member that must be there.
pub(crate) fn required<'a>(input: &'a Value, name: &str) -> Result<&'a str, ServiceError> {
    text(input, name).ok_or_else(|| missing(name))
}

/// A whole number within a range; `None` if it is absent.
pub(crate) fn number(
    input: &Value,
    name: &str,
    range: std::ops::RangeInclusive<u64>,
) -> Result<Option<u64>, ServiceError> {
    match input.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_u64()
            .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
            .filter(|number| range.contains(number))
            .map(Some)
            .ok_or_else(|| {
                ServiceError::validation(format!(
                    "Value '{value}' at '{name}' failed to satisfy constraint: Member must be between {} and {}",
                    range.start(),
                    range.end()
                ))
            }),
    }
}

/// A time as AWS's JSON writes it (seconds with a fraction), in milliseconds.
pub(crate) fn time(input: &Value, name: &str) -> Result<Option<u64>, ServiceError> {
    match input.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            // Times before 1970 mean the beginning; the cast saturates.
            Some(seconds) => Ok(Some((seconds * 1000.0).round() as u64)),
            None => Err(ServiceError::client(
                "SerializationException",
                format!("`{name}` is not a time in seconds"),
            )),
        },
    }
}

/// Milliseconds as seconds with a fraction.
pub(crate) fn seconds(milliseconds: u64) -> Value {
    Value::from(milliseconds as f64 / 1000.0)
}

/// The error for a required member that is absent.
pub(crate) fn missing(name: &str) -> ServiceError {
    ServiceError::validation(format!(
        "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
    ))
}
