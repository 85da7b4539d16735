use std::sync::Arc;

use aws_sdk_kinesis::types::Record as Raw;
use bytes::Bytes;
use forebay_kpl::{HashRange, Splitter};
use forebay_lease::SequenceNumber;

use crate::batch::Record;

/// Turns answers of GetRecords into user records.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    splitter: Splitter,
}

/// What one answer holds for the processor.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) records: Vec<Record>,
    /// Bytes the records keep alive, keys and bookkeeping included.
    pub(crate) bytes: usize,
    /// Bytes of the whole answer as the service counts them: data and partition keys.
    pub(crate) answered: usize,
    /// The last Kinesis record of the answer.
    pub(crate) last: Option<SequenceNumber>,
    /// The last Kinesis record, if nothing of it goes to the processor.
    pub(crate) passed: Option<SequenceNumber>,
    /// Kinesis records left out because their producer sends them to another shard again.
    pub(crate) other_shard: usize,
    /// Kinesis records whose sequence number is no number. They are lost to a position, so reading must stop.
    pub(crate) malformed: Option<String>,
}

/// What to leave out of an answer.
#[derive(Debug)]
pub(crate) struct Filter<'a> {
    /// Split KPL aggregates.
    pub(crate) deaggregate: bool,
    /// The hash range of the shard, if known.
    pub(crate) range: Option<HashRange>,
    /// Everything up to this position is done.
    pub(crate) done: Option<&'a (SequenceNumber, u64)>,
}

impl Reader {
    pub(crate) fn read(&mut self, raw: Vec<Raw>, filter: &Filter<'_>) -> Content {
        let mut content = Content::default();
        content.records.reserve(raw.len());
        for raw in raw {
            content.answered +=
                raw.data.as_ref().len() + raw.partition_key.as_ref().map_or(0, String::len);
            let Ok(number) = raw.sequence_number.parse::<SequenceNumber>() else {
                content.malformed = Some(raw.sequence_number);
                break;
            };
            if filter.done.is_some_and(|done| (number, u64::MAX) <= *done) {
                continue;
            }
            let before = content.records.len();
            self.read_one(raw, &number, filter, &mut content);
            content.passed = (content.records.len() == before).then_some(number);
            content.last = Some(number);
        }
        content
    }

    fn read_one(
        &mut self,
        raw: Raw,
        number: &SequenceNumber,
        filter: &Filter<'_>,
        content: &mut Content,
    ) {
        let data = Bytes::from(raw.data.into_inner());
        let arrival = raw
            .approximate_arrival_timestamp
            .and_then(|time| time.to_millis().ok());
        let plain = |data: Bytes, partition_key: Arc<str>, sub_sequence: u64| Record {
            data,
            sequence_number: *number,
            sub_sequence,
            partition_key,
            explicit_hash_key: None,
            damage: None,
            approximate_arrival: arrival,
        };
        let partition_key: Arc<str> = raw.partition_key.unwrap_or_default().into();
        let mut push = |record: Record| {
            let open = filter.done.is_none_or(|(done, sub)| {
                (&record.sequence_number, record.sub_sequence) > (done, *sub)
            });
            if open {
                content.bytes += record.partition_key.len() + OVERHEAD;
                content.records.push(record);
            }
        };
        let whole = data.len();
        let split = if filter.deaggregate {
            self.splitter.split(&data)
        } else {
            Ok(None)
        };
        match split {
            Ok(None) => push(plain(data, partition_key, 0)),
            Ok(Some(aggregate)) => {
                if filter
                    .range
                    .is_some_and(|range| !aggregate.is_within(&range))
                {
                    content.other_shard += 1;
                    return;
                }
                // Neighbours in an aggregate often share their key.
                let mut last_key: Option<Arc<str>> = None;
                for user in aggregate.records() {
                    match user {
                        Ok(user) => {
                            let text = user.partition_key_lossy();
                            let key = match last_key.take() {
                                Some(last) if *last == *text => last,
                                _ => Arc::from(text.as_ref()),
                            };
                            last_key = Some(Arc::clone(&key));
                            push(Record {
                                explicit_hash_key: user
                                    .explicit_hash_key
                                    .map(|key| String::from_utf8_lossy(key).as_ref().into()),
                                ..plain(data.slice_ref(user.data), key, user.sub_sequence)
                            });
                        }
                        Err(error) => push(Record {
                            damage: Some(error.to_string().into()),
                            ..plain(
                                data.slice_ref(aggregate.raw(&error)),
                                Arc::clone(&partition_key),
                                error.sub_sequence,
                            )
                        }),
                    }
                }
            }
            Err(error) => push(Record {
                damage: Some(error.to_string().into()),
                ..plain(data.clone(), partition_key, 0)
            }),
        }
        content.bytes += whole;
    }
}

