use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::number::Number;
use super::value::{AttributeValue, Item, item_size};
use crate::wire::json::{missing, required, seconds, text};
use crate::wire::md5;
use crate::{DynamoDbSettings, ServiceError};

/// A table with its items and a short memory of what they were.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    arn: String,
    created: u64,
    active_from: u64,
    deleted_at: Option<u64>,
    billing: Value,
    throughput: Value,
    attributes: BTreeMap<String, String>,
    pub(crate) keys: KeySchema,
    indexes: Vec<Index>,
    items: BTreeMap<Key, Item>,
    /// Former states of items, oldest first, for stale reads.
    history: VecDeque<(u64, Key, Option<Item>)>,
}

/// The partition key and the sort key of a table or an index.
#[derive(Clone, Debug)]
pub(crate) struct KeySchema {
    pub(crate) hash: String,
    pub(crate) range: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Index {
    name: String,
    pub(crate) keys: KeySchema,
    projection: Value,
    active_from: u64,
}

/// The place of an item: a hash of the partition key spreads items as in the service.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Key {
    pub(crate) bucket: u64,
    hash: KeyPart,
    range: Option<KeyPart>,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum KeyPart {
    S(String),
    N(Number),
    B(Vec<u8>),
}

impl Table {
    pub(crate) fn create(
        input: &Value,
        arn_prefix: &str,
        settings: &DynamoDbSettings,
        now: u64,
    ) -> Result<Self, ServiceError> {
        let name = required(input, "TableName")?;
        if name.len() < 3
            || name.len() > 255
            || !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        {
            return Err(ServiceError::validation(format!(
                "Invalid table/index name `{name}`: 3 to 255 characters of a-z, A-Z, 0-9, `_`, `-`, `.`"
            )));
        }
        let attributes = definitions(input)?;
        let keys = KeySchema::read(input, &attributes)?;
        let billing = input
            .get("BillingMode")
            .cloned()
            .unwrap_or_else(|| "PROVISIONED".into());
        let throughput = input
            .get("ProvisionedThroughput")
            .cloned()
            .unwrap_or_else(|| json!({"ReadCapacityUnits": 0, "WriteCapacityUnits": 0}));
        if billing == "PROVISIONED"
            && input
                .get("ProvisionedThroughput")
                .is_none_or(Value::is_null)
        {
            return Err(ServiceError::validation(
                "No provisioned throughput specified for the table",
            ));
        }
        let active_from = now + settings.create_ms;
        let indexes = input
            .get("GlobalSecondaryIndexes")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|index| Index::read(index, &attributes, active_from))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            name: name.to_owned(),
            arn: format!("{arn_prefix}{name}"),
            created: now,
            active_from,
            deleted_at: None,
            billing,
            throughput,
            attributes,
            keys,
            indexes,
            items: BTreeMap::new(),
            history: VecDeque::new(),
        })
    }

    /// Adds an index to a table that exists (UpdateTable), or drops one.
    pub(crate) fn update(
        &mut self,
        input: &Value,
        duration: u64,
        now: u64,
    ) -> Result<(), ServiceError> {
        self.require_active(now)?;
        if let Some(throughput) = input
            .get("ProvisionedThroughput")
            .filter(|value| !value.is_null())
        {
            self.throughput = throughput.clone();
        }
        if let Some(billing) = input.get("BillingMode").filter(|value| !value.is_null()) {
            self.billing = billing.clone();
        }
        let mut attributes = self.attributes.clone();
        if input
            .get("AttributeDefinitions")
            .is_some_and(|value| !value.is_null())
        {
            attributes.extend(definitions(input)?);
        }
        for change in input
            .get("GlobalSecondaryIndexUpdates")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            if let Some(create) = change.get("Create") {
                let index = Index::read(create, &attributes, now + duration)?;
                if self.indexes.iter().any(|other| other.name == index.name) {
                    return Err(ServiceError::validation(format!(
                        "index {} exists already",
                        index.name
                    )));
                }
                self.indexes.push(index);
            }
            if let Some(delete) = change.get("Delete") {
                let name = required(delete, "IndexName")?;
                self.indexes.retain(|index| index.name != name);
            }
        }
        self.attributes = attributes;
        Ok(())
    }

    pub(crate) fn begin_deletion(&mut self, duration: u64, now: u64) {
        self.deleted_at = Some(now + duration);
    }

    pub(crate) fn is_gone(&self, now: u64) -> bool {
        self.deleted_at.is_some_and(|at| at <= now)
    }

    pub(crate) fn status(&self, now: u64) -> &'static str {
        if self.deleted_at.is_some() {
            "DELETING"
        } else if now < self.active_from {
            "CREATING"
        } else if self.indexes.iter().any(|index| now < index.active_from) {
            "UPDATING"
        } else {
            "ACTIVE"
        }
    }

    pub(crate) fn require_active(&self, now: u64) -> Result<(), ServiceError> {
        match self.status(now) {
            "ACTIVE" => Ok(()),
            status => Err(ServiceError::client(
                "ResourceInUseException",
                format!("Table {} is being changed: {status}", self.name),
            )),
        }
    }

    pub(crate) fn describe(&self, now: u64) -> Value {
        let attributes: Vec<Value> = self
            .attributes
            .iter()
            .map(|(name, kind)| json!({"AttributeName": name, "AttributeType": kind}))
            .collect();
        let mut description = json!({
            "TableName": self.name,
            "TableArn": self.arn,
            "TableStatus": self.status(now),
            "CreationDateTime": seconds(self.created),
            "AttributeDefinitions": attributes,
            "KeySchema": self.keys.describe(),
            "ItemCount": self.items.len(),
            "TableSizeBytes": self.items.values().map(item_size).sum::<usize>(),
            "ProvisionedThroughput": self.throughput,
            "BillingModeSummary": {"BillingMode": self.billing},
        });
        if !self.indexes.is_empty() {
            description["GlobalSecondaryIndexes"] = self
                .indexes
                .iter()
                .map(|index| index.describe(now))
                .collect();
        }
        description
    }

    pub(crate) fn index(&self, name: &str, now: u64) -> Result<&Index, ServiceError> {
        self.indexes
            .iter()
            .find(|index| index.name == name && index.active_from <= now)
            .ok_or_else(|| {
                ServiceError::validation(format!(
                    "The table does not have the specified index: {name}"
                ))
            })
    }

    /// Checks and places the key in `attributes`, which may hold more.
    pub(crate) fn key_of(&self, attributes: &Item) -> Result<Key, ServiceError> {
        self.keys.key(attributes, &self.attributes)
    }

    /// The same for a request's `Key`, which may not hold more.
    pub(crate) fn exact_key(&self, key: &Item) -> Result<Key, ServiceError> {
        if key.len() != 1 + usize::from(self.keys.range.is_some()) {
            return Err(ServiceError::validation(
                "The provided key element does not match the schema",
            ));
        }
        self.key_of(key)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Item> {
        self.items.get(key)
    }

    /// The item as it was at `time`.
    pub(crate) fn get_at(&self, key: &Key, time: u64) -> Option<&Item> {
        self.history
            .iter()
            .find(|(at, changed, _)| *at > time && changed == key)
            .map_or_else(|| self.items.get(key), |(_, _, old)| old.as_ref())
    }

    /// All items, as they are or as they were at a time.
    pub(crate) fn items(&self, at: Option<u64>) -> BTreeMap<&Key, &Item> {
        let mut items: BTreeMap<&Key, &Item> = self.items.iter().collect();
        if let Some(time) = at {
            for (_, key, old) in self
                .history
                .iter()
                .rev()
                .filter(|(changed, _, _)| *changed > time)
            {
                match old {
                    Some(old) => items.insert(key, old),
                    None => items.remove(key),
                };
            }
        }
        items
    }

    /// Stores, replaces or removes an item; the old one comes back.
    pub(crate) fn store(
        &mut self,
        key: Key,
        item: Option<Item>,
        now: u64,
    ) -> Result<Option<Item>, ServiceError> {
        if let Some(item) = &item {
            if item_size(item) > 400 * 1024 {
                return Err(ServiceError::validation(
                    "Item size has exceeded the maximum allowed size",
                ));
            }
            for index in &self.indexes {
                index.keys.check_types(item, &self.attributes)?;
            }
        }
        let old = match item {
            Some(item) => self.items.insert(key.clone(), item),
            None => self.items.remove(&key),
        };
        while self
            .history
            .front()
            .is_some_and(|(at, _, _)| at + HISTORY_MS < now)
        {
            self.history.pop_front();
        }
        self.history.push_back((now, key, old.clone()));
        Ok(old)
    }

    pub(crate) fn attribute_types(&self) -> &BTreeMap<String, String> {
        &self.attributes
    }
}

