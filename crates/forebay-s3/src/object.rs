//! One object: downloaded, inflated, split, handed over in batches, and waited for.

use std::{mem, sync::Arc, time::Instant};

use bytes::Bytes;
use tokio::sync::SemaphorePermit;

use crate::{
    allow::Rule,
    batch::{Batch, Progress, Records},
    content::{BadItem, Decoder, Fault, Item},
    error::{Error, ErrorKind},
    memory::{Extent, Settled},
    message::now,
    parts::Parts,
    processor::{Processor, Rejected},
    source::{ObjectBody, ObjectId, ObjectSource},
};

/// Why an object cannot be read, now and later.
#[derive(Debug)]
pub(crate) struct Poison {
    pub(crate) kind: ErrorKind,
    pub(crate) reason: String,
}

impl<S: ObjectSource, P: Processor> Parts<S, P> {
    /// Reads one object until it is settled (`None`), or known to be unreadable, or must be tried at a later receive.
    ///
    /// Failures of the environment are waited out here, for [`PATIENCE`]: the notice is held, so that no receive is burnt.
    pub(crate) async fn object(
        &self,
        object: &ObjectId,
        rule: Rule<'_>,
        receives: u32,
    ) -> Result<Option<Poison>, Error> {
        let _claim = self.settled.claim(object).await;
        if self.settled.extent(object, object.etag.as_deref()) == Extent::Complete {
            return Ok(None);
        }
        let begun = now();
        let mut attempt = 1;
        let mut failing: Option<Instant> = None;
        loop {
            let error = match self.read(object, rule).await {
                Ok(records) => {
                    self.well();
                    if let Some(records) = records {
                        self.observer.object_settled(object, records, now() - begun);
                    }
                    return Ok(None);
                }
                Err(error) => error,
            };
            self.observer.failed(&error.kind(), &error.to_string());
            tracing::warn!(%object, attempt, error = %chain(&error), "object not read");
            match error.kind() {
                ErrorKind::Unavailable | ErrorKind::Denied | ErrorKind::NoSuchResource => {
                    let since = *failing.get_or_insert_with(now);
                    if now() - since >= PATIENCE {
                        return Err(error);
                    }
                    if !self.ride_out().await {
                        return Err(stopping(object));
                    }
                    continue;
                }
                ErrorKind::Abandoned | ErrorKind::Stopping => return Err(error),
                _ => self.well(),
            }
            let last = match error.kind() {
                ErrorKind::Corrupt => attempt >= self.config.object_attempts,
                ErrorKind::MissingObject | ErrorKind::Archived | ErrorKind::Changed => {
                    if receives < self.config.missing_receives {
                        return Err(error);
                    }
                    true
                }
                ErrorKind::Unsupported => true,
                _ => return Err(error),
            };
            if last {
                return Ok(Some(Poison {
                    kind: error.kind(),
                    reason: chain(&error),
                }));
            }
            attempt += 1;
            if !self.sleep(self.config.object_retry).await {
                return Err(stopping(object));
            }
        }
    }

    /// Opens and reads one object. Returns the number of its records when all of them are accepted, `None` if they were already.
    async fn read(&self, object: &ObjectId, rule: Rule<'_>) -> Result<Option<u64>, Error> {
        let place = self.places.read().await;
        let body = self.source.open(object, rule.owner).await?;
        let object = &ObjectId {
            etag: body.etag().or(object.etag.as_deref()).map(str::to_owned),
            ..object.clone()
        };
        let known = match self.settled.extent(object, object.etag.as_deref()) {
            Extent::Complete => return Ok(None),
            Extent::Prefix(records) => records,
        };
        let most = self.config.object_bytes;
        if let Some(length) = body.length().filter(|&length| length > most) {
            let reason =
                format!("it has {length} bytes, at most {most} are read: raise `object_bytes`");
            return Err(Error::new(ErrorKind::Unsupported, object.to_string()).caused_by(reason));
        }
        let read = self.read_body(body, object, rule, known, place);
        read.await.map(Some)
    }

    /// Reads one object, of which the first `known` records are settled already, in `place` to its verified end and waits
    /// until every record is accepted.
    pub(crate) async fn read_body(
        &self,
        body: impl ObjectBody,
        object: &ObjectId,
        rule: Rule<'_>,
        known: u64,
        place: SemaphorePermit<'_>,
    ) -> Result<u64, Error> {
        let etag = object.etag.as_deref();
        let progress = Arc::new(Progress::resumed(known));
        // Also when this attempt is given up in the middle, the next one goes on behind what is settled.
        let _remembered = Remembered {
            settled: &self.settled,
            object,
            etag,
            progress: &progress,
        };
        let mut reading = Reading {
            parts: self,
            object: Arc::new(object.clone()),
            rule,
            header: None,
            progress: Arc::clone(&progress),
            records: Records::starting_at(known),
            known,
            since_yield: 0,
            downloaded: 0,
        };
        let read = reading.run(body).await;
        self.observer.downloaded(object, reading.downloaded);
        // What was read before a fault is waited for as well: it is delivered.
        let waiting = self.places.wait(place);
        let accepted = progress.settled().await;
        drop(waiting);
        let records = read?;
        if !accepted {
            return Err(Error::new(ErrorKind::Abandoned, object.to_string()));
        }
        if records > known {
            self.places.accepted(now());
        }
        self.settled.remember(object, etag, Extent::Complete);
        Ok(records)
    }
}

