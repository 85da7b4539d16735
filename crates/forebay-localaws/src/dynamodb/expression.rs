//! The expression language: tokens, names and values, document paths.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::reserved::is_reserved;
use super::value::{AttributeValue, Item};
use crate::ServiceError;

/// `ExpressionAttributeNames` and `ExpressionAttributeValues`, with a record of which were used.
#[derive(Debug, Default)]
pub(crate) struct Substitutes {
    names: BTreeMap<String, String>,
    values: BTreeMap<String, AttributeValue>,
    used: RefCell<BTreeSet<String>>,
}

impl Substitutes {
    pub(crate) fn read(input: &Value) -> Result<Self, ServiceError> {
        let mut substitutes = Self::default();
        if let Some(names) = input
            .get("ExpressionAttributeNames")
            .and_then(Value::as_object)
        {
            for (name, value) in names {
                substitutes
                    .names
                    .insert(name.clone(), value.as_str().unwrap_or_default().to_owned());
            }
        }
        if let Some(values) = input
            .get("ExpressionAttributeValues")
            .filter(|value| !value.is_null())
        {
            substitutes.values = super::value::read_item(values)?;
        }
        Ok(substitutes)
    }

    /// Refuses names and values that no expression used, as DynamoDB does.
    pub(crate) fn check_all_used(&self) -> Result<(), ServiceError> {
        let used = self.used.borrow();
        for (what, mut keys) in [
            (
                "ExpressionAttributeNames",
                Box::new(self.names.keys()) as Box<dyn Iterator<Item = &String>>,
            ),
            ("ExpressionAttributeValues", Box::new(self.values.keys())),
        ] {
            if let Some(key) = keys.find(|key| !used.contains(*key)) {
                return Err(ServiceError::validation(format!(
                    "Value provided in {what} unused in expressions: keys: {{{key}}}"
                )));
            }
        }
        Ok(())
    }

    fn name(&self, placeholder: &str) -> Result<String, ServiceError> {
        self.used.borrow_mut().insert(placeholder.to_owned());
        self.names.get(placeholder).cloned().ok_or_else(|| {
            invalid(&format!(
                "An expression attribute name used in the document path is not defined; attribute name: {placeholder}"
            ))
        })
    }

    pub(crate) fn value(&self, placeholder: &str) -> Result<AttributeValue, ServiceError> {
        self.used.borrow_mut().insert(placeholder.to_owned());
        self.values.get(placeholder).cloned().ok_or_else(|| {
            invalid(&format!(
                "An expression attribute value used in expression is not defined; attribute value: {placeholder}"
            ))
        })
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// An identifier, keyword or `#name`.
    Word(String),
    /// `:value`.
    Placeholder(String),
    /// An index between brackets.
    Integer(usize),
    Symbol(&'static str),
}

/// A cursor over the tokens of one expression.
#[derive(Debug)]
pub(crate) struct Tokens<'a> {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    pub(crate) substitutes: &'a Substitutes,
    depth: usize,
}

impl<'a> Tokens<'a> {
    pub(crate) fn read(text: &str, substitutes: &'a Substitutes) -> Result<Self, ServiceError> {
        if text.trim().is_empty() {
            return Err(invalid("The expression can not be empty;"));
        }
        if text.len() > 4096 {
            return Err(invalid(
                "Expression size has exceeded the maximum allowed size of 4096 bytes",
            ));
        }
        Ok(Self {
            tokens: tokenize(text)?.into_iter().peekable(),
            substitutes,
            depth: 0,
        })
    }

    pub(crate) fn peek(&mut self) -> Option<&Token> {
        self.tokens.peek()
    }

    pub(crate) fn next(&mut self) -> Option<Token> {
        self.tokens.next()
    }

    /// Counts nesting, so that no input can exhaust the stack.
    pub(crate) fn nest(&mut self) -> Result<(), ServiceError> {
        self.depth += 1;
        if self.depth > 100 {
            return Err(invalid("The expression is nested too deep"));
        }
        Ok(())
    }

