//! Scan and Query: pages of a table or an index.

use serde_json::{Value, json};

use super::condition::{Comparison, Condition, Operand};
use super::expression::{Path, Step, Substitutes, Tokens};
use super::table::{Key, Table};
use super::value::{AttributeValue, Item, item_size, read_item, write_item};
use crate::ServiceError;
use crate::wire::json::{number, text};

/// Runs a Scan, or a Query if it has a key condition. `stale_at`: the time whose state is shown.
pub(crate) fn search(
    table: &Table,
    input: &Value,
    query: bool,
    stale_at: Option<u64>,
    now: u64,
) -> Result<Value, ServiceError> {
    let index = text(input, "IndexName")
        .map(|name| table.index(name, now))
        .transpose()?;
    if index.is_some() && input.get("ConsistentRead") == Some(&Value::Bool(true)) {
        return Err(ServiceError::validation(
            "Consistent reads are not supported on global secondary indexes",
        ));
    }
    let keys = index.map_or(&table.keys, |index| &index.keys);
    let substitutes = Substitutes::read(input)?;
    let parse = |name: &str| {
        text(input, name)
            .map(|expression| Condition::parse(expression, &substitutes))
            .transpose()
    };
    let condition = if query {
        Some(key_condition(parse("KeyConditionExpression")?, &keys.hash)?)
    } else {
        None
    };
    let filter = parse("FilterExpression")?;
    let projection = Projection::read(input, &substitutes)?;
    substitutes.check_all_used()?;
    let limit =
        number(input, "Limit", 1..=u64::from(u32::MAX))?.map_or(usize::MAX, |limit| limit as usize);
    let segment = segment(input)?;
    let backwards = input.get("ScanIndexForward") == Some(&Value::Bool(false));
    let types = table.attribute_types();

    let mut found: Vec<((Key, Option<&Key>), &Item)> = table
        .items(stale_at)
        .into_iter()
        .filter_map(|(key, item)| match index {
            Some(index) => Some(((index.keys.sparse_key(item, types)?, Some(key)), item)),
            None => Some(((key.clone(), None), item)),
        })
        .filter(|((key, _), item)| {
            segment.is_none_or(|(number, total)| {
                (u128::from(key.bucket) * u128::from(total)) >> 64 == u128::from(number)
            }) && condition
                .as_ref()
                .is_none_or(|condition| condition.holds(item))
        })
        .collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    if backwards {
        found.reverse();
    }
    if let Some(start) = input
        .get("ExclusiveStartKey")
        .filter(|start| !start.is_null())
    {
        let start = read_item(start)?;
        let base = table.key_of(&start)?;
        let position = match index {
            Some(index) => (index.keys.key(&start, types)?, Some(&base)),
            None => (base.clone(), None),
        };
        found.retain(|(key, _)| {
            if backwards {
                *key < position
            } else {
                *key > position
            }
        });
    }

    let mut items = Vec::new();
    let (mut scanned, mut bytes, mut last) = (0usize, 0usize, None);
    let mut rest = found.into_iter();
    for (_, item) in rest.by_ref() {
        scanned += 1;
        let shown = index.map_or_else(|| item.clone(), |index| index.project(item, &table.keys));
        bytes += item_size(&shown);
        if filter.as_ref().is_none_or(|filter| filter.holds(&shown)) {
            items.push(write_item(&projection.apply(&shown)));
        }
        if scanned == limit || bytes > PAGE_BYTES {
            last = Some(item);
            break;
        }
    }
    let mut answer = json!({"Count": items.len(), "ScannedCount": scanned});
    if text(input, "Select") != Some("COUNT") {
        answer["Items"] = items.into();
    }
    // DynamoDB may name a last key though nothing follows; so do we when a limit ended the page.
    if let Some(last) = last {
        let mut key = table.keys.extract(last);
        key.extend(keys.extract(last));
        answer["LastEvaluatedKey"] = write_item(&key);
    }
    Ok(answer)
}

/// The attributes an answer shows.
#[derive(Debug)]
pub(crate) struct Projection(Option<Vec<Path>>);

impl Projection {
    pub(crate) fn read(input: &Value, substitutes: &Substitutes) -> Result<Self, ServiceError> {
        if let Some(expression) = text(input, "ProjectionExpression") {
            let mut tokens = Tokens::read(expression, substitutes)?;
            let mut paths = vec![tokens.path()?];
            while tokens.take(",") {
                paths.push(tokens.path()?);
            }
            tokens.finish()?;
            return Ok(Self(Some(paths)));
        }
        let names = input.get("AttributesToGet").and_then(Value::as_array);
        Ok(Self(names.map(|names| {
            names
                .iter()
                .filter_map(Value::as_str)
                .map(Path::attribute)
                .collect()
        })))
    }

    pub(crate) fn apply(&self, item: &Item) -> Item {
        let Some(paths) = &self.0 else {
            return item.clone();
        };
        let mut shown = Item::new();
        for path in paths {
            if let Some(value) = path.get(item) {
                place(&mut shown, &path.0, value.clone());
            }
        }
        shown
    }
}

/// Puts a value at its path; parts of a list come one after the other.
fn place(item: &mut Item, steps: &[Step], value: AttributeValue) {
    let Some((Step::Name(name), rest)) = steps.split_first() else {
        return;
    };
    match rest.first() {
        None => {
            item.insert(name.clone(), value);
        }
        Some(Step::Name(_)) => {
            let slot = item
                .entry(name.clone())
                .or_insert_with(|| AttributeValue::M(Item::new()));
            if let AttributeValue::M(inner) = slot {
                place(inner, rest, value);
            }
        }
        Some(Step::Index(_)) => {
            let mut inner = Item::new();
            let value = match rest.get(1..) {
                Some(deeper @ [Step::Name(_), ..]) => {
                    place(&mut inner, deeper, value);
                    AttributeValue::M(inner)
                }
                _ => value,
            };
            let slot = item
                .entry(name.clone())
                .or_insert_with(|| AttributeValue::L(Vec::new()));
            if let AttributeValue::L(list) = slot {
                list.push(value);
            }
        }
    }
}

fn key_condition(condition: Option<Condition>, hash: &str) -> Result<Condition, ServiceError> {
    let condition = condition.ok_or_else(|| {
        ServiceError::validation("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
    })?;
    let fixes_hash = |condition: &Condition| matches!(condition, Condition::Compare(Operand::Path(path), Comparison::Equal, Operand::Value(_)) if *path == Path::attribute(hash));
    let complete = match &condition {
        Condition::All(parts) => parts.iter().any(fixes_hash),
        single => fixes_hash(single),
    };
    if complete {
        Ok(condition)
    } else {
        Err(ServiceError::validation(format!(
            "Query condition missed key schema element: {hash}"
        )))
    }
}

fn segment(input: &Value) -> Result<Option<(u64, u64)>, ServiceError> {
    let segment = number(input, "Segment", 0..=999_999)?;
    let total = number(input, "TotalSegments", 1..=1_000_000)?;
    match (segment, total) {
        (None, None) => Ok(None),
        (Some(segment), Some(total)) if segment < total => Ok(Some((segment, total))),
        _ => Err(ServiceError::validation(
            "Segment and TotalSegments must come together, the former smaller",
        )),
    }
}

const PAGE_BYTES: usize = 1 << 20;
