use std::cmp::Ordering;

use super::expression::{Path, Substitutes, Token, Tokens};
use super::value::{AttributeValue, Item};
use crate::ServiceError;

/// A condition on an item, from an expression or from legacy `Expected`.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Compare(Operand, Comparison, Operand),
    Between(Operand, Operand, Operand),
    In(Operand, Vec<Operand>),
    Exists(Path),
    NotExists(Path),
    TypeIs(Path, Operand),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
}

#[derive(Clone, Debug)]
pub(crate) enum Operand {
    Path(Path),
    Value(AttributeValue),
    Size(Path),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Condition {
    pub(crate) fn parse(text: &str, substitutes: &Substitutes) -> Result<Self, ServiceError> {
        let mut tokens = Tokens::read(text, substitutes)?;
        let condition = any(&mut tokens)?;
        tokens.finish()?;
        Ok(condition)
    }

    pub(crate) fn holds(&self, item: &Item) -> bool {
        match self {
            Self::Compare(left, comparison, right) => match (left.get(item), right.get(item)) {
                (Some(left), Some(right)) => comparison.holds(&left, &right),
                // A missing attribute differs from everything and compares with nothing.
                _ => *comparison == Comparison::NotEqual,
            },
            Self::Between(value, low, high) => {
                match (value.get(item), low.get(item), high.get(item)) {
                    (Some(value), Some(low), Some(high)) => {
                        Comparison::GreaterOrEqual.holds(&value, &low)
                            && Comparison::LessOrEqual.holds(&value, &high)
                    }
                    _ => false,
                }
            }
            Self::In(value, list) => value.get(item).is_some_and(|value| {
                list.iter()
                    .any(|other| other.get(item).as_ref() == Some(&value))
            }),
            Self::Exists(path) => path.get(item).is_some(),
            Self::NotExists(path) => path.get(item).is_none(),
            Self::TypeIs(path, kind) => match (path.get(item), kind.get(item)) {
                (Some(value), Some(AttributeValue::S(kind))) => value.type_name() == kind,
                _ => false,
            },
            Self::BeginsWith(value, prefix) => match (value.get(item), prefix.get(item)) {
                (Some(AttributeValue::S(text)), Some(AttributeValue::S(prefix))) => {
                    text.starts_with(&prefix)
                }
                (Some(AttributeValue::B(bytes)), Some(AttributeValue::B(prefix))) => {
                    bytes.starts_with(&prefix)
                }
                _ => false,
            },
            Self::Contains(whole, part) => match (whole.get(item), part.get(item)) {
                (Some(whole), Some(part)) => contains(&whole, &part),
                _ => false,
            },
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(item)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(item)),
            Self::Not(condition) => !condition.holds(item),
        }
    }
}

impl Operand {
    fn get(&self, item: &Item) -> Option<AttributeValue> {
        match self {
            Self::Path(path) => path.get(item).cloned(),
            Self::Value(value) => Some(value.clone()),
            Self::Size(path) => {
                let size = match path.get(item)? {
                    AttributeValue::S(text) => text.len(),
                    AttributeValue::B(bytes) => bytes.len(),
                    AttributeValue::L(items) => items.len(),
                    AttributeValue::M(members) => members.len(),
                    AttributeValue::Ss(set) => set.len(),
                    AttributeValue::Ns(set) => set.len(),
                    AttributeValue::Bs(set) => set.len(),
                    _ => return None,
                };
                Some(AttributeValue::N((size as u64).into()))
            }
        }
    }
}

impl Comparison {
    pub(crate) fn holds(self, left: &AttributeValue, right: &AttributeValue) -> bool {
        match self {
            Self::Equal => return left == right,
            Self::NotEqual => return left != right,
            _ => {}
        }
        let order = match (left, right) {
            (AttributeValue::S(left), AttributeValue::S(right)) => {
                left.as_bytes().cmp(right.as_bytes())
            }
            (AttributeValue::N(left), AttributeValue::N(right)) => left.cmp(right),
            (AttributeValue::B(left), AttributeValue::B(right)) => left.cmp(right),
            _ => return false,
        };
        match self {
            Self::Less => order == Ordering::Less,
            Self::LessOrEqual => order != Ordering::Greater,
            Self::Greater => order == Ordering::Greater,
            Self::GreaterOrEqual => order != Ordering::Less,
            Self::Equal | Self::NotEqual => false,
        }
    }
}

