use super::expression::{Path, Step, Substitutes, Token, Tokens, invalid};
use super::value::{AttributeValue, Item};
use crate::ServiceError;

/// What an update does to an item, from an expression or from legacy `AttributeUpdates`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Update {
    pub(crate) actions: Vec<(Path, Action)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Action {
    Set(Term),
    Remove,
    Add(AttributeValue),
    Delete(AttributeValue),
}

#[derive(Clone, Debug)]
pub(crate) enum Term {
    Value(AttributeValue),
    Path(Path),
    IfNotExists(Path, Box<Self>),
    Append(Box<Self>, Box<Self>),
    Plus(Box<Self>, Box<Self>),
    Minus(Box<Self>, Box<Self>),
}

impl Update {
    pub(crate) fn parse(text: &str, substitutes: &Substitutes) -> Result<Self, ServiceError> {
        let mut tokens = Tokens::read(text, substitutes)?;
        let mut update = Self::default();
        let mut seen = Vec::new();
        while let Some(Token::Word(word)) = tokens.next() {
            let clause = word.to_ascii_uppercase();
            if seen.contains(&clause) {
                return Err(invalid(&format!(
                    "The \"{clause}\" section can only be used once in an update expression;"
                )));
            }
            loop {
                let path = tokens.path()?;
                let action = match clause.as_str() {
                    "SET" => {
                        tokens.expect("=")?;
                        Action::Set(sum(&mut tokens)?)
                    }
                    "REMOVE" => Action::Remove,
                    "ADD" => Action::Add(placeholder(&mut tokens)?),
                    "DELETE" => Action::Delete(placeholder(&mut tokens)?),
                    _ => return Err(invalid(&format!("Syntax error; token: {word}"))),
                };
                update.push(path, action)?;
                if !tokens.take(",") {
                    break;
                }
            }
            seen.push(clause);
        }
        tokens.finish()?;
        if update.actions.is_empty() {
            return Err(invalid(
                "Syntax error; an update needs SET, REMOVE, ADD or DELETE",
            ));
        }
        Ok(update)
    }

    /// Adds an action, unless its path overlaps another's.
    pub(crate) fn push(&mut self, path: Path, action: Action) -> Result<(), ServiceError> {
        if self.actions.iter().any(|(other, _)| path.overlaps(other)) {
            return Err(invalid(
                "Two document paths overlap with each other; must remove or rewrite one of these paths",
            ));
        }
        self.actions.push((path, action));
        Ok(())
    }

    /// The item afterwards. All terms see the item as it was before.
    pub(crate) fn apply(&self, before: &Item) -> Result<Item, ServiceError> {
        let mut after = before.clone();
        for (path, action) in &self.actions {
            match action {
                Action::Set(term) => set(&mut after, path, term.evaluate(before)?)?,
                Action::Remove => remove(&mut after, path),
                Action::Add(value) => {
                    let sum = add(path.get(before), value)?;
                    set(&mut after, path, sum)?;
                }
                Action::Delete(value) => match subtract(path.get(before), value)? {
                    Some(rest) => set(&mut after, path, rest)?,
                    None => remove(&mut after, path),
                },
            }
        }
        Ok(after)
    }
}

impl Term {
    fn evaluate(&self, item: &Item) -> Result<AttributeValue, ServiceError> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::Path(path) => path.get(item).cloned().ok_or_else(|| {
                ServiceError::validation(
                    "The provided expression refers to an attribute that does not exist in the item",
                )
            }),
            Self::IfNotExists(path, other) => match path.get(item) {
                Some(value) => Ok(value.clone()),
                None => other.evaluate(item),
            },
            Self::Append(first, second) => match (first.evaluate(item)?, second.evaluate(item)?) {
                (AttributeValue::L(mut first), AttributeValue::L(second)) => {
                    first.extend(second);
                    Ok(AttributeValue::L(first))
                }
                _ => Err(wrong_type()),
            },
            Self::Plus(left, right) | Self::Minus(left, right) => {
                match (left.evaluate(item)?, right.evaluate(item)?) {
                    (AttributeValue::N(left), AttributeValue::N(right)) => {
                        let right = if matches!(self, Self::Minus(..)) { right.negated() } else { right };
                        let sum = left.plus(right).map_err(|error| ServiceError::validation(error.to_string()))?;
                        Ok(AttributeValue::N(sum))
                    }
                    _ => Err(wrong_type()),
                }
            }
        }
    }
}

/// What `ADD` makes of the old value: a number is added to, a set joined.
pub(crate) fn add(
    old: Option<&AttributeValue>,
    value: &AttributeValue,
) -> Result<AttributeValue, ServiceError> {
    use AttributeValue::{Bs, N, Ns, Ss};
    Ok(match (old, value) {
        (None, N(_) | Ss(_) | Ns(_) | Bs(_)) => value.clone(),
        (Some(N(old)), N(more)) => N(old
            .plus(*more)
            .map_err(|error| ServiceError::validation(error.to_string()))?),
        (Some(Ss(old)), Ss(more)) => Ss(old | more),
        (Some(Ns(old)), Ns(more)) => Ns(old | more),
        (Some(Bs(old)), Bs(more)) => Bs(old | more),
        _ => return Err(wrong_type()),
    })
}

