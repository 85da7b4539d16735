//! Keeps one connection in use, proves what went over it, and sends again what is not proven.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::sink::SinkConfig;
use crate::sink::acceptance::{Grade, Report};
use crate::sink::health::State;
use crate::sink::inlet::{Inlet, Parcel};
use crate::sink::lane::wait_for;
use crate::sink::retry::Retry;
use crate::sink::tcp::connect::{Connector, Failure, connect};
use crate::sink::tcp::line::{Line, Progress, Sent, prove_by_close};
use crate::sink::tcp::receivers::Receivers;
use crate::sink::tcp::{Proof, TcpConfig};

pub(crate) async fn run(
    connector: Connector,
    config: TcpConfig,
    sink: SinkConfig,
    inlet: Inlet,
) -> Report {
    Tcp {
        receivers: Receivers::new(config.addresses.len(), config.balance),
        connector,
        // Beyond this only a close can make room again. What is left of the budget keeps data flowing meanwhile.
        unproven_limit: sink.budget / 4 * 3,
        unproven_most: sink.budget / 4 * 3,
        retry: Retry::new(&sink),
        config,
        inlet,
        waiting: VecDeque::new(),
        link: Link::Down {
            until: Instant::now(),
        },
        closing: Vec::new(),
        closes: JoinSet::new(),
        next_close: 0,
    }
    .run()
    .await
}

struct Tcp {
    config: TcpConfig,
    connector: Connector,
    receivers: Receivers,
    /// Unproven bytes at which a line is closed. Falls while receivers answer a close too late to have read so much,
    /// and rises again.
    unproven_limit: usize,
    unproven_most: usize,
    retry: Retry,
    inlet: Inlet,
    /// Batches to send, oldest first. The front one may be written in part, on the current line.
    waiting: VecDeque<Parcel>,
    link: Link,
    /// Former lines whose receiver has to answer the close.
    closing: Vec<Closing>,
    closes: JoinSet<(u64, io::Result<()>)>,
    next_close: u64,
}

/// The connection in use, or the way to it.
enum Link {
    /// None; the next attempt is due then.
    Down {
        until: Instant,
    },
    /// None, and none needed before there is something to send.
    Idle,
    Connecting(Pin<Box<dyn Future<Output = Result<Line, Failure>> + Send>>),
    Up(Box<Line>),
}

enum Event {
    Due,
    Connected(Result<Line, Failure>),
    Line(Progress),
}

struct Closing {
    id: u64,
    receiver: usize,
    sent: VecDeque<Sent>,
}

impl Tcp {
    async fn run(mut self) -> Report {
        while !self.inlet.is_done() {
            self.settle_proven();
            if self.is_stuck() {
                self.lose("the receiver took nothing in time".into());
            }
            self.rotate_if_due();
            if matches!(self.link, Link::Idle) && !self.waiting.is_empty() {
                self.connect();
            }
            let timer = self.next_timer();
            let draining_line = self.rotation_due().is_some_and(|due| due <= Instant::now());
            let deadline = self.inlet.deadline();
            tokio::select! {
                biased;
                parcel = self.inlet.next() => self.arrive(parcel),
                () = wait_for(deadline) => break,
                Some(Ok((id, proof))) = self.closes.join_next(), if !self.closes.is_empty() => self.closed(id, proof),
                event = self.link.next(&self.waiting, draining_line) => self.handle(event),
                () = wait_for(timer) => {}
            }
        }
        self.end().await
    }

    fn arrive(&mut self, parcel: Option<Parcel>) {
        let Some(mut parcel) = parcel else {
            return;
        };
        parcel.batch.frames(0);
        if parcel.batch.is_empty() {
            self.inlet.settle(parcel, Grade::Kernel);
        } else {
            self.waiting.push_back(parcel);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Due => self.connect(),
            Event::Connected(Ok(line)) => {
                self.inlet.observer().connected(self.address(line.receiver));
                self.inlet.set_state(State::Ready);
                self.link = Link::Up(Box::new(line));
            }
            Event::Connected(Err(failure)) => {
                let address = self.address(failure.receiver).to_owned();
                let reason: Box<str> = format!("{address}: {}", failure.reason).into();
                self.inlet
                    .observer()
                    .disconnected(&address, &failure.reason, 0);
                self.inlet.set_state(if failure.misconfigured {
                    State::Misconfigured { reason }
                } else {
                    State::Down { reason }
                });
                self.fail_over(failure.receiver);
            }
            Event::Line(Progress::Wrote(bytes)) => self.note_written(bytes),
            Event::Line(Progress::Flushed) => {}
            Event::Line(Progress::Lost(reason)) => self.lose(reason),
        }
    }

