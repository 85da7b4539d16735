//! One message: from its body to settled, while its visibility is kept up.

use std::{sync::Arc, time::Instant};

use forebay_cloudtrail::{Disposition, Notice, ObjectRef};
use tokio::time::sleep_until;

use crate::{
    allow::Verdict,
    error::{Error, ErrorKind},
    memory::Extent,
    observer::Observer,
    processor::{Processor, Rejected},
    queue::{Queue, Received},
    reader::Parts,
    source::{MemoryBody, ObjectId, ObjectSource},
    visibility::{Due, Visibility},
};

/// The work on one message.
#[derive(Debug)]
pub(crate) struct Work<S, P, O> {
    pub(crate) parts: Arc<Parts<S, P, O>>,
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

impl<S: ObjectSource, P: Processor, O: Observer> Work<S, P, O> {
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
        let notice = match Notice::parse(body) {
            Ok(notice) => notice,
            Err(error) => {
                return self
                    .reject(Rejected::notice(&error.to_string(), body))
                    .await
                    .into();
            }
        };
        match notice.disposition() {
            Disposition::Objects => {}
            Disposition::Record => return self.inline(&notice, body).await.into(),
            Disposition::Nothing(why) => {
                self.parts.observer.skipped(&why.to_string());
                return Outcome::Settled;
            }
            _ => {
                let reason = "the message is no notice that is known: neither CloudTrail, nor S3, nor EventBridge";
                return self.reject(Rejected::notice(reason, body)).await.into();
            }
        }
        let mut left = None;
        for announced in &notice.objects {
            let object = ObjectId::from(announced);
            let outcome = match self.parts.config.allow.judge(
                &object.bucket,
                &object.key,
                announced.key.cloudtrail_form().is_some(),
            ) {
                Verdict::Allowed(owner) => self.object(&object, owner, message.receives).await,
                Verdict::Refused(why) => {
                    let reason = format!("{object}: {why}");
                    self.reject(Rejected::notice(&reason, body)).await
                }
            };
            match outcome {
                Ok(()) => {}
                Err(error) if error.kind().is_environment() => return Outcome::Left(error.kind()),
                // The other objects of the notice are read all the same; what is settled is remembered.
                Err(error) => left = Some(error.kind()),
            }
        }
        left.map_or(Outcome::Settled, Outcome::Left)
    }

    /// A message that holds the record itself: CloudTrail through EventBridge.
    async fn inline(&self, notice: &Notice, body: &[u8]) -> Result<(), Error> {
        let text = notice.payload.clone().unwrap_or_default();
        let object = ObjectId::new("sqs", self.queue.name());
        match self
            .read_body(MemoryBody::new(text.into()), &object, 0)
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                self.reject(Rejected::notice(&chain(&error), body)).await
            }
            Err(error) => Err(error),
        }
    }

    /// Reads one object until it is settled, rejected, or must be tried at a later receive.
    async fn object(
        &self,
        object: &ObjectId,
        owner: Option<&str>,
        receives: u32,
    ) -> Result<(), Error> {
        let config = &self.parts.config;
        let begun = now();
        let mut attempt = 1;
        loop {
            let known = match self.parts.settled.extent(object) {
                Extent::Complete => return Ok(()),
                Extent::Prefix(records) => records,
            };
            let error = match self.read(object, owner, known).await {
                Ok(records) => {
                    self.parts.settled.remember(object, Extent::Complete);
                    self.parts
                        .observer
                        .object_settled(object, records, now() - begun);
                    return Ok(());
                }
                Err(error) => error,
            };
            self.parts
                .observer
                .failed(&error.kind(), &error.to_string());
            tracing::warn!(%object, attempt, error = %chain(&error), "object not read");
            let exhausted = match error.kind() {
                ErrorKind::Corrupt => attempt >= config.object_attempts,
                ErrorKind::MissingObject | ErrorKind::Archived | ErrorKind::Changed => {
                    if receives < config.missing_receives {
                        return Err(error);
                    }
                    true
                }
                _ => return Err(error),
            };
            if exhausted {
                let reason = chain(&error);
                self.reject(Rejected::object(object, &reason)).await?;
                self.parts.settled.remember(object, Extent::Complete);
                return Ok(());
            }
            attempt += 1;
            tokio::time::sleep(config.object_retry).await;
        }
    }

    pub(crate) async fn reject(&self, rejected: Rejected<'_>) -> Result<(), Error> {
        self.parts.observer.rejected(rejected.reason);
        self.parts.processor.reject(rejected).await
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

/// An error with its causes, for reports that people read.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
