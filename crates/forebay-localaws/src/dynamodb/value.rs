use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::number::Number;
use crate::ServiceError;
use crate::wire::{decode_base64, encode_base64};

/// An item: attribute names and values.
pub type Item = BTreeMap<String, AttributeValue>;

/// A typed DynamoDB value.
#[expect(
    clippy::exhaustive_enums,
    reason = "the ten types are the protocol's, unchanged since 2014"
)]
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue {
    /// Text.
    S(String),
    /// Exact decimal number.
    N(Number),
    /// Bytes.
    B(Vec<u8>),
    /// True or false.
    Bool(bool),
    /// Null.
    Null,
    /// List.
    L(Vec<Self>),
    /// Map.
    M(Item),
    /// Set of texts.
    Ss(BTreeSet<String>),
    /// Set of numbers.
    Ns(BTreeSet<Number>),
    /// Set of byte strings.
    Bs(BTreeSet<Vec<u8>>),
}

impl AttributeValue {
    /// The text of an `S`.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::S(text) => Some(text),
            _ => None,
        }
    }

    /// The number of an `N`.
    pub fn as_number(&self) -> Option<Number> {
        match self {
            Self::N(number) => Some(*number),
            _ => None,
        }
    }

    /// The type's letter or letters, as in `attribute_type`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::S(_) => "S",
            Self::N(_) => "N",
            Self::B(_) => "B",
            Self::Bool(_) => "BOOL",
            Self::Null => "NULL",
            Self::L(_) => "L",
            Self::M(_) => "M",
            Self::Ss(_) => "SS",
            Self::Ns(_) => "NS",
            Self::Bs(_) => "BS",
        }
    }

    pub(crate) fn read(json: &Value) -> Result<Self, ServiceError> {
        let mut members = json.as_object().into_iter().flatten();
        let (Some((kind, value)), None) = (members.next(), members.next()) else {
            return Err(ServiceError::validation(
                "Supplied AttributeValue is empty or has more than one datatype, must contain exactly one of the supported datatypes",
            ));
        };
        let wrong = || {
            ServiceError::client(
                "SerializationException",
                format!("a value of type {kind} is malformed"),
            )
        };
        let text = || value.as_str().ok_or_else(wrong);
        Ok(match kind.as_str() {
            "S" => Self::S(text()?.to_owned()),
            "N" => Self::N(number(text()?)?),
            "B" => Self::B(decode_base64(text()?).ok_or_else(wrong)?),
            "BOOL" => Self::Bool(value.as_bool().ok_or_else(wrong)?),
            "NULL" => Self::Null,
            "L" => Self::L(
                value
                    .as_array()
                    .ok_or_else(wrong)?
                    .iter()
                    .map(Self::read)
                    .collect::<Result<_, _>>()?,
            ),
            "M" => Self::M(read_item(value)?),
            "SS" => Self::Ss(set(value, |text| Ok(text.to_owned()))?),
            "NS" => Self::Ns(set(value, number)?),
            "BS" => Self::Bs(set(value, |text| decode_base64(text).ok_or_else(wrong))?),
            other => {
                return Err(ServiceError::client(
                    "SerializationException",
                    format!("unknown type {other}"),
                ));
            }
        })
    }

    pub(crate) fn write(&self) -> Value {
        match self {
            Self::S(text) => json!({"S": text}),
            Self::N(number) => json!({"N": number.to_string()}),
            Self::B(bytes) => json!({"B": encode_base64(bytes)}),
            Self::Bool(value) => json!({"BOOL": value}),
            Self::Null => json!({"NULL": true}),
            Self::L(items) => json!({"L": items.iter().map(Self::write).collect::<Vec<_>>()}),
            Self::M(item) => json!({"M": write_item(item)}),
            Self::Ss(set) => json!({"SS": set}),
            Self::Ns(set) => json!({"NS": set.iter().map(Number::to_string).collect::<Vec<_>>()}),
            Self::Bs(set) => {
                json!({"BS": set.iter().map(|bytes| encode_base64(bytes)).collect::<Vec<_>>()})
            }
        }
    }

    /// Bytes as DynamoDB counts them, nearly: names and contents.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::S(text) => text.len(),
            // One byte per two digits, one for the sign and exponent.
            Self::N(number) => number.to_string().len() / 2 + 2,
            Self::B(bytes) => bytes.len(),
            Self::Bool(_) | Self::Null => 1,
            Self::L(items) => 3 + items.iter().map(|item| 1 + item.size()).sum::<usize>(),
            Self::M(item) => 3 + item_size(item),
            Self::Ss(set) => set.iter().map(String::len).sum(),
            Self::Ns(set) => set.iter().map(|number| Self::N(*number).size()).sum(),
            Self::Bs(set) => set.iter().map(Vec::len).sum(),
        }
    }
}

pub(crate) fn item_size(item: &Item) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + value.size())
        .sum()
}

pub(crate) fn read_item(json: &Value) -> Result<Item, ServiceError> {
    json.as_object()
        .ok_or_else(|| ServiceError::client("SerializationException", "an item must be an object"))?
        .iter()
        .map(|(name, value)| Ok((name.clone(), AttributeValue::read(value)?)))
        .collect()
}

pub(crate) fn write_item(item: &Item) -> Value {
    Value::Object(
        item.iter()
            .map(|(name, value)| (name.clone(), value.write()))
            .collect::<Map<_, _>>(),
    )
}

fn number(text: &str) -> Result<Number, ServiceError> {
    text.parse().map_err(|error: super::number::NumberError| {
        ServiceError::validation(format!("{error}: {text}"))
    })
}

fn set<T: Ord>(
    value: &Value,
    read: impl Fn(&str) -> Result<T, ServiceError>,
) -> Result<BTreeSet<T>, ServiceError> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    if items.is_empty() {
        return Err(ServiceError::validation(
            "One or more parameter values were invalid: An set may not be empty",
        ));
    }
    let set = items
        .iter()
        .map(|item| {
            read(item.as_str().ok_or_else(|| {
                ServiceError::client(
                    "SerializationException",
                    "a set holds something else than text",
                )
            })?)
        })
        .collect::<Result<BTreeSet<T>, _>>()?;
    if set.len() != items.len() {
        return Err(ServiceError::validation(
            "One or more parameter values were invalid: Input collection contains duplicates.",
        ));
    }
    Ok(set)
}