pub(crate) fn contains(whole: &AttributeValue, part: &AttributeValue) -> bool {
    match (whole, part) {
        (AttributeValue::S(text), AttributeValue::S(part)) => text.contains(part.as_str()),
        (AttributeValue::B(bytes), AttributeValue::B(part)) => {
            part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
        }
        (AttributeValue::Ss(set), AttributeValue::S(member)) => set.contains(member),
        (AttributeValue::Ns(set), AttributeValue::N(member)) => set.contains(member),
        (AttributeValue::Bs(set), AttributeValue::B(member)) => set.contains(member),
        (AttributeValue::L(list), member) => list.contains(member),
        _ => false,
    }
}

fn any(tokens: &mut Tokens<'_>) -> Result<Condition, ServiceError> {
    let mut parts = vec![all(tokens)?];
    while tokens.take_word("OR") {
        parts.push(all(tokens)?);
    }
    Ok(if parts.len() == 1 {
        parts.remove(0)
    } else {
        Condition::Any(parts)
    })
}

fn all(tokens: &mut Tokens<'_>) -> Result<Condition, ServiceError> {
    let mut parts = vec![negation(tokens)?];
    while tokens.take_word("AND") {
        parts.push(negation(tokens)?);
    }
    Ok(if parts.len() == 1 {
        parts.remove(0)
    } else {
        Condition::All(parts)
    })
}

fn negation(tokens: &mut Tokens<'_>) -> Result<Condition, ServiceError> {
    tokens.nest()?;
    if tokens.take_word("NOT") {
        return Ok(Condition::Not(Box::new(negation(tokens)?)));
    }
    if tokens.take("(") {
        let inner = any(tokens)?;
        tokens.expect(")")?;
        return Ok(inner);
    }
    term(tokens)
}

fn term(tokens: &mut Tokens<'_>) -> Result<Condition, ServiceError> {
    if let Some(Token::Word(word)) = tokens.peek() {
        let word = word.clone();
        if [
            "attribute_exists",
            "attribute_not_exists",
            "attribute_type",
            "begins_with",
            "contains",
        ]
        .contains(&word.as_str())
        {
            tokens.next();
            tokens.expect("(")?;
            let condition = function(&word, tokens)?;
            tokens.expect(")")?;
            return Ok(condition);
        }
    }
    let left = operand(tokens)?;
    if tokens.take_word("BETWEEN") {
        let low = operand(tokens)?;
        if !tokens.take_word("AND") {
            return Err(tokens.unexpected());
        }
        return Ok(Condition::Between(left, low, operand(tokens)?));
    }
    if tokens.take_word("IN") {
        tokens.expect("(")?;
        let mut list = vec![operand(tokens)?];
        while tokens.take(",") {
            list.push(operand(tokens)?);
        }
        tokens.expect(")")?;
        return Ok(Condition::In(left, list));
    }
    let comparison = match tokens.peek() {
        Some(Token::Symbol("=")) => Comparison::Equal,
        Some(Token::Symbol("<>")) => Comparison::NotEqual,
        Some(Token::Symbol("<")) => Comparison::Less,
        Some(Token::Symbol("<=")) => Comparison::LessOrEqual,
        Some(Token::Symbol(">")) => Comparison::Greater,
        Some(Token::Symbol(">=")) => Comparison::GreaterOrEqual,
        _ => return Err(tokens.unexpected()),
    };
    tokens.next();
    Ok(Condition::Compare(left, comparison, operand(tokens)?))
}

fn function(name: &str, tokens: &mut Tokens<'_>) -> Result<Condition, ServiceError> {
    Ok(match name {
        "attribute_exists" => Condition::Exists(tokens.path()?),
        "attribute_not_exists" => Condition::NotExists(tokens.path()?),
        "attribute_type" => {
            let path = tokens.path()?;
            tokens.expect(",")?;
            Condition::TypeIs(path, operand(tokens)?)
        }
        _ => {
            let whole = operand(tokens)?;
            tokens.expect(",")?;
            let part = operand(tokens)?;
            if name == "contains" {
                Condition::Contains(whole, part)
            } else {
                Condition::BeginsWith(whole, part)
            }
        }
    })
}

fn operand(tokens: &mut Tokens<'_>) -> Result<Operand, ServiceError> {
    match tokens.next() {
        Some(Token::Placeholder(name)) => Ok(Operand::Value(tokens.substitutes.value(&name)?)),
        Some(Token::Word(word)) if word == "size" && tokens.take("(") => {
            let path = tokens.path()?;
            tokens.expect(")")?;
            Ok(Operand::Size(path))
        }
        Some(Token::Word(word)) => Ok(Operand::Path(tokens.path_from(&word)?)),
        Some(token) => Err(super::expression::invalid(&format!(
            "Syntax error; token: {token:?}"
        ))),
        None => Err(tokens.unexpected()),
    }
}
