use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::table::row::{Change, Condition, Effect, Row, Value};

/// A [`Change`] in the words of UpdateItem, with every name and value behind a placeholder.
///
/// Placeholders for names keep reserved words of DynamoDB out of the expressions.
#[derive(Debug, Default)]
pub(crate) struct Expression {
    names: Vec<&'static str>,
    values: Vec<AttributeValue>,
    pub(crate) condition: Option<String>,
    pub(crate) update: Option<String>,
}

impl Expression {
    pub(crate) fn of(change: &Change) -> Self {
        let mut expression = Self::default();
        let mut conditions = Vec::new();
        for condition in &change.conditions {
            conditions.push(match condition {
                Condition::Present(name) => format!("attribute_exists({})", expression.name(name)),
                Condition::Absent(name) => {
                    format!("attribute_not_exists({})", expression.name(name))
                }
                Condition::Equal(name, value) => {
                    format!(
                        "{} = {}",
                        expression.name(name),
                        expression.value(attribute(value))
                    )
                }
                Condition::Different(name, value) => {
                    format!(
                        "{} <> {}",
                        expression.name(name),
                        expression.value(attribute(value))
                    )
                }
            });
        }
        let (mut sets, mut removes, mut adds) = (Vec::new(), Vec::new(), Vec::new());
        for effect in &change.effects {
            match effect {
                Effect::Set(name, value) => {
                    sets.push(format!(
                        "{} = {}",
                        expression.name(name),
                        expression.value(attribute(value))
                    ));
                }
                Effect::Remove(name) => removes.push(expression.name(name)),
                Effect::Add(name, amount) => {
                    let amount = AttributeValue::N(amount.to_string());
                    adds.push(format!(
                        "{} {}",
                        expression.name(name),
                        expression.value(amount)
                    ));
                }
            }
        }
        let clause = |verb: &str, parts: &[String]| {
            (!parts.is_empty()).then(|| format!("{verb} {}", parts.join(", ")))
        };
        let clauses: Vec<String> = [
            clause("SET", &sets),
            clause("REMOVE", &removes),
            clause("ADD", &adds),
        ]
        .into_iter()
        .flatten()
        .collect();
        expression.condition = (!conditions.is_empty()).then(|| conditions.join(" AND "));
        expression.update = (!clauses.is_empty()).then(|| clauses.join(" "));
        expression
    }

    /// What the placeholders for names stand for. `None` instead of an empty map, which DynamoDB refuses.
    pub(crate) fn names(&self) -> Option<HashMap<String, String>> {
        (!self.names.is_empty()).then(|| {
            self.names
                .iter()
                .enumerate()
                .map(|(at, name)| (format!("#n{at}"), (*name).to_owned()))
                .collect()
        })
    }

    /// What the placeholders for values stand for.
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

    fn value(&mut self, value: AttributeValue) -> String {
        self.values.push(value);
        format!(":v{}", self.values.len() - 1)
    }
}

pub(crate) fn attribute(value: &Value) -> AttributeValue {
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
        let change = Change {
            conditions: vec![
                Condition::Equal("leaseCounter", Value::number(7)),
                Condition::Absent("checkpointOwner"),
                Condition::Different("checkpoint", Value::text("SHARD_END")),
            ],
            effects: vec![
                Effect::Set("leaseCounter", Value::number(8)),
                Effect::Set("leaseOwner", Value::text("me")),
                Effect::Remove("checkpointOwner"),
                Effect::Add("ownerSwitchesSinceCheckpoint", 1),
            ],
        };
        let expression = Expression::of(&change);
        assert_eq!(
            expression.condition.as_deref(),
            Some("#n0 = :v0 AND attribute_not_exists(#n1) AND #n2 <> :v1")
        );
        assert_eq!(
            expression.update.as_deref(),
            Some("SET #n0 = :v2, #n3 = :v3 REMOVE #n1 ADD #n4 :v4")
        );
        assert_eq!(expression.names().map(|names| names.len()), Some(5));
        assert_eq!(expression.values().map(|values| values.len()), Some(5));
    }

    #[test]
    fn nothing_gives_no_empty_maps() {
        let expression = Expression::of(&Change::default());
        assert_eq!((&expression.condition, &expression.update), (&None, &None));
        assert_eq!(expression.names(), None);
        assert_eq!(expression.values(), None);
    }
}
