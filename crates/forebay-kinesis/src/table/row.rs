use std::collections::{BTreeMap, BTreeSet};

/// One item of a lease table, whatever keeps it: attribute names and values as DynamoDB has them.
pub(crate) type Row = BTreeMap<String, Value>;

/// The kinds of values that lease rows hold. Others are kept by the tables and not looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Value {
    Text(String),
    /// A number in decimal, kept as text as DynamoDB does.
    Number(String),
    Texts(BTreeSet<String>),
    Bytes(Vec<u8>),
}

impl Value {
    pub(crate) fn number(value: impl ToString) -> Self {
        Self::Number(value.to_string())
    }

    pub(crate) fn text(value: impl ToString) -> Self {
        Self::Text(value.to_string())
    }
}