/// What `DELETE` leaves of a set; `None` if nothing is left.
pub(crate) fn subtract(
    old: Option<&AttributeValue>,
    value: &AttributeValue,
) -> Result<Option<AttributeValue>, ServiceError> {
    use AttributeValue::{Bs, Ns, Ss};
    let rest = match (old, value) {
        (None, Ss(_) | Ns(_) | Bs(_)) => return Ok(None),
        (Some(Ss(old)), Ss(gone)) => Ss(old - gone),
        (Some(Ns(old)), Ns(gone)) => Ns(old - gone),
        (Some(Bs(old)), Bs(gone)) => Bs(old - gone),
        _ => return Err(wrong_type()),
    };
    let empty = match &rest {
        Ss(set) => set.is_empty(),
        Ns(set) => set.is_empty(),
        Bs(set) => set.is_empty(),
        _ => false,
    };
    Ok((!empty).then_some(rest))
}

fn sum(tokens: &mut Tokens<'_>) -> Result<Term, ServiceError> {
    let left = term(tokens)?;
    if tokens.take("+") {
        return Ok(Term::Plus(Box::new(left), Box::new(term(tokens)?)));
    }
    if tokens.take("-") {
        return Ok(Term::Minus(Box::new(left), Box::new(term(tokens)?)));
    }
    Ok(left)
}

fn term(tokens: &mut Tokens<'_>) -> Result<Term, ServiceError> {
    tokens.nest()?;
    match tokens.next() {
        Some(Token::Placeholder(name)) => Ok(Term::Value(tokens.substitutes.value(&name)?)),
        Some(Token::Symbol("(")) => {
            let inner = sum(tokens)?;
            tokens.expect(")")?;
            Ok(inner)
        }
        Some(Token::Word(word)) if word == "if_not_exists" && tokens.take("(") => {
            let path = tokens.path()?;
            tokens.expect(",")?;
            let other = sum(tokens)?;
            tokens.expect(")")?;
            Ok(Term::IfNotExists(path, Box::new(other)))
        }
        Some(Token::Word(word)) if word == "list_append" && tokens.take("(") => {
            let first = sum(tokens)?;
            tokens.expect(",")?;
            let second = sum(tokens)?;
            tokens.expect(")")?;
            Ok(Term::Append(Box::new(first), Box::new(second)))
        }
        Some(Token::Word(word)) => Ok(Term::Path(tokens.path_from(&word)?)),
        Some(token) => Err(invalid(&format!("Syntax error; token: {token:?}"))),
        None => Err(tokens.unexpected()),
    }
}

fn placeholder(tokens: &mut Tokens<'_>) -> Result<AttributeValue, ServiceError> {
    match tokens.next() {
        Some(Token::Placeholder(name)) => tokens.substitutes.value(&name),
        _ => Err(tokens.unexpected()),
    }
}

fn set(item: &mut Item, path: &Path, value: AttributeValue) -> Result<(), ServiceError> {
    let Some((last, parents)) = path.0.split_last() else {
        return Ok(());
    };
    let Some((Step::Name(root), rest)) = parents.split_first() else {
        item.insert(path.root().to_owned(), value);
        return Ok(());
    };
    let parent = item.get_mut(root).and_then(|value| descend(value, rest));
    match (parent, last) {
        (Some(AttributeValue::M(map)), Step::Name(name)) => {
            map.insert(name.clone(), value);
        }
        (Some(AttributeValue::L(list)), Step::Index(index)) => match list.get_mut(*index) {
            Some(place) => *place = value,
            // Beyond the end means at the end.
            None => list.push(value),
        },
        _ => {
            return Err(ServiceError::validation(
                "The document path provided in the update expression is invalid for update",
            ));
        }
    }
    Ok(())
}

fn remove(item: &mut Item, path: &Path) {
    let Some((last, parents)) = path.0.split_last() else {
        return;
    };
    let Some((Step::Name(root), rest)) = parents.split_first() else {
        item.remove(path.root());
        return;
    };
    match (
        item.get_mut(root).and_then(|value| descend(value, rest)),
        last,
    ) {
        (Some(AttributeValue::M(map)), Step::Name(name)) => {
            map.remove(name);
        }
        (Some(AttributeValue::L(list)), Step::Index(index)) if *index < list.len() => {
            list.remove(*index);
        }
        _ => {}
    }
}

fn descend<'a>(value: &'a mut AttributeValue, steps: &[Step]) -> Option<&'a mut AttributeValue> {
    steps
        .iter()
        .try_fold(value, |value, step| match (value, step) {
            (AttributeValue::M(map), Step::Name(name)) => map.get_mut(name),
            (AttributeValue::L(list), Step::Index(index)) => list.get_mut(*index),
            _ => None,
        })
}

fn wrong_type() -> ServiceError {
    ServiceError::validation("An operand in the update expression has an incorrect data type")
}
