//! DynamoDB: tables, conditional writes, scans, queries.

mod condition;
mod expression;
mod legacy;
mod number;
mod operations;
mod reserved;
mod search;
mod table;
mod update;
mod value;

pub use number::{Number, NumberError};
pub use value::{AttributeValue, Item};

use std::collections::BTreeMap;

use self::table::Table;
use crate::{DynamoDbSettings, ServiceError, Settings};

/// The DynamoDB of one account and region.
#[derive(Clone, Debug)]
pub struct DynamoDb {
    settings: DynamoDbSettings,
    arn_prefix: String,
    tables: BTreeMap<String, Table>,
    stale: bool,
}

/// What to create a simple table from: no sort key, billed per request.
#[expect(clippy::exhaustive_structs, reason = "tests write it as a literal")]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TableDescription {
    /// The table's name.
    pub name: String,
    /// The partition key, of type `S`.
    pub partition_key: String,
}

impl DynamoDb {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            settings: settings.dynamodb.clone(),
            arn_prefix: format!(
                "arn:aws:dynamodb:{}:{}:table/",
                settings.region, settings.account
            ),
            tables: BTreeMap::new(),
            stale: false,
        }
    }

    /// Creates a simple table. Everything else goes through [`DynamoDb::call`].
    ///
    /// # Errors
    ///
    /// `ResourceInUseException` if the name is taken, `ValidationException` if it is malformed.
    pub fn create_table(&mut self, table: &TableDescription, now: u64) -> Result<(), ServiceError> {
        let input = serde_json::json!({
            "TableName": table.name,
            "AttributeDefinitions": [{"AttributeName": table.partition_key, "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": table.partition_key, "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
        });
        self.create(&input, now).map(|_| ())
    }

    /// All items of a table, in the order of a Scan, as they are now.
    pub fn items(&self, table: &str) -> Vec<Item> {
        self.tables
            .get(table)
            .map(|table| table.items(None).into_values().cloned().collect())
            .unwrap_or_default()
    }

    /// The item with this text as its partition key.
    pub fn item(&self, table: &str, partition_key: &str) -> Option<Item> {
        let table = self.tables.get(table)?;
        let key = Item::from([(
            table.keys.hash.clone(),
            AttributeValue::S(partition_key.to_owned()),
        )]);
        table.get(&table.key_of(&key).ok()?).cloned()
    }

    /// The tables by name.
    pub fn table_names(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }

    pub(crate) fn set_stale(&mut self, stale: bool) {
        self.stale = stale;
    }
}
