//! Several requests at a time; each batch is settled when all its messages are.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Url};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::batch::Batch;
use crate::compress::{Compression, Compressor};
use crate::sink::SinkConfig;
use crate::sink::acceptance::{Grade, RefusalReason, Report};
use crate::sink::health::State;
use crate::sink::http::HttpConfig;
use crate::sink::http::answer::{Outcome, classify};
use crate::sink::inlet::{Inlet, Parcel};
use crate::sink::lane::wait_for;
use crate::sink::retry::Retry;
use crate::sink::tcp::receivers::Receivers;

pub(crate) async fn run(
    (client, urls): (Client, Vec<Url>),
    config: HttpConfig,
    sink: SinkConfig,
    inlet: Inlet,
) -> Report {
    inlet.set_state(State::Ready);
    Http {
        receivers: Receivers::new(urls.len(), config.balance),
        compressor: Compressor::new(if config.gzip {
            Compression::Gzip
        } else {
            Compression::None
        }),
        retry: Retry::new(&sink),
        config,
        client,
        urls,
        inlet,
        open: VecDeque::new(),
        again: VecDeque::new(),
        requests: JoinSet::new(),
        pause: None,
    }
    .run()
    .await
}

struct Http {
    config: HttpConfig,
    client: Client,
    urls: Vec<Url>,
    receivers: Receivers,
    compressor: Compressor,
    retry: Retry,
    inlet: Inlet,
    /// Batches with messages that are not settled, in order.
    open: VecDeque<Open>,
    /// What has to be sent once more, before anything new.
    again: VecDeque<Job>,
    requests: JoinSet<(Job, usize, Outcome)>,
    pause: Option<Instant>,
}

struct Open {
    parcel: Parcel,
    /// The first message that no request has taken.
    next: usize,
    settled: usize,
}

/// Messages of one batch in one request.
#[derive(Clone, Copy, Debug)]
struct Job {
    serial: u64,
    from: usize,
    to: usize,
}

impl Http {
    async fn run(mut self) -> Report {
        while !self.inlet.is_done() {
            self.fill();
            let deadline = self.inlet.deadline();
            tokio::select! {
                biased;
                parcel = self.inlet.next() => self.arrive(parcel),
                () = wait_for(deadline) => break,
                Some(done) = self.requests.join_next(), if !self.requests.is_empty() => {
                    if let Ok((job, receiver, outcome)) = done {
                        self.answered(job, receiver, outcome);
                    }
                }
                () = wait_for(self.pause), if self.pause.is_some() => self.pause = None,
            }
        }
        self.requests.shutdown().await;
        self.open.clear();
        self.inlet.end()
    }

    fn arrive(&mut self, parcel: Option<Parcel>) {
        match parcel {
            Some(parcel) if parcel.batch.is_empty() => self.inlet.settle(parcel, Grade::Status),
            Some(parcel) => self.open.push_back(Open {
                parcel,
                next: 0,
                settled: 0,
            }),
            None => {}
        }
    }

    /// Starts requests up to the limit.
    fn fill(&mut self) {
        while self.pause.is_none() && self.requests.len() < self.config.concurrency {
            let Some(job) = self.again.pop_front().or_else(|| self.next_job()) else {
                return;
            };
            let Some(open) = find(&mut self.open, job.serial) else {
                continue;
            };
            let body = make_body(
                &open.parcel.batch,
                job,
                self.config.bulk,
                &mut self.compressor,
            );
            self.inlet.observer().written(job.to - job.from, body.len());
            let receiver = self.receivers.choose(Instant::now());
            let Some(url) = self.urls.get(receiver) else {
                return;
            };
            let mut request = self
                .client
                .post(url.clone())
                .header(CONTENT_TYPE, "application/json")
                .body(body);
            if self.config.gzip {
                request = request.header(CONTENT_ENCODING, "gzip");
            }
            self.requests
                .spawn(async move { (job, receiver, exchange(request).await) });
        }
    }

    /// The next messages that no request has taken; refuses what no request can carry.
    fn next_job(&mut self) -> Option<Job> {
        loop {
            let open = self
                .open
                .iter_mut()
                .find(|open| open.next < open.parcel.batch.len())?;
            let (from, serial) = (open.next, open.parcel.serial());
            let limit = self.config.body_bytes;
            let newline = usize::from(self.config.bulk);
            let mut bytes = 0;
            let mut to = from;
            while let Some(message) = open.parcel.batch.get(to) {
                bytes += message.len() + newline;
                if bytes > limit || (to > from && !self.config.bulk) {
                    break;
                }
                to += 1;
            }
            if to > from {
                open.next = to;
                return Some(Job { serial, from, to });
            }
            open.parcel.refuse(
                from,
                RefusalReason::TooLong {
                    bytes,
                    limit: Some(limit),
                },
            );
            open.next += 1;
            self.settle_messages(serial, 1);
        }
    }