/// What a record costs besides its text and payload: the record itself, its position, its mark of acceptance.
const OVERHEAD: usize = 512;

#[cfg(test)]
mod tests {
    use aws_smithy_types::{Blob, DateTime};
    use forebay_kpl::{Aggregator, HashKey};

    use super::*;

    fn raw(number: &str, data: &[u8]) -> Raw {
        Raw::builder()
            .sequence_number(number)
            .partition_key("outer")
            .data(Blob::new(data))
            .approximate_arrival_timestamp(DateTime::from_millis(1_700_000_000_123))
            .build()
            .expect("complete")
    }

    fn aggregate(payloads: &[&str]) -> Vec<u8> {
        let mut aggregator = Aggregator::new(1 << 20);
        for payload in payloads {
            aggregator
                .add("key", None, payload.as_bytes())
                .expect("fits");
        }
        aggregator.finish().expect("not empty")
    }

    fn read(raw: Vec<Raw>, range: Option<HashRange>, done: Option<(&str, u64)>) -> Content {
        let done = done.map(|(number, sub)| (number.parse().expect("a number"), sub));
        Reader::default().read(
            raw,
            &Filter {
                deaggregate: true,
                range,
                done: done.as_ref(),
            },
        )
    }

    fn texts(content: &Content) -> Vec<String> {
        content
            .records
            .iter()
            .map(|r| {
                format!(
                    "{}/{} {}",
                    r.sequence_number,
                    r.sub_sequence,
                    String::from_utf8_lossy(&r.data)
                )
            })
            .collect()
    }

    #[test]
    fn aggregates_are_split_and_plain_records_stay_whole() {
        let content = read(
            vec![raw("9", b"plain"), raw("10", &aggregate(&["a", "b"]))],
            None,
            None,
        );
        assert_eq!(texts(&content), ["9/0 plain", "10/0 a", "10/1 b"]);
        assert_eq!(content.last.map(|n| n.to_string()), Some("10".to_owned()));
        assert_eq!(content.passed, None);
        let sent = b"plain".len() + aggregate(&["a", "b"]).len() + 2 * "outer".len();
        assert_eq!(content.answered, sent);
        assert_eq!(
            content.records[0].approximate_arrival,
            Some(1_700_000_000_123)
        );
        assert_eq!(&*content.records[0].partition_key, "outer");
        assert_eq!(&*content.records[1].partition_key, "key");
    }

    #[test]
    fn what_is_done_is_left_out_up_to_the_sub_sequence() {
        let answer = vec![
            raw("9", b"plain"),
            raw("10", &aggregate(&["a", "b", "c"])),
            raw("11", b"next"),
        ];
        let content = read(answer, None, Some(("10", 1)));
        assert_eq!(texts(&content), ["10/2 c", "11/0 next"]);
    }

    #[test]
    fn an_aggregate_of_another_shard_is_passed_over_whole() {
        let one_key = HashRange::new(HashKey::MIN, HashKey::MIN);
        let content = read(
            vec![raw("9", b"plain"), raw("10", &aggregate(&["a"]))],
            one_key,
            None,
        );
        assert_eq!(texts(&content), ["9/0 plain"]);
        assert_eq!(content.other_shard, 1);
        assert_eq!(content.passed.map(|n| n.to_string()), Some("10".to_owned()));
    }

    #[test]
    fn a_malformed_number_ends_the_answer() {
        let content = read(
            vec![raw("9", b"a"), raw("x", b"b"), raw("11", b"c")],
            None,
            None,
        );
        assert_eq!(texts(&content), ["9/0 a"]);
        assert_eq!(content.malformed.as_deref(), Some("x"));
    }
}
