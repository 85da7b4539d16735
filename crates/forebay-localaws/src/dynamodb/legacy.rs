//! `Expected` and `AttributeUpdates`, which every Java KCL still writes.

use serde_json::Value;

use super::condition::{Comparison, Condition, Operand};
use super::expression::Path;
use super::update::{Action, Term, Update};
use super::value::AttributeValue;
use crate::ServiceError;
use crate::wire::json::text;

/// Reads `Expected` with its `ConditionalOperator`.
pub(crate) fn expected(input: &Value) -> Result<Option<Condition>, ServiceError> {
    let Some(expected) = input.get("Expected").and_then(Value::as_object) else {
        return Ok(None);
    };
    let conditions = expected
        .iter()
        .map(|(name, rule)| one(Path::attribute(name), rule))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Some(match text(input, "ConditionalOperator") {
        Some("OR") => Condition::Any(conditions),
        _ => Condition::All(conditions),
    }))
}

/// Reads `AttributeUpdates`.
pub(crate) fn updates(input: &Value) -> Result<Option<Update>, ServiceError> {
    let Some(updates) = input.get("AttributeUpdates").and_then(Value::as_object) else {
        return Ok(None);
    };
    let mut update = Update::default();
    for (name, change) in updates {
        let value = change.get("Value").map(AttributeValue::read).transpose()?;
        let action = match (text(change, "Action").unwrap_or("PUT"), value) {
            ("PUT", Some(value)) => Action::Set(Term::Value(value)),
            ("ADD", Some(value)) => Action::Add(value),
            ("DELETE", Some(value)) => Action::Delete(value),
            ("DELETE", None) => Action::Remove,
            (action, _) => {
                return Err(ServiceError::validation(format!(
                    "One or more parameter values were invalid: {action} on `{name}` needs a value"
                )));
            }
        };
        update.push(Path::attribute(name), action)?;
    }
    Ok(Some(update))
}

fn one(path: Path, rule: &Value) -> Result<Condition, ServiceError> {
    let single = rule.get("Value").map(AttributeValue::read).transpose()?;
    let list = match rule.get("AttributeValueList").and_then(Value::as_array) {
        Some(list) => list
            .iter()
            .map(AttributeValue::read)
            .collect::<Result<Vec<_>, _>>()?,
        None => single.iter().cloned().collect(),
    };
    let Some(operator) = text(rule, "ComparisonOperator") else {
        let exists = rule.get("Exists").and_then(Value::as_bool);
        return match (exists, single) {
            (Some(false), None) => Ok(Condition::NotExists(path)),
            (None | Some(true), Some(value)) => Ok(compare(path, Comparison::Equal, value)),
            _ => Err(ServiceError::validation(
                "One or more parameter values were invalid: Exists and Value do not fit together",
            )),
        };
    };
    let mut values = list.into_iter();
    let mut value = || {
        values.next().ok_or_else(|| {
            ServiceError::validation(format!(
                "One or more parameter values were invalid: Invalid number of argument(s) for the {operator} ComparisonOperator"
            ))
        })
    };
    Ok(match operator {
        "EQ" => compare(path, Comparison::Equal, value()?),
        "NE" => compare(path, Comparison::NotEqual, value()?),
        "LT" => compare(path, Comparison::Less, value()?),
        "LE" => compare(path, Comparison::LessOrEqual, value()?),
        "GT" => compare(path, Comparison::Greater, value()?),
        "GE" => compare(path, Comparison::GreaterOrEqual, value()?),
        "NULL" => Condition::NotExists(path),
        "NOT_NULL" => Condition::Exists(path),
        "CONTAINS" => Condition::Contains(Operand::Path(path), Operand::Value(value()?)),
        "NOT_CONTAINS" => Condition::All(vec![
            Condition::Exists(path.clone()),
            Condition::Not(Box::new(Condition::Contains(
                Operand::Path(path),
                Operand::Value(value()?),
            ))),
        ]),
        "BEGINS_WITH" => Condition::BeginsWith(Operand::Path(path), Operand::Value(value()?)),
        "BETWEEN" => Condition::Between(
            Operand::Path(path),
            Operand::Value(value()?),
            Operand::Value(value()?),
        ),
        "IN" => Condition::In(Operand::Path(path), values.map(Operand::Value).collect()),
        other => {
            return Err(ServiceError::validation(format!(
                "unknown ComparisonOperator {other}"
            )));
        }
    })
}

fn compare(path: Path, comparison: Comparison, value: AttributeValue) -> Condition {
    Condition::Compare(Operand::Path(path), comparison, Operand::Value(value))
}
