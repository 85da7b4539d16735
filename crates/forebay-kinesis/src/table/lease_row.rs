use crate::error::{Error, ErrorKind};
use crate::table::row::{Row, Value};

/// The key attribute of every lease table.
pub(crate) const KEY: &str = "leaseKey";

/// The key of a row.
pub(crate) fn key_of(row: &Row, table: &str) -> Result<String, Error> {
    match row.get(KEY) {
        Some(Value::Text(key)) => Ok(key.clone()),
        _ => Err(Error::new(ErrorKind::Corrupt, table, "a row without the text attribute `leaseKey`")),
    }
}

/// A row with nothing but its key.
pub(crate) fn bare(key: &str) -> Row {
    [(KEY.to_owned(), Value::text(key))].into()
}