    /// Books bytes that the current line took.
    fn note_written(&mut self, mut bytes: usize) {
        let Link::Up(line) = &mut self.link else {
            return;
        };
        let now = Instant::now();
        let start = line.written - line.head as u64;
        line.written += bytes as u64;
        line.moved = now;
        bytes += line.head;
        line.head = 0;
        let mut end = start;
        while let Some(front) = self.waiting.front() {
            let length = front.batch.byte_len();
            if bytes > 0 {
                line.newest = line.newest.max(front.serial());
            }
            if bytes < length {
                line.head = bytes;
                return;
            }
            bytes -= length;
            end += length as u64;
            let Some(parcel) = self.waiting.pop_front() else {
                return;
            };
            self.inlet.observer().written(parcel.batch.len(), length);
            line.unproven += length;
            line.sent.push_back(Sent {
                parcel,
                end,
                at: now,
            });
        }
    }

    /// Settles what the rules prove by now.
    fn settle_proven(&mut self) {
        let Link::Up(line) = &mut self.link else {
            return;
        };
        let now = Instant::now();
        while let Some(front) = line.sent.front() {
            let (proven, grade) = match self.config.proof {
                Proof::Receiver => (front.end + line.overrun <= line.written, Grade::Overrun),
                Proof::Kernel { age } => (!line.unflushed && front.at + age <= now, Grade::Kernel),
            };
            if !proven {
                return;
            }
            let Some(sent) = line.sent.pop_front() else {
                return;
            };
            line.unproven -= sent.parcel.batch.byte_len();
            self.inlet.settle(sent.parcel, grade);
            self.retry.reset();
            self.receivers.works(line.receiver);
        }
    }

    /// When the current line has to be closed for proof.
    fn rotation_due(&self) -> Option<Instant> {
        let Link::Up(line) = &self.link else {
            return None;
        };
        if line.stale {
            return Some(Instant::now());
        }
        let renewal = line.opened + self.config.renew_after;
        let Some(oldest) = line.sent.front() else {
            return (line.head == 0).then_some(renewal);
        };
        let now = Instant::now();
        let drained = self.waiting.is_empty();
        match self.config.proof {
            Proof::Receiver if drained && (self.inlet.is_ending() || self.inlet.flush_wanted()) => {
                Some(now)
            }
            Proof::Receiver if line.unproven + line.head >= self.unproven_limit => Some(now),
            Proof::Receiver => Some(renewal.min(oldest.at + self.config.close_after)),
            Proof::Kernel { .. } if drained && self.inlet.is_ending() => Some(now),
            Proof::Kernel { .. } => Some(renewal),
        }
    }

    /// Whether a close is due but the receiver takes nothing, so that the end of a batch is never reached.
    fn is_stuck(&self) -> bool {
        let Link::Up(line) = &self.link else {
            return false;
        };
        let now = Instant::now();
        line.head > 0
            && line.moved + self.config.close_wait <= now
            && self.rotation_due().is_some_and(|due| due <= now)
    }

    /// Half-closes the current line and leaves it to be proven; new data will go to a fresh one.
    fn rotate_if_due(&mut self) {
        if self.closing.len() >= MAX_CLOSING
            || self.rotation_due().is_none_or(|due| due > Instant::now())
        {
            return;
        }
        match std::mem::replace(&mut self.link, Link::Idle) {
            Link::Up(line) if line.head == 0 => {
                let id = self.next_close;
                self.next_close += 1;
                let Line {
                    stream,
                    receiver,
                    round_trip,
                    sent,
                    ..
                } = *line;
                self.closing.push(Closing { id, receiver, sent });
                let wait = self.config.close_wait;
                self.closes
                    .spawn(async move { (id, prove_by_close(stream, wait, round_trip).await) });
            }
            other => self.link = other,
        }
    }

    /// A former line is proven, or failed.
    fn closed(&mut self, id: u64, proof: io::Result<()>) {
        let Some(index) = self.closing.iter().position(|closing| closing.id == id) else {
            return;
        };
        let closing = self.closing.swap_remove(index);
        match proof {
            Ok(()) => {
                self.retry.reset();
                self.receivers.works(closing.receiver);
                let more = self.unproven_limit + self.unproven_limit / 8 + 1;
                self.unproven_limit = more.min(self.unproven_most);
                for sent in closing.sent {
                    self.inlet.settle(sent.parcel, Grade::Closed);
                }
            }
            Err(_) if closing.sent.is_empty() => {}
            Err(error) => {
                if error.kind() == io::ErrorKind::TimedOut {
                    let bytes: usize = closing
                        .sent
                        .iter()
                        .map(|sent| sent.parcel.batch.byte_len())
                        .sum();
                    self.unproven_limit = self.unproven_limit.min(bytes) / 2;
                }
                let reason = error.to_string();
                let address = self.address(closing.receiver).to_owned();
                tracing::debug!(%address, %reason, "close not answered, sending again");
                if !matches!(self.link, Link::Up(_)) {
                    self.inlet.set_state(State::Down {
                        reason: format!("{address}: {reason}").into(),
                    });
                }
                self.send_again(&address, &reason, closing.sent);
                // The line in use may go elsewhere and be well; only without one is there somebody to wait for.
                if matches!(self.link, Link::Idle) {
                    self.fail_over(closing.receiver);
                }
            }
        }
    }

