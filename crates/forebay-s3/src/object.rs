//! One object: downloaded, inflated, split, handed over in batches, and waited for.

use std::{mem, sync::Arc};

use bytes::Bytes;
use forebay_cloudtrail::{FileDecoder, FileKind, Limits};

use crate::{
    batch::{Batch, Progress, Records},
    error::{Error, ErrorKind},
    memory::{Extent, Settled},
    message::Work,
    observer::Observer,
    processor::{Processor, Rejected},
    source::{ObjectBody, ObjectId, ObjectSource},
};

impl<S: ObjectSource, P: Processor, O: Observer> Work<S, P, O> {
    /// Opens and reads one object, of which the first `known` records are settled already. Returns the number of its
    /// records when all of them are accepted.
    pub(crate) async fn read(
        &self,
        object: &ObjectId,
        owner: Option<&str>,
        known: u64,
    ) -> Result<u64, Error> {
        let body = self.parts.source.open(object, owner).await?;
        self.read_body(body, object, known).await
    }

    /// Reads one object to its verified end and waits until every record is accepted.
    pub(crate) async fn read_body(
        &self,
        body: impl ObjectBody,
        object: &ObjectId,
        known: u64,
    ) -> Result<u64, Error> {
        let progress = Arc::new(Progress::resumed(known));
        // Also when this attempt is given up in the middle, the next one goes on behind what is settled.
        let _remembered = Remembered {
            settled: &self.parts.settled,
            object,
            progress: &progress,
        };
        let mut reading = Reading {
            work: self,
            object: Arc::new(object.clone()),
            progress: Arc::clone(&progress),
            records: Records::starting_at(known),
            known,
        };
        let read = reading.run(body).await;
        // What was read before a fault is waited for as well: it is delivered.
        let accepted = progress.settled().await;
        let records = read?;
        if !accepted {
            return Err(Error::new(ErrorKind::Abandoned, object.to_string()));
        }
        Ok(records)
    }
}

/// Keeps how far an attempt got, however it ends.
struct Remembered<'a> {
    settled: &'a Settled,
    object: &'a ObjectId,
    progress: &'a Progress,
}

impl Drop for Remembered<'_> {
    fn drop(&mut self) {
        self.settled
            .remember(self.object, Extent::Prefix(self.progress.settled_prefix()));
    }
}

/// One attempt at an object.
struct Reading<'w, S, P, O> {
    work: &'w Work<S, P, O>,
    object: Arc<ObjectId>,
    progress: Arc<Progress>,
    records: Records,
    /// Records that an earlier attempt settled.
    known: u64,
}

impl<S: ObjectSource, P: Processor, O: Observer> Reading<'_, S, P, O> {
    async fn run(&mut self, mut body: impl ObjectBody) -> Result<u64, Error> {
        let mut decoder = FileDecoder::new(Limits::default());
        while let Some(piece) = body.next().await? {
            let mut rest: Bytes = piece;
            while !rest.is_empty() {
                let used = match decoder.feed(&rest) {
                    Ok(used) => used,
                    Err(error) => {
                        // Records before the damage are good.
                        self.take(&mut decoder).await?;
                        self.flush().await?;
                        return Err(self.corrupt(error));
                    }
                };
                drop(rest.split_to(used));
                self.take(&mut decoder).await?;
            }
        }
        decoder.end();
        self.take(&mut decoder).await?;
        self.flush().await?;
        let summary = decoder.finish().map_err(|error| self.corrupt(error))?;
        match summary.kind {
            FileKind::Other => Err(self.corrupt("JSON, but no CloudTrail records")),
            // A digest or an empty file has nothing to deliver.
            _ => Ok(summary.records + summary.bad_records),
        }
    }

    /// Takes every record that the decoder holds.
    async fn take(&mut self, decoder: &mut FileDecoder) -> Result<(), Error> {
        while let Some(record) = decoder.next_record() {
            match record {
                Ok(record) if record.index() < self.known => {}
                Ok(record) => {
                    self.records.push(record.text().as_bytes());
                    if self.records.bytes() >= FULL {
                        self.flush().await?;
                    }
                }
                Err(bad) if bad.error().index() < self.known => {}
                Err(bad) => {
                    let error = bad.error();
                    let bytes = bad.bytes().to_vec();
                    self.flush().await?;
                    let position = (error.index(), error.offset());
                    let reason = error.to_string();
                    self.work
                        .reject(Rejected::record(&self.object, position, &reason, &bytes))
                        .await?;
                    self.progress.settle_at_once(1);
                    self.records = Records::starting_at(error.index() + 1);
                }
            }
        }
        Ok(())
    }

    /// Hands the collected records to the processor, once the byte budget has room for them.
    async fn flush(&mut self) -> Result<(), Error> {
        if self.records.len() == 0 {
            return Ok(());
        }
        let next = Records::starting_at(self.records.next());
        let records = mem::replace(&mut self.records, next);
        let parts = &self.work.parts;
        let cost = records.bytes().min(parts.config.bytes_in_flight.get());
        let budget = Arc::clone(&parts.budget)
            .acquire_many_owned(u32::try_from(cost).unwrap_or(u32::MAX))
            .await
            .map_err(|_| Error::new(ErrorKind::Stopping, self.object.to_string()))?;
        parts
            .observer
            .records(&self.object, records.len(), records.bytes());
        let batch = Batch::new(
            Arc::clone(&self.object),
            records,
            Arc::clone(&self.progress),
            budget,
        );
        parts.processor.process(batch).await;
        Ok(())
    }

    fn corrupt(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::new(ErrorKind::Corrupt, self.object.to_string()).caused_by(error)
    }
}

/// A batch is handed over when it has this many bytes: some hundred records.
const FULL: usize = 128 << 10;
