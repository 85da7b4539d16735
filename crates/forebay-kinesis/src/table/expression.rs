use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use forebay_lease::{
    Changes, Checkpoint, Condition, LeaseCounter, OwnerChange, SwitchesChange, Update,
};

use crate::table::lease_row::{
    CHECKPOINT, CHECKPOINT_OWNER, CHECKPOINT_SUB, CHILDREN, COUNTER, ENDING_HASH, KEY, OWNER,
    OWNER_SWITCHES, PENDING, PENDING_STATE, PENDING_SUB, START_AT, STARTING_HASH, texts,
};
use crate::table::row::{Row, Value};

/// An [`Update`] in the words of UpdateItem, with every name and value behind a placeholder.
///
/// Placeholders for names keep reserved words of DynamoDB out of the expressions.
#[derive(Debug, Default)]
pub(crate) struct Expression {
    names: Vec<&'static str>,
    values: Vec<AttributeValue>,
    conditions: Vec<String>,
    sets: Vec<String>,
    removes: Vec<String>,
    adds: Vec<String>,
}

impl Expression {
    pub(crate) fn of(update: &Update) -> Self {
        let mut expression = Self::default();
        let key = expression.name(KEY);
        expression
            .conditions
            .push(format!("attribute_exists({key})"));
        expression.require(&update.condition);
        expression.change(&update.changes);
        expression
    }

    /// The condition under which a row is deleted.
    pub(crate) fn at(counter: LeaseCounter) -> Self {
        let mut expression = Self::default();
        expression.compare(COUNTER, "=", &Value::number(counter));
        expression
    }

    fn require(&mut self, condition: &Condition) {
        if let Some(counter) = condition.counter {
            self.compare(COUNTER, "=", &Value::number(counter));
        }
        if let Some(owner) = &condition.owner {
            self.compare(OWNER, "=", &Value::text(owner));
        }
        if condition.no_checkpoint_owner {
            let name = self.name(CHECKPOINT_OWNER);
            self.conditions
                .push(format!("attribute_not_exists({name})"));
        }
        if condition.not_shard_end {
            let end = Value::text(Checkpoint::ShardEnd.as_str());
            self.compare(CHECKPOINT, "<>", &end);
        }
    }

    fn change(&mut self, changes: &Changes) {
        if let Some(counter) = changes.counter {
            self.set(COUNTER, &Value::number(counter));
        }
        match &changes.owner {
            Some(OwnerChange::Set(owner)) => self.set(OWNER, &Value::text(owner)),
            Some(OwnerChange::Remove) => self.remove(OWNER),
            None => {}
        }
        match changes.owner_switches {
            Some(SwitchesChange::Reset) => self.set(OWNER_SWITCHES, &Value::number(0)),
            Some(SwitchesChange::Increment) => {
                let one = self.value(&Value::number(1));
                let name = self.name(OWNER_SWITCHES);
                self.adds.push(format!("{name} {one}"));
            }
            None => {}
        }
        if let Some(checkpoint) = changes.checkpoint {
            self.set(CHECKPOINT, &Value::text(checkpoint.as_str()));
            self.set(CHECKPOINT_SUB, &Value::number(checkpoint.sub_sequence()));
        }
        if changes.clear_pending {
            for name in [PENDING, PENDING_SUB, PENDING_STATE] {
                self.remove(name);
            }
        }
        // DynamoDB has no empty sets.
        if let Some(children) = changes.children.as_ref().filter(|some| !some.is_empty()) {
            self.set(CHILDREN, &texts(children));
        }
        if let Some(range) = &changes.hash_range {
            self.set(STARTING_HASH, &Value::text(range.start()));
            self.set(ENDING_HASH, &Value::text(range.end()));
        }
        if changes.remove_checkpoint_owner {
            self.remove(CHECKPOINT_OWNER);
        }
        if let Some(start_at) = changes.start_at {
            self.set(START_AT, &Value::number(start_at.0));
        }
    }

    pub(crate) fn condition(&self) -> String {
        self.conditions.join(" AND ")
    }

    /// `None` if nothing is changed.
    pub(crate) fn update(&self) -> Option<String> {
        let clauses = [
            ("SET", &self.sets),
            ("REMOVE", &self.removes),
            ("ADD", &self.adds),
        ];
        let clauses: Vec<String> = clauses
            .iter()
            .filter(|(_, parts)| !parts.is_empty())
            .map(|(verb, parts)| format!("{verb} {}", parts.join(", ")))
            .collect();
        (!clauses.is_empty()).then(|| clauses.join(" "))
    }

