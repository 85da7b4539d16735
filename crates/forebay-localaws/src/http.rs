use bytes::Bytes;

use crate::Subscription;

/// One HTTP request to AWS, with its body read whole.
#[expect(clippy::exhaustive_structs, reason = "a front builds it as a literal")]
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The host without a port.
    pub host: String,
    /// The path as sent, still percent-encoded.
    pub path: String,
    /// The query without its question mark, still percent-encoded.
    pub query: String,
    /// Header names in lower case with their values.
    pub headers: Vec<(String, String)>,
    /// The body as sent.
    pub body: Bytes,
}

impl Request {
    /// The first header of that lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

/// What the front does with one request.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Header names in lower case with their values.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
    /// Milliseconds to hold the answer back.
    pub delay_ms: u64,
    /// Whether the caller sees the answer.
    pub delivery: Delivery,
    /// Set when this is the empty answer of a long poll that may wait on.
    pub wait: Option<Wait>,
    /// Set when the body is an event stream, whose messages [`Cloud::next_push`](crate::Cloud::next_push) gives.
    pub events: Option<Subscription>,
}

impl Reply {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.into(),
            delay_ms: 0,
            delivery: Delivery::Answered,
            wait: None,
            events: None,
        }
    }

    pub(crate) fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// Whether the caller learns what happened.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Delivery {
    /// The answer arrives.
    Answered,
    /// The connection broke before the service saw the request.
    RequestLost,
    /// The service did its work, then the connection broke.
    AnswerLost,
}

/// A long poll that found nothing yet.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wait {
    /// Milliseconds the caller asked to wait, from its first request.
    pub timeout_ms: u64,
    /// When a hidden or delayed message becomes visible, in Unix milliseconds.
    pub next_due: Option<u64>,
}

/// A message of an event stream, to be framed as `application/vnd.amazon.eventstream`.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct EventMessage {
    /// `event` or `exception`.
    pub message_type: &'static str,
    /// The type of the event, or the code of the exception.
    pub name: String,
    /// JSON.
    pub payload: Bytes,
}
