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

/// A conditional change of one row, in terms that every store can carry out in one step.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Change {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) effects: Vec<Effect>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Condition {
    Present(&'static str),
    Absent(&'static str),
    Equal(&'static str, Value),
    Different(&'static str, Value),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    Set(&'static str, Value),
    Remove(&'static str),
    Add(&'static str, u64),
}

impl Change {
    pub(crate) fn require(&mut self, condition: Condition) {
        self.conditions.push(condition);
    }

    pub(crate) fn make(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Whether the change may be made to this row; an absent row has no attributes.
    pub(crate) fn is_met(&self, row: Option<&Row>) -> bool {
        let value = |name: &str| row.and_then(|row| row.get(name));
        self.conditions.iter().all(|condition| match condition {
            Condition::Present(name) => value(name).is_some(),
            Condition::Absent(name) => value(name).is_none(),
            Condition::Equal(name, expected) => value(name) == Some(expected),
            // As in DynamoDB, a comparison with an absent attribute is false, except for `<>`, which is true.
            Condition::Different(name, unwanted) => value(name) != Some(unwanted),
        })
    }

    /// Makes the change, for stores without expressions of their own.
    pub(crate) fn apply(&self, row: &mut Row) {
        for effect in &self.effects {
            match effect {
                Effect::Set(name, value) => {
                    row.insert((*name).to_owned(), value.clone());
                }
                Effect::Remove(name) => {
                    row.remove(*name);
                }
                Effect::Add(name, amount) => {
                    let old = match row.get(*name) {
                        Some(Value::Number(number)) => number.parse().unwrap_or(0_u64),
                        _ => 0,
                    };
                    row.insert(
                        (*name).to_owned(),
                        Value::number(old.saturating_add(*amount)),
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        [
            ("counter".to_owned(), Value::number(7)),
            ("owner".to_owned(), Value::text("me")),
        ]
        .into()
    }

    #[test]
    fn conditions_hold_as_in_dynamodb() {
        let row = row();
        for (condition, on_row, on_nothing) in [
            (Condition::Present("owner"), true, false),
            (Condition::Absent("owner"), false, true),
            (Condition::Absent("other"), true, true),
            (Condition::Equal("counter", Value::number(7)), true, false),
            (Condition::Equal("counter", Value::text(7)), false, false),
            (
                Condition::Different("owner", Value::text("me")),
                false,
                true,
            ),
            (
                Condition::Different("owner", Value::text("you")),
                true,
                true,
            ),
        ] {
            let change = Change {
                conditions: vec![condition.clone()],
                effects: Vec::new(),
            };
            assert_eq!(change.is_met(Some(&row)), on_row, "{condition:?}");
            assert_eq!(
                change.is_met(None),
                on_nothing,
                "{condition:?} without a row"
            );
        }
    }

    #[test]
    fn effects_leave_other_attributes_alone() {
        let mut row = row();
        let change = Change {
            conditions: Vec::new(),
            effects: vec![
                Effect::Add("counter", 1),
                Effect::Add("switches", 1),
                Effect::Remove("missing"),
                Effect::Set("checkpoint", Value::text("5")),
            ],
        };
        change.apply(&mut row);
        assert_eq!(row.get("counter"), Some(&Value::number(8)));
        assert_eq!(row.get("switches"), Some(&Value::number(1)));
        assert_eq!(row.get("owner"), Some(&Value::text("me")));
        assert_eq!(row.len(), 4);
    }
}