    fn answered(&mut self, job: Job, receiver: usize, outcome: Outcome) {
        match outcome {
            Outcome::Accepted => {
                self.receivers.works(receiver);
                self.retry.reset();
                self.inlet.set_state(State::Ready);
                self.settle_messages(job.serial, job.to - job.from);
            }
            Outcome::Refused(status) if job.to - job.from == 1 => {
                if let Some(open) = find(&mut self.open, job.serial) {
                    open.parcel.refuse(job.from, RefusalReason::Status(status));
                }
                self.inlet.set_state(State::Ready);
                self.settle_messages(job.serial, 1);
            }
            Outcome::Refused(_) => {
                // One message spoils the body: halve until it stands alone.
                let middle = job.from + (job.to - job.from) / 2;
                self.again.push_front(Job {
                    from: middle,
                    ..job
                });
                self.again.push_front(Job { to: middle, ..job });
            }
            Outcome::Misconfigured { reason } => {
                self.inlet.set_state(State::Misconfigured {
                    reason: reason.clone(),
                });
                self.postpone(job, receiver, &reason, Some(self.config.misconfigured_wait));
            }
            Outcome::Transient {
                reason,
                retry_after,
            } => {
                self.inlet.set_state(State::Down {
                    reason: reason.clone(),
                });
                self.postpone(job, receiver, &reason, retry_after);
            }
        }
    }

    /// Sends a job again: to another receiver at once, or after a wait.
    fn postpone(&mut self, job: Job, receiver: usize, reason: &str, at_least: Option<Duration>) {
        let host = self
            .urls
            .get(receiver)
            .and_then(Url::host_str)
            .unwrap_or_default();
        tracing::debug!(host, reason, "request failed");
        self.inlet
            .observer()
            .disconnected(host, reason, job.to - job.from);
        // Kept in the order of sending, as far as answers allow.
        let at = self
            .again
            .partition_point(|other| (other.serial, other.from) < (job.serial, job.from));
        self.again.insert(at, job);
        let now = Instant::now();
        self.receivers.failed(receiver, now);
        // Requests that were under way together fail together: that is one failure.
        if self.pause.is_none() && !self.receivers.has_other(now) {
            let wait = self.retry.next_wait().max(at_least.unwrap_or_default());
            self.inlet.observer().backing_off(wait);
            self.pause = Some(now + wait);
        } else if let (Some(until), Some(at_least)) = (self.pause, at_least) {
            self.pause = Some(until.max(now + at_least));
        }
    }

    fn settle_messages(&mut self, serial: u64, count: usize) {
        let index = self
            .open
            .partition_point(|open| open.parcel.serial() < serial);
        let Some(open) = self.open.get_mut(index) else {
            return;
        };
        open.settled += count;
        if open.settled == open.parcel.batch.len()
            && let Some(open) = self.open.remove(index)
        {
            self.inlet.settle(open.parcel, Grade::Status);
        }
    }
}

fn find(open: &mut VecDeque<Open>, serial: u64) -> Option<&mut Open> {
    let index = open.partition_point(|open| open.parcel.serial() < serial);
    open.get_mut(index)
        .filter(|open| open.parcel.serial() == serial)
}

fn make_body(batch: &Batch, job: Job, bulk: bool, compressor: &mut Compressor) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut body = Vec::new();
    for message in (job.from..job.to).filter_map(|index| batch.get(index)) {
        plain.extend_from_slice(message);
        if bulk {
            // Also after the last one: Graylog keeps an open last line for the next request.
            plain.push(b'\n');
        }
    }
    compressor.compress_into(&plain, &mut body);
    body
}

/// One request and its complete answer.
async fn exchange(request: reqwest::RequestBuilder) -> Outcome {
    let failed = |error: reqwest::Error| {
        // Without the URL: its query could hold a secret.
        let (reason, misconfigured) = describe(&error.without_url());
        if misconfigured {
            Outcome::Misconfigured { reason }
        } else {
            Outcome::Transient {
                reason,
                retry_after: None,
            }
        }
    };
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => return failed(error),
    };
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let mut length = 0;
    loop {
        match response.chunk().await {
            Ok(None) => return classify(status, retry_after.as_deref()),
            Ok(Some(chunk)) => length += chunk.len(),
            Err(error) => return failed(error),
        }
        if length > LONGEST_ANSWER {
            return Outcome::Transient {
                reason: "the answer is too long".into(),
                retry_after: None,
            };
        }
    }
}

/// The error and its causes in one line, and whether only a person can help.
fn describe(error: &dyn std::error::Error) -> (Box<str>, bool) {
    let mut text = error.to_string();
    let mut misconfigured = false;
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        misconfigured |= is_invalid_data(error) || error.to_string() == TUNNEL_REFUSED;
        cause = error.source();
    }
    (text.into(), misconfigured)
}

/// Whether it is rustls's way to say what it does not accept of a receiver. The client wraps it once more.
fn is_invalid_data(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| {
        error.kind() == io::ErrorKind::InvalidData
            || error.get_ref().is_some_and(|inner| is_invalid_data(inner))
    })
}

/// What the client says about status 407 in answer to CONNECT; it has no type for it.
const TUNNEL_REFUSED: &str = "tunnel error: proxy authorization required";
/// A receiver answers with an empty body; an error page has a few KiB.
const LONGEST_ANSWER: usize = 64 * 1024;