    /// Takes the symbol if it comes next.
    pub(crate) fn take(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(found)) if *found == symbol);
        if found {
            self.next();
        }
        found
    }

    /// Takes the keyword, in any case, if it comes next.
    pub(crate) fn take_word(&mut self, word: &str) -> bool {
        let found =
            matches!(self.peek(), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word));
        if found {
            self.next();
        }
        found
    }

    pub(crate) fn expect(&mut self, symbol: &str) -> Result<(), ServiceError> {
        if self.take(symbol) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    pub(crate) fn finish(mut self) -> Result<(), ServiceError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected()),
        }
    }

    pub(crate) fn unexpected(&mut self) -> ServiceError {
        match self.next() {
            Some(token) => invalid(&format!("Syntax error; token: {token:?}")),
            None => invalid("Syntax error; token: <EOF>"),
        }
    }

    /// A path that begins with the next token.
    pub(crate) fn path(&mut self) -> Result<Path, ServiceError> {
        match self.next() {
            Some(Token::Word(word)) => self.path_from(&word),
            Some(token) => Err(invalid(&format!("Syntax error; token: {token:?}"))),
            None => Err(self.unexpected()),
        }
    }

    /// A path whose first word is read already.
    pub(crate) fn path_from(&mut self, word: &str) -> Result<Path, ServiceError> {
        let mut steps = vec![Step::Name(self.resolve(word)?)];
        loop {
            if self.take(".") {
                match self.next() {
                    Some(Token::Word(word)) => steps.push(Step::Name(self.resolve(&word)?)),
                    _ => return Err(self.unexpected()),
                }
            } else if self.take("[") {
                match self.next() {
                    Some(Token::Integer(index)) => steps.push(Step::Index(index)),
                    _ => return Err(self.unexpected()),
                }
                self.expect("]")?;
            } else {
                return Ok(Path(steps));
            }
        }
    }

    fn resolve(&self, word: &str) -> Result<String, ServiceError> {
        if word.starts_with('#') {
            return self.substitutes.name(word);
        }
        if is_reserved(word) {
            return Err(invalid(&format!(
                "Attribute name is a reserved keyword; reserved keyword: {word}"
            )));
        }
        Ok(word.to_owned())
    }
}

/// Where a value is in an item: `a.b[0]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Path(pub(crate) Vec<Step>);

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    Name(String),
    Index(usize),
}

impl Path {
    pub(crate) fn attribute(name: &str) -> Self {
        Self(vec![Step::Name(name.to_owned())])
    }

    pub(crate) fn root(&self) -> &str {
        match self.0.first() {
            Some(Step::Name(name)) => name,
            _ => "",
        }
    }

    pub(crate) fn get<'a>(&self, item: &'a Item) -> Option<&'a AttributeValue> {
        let (first, rest) = self.0.split_first()?;
        let Step::Name(name) = first else { return None };
        rest.iter()
            .try_fold(item.get(name)?, |value, step| match (value, step) {
                (AttributeValue::M(map), Step::Name(name)) => map.get(name),
                (AttributeValue::L(list), Step::Index(index)) => list.get(*index),
                _ => None,
            })
    }

    /// Whether one of the two is a part of the other, which an update may not name twice.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(one, two)| one == two)
    }
}

pub(crate) fn invalid(message: &str) -> ServiceError {
    ServiceError::validation(format!("Invalid expression: {message}"))
}

fn tokenize(text: &str) -> Result<Vec<Token>, ServiceError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = |from: usize| {
            rest.get(from..)
                .unwrap_or_default()
                .find(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))
                .map_or(rest.len(), |length| from + length)
        };
        let length = if first.is_ascii_alphabetic() || first == '_' {
            let end = word(0);
            tokens.push(Token::Word(rest.get(..end).unwrap_or_default().to_owned()));
            end
        } else if first == '#' || first == ':' {
            let end = word(1);
            let text = rest.get(..end).unwrap_or_default().to_owned();
            tokens.push(if first == '#' {
                Token::Word(text)
            } else {
                Token::Placeholder(text)
            });
            end
        } else if first.is_ascii_digit() {
            let end = word(0);
            let digits = rest.get(..end).unwrap_or_default();
            let index = digits
                .parse()
                .map_err(|_| invalid(&format!("Syntax error; token: {digits}")))?;
            tokens.push(Token::Integer(index));
            end
        } else {
            let symbol = SYMBOLS
                .iter()
                .find(|symbol| rest.starts_with(**symbol))
                .ok_or_else(|| invalid(&format!("Invalid character; character: {first}")))?;
            tokens.push(Token::Symbol(symbol));
            symbol.len()
        };
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(tokens)
}

const SYMBOLS: [&str; 14] = [
    "<>", "<=", ">=", "<", ">", "=", "(", ")", "[", "]", ",", ".", "+", "-",
];