/// Keeps how far an attempt got, however it ends.
struct Remembered<'a> {
    settled: &'a Settled,
    object: &'a ObjectId,
    etag: Option<&'a str>,
    progress: &'a Progress,
}

impl Drop for Remembered<'_> {
    fn drop(&mut self) {
        let extent = Extent::Prefix(self.progress.settled_prefix());
        self.settled.remember(self.object, self.etag, extent);
    }
}

/// One attempt at an object.
struct Reading<'w, S, P> {
    parts: &'w Parts<S, P>,
    object: Arc<ObjectId>,
    rule: Rule<'w>,
    header: Option<Arc<[u8]>>,
    progress: Arc<Progress>,
    records: Records,
    /// Records that an earlier attempt settled.
    known: u64,
    /// Bytes of records since other tasks had their turn.
    since_yield: usize,
    downloaded: u64,
}

impl<S: ObjectSource, P: Processor> Reading<'_, S, P> {
    async fn run(&mut self, mut body: impl ObjectBody) -> Result<u64, Error> {
        let mut decoder = Decoder::new(self.rule.content);
        while let Some(piece) = body.next().await? {
            self.downloaded += piece.len() as u64;
            let mut rest: Bytes = piece;
            while !rest.is_empty() {
                let used = match decoder.feed(&rest) {
                    Ok(used) => used,
                    Err(fault) => {
                        // Records before the damage are good.
                        self.take(&mut decoder).await?;
                        self.flush().await?;
                        return Err(self.fault(fault));
                    }
                };
                drop(rest.split_to(used));
                self.take(&mut decoder).await?;
            }
        }
        decoder.end();
        self.take(&mut decoder).await?;
        self.flush().await?;
        decoder.finish().map_err(|fault| self.fault(fault))
    }

    /// Takes every record that the decoder holds.
    async fn take(&mut self, decoder: &mut Decoder) -> Result<(), Error> {
        while let Some(item) = decoder.next() {
            match item {
                Item::Record(index, record) => {
                    self.since_yield += record.bytes().len();
                    if index >= self.known {
                        self.records.push(record);
                    }
                }
                Item::Header(line) => {
                    let header = Arc::from(line);
                    self.flush().await?;
                    self.header = Some(header);
                }
                Item::Bad(bad) if bad.index < self.known => {}
                Item::Bad(BadItem {
                    index,
                    offset,
                    reason,
                    bytes,
                }) => {
                    let bytes = bytes.to_vec();
                    self.flush().await?;
                    let rejected = Rejected::record(&self.object, (index, offset), &reason, &bytes);
                    self.parts.reject(rejected).await?;
                    self.progress.settle_at_once(1);
                    self.records = Records::starting_at(index + 1);
                }
            }
            if self.records.used() >= FULL {
                self.flush().await?;
                self.since_yield = FULL;
            }
            if self.since_yield >= FULL {
                // Inflating and splitting never wait by themselves: other tasks of this thread get their turn here.
                self.since_yield = 0;
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Hands the collected records to the processor, once the byte budget has room for them.
    async fn flush(&mut self) -> Result<(), Error> {
        if self.records.len() == 0 {
            return Ok(());
        }
        let next = self.records.following();
        let records = mem::replace(&mut self.records, next);
        let parts = self.parts;
        let cost = records.cost().min(parts.config.bytes_in_flight.get());
        let budget = Arc::clone(&parts.budget)
            .acquire_many_owned(u32::try_from(cost).unwrap_or(u32::MAX))
            .await
            .map_err(|_| stopping(&self.object))?;
        parts
            .observer
            .records(&self.object, records.len(), records.bytes());
        let batch = Batch::new(
            (
                Arc::clone(&self.object),
                self.rule.index,
                self.header.clone(),
            ),
            records,
            Arc::clone(&self.progress),
            budget,
        );
        parts.processor.process(batch).await;
        Ok(())
    }

    fn fault(&self, fault: Fault) -> Error {
        Error::new(fault.kind, self.object.to_string()).caused_by(fault.reason)
    }
}

fn stopping(object: &ObjectId) -> Error {
    Error::new(ErrorKind::Stopping, object.to_string())
}

/// An error with its causes, for reports that people read.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A batch is handed over when it has this many bytes: some hundred records.
const FULL: usize = 128 << 10;

/// How long a notice is held while its objects cannot be read. Long enough for most outages to cost one receive; short enough
/// that a single object which stays denied frees its place.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(15 * 60);