    /// The current line is over.
    fn lose(&mut self, reason: Box<str>) {
        if let Link::Up(line) = std::mem::replace(&mut self.link, Link::Idle) {
            let address = self.address(line.receiver).to_owned();
            tracing::debug!(%address, %reason, "connection lost");
            self.inlet.set_state(State::Down {
                reason: format!("{address}: {reason}").into(),
            });
            self.send_again(&address, &reason, line.sent);
            self.fail_over(line.receiver);
        }
    }

    /// Puts unproven batches back, before everything newer.
    fn send_again(&mut self, address: &str, reason: &str, sent: VecDeque<Sent>) {
        let messages = sent.iter().map(|sent| sent.parcel.batch.len()).sum();
        self.inlet
            .observer()
            .disconnected(address, reason, messages);
        // The front batch stays in front if the current line has begun it: half a frame must find its other half.
        let mut begun = 0;
        if let Link::Up(line) = &mut self.link {
            begun = usize::from(line.head > 0);
            line.stale |= sent
                .front()
                .is_some_and(|oldest| line.written > 0 && oldest.parcel.serial() < line.newest);
        }
        let newer = self.waiting.split_off(begun);
        let mut again = sent.into_iter().map(|sent| sent.parcel).peekable();
        for parcel in newer {
            while let Some(older) = again.next_if(|older| older.serial() < parcel.serial()) {
                self.waiting.push_back(older);
            }
            self.waiting.push_back(parcel);
        }
        self.waiting.extend(again);
    }

    /// After a failure: another receiver at once, or a wait.
    fn fail_over(&mut self, receiver: usize) {
        self.receivers.failed(receiver, Instant::now());
        if self.receivers.has_other(Instant::now()) {
            self.link = Link::Down {
                until: Instant::now(),
            };
        } else {
            let wait = self.retry.next_wait();
            self.inlet.observer().backing_off(wait);
            self.link = Link::Down {
                until: Instant::now() + wait,
            };
        }
    }

    fn connect(&mut self) {
        let receiver = self.receivers.choose(Instant::now());
        self.link = Link::Connecting(Box::pin(connect(
            self.config.clone(),
            self.connector.clone(),
            receiver,
        )));
    }

    /// When to look again although nothing happened.
    fn next_timer(&self) -> Option<Instant> {
        let Link::Up(line) = &self.link else {
            return None;
        };
        let now = Instant::now();
        let proof = match self.config.proof {
            Proof::Kernel { age } if !line.unflushed => line.sent.front().map(|sent| sent.at + age),
            _ => None,
        };
        let rotation = self.rotation_due().and_then(|due| match due > now {
            true => Some(due),
            // Due already: either the end of a batch is awaited, or a former line has to go first.
            false if line.head > 0 => Some(line.moved + self.config.close_wait),
            false => None,
        });
        [proof, rotation].into_iter().flatten().min()
    }

    async fn end(mut self) -> Report {
        if let Link::Up(line) = std::mem::replace(&mut self.link, Link::Idle)
            && line.sent.is_empty()
            && line.head == 0
        {
            // Nothing depends on the answer; this is courtesy to the receiver.
            drop(prove_by_close(line.stream, COURTESY, Duration::ZERO).await);
        }
        self.waiting.clear();
        self.closing.clear();
        self.closes.shutdown().await;
        self.inlet.end()
    }

    fn address(&self, receiver: usize) -> &str {
        self.config
            .addresses
            .get(receiver)
            .map_or("", |address| &**address)
    }
}

impl Link {
    /// What happens next to the connection. Cancel safe.
    async fn next(&mut self, waiting: &VecDeque<Parcel>, last: bool) -> Event {
        match self {
            Self::Down { until } => {
                sleep_until(*until).await;
                Event::Due
            }
            Self::Idle => std::future::pending().await,
            Self::Connecting(attempt) => Event::Connected(attempt.await),
            Self::Up(line) => Event::Line(line.step(waiting, last).await),
        }
    }
}

/// Former lines awaited at a time.
const MAX_CLOSING: usize = 4;
const COURTESY: Duration = Duration::from_millis(500);