    /// What the placeholders for names stand for.
    pub(crate) fn names(&self) -> HashMap<String, String> {
        let names = self.names.iter().enumerate();
        names
            .map(|(at, name)| (format!("#n{at}"), (*name).to_owned()))
            .collect()
    }

    /// What the placeholders for values stand for. `None` instead of an empty map, which DynamoDB refuses.
    pub(crate) fn values(self) -> Option<HashMap<String, AttributeValue>> {
        (!self.values.is_empty()).then(|| {
            self.values
                .into_iter()
                .enumerate()
                .map(|(at, value)| (format!(":v{at}"), value))
                .collect()
        })
    }

    fn name(&mut self, name: &'static str) -> String {
        let at = self
            .names
            .iter()
            .position(|known| *known == name)
            .unwrap_or_else(|| {
                self.names.push(name);
                self.names.len() - 1
            });
        format!("#n{at}")
    }

    fn value(&mut self, value: &Value) -> String {
        self.values.push(attribute(value));
        format!(":v{}", self.values.len() - 1)
    }

    fn compare(&mut self, name: &'static str, how: &str, value: &Value) {
        let (name, value) = (self.name(name), self.value(value));
        self.conditions.push(format!("{name} {how} {value}"));
    }

    fn set(&mut self, name: &'static str, value: &Value) {
        let (name, value) = (self.name(name), self.value(value));
        self.sets.push(format!("{name} = {value}"));
    }

    fn remove(&mut self, name: &'static str) {
        let name = self.name(name);
        self.removes.push(name);
    }
}

fn attribute(value: &Value) -> AttributeValue {
    match value {
        Value::Text(text) => AttributeValue::S(text.clone()),
        Value::Number(number) => AttributeValue::N(number.clone()),
        Value::Texts(texts) => AttributeValue::Ss(texts.iter().cloned().collect()),
        Value::Bytes(bytes) => AttributeValue::B(Blob::new(bytes.clone())),
    }
}

pub(crate) fn item(row: &Row) -> HashMap<String, AttributeValue> {
    row.iter()
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect()
}

/// Reads an item. Attributes of other kinds belong to someone else and are left where they are.
pub(crate) fn row(item: HashMap<String, AttributeValue>) -> Row {
    item.into_iter()
        .filter_map(|(name, value)| {
            let value = match value {
                AttributeValue::S(text) => Value::Text(text),
                AttributeValue::N(number) => Value::Number(number),
                AttributeValue::Ss(texts) => Value::Texts(texts.into_iter().collect()),
                AttributeValue::B(bytes) => Value::Bytes(bytes.into_inner()),
                _ => return None,
            };
            Some((name, value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_go_behind_placeholders() {
        let update = Update {
            key: "shardId-000000000001".parse().expect("a key"),
            condition: Condition {
                counter: Some(LeaseCounter(7)),
                owner: None,
                no_checkpoint_owner: true,
                not_shard_end: true,
            },
            changes: Changes {
                counter: Some(LeaseCounter(8)),
                owner: Some(OwnerChange::Set("me".parse().expect("an id"))),
                owner_switches: Some(SwitchesChange::Increment),
                remove_checkpoint_owner: true,
                ..Changes::default()
            },
        };
        let expression = Expression::of(&update);
        assert_eq!(
            expression.condition(),
            "attribute_exists(#n0) AND #n1 = :v0 AND attribute_not_exists(#n2) AND #n3 <> :v1"
        );
        assert_eq!(
            expression.update().as_deref(),
            Some("SET #n1 = :v2, #n4 = :v3 REMOVE #n2 ADD #n5 :v4")
        );
        assert_eq!(expression.names().len(), 6);
        assert_eq!(expression.values().map(|values| values.len()), Some(5));
    }

    #[test]
    fn an_update_of_nothing_has_a_condition_and_no_empty_map() {
        let update = Update {
            key: "shardId-000000000001".parse().expect("a key"),
            condition: Condition::default(),
            changes: Changes::default(),
        };
        let expression = Expression::of(&update);
        assert_eq!(expression.condition(), "attribute_exists(#n0)");
        assert_eq!(expression.update(), None);
        assert_eq!(expression.values(), None);
    }
}
