use std::collections::{BTreeMap, VecDeque};

use crate::Service;

/// The calls the model has answered, oldest first, bounded in length.
#[derive(Clone, Debug)]
pub struct CallLog {
    capacity: usize,
    records: VecDeque<CallRecord>,
    counts: BTreeMap<(Option<Service>, String), u64>,
    unknown: BTreeMap<String, u64>,
}

impl CallLog {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            records: VecDeque::new(),
            counts: BTreeMap::new(),
            unknown: BTreeMap::new(),
        }
    }

    pub(crate) fn push(&mut self, record: CallRecord) {
        *self
            .counts
            .entry((record.service, record.operation.clone()))
            .or_default() += 1;
        if record.outcome == Outcome::Unknown {
            let service = record.service.map_or("?", Service::signing_scope);
            *self
                .unknown
                .entry(format!("{service}:{}", record.operation))
                .or_default() += 1;
        }
        if self.capacity > 0 {
            if self.records.len() == self.capacity {
                self.records.pop_front();
            }
            self.records.push_back(record);
        }
    }

    /// The kept calls, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &CallRecord> {
        self.records.iter()
    }

    /// Calls of one operation since the beginning, dropped ones included.
    pub fn count(&self, service: Service, operation: &str) -> u64 {
        self.counts
            .get(&(Some(service), operation.to_owned()))
            .copied()
            .unwrap_or(0)
    }

    /// Operations the model does not know, as `service:Operation`, with how often they were called.
    pub fn unknown_operations(&self) -> &BTreeMap<String, u64> {
        &self.unknown
    }

    /// The IAM actions used since the beginning, such as `kinesis:GetRecords`.
    pub fn iam_actions(&self) -> Vec<String> {
        self.counts
            .keys()
            .filter_map(|(service, operation)| {
                let service = (*service)?;
                let action = match (service, operation.as_str()) {
                    (Service::S3, "HeadObject") => "GetObject",
                    (Service::S3, "ListObjectsV2") => "ListBucket",
                    (Service::Sqs, "DeleteMessageBatch") => "DeleteMessage",
                    (Service::Sqs, "SendMessageBatch") => "SendMessage",
                    (Service::Sqs, "ChangeMessageVisibilityBatch") => "ChangeMessageVisibility",
                    (_, operation) => operation,
                };
                Some(format!("{}:{action}", service.iam_prefix()))
            })
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect()
    }
}

/// One call as the service saw it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct CallRecord {
    /// When it came, in Unix milliseconds.
    pub at: u64,
    /// The service, if its signing scope is known.
    pub service: Option<Service>,
    /// The operation's name.
    pub operation: String,
    /// The stream, table, queue or `bucket/key`, if the request names one.
    pub resource: Option<String>,
    /// The access key of the caller: tests give each worker its own.
    pub caller: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a call ended.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Done and answered.
    Done,
    /// Answered with this error code.
    Refused(String),
    /// The request never reached the service.
    RequestLost,
    /// Done, but the answer never reached the caller.
    AnswerLost,
    /// The model does not know the operation; the answer was 501.
    Unknown,
}
