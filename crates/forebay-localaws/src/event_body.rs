use std::future::Future;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use futures_util::stream::{StreamExt, unfold};
use http_body::{Body, Frame};
use http_body_util::StreamBody;

use crate::{EventMessage, Push, Subscription};

/// A subscription's messages, framed, as the body of an HTTP answer. `next` waits for one message.
pub(crate) fn event_body<F>(
    subscription: Subscription,
    next: impl Fn(Subscription) -> F + Send + Sync,
) -> impl Body<Data = Bytes, Error = Broken> + Send + Sync
where
    F: Future<Output = (Push, Subscription)> + Send + Sync,
{
    let frames = unfold((Some(subscription), next), async |(held, next)| {
        let (push, subscription) = next(held?).await;
        match push {
            Push::Message(message) => Some((framed(message), (Some(subscription), next))),
            Push::Last(message) => Some((framed(message), (None, next))),
            Push::Broken => Some((Err(Broken), (None, next))),
            Push::End | Push::NotBefore(_) => None,
        }
    });
    // The SDK asks once more after the end.
    StreamBody::new(frames.fuse())
}

/// The connection is lost on purpose.
#[derive(Debug, thiserror::Error)]
#[error("the connection is lost on purpose")]
pub(crate) struct Broken;

fn framed(message: EventMessage) -> Result<Frame<Bytes>, Broken> {
    let header =
        |name: &'static str, value: String| Header::new(name, HeaderValue::String(value.into()));
    let kind = match message.message_type {
        "exception" => ":exception-type",
        _ => ":event-type",
    };
    let message = Message::new(message.payload)
        .add_header(header(":message-type", message.message_type.to_owned()))
        .add_header(header(kind, message.name))
        .add_header(header(":content-type", "application/json".to_owned()));
    let mut frame = Vec::new();
    // Only a message of more than 16 MiB has no frame; the model makes none.
    write_message_to(&message, &mut frame).map_err(|_| Broken)?;
    Ok(Frame::data(frame.into()))
}
