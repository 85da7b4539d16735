//! One message: from its body to settled, while its visibility is kept up.

use std::{sync::Arc, time::Instant};

use forebay_cloudtrail::{Disposition, Notice, ObjectRef};
use tokio::time::sleep_until;

use crate::{
    allow::{Rule, Verdict},
    config::OnObjectError,
    error::{Error, ErrorKind},
    object::chain,
    parts::Parts,
    processor::{Processor, Rejected},
    queue::{Queue, Received},
    source::{MemoryBody, ObjectId, ObjectSource},
    visibility::{Due, Visibility},
};

/// The work on one message.
#[derive(Debug)]
pub(crate) struct Work<S, P> {
    pub(crate) parts: Arc<Parts<S, P>>,
    pub(crate) queue: Queue,
}

/// How the work on a message ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// Everything that it announces is settled: it may be deleted.
    Settled,
    /// It stays in the queue.
    Left(ErrorKind),
}

impl<S: ObjectSource, P: Processor> Work<S, P> {
    /// Works on `message`, whose receive call left at `sent`.
    pub(crate) async fn run(self, message: Received, sent: Instant) -> Outcome {
        let length = self.parts.config.visibility;
        let mut visibility = Visibility::new(sent, length);
        let mut not_before: Option<Instant> = None;
        let mut work = std::pin::pin!(self.settle(&message));
        loop {
            let wake = match visibility.due(now()) {
                Due::GiveUp => {
                    tracing::warn!(
                        queue = self.queue.name(),
                        "notice not finished within its visibility timeout"
                    );
                    return Outcome::Left(ErrorKind::Expired);
                }
                Due::Wait(at) => at,
                Due::Extend => match not_before.filter(|&at| at > now()) {
                    Some(at) => at,
                    None => {
                        let asked = now();
                        tokio::select! {
                            outcome = &mut work => return outcome,
                            extended = self.queue.hide(&message.handle, visibility.extension(asked)) => match extended {
                                Ok(()) => {
                                    visibility.extended(asked, visibility.extension(asked));
                                    self.parts.observer.visibility_extended();
                                }
                                Err(error) => {
                                    self.parts.observer.failed(&error.kind(), &error.to_string());
                                    tracing::warn!(queue = self.queue.name(), %error, "visibility not extended");
                                    not_before = Some(visibility.retry_at(now()));
                                }
                            },
                        }
                        continue;
                    }
                },
            };
            tokio::select! {
                outcome = &mut work => return outcome,
                () = sleep_until(wake.into()) => {}
            }
        }
    }

    async fn settle(&self, message: &Received) -> Outcome {
        let body = message.body.as_bytes();
        let parts = &*self.parts;
        let notice = match Notice::parse(body) {
            Ok(notice) => notice,
            Err(error) => {
                let reason = error.to_string();
                return parts.reject(Rejected::notice(&reason, body)).await.into();
            }
        };
        match notice.disposition() {
            Disposition::Objects => self.objects(&notice, message).await,
            Disposition::Record => self.inline(&notice, body).await.into(),
            Disposition::Nothing(why) => {
                parts.observer.skipped(&why.to_string());
                Outcome::Settled
            }
            _ => {
                let reason = "the message is no notice that is known: neither CloudTrail, nor S3, nor EventBridge";
                parts.reject(Rejected::notice(reason, body)).await.into()
            }
        }
    }

    /// Every object that a notice announces: the good ones first. What is to be rejected is rejected when nothing else keeps
    /// the notice in the queue, so that a second delivery does not reject it again.
    async fn objects(&self, notice: &Notice, message: &Received) -> Outcome {
        let parts = &*self.parts;
        let (mut left, mut refused, mut poisoned) = (None, Vec::new(), Vec::new());
        for announced in &notice.objects {
            let object = ObjectId::from(announced);
            let of_cloudtrail = announced.key.cloudtrail_form().is_some();
            let verdict = parts
                .config
                .allow
                .judge(&object.bucket, &object.key, of_cloudtrail);
            match verdict {
                Verdict::Refused(why) => refused.push(format!("{object}: {why}")),
                Verdict::Allowed(rule) => match parts.object(&object, rule, message.receives).await
                {
                    Ok(None) => {}
                    Ok(Some(poison)) => poisoned.push((object, poison)),
                    Err(error) if error.kind().is_environment() => {
                        return Outcome::Left(error.kind());
                    }
                    // The other objects of the notice are read all the same; what is settled is remembered.
                    Err(error) => left = Some(error.kind()),
                },
            }
        }
        if let Some(kind) = left {
            return Outcome::Left(kind);
        }
        if let Some(first) = refused.first() {
            let more = refused.len() - 1;
            let reason = match more {
                0 => first.clone(),
                _ => format!("{first}; {more} more objects of the notice are refused"),
            };
            let rejected = Rejected::notice(&reason, message.body.as_bytes());
            if let Err(error) = parts.reject(rejected).await {
                return Outcome::Left(error.kind());
            }
        }
        let mut outcome = Outcome::Settled;
        for (object, poison) in &poisoned {
            match parts.config.on_object_error {
                OnObjectError::DeadLetter => {
                    let rejected = Rejected::object(object, &poison.reason);
                    if let Err(error) = parts.reject(rejected).await {
                        return Outcome::Left(error.kind());
                    }
                }
                OnObjectError::Leave => outcome = Outcome::Left(poison.kind),
                OnObjectError::Delete => parts.observer.dropped(object, &poison.reason),
            }
        }
        outcome
    }

    /// A message that holds the record itself: CloudTrail through EventBridge.
    async fn inline(&self, notice: &Notice, body: &[u8]) -> Result<(), Error> {
        let text = notice.payload.clone().unwrap_or_default();
        let object = ObjectId::new("sqs", self.queue.name());
        let read = self
            .parts
            .read_body(
                MemoryBody::new(text.into()),
                &object,
                Rule::default(),
                0,
                self.parts.places.read().await,
            )
            .await;
        match read {
            Ok(_) => Ok(()),
            Err(error) if error.kind().is_environment() => Err(error),
            Err(error) => {
                self.parts
                    .reject(Rejected::notice(&chain(&error), body))
                    .await
            }
        }
    }
}

impl From<&ObjectRef> for ObjectId {
    fn from(object: &ObjectRef) -> Self {
        Self {
            etag: object.etag.clone(),
            version: object.version_id.clone(),
            ..Self::new(object.bucket.as_str(), object.key.as_str())
        }
    }
}

impl From<Result<(), Error>> for Outcome {
    fn from(result: Result<(), Error>) -> Self {
        match result {
            Ok(()) => Self::Settled,
            Err(error) => Self::Left(error.kind()),
        }
    }
}

pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