impl Index {
    fn read(
        input: &Value,
        attributes: &BTreeMap<String, String>,
        active_from: u64,
    ) -> Result<Self, ServiceError> {
        Ok(Self {
            name: required(input, "IndexName")?.to_owned(),
            keys: KeySchema::read(input, attributes)?,
            projection: input
                .get("Projection")
                .cloned()
                .ok_or_else(|| missing("projection"))?,
            active_from,
        })
    }

    fn describe(&self, now: u64) -> Value {
        json!({
            "IndexName": self.name,
            "IndexStatus": if now < self.active_from { "CREATING" } else { "ACTIVE" },
            "KeySchema": self.keys.describe(),
            "Projection": self.projection,
        })
    }

    /// What the index holds of an item.
    pub(crate) fn project(&self, item: &Item, table: &KeySchema) -> Item {
        let kind = text(&self.projection, "ProjectionType").unwrap_or("ALL");
        if kind == "ALL" {
            return item.clone();
        }
        let extra: Vec<&str> = match kind {
            "INCLUDE" => self
                .projection
                .get("NonKeyAttributes")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect(),
            _ => Vec::new(),
        };
        item.iter()
            .filter(|(name, _)| {
                table.has(name) || self.keys.has(name) || extra.contains(&name.as_str())
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

impl KeySchema {
    fn read(input: &Value, attributes: &BTreeMap<String, String>) -> Result<Self, ServiceError> {
        let elements = input
            .get("KeySchema")
            .and_then(Value::as_array)
            .ok_or_else(|| missing("keySchema"))?;
        let find = |kind: &str| {
            elements
                .iter()
                .find(|element| text(element, "KeyType") == Some(kind))
                .and_then(|element| text(element, "AttributeName"))
                .map(str::to_owned)
        };
        let keys = Self {
            hash: find("HASH").ok_or_else(|| {
                ServiceError::validation(
                    "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
                )
            })?,
            range: find("RANGE"),
        };
        for name in std::iter::once(&keys.hash).chain(&keys.range) {
            if !attributes.contains_key(name) {
                return Err(ServiceError::validation(format!(
                    "One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [{name}]"
                )));
            }
        }
        Ok(keys)
    }

    fn describe(&self) -> Value {
        let mut elements = vec![json!({"AttributeName": self.hash, "KeyType": "HASH"})];
        elements.extend(
            self.range
                .iter()
                .map(|name| json!({"AttributeName": name, "KeyType": "RANGE"})),
        );
        Value::Array(elements)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.hash == name || self.range.as_deref() == Some(name)
    }

    pub(crate) fn key(
        &self,
        item: &Item,
        types: &BTreeMap<String, String>,
    ) -> Result<Key, ServiceError> {
        let part = |name: &str| match item.get(name) {
            Some(value) => key_part(name, value, types),
            None => Err(ServiceError::validation(format!(
                "One or more of the key values were invalid: Missing the key {name} in the item"
            ))),
        };
        let hash = part(&self.hash)?;
        Ok(Key {
            bucket: bucket(&hash),
            range: self.range.as_deref().map(part).transpose()?,
            hash,
        })
    }

    /// The key, if the item has all its attributes: an index holds only such items.
    pub(crate) fn sparse_key(&self, item: &Item, types: &BTreeMap<String, String>) -> Option<Key> {
        self.key(item, types).ok()
    }

    fn check_types(
        &self,
        item: &Item,
        types: &BTreeMap<String, String>,
    ) -> Result<(), ServiceError> {
        for name in std::iter::once(&self.hash).chain(&self.range) {
            if let Some(value) = item.get(name) {
                key_part(name, value, types)?;
            }
        }
        Ok(())
    }

    /// The key attributes of an item.
    pub(crate) fn extract(&self, item: &Item) -> Item {
        item.iter()
            .filter(|(name, _)| self.has(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

fn key_part(
    name: &str,
    value: &AttributeValue,
    types: &BTreeMap<String, String>,
) -> Result<KeyPart, ServiceError> {
    let expected = types.get(name).map_or("?", String::as_str);
    if value.type_name() != expected {
        return Err(ServiceError::validation(format!(
            "One or more parameter values were invalid: Type mismatch for key {name} expected: {expected} actual: {}",
            value.type_name()
        )));
    }
    match value {
        AttributeValue::S(text) if !text.is_empty() => Ok(KeyPart::S(text.clone())),
        AttributeValue::B(bytes) if !bytes.is_empty() => Ok(KeyPart::B(bytes.clone())),
        AttributeValue::N(number) => Ok(KeyPart::N(*number)),
        _ => Err(ServiceError::validation(format!(
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty value. Key: {name}"
        ))),
    }
}

fn bucket(part: &KeyPart) -> u64 {
    let digest = match part {
        KeyPart::S(text) => md5(text.as_bytes()),
        KeyPart::N(number) => md5(number.to_string().as_bytes()),
        KeyPart::B(bytes) => md5(bytes),
    };
    (u128::from_be_bytes(digest) >> 64) as u64
}

fn definitions(input: &Value) -> Result<BTreeMap<String, String>, ServiceError> {
    input
        .get("AttributeDefinitions")
        .and_then(Value::as_array)
        .ok_or_else(|| missing("attributeDefinitions"))?
        .iter()
        .map(|definition| {
            Ok((
                required(definition, "AttributeName")?.to_owned(),
                required(definition, "AttributeType")?.to_owned(),
            ))
        })
        .collect()
}

/// How far back a stale read can look.
const HISTORY_MS: u64 = 60_000;
