use serde_json::{Map, Value};

/// An error as an AWS service answers it: a code, an HTTP status and a text.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ServiceError {
    code: String,
    status: u16,
    message: String,
    members: Map<String, Value>,
}

impl ServiceError {
    /// Builds an error with its AWS code (such as `ResourceNotFoundException`) and HTTP status.
    pub fn new(code: impl Into<String>, status: u16, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            status,
            message: message.into(),
            members: Map::new(),
        }
    }

    /// An error the caller caused, with status 400.
    pub(crate) fn client(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, 400, message)
    }

    /// `ValidationException`, which most JSON services share.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::client("ValidationException", message)
    }

    /// Adds a member to the JSON error body.
    pub(crate) fn with_member(mut self, name: &str, value: Value) -> Self {
        self.members.insert(name.to_owned(), value);
        self
    }

    /// The AWS error code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The HTTP status the service answers with.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The text for people; not an interface.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn members(&self) -> &Map<String, Value> {
        &self.members
    }
}
