//! Aggregates, sound and with each defect, judged by `prost` where an independent reader or writer is needed.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use forebay_kpl::{
    Aggregator, Error, HashKey, HashRange, Limits, PlainReason, RecordProblem, Splitter,
    UserRecord, is_candidate,
};
use md5::{Digest, Md5};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;

const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];

/// The messages of the producer library as its documentation gives them, for the independent reader.
mod messages {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct AggregatedRecord {
        #[prost(string, repeated, tag = "1")]
        pub(crate) partition_key_table: Vec<String>,
        #[prost(string, repeated, tag = "2")]
        pub(crate) explicit_hash_key_table: Vec<String>,
        #[prost(message, repeated, tag = "3")]
        pub(crate) records: Vec<Record>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Record {
        #[prost(uint64, required, tag = "1")]
        pub(crate) partition_key_index: u64,
        #[prost(uint64, optional, tag = "2")]
        pub(crate) explicit_hash_key_index: Option<u64>,
        #[prost(bytes = "vec", required, tag = "3")]
        pub(crate) data: Vec<u8>,
        #[prost(message, repeated, tag = "4")]
        pub(crate) tags: Vec<Tag>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Tag {
        #[prost(string, required, tag = "1")]
        pub(crate) key: String,
        #[prost(string, optional, tag = "2")]
        pub(crate) value: Option<String>,
    }
}

use messages::{AggregatedRecord, Record, Tag};

/// Wraps a message with magic and digest.
fn sealed(message: &[u8]) -> Vec<u8> {
    [&MAGIC[..], message, &Md5::digest(message)].concat()
}

fn record(partition_key_index: u64, explicit_hash_key_index: Option<u64>, data: &[u8]) -> Record {
    Record {
        partition_key_index,
        explicit_hash_key_index,
        data: data.to_vec(),
        tags: Vec::new(),
    }
}

fn three() -> AggregatedRecord {
    AggregatedRecord {
        partition_key_table: vec!["a".into(), "b".into()],
        explicit_hash_key_table: vec!["5".into()],
        records: vec![
            record(0, None, b"first"),
            record(1, Some(0), b""),
            record(0, None, b"third"),
        ],
    }
}

/// What a user record holds, owned.
type Owned = (u64, Vec<u8>, Option<Vec<u8>>, Vec<u8>);

fn owned(record: UserRecord<'_>) -> Owned {
    let explicit = record.explicit_hash_key.map(<[u8]>::to_vec);
    (
        record.sub_sequence,
        record.partition_key.to_vec(),
        explicit,
        record.data.to_vec(),
    )
}

fn split(blob: &[u8]) -> Option<Vec<Owned>> {
    let mut splitter = Splitter::new();
    let aggregate = splitter.split(blob).unwrap()?;
    Some(
        aggregate
            .records()
            .map(|record| owned(record.unwrap()))
            .collect(),
    )
}

fn reason(blob: &[u8]) -> Option<PlainReason> {
    let mut splitter = Splitter::new();
    let reason = splitter.plain_reason(blob);
    assert_eq!(splitter.split(blob).unwrap().is_none(), reason.is_some());
    reason
}

#[test]
fn user_records_come_out_as_they_were_put() {
    let found = split(&sealed(&three().encode_to_vec())).unwrap();
    assert_eq!(
        found,
        [
            (0, b"a".to_vec(), None, b"first".to_vec()),
            (1, b"b".to_vec(), Some(b"5".to_vec()), Vec::new()),
            (2, b"a".to_vec(), None, b"third".to_vec()),
        ]
    );
}

#[test]
fn what_only_looks_aggregated_is_plain() {
    let message = three().encode_to_vec();
    let blob = sealed(&message);
    let malformed = |offset| Some(PlainReason::Message { offset });
    let cases: Vec<(&str, Vec<u8>, Option<PlainReason>)> = vec![
        ("empty", vec![], Some(PlainReason::Magic)),
        (
            "part of the magic",
            MAGIC[..3].to_vec(),
            Some(PlainReason::Magic),
        ),
        ("text", b"hello".to_vec(), Some(PlainReason::Magic)),
        ("gzip", b"\x1f\x8b\x08".to_vec(), Some(PlainReason::Magic)),
        ("magic alone", MAGIC.to_vec(), Some(PlainReason::Short)),
        ("digest of nothing", sealed(b""), Some(PlainReason::Short)),
        (
            "no message but 15 bytes",
            [&MAGIC[..], &[0; 15]].concat(),
            Some(PlainReason::Short),
        ),
        (
            "cut",
            blob[..blob.len() - 1].to_vec(),
            Some(PlainReason::Digest),
        ),
        (
            "longer",
            [&blob[..], b"x"].concat(),
            Some(PlainReason::Digest),
        ),
        (
            "another digest",
            [&MAGIC[..], &message, &[0; 16]].concat(),
            Some(PlainReason::Digest),
        ),
        ("field number zero", sealed(b"\x00\x00"), malformed(4)),
        (
            "length beyond the end",
            sealed(b"\x0a\x05abc"),
            malformed(5),
        ),
        (
            "a billion bytes announced",
            sealed(b"\x1a\x80\x94\xeb\xdc\x03x"),
            malformed(5),
        ),
        ("endless number", sealed(&[0xff; 12]), malformed(4)),
        (
            "record without data",
            sealed(b"\x1a\x02\x08\x00"),
            malformed(6),
        ),
        (
            "record without partition key",
            sealed(b"\x1a\x02\x1a\x00"),
            malformed(6),
        ),
        (
            "tag without key",
            sealed(b"\x1a\x06\x08\x00\x1a\x00\x22\x00"),
            malformed(12),
        ),
        (
            "end of a group that never began",
            sealed(b"\x0c"),
            malformed(4),
        ),
        ("the aggregate itself", blob, None),
        (
            "tag with key",
            sealed(b"\x1a\x09\x08\x00\x1a\x00\x22\x03\x0a\x01k"),
            None,
        ),
        (
            "unknown fields",
            sealed(b"\x2a\x01x\x30\x05\x39abcdefgh\x45abcd\x4b\x08\x01\x4c"),
            None,
        ),
        (
            "known field of another type",
            sealed(b"\x08\x05\x18\x05"),
            None,
        ),
    ];
    for (name, blob, expected) in cases {
        assert_eq!(reason(&blob), expected, "{name}");
    }
}

#[test]
fn an_aggregate_may_hold_nothing() {
    let blob = sealed(b"\x0a\x01a");
    assert_eq!(split(&blob), Some(vec![]));
    assert!(is_candidate(&blob) && !is_candidate(b"\xF3\x89\x9A"));
}

#[test]
fn tables_may_follow_the_records() {
    let message = b"\x1a\x06\x08\x00\x1a\x02hi\x0a\x03key";
    assert_eq!(
        split(&sealed(message)).unwrap(),
        [(0, b"key".to_vec(), None, b"hi".to_vec())]
    );
}

#[test]
fn of_repeated_fields_the_last_counts() {
    let message = b"\x1a\x0c\x08\x07\x1a\x02no\x08\x00\x1a\x02hi\x0a\x03key";
    assert_eq!(
        split(&sealed(message)).unwrap(),
        [(0, b"key".to_vec(), None, b"hi".to_vec())]
    );
}

#[test]
fn a_bad_table_index_costs_only_that_user_record() {
    let mut aggregated = three();
    aggregated.records[1] = record(2, None, b"lost");
    aggregated.records.push(record(0, Some(1), b"lost too"));
    aggregated.records.push(record(u64::MAX, None, b""));
    aggregated.records.push(record(1, None, b"last"));
    let blob = sealed(&aggregated.encode_to_vec());
    let mut splitter = Splitter::new();
    let aggregate = splitter.split(&blob).unwrap().unwrap();
    assert_eq!(aggregate.len(), 6);
    let found: Vec<_> = aggregate.records().collect();
    let good: Vec<_> = found
        .iter()
        .flatten()
        .map(|record| (record.sub_sequence, record.data))
        .collect();
    assert_eq!(good, [(0, &b"first"[..]), (2, b"third"), (5, b"last")]);
    let bad: Vec<_> = found.iter().filter_map(|record| record.err()).collect();
    assert_eq!(
        bad[0].problem,
        RecordProblem::PartitionKeyIndex { index: 2, table: 2 }
    );
    assert_eq!(
        bad[1].problem,
        RecordProblem::ExplicitHashKeyIndex { index: 1, table: 1 }
    );
    assert_eq!(
        bad[2].problem,
        RecordProblem::PartitionKeyIndex {
            index: u64::MAX,
            table: 2
        }
    );
    // What is kept apart is the user record, readable on its own.
    assert_eq!(
        Record::decode(aggregate.raw(&bad[1])).unwrap().data,
        b"lost too"
    );
    assert_eq!(
        bad[0].to_string(),
        "user record 1 at byte 26 names partition key 2, but the table has 2"
    );
}

#[test]
fn tags_are_skipped() {
    let mut aggregated = three();
    aggregated.records[0].tags = vec![
        Tag {
            key: "k".into(),
            value: Some("v".into())
        };
        3
    ];
    assert_eq!(
        split(&sealed(&aggregated.encode_to_vec())),
        split(&sealed(&three().encode_to_vec()))
    );
}

#[test]
fn numbers_of_records_and_keys_are_limited() {
    let blob = sealed(&three().encode_to_vec());
    let with = |limit| {
        Splitter::with_limits(Limits::default().with_user_records(limit))
            .split(&blob)
            .map(|found| found.is_some())
    };
    assert_eq!(with(3), Ok(true));
    let Err(Error::Limit {
        what: "user records",
        limit: 2,
        offset,
    }) = with(2)
    else {
        panic!("{:?}", with(2))
    };
    assert_eq!(offset, blob.len() - 16 - b"\x08\x00\x1a\x05third".len());
    assert!(matches!(
        with(1),
        Err(Error::Limit {
            what: "partition keys",
            limit: 1,
            ..
        })
    ));
    // The smallest user records there are.
    let many = sealed(&b"\x1a\x04\x08\x00\x1a\x00".repeat(100_001));
    assert!(matches!(
        Splitter::new().split(&many),
        Err(Error::Limit { limit: 100_000, .. })
    ));
    assert_eq!(Splitter::new().plain_reason(&many), None);
}

#[test]
fn one_user_record_outside_the_range_drops_all() {
    // MD5("a") begins with 0c, MD5("b") with 92.
    let middle = 1u128 << 127;
    let lower = HashRange::new(HashKey::MIN, HashKey::new(middle - 1)).unwrap();
    let upper = HashRange::new(HashKey::new(middle), HashKey::MAX).unwrap();
    let within = |records: &[(&str, Option<u128>)], range: &HashRange| {
        let mut aggregator = Aggregator::new(1 << 20);
        for (key, explicit) in records {
            aggregator
                .add(key, explicit.map(HashKey::new), b"")
                .unwrap();
        }
        let blob = aggregator.finish().unwrap();
        Splitter::new()
            .split(&blob)
            .unwrap()
            .unwrap()
            .is_within(range)
    };
    type Put<'a> = &'a [(&'a str, Option<u128>)];
    let cases: &[(Put<'_>, bool, bool)] = &[
        (&[("a", None)], true, false),
        (&[("b", None)], false, true),
        (&[("a", None), ("a", None)], true, false),
        (&[("a", None), ("b", None)], false, false),
        (&[("a", None), ("a", Some(middle))], false, false),
        (&[("b", Some(0)), ("a", None)], true, false),
        // An explicit key leaves no trace on the next record with the same partition key.
        (&[("b", Some(0)), ("b", None)], false, false),
        (&[("b", Some(middle - 1))], true, false),
        (&[("a", Some(middle))], false, true),
        (&[("a", Some(u128::MAX))], false, true),
    ];
    for (records, in_lower, in_upper) in cases {
        assert_eq!(within(records, &lower), *in_lower, "{records:?}");
        assert_eq!(within(records, &upper), *in_upper, "{records:?}");
        assert!(within(records, &HashRange::ALL));
    }
}

#[test]
fn user_records_without_a_hash_key_have_no_say() {
    let mut aggregated = three();
    aggregated.explicit_hash_key_table[0] = "not a number".into();
    aggregated.records.push(record(9, None, b""));
    let blob = sealed(&aggregated.encode_to_vec());
    let mut splitter = Splitter::new();
    let aggregate = splitter.split(&blob).unwrap().unwrap();
    let around_a = HashKey::of_partition_key(b"a");
    assert!(aggregate.is_within(&HashRange::new(around_a, around_a).unwrap()));
    assert!(
        aggregate
            .records()
            .nth(1)
            .unwrap()
            .unwrap()
            .effective_hash_key()
            .is_err()
    );
}

#[test]
fn a_full_aggregator_takes_nothing_more() {
    let mut aggregator = Aggregator::new(64);
    aggregator.add("key", None, &[1; 20]).unwrap();
    let before = aggregator.encoded_len();
    let full = aggregator
        .add("other key", Some(HashKey::MAX), &[2; 20])
        .unwrap_err();
    assert_eq!(full.limit, 64);
    assert!(full.needed > 64);
    assert_eq!((aggregator.len(), aggregator.encoded_len()), (1, before));
    assert_eq!(
        (aggregator.partition_key(), aggregator.explicit_hash_key()),
        (Some("key"), None)
    );
    let blob = aggregator.finish().unwrap();
    assert_eq!(blob.len(), before);
    assert_eq!(split(&blob).unwrap().len(), 1);
    // It is empty again, and its tables too.
    assert!(
        aggregator.is_empty()
            && aggregator.finish().is_none()
            && aggregator.partition_key().is_none()
    );
    aggregator.add("new", None, b"x").unwrap();
    assert_eq!(split(&aggregator.finish().unwrap()).unwrap()[0].1, b"new");
}

#[test]
fn nothing_is_allocated_once_warm() {
    let mut aggregator = Aggregator::new(1 << 20);
    for n in 0..500u128 {
        aggregator
            .add(
                &format!("key {}", n % 50),
                (n % 3 == 0).then(|| HashKey::new(n)),
                &[7; 100],
            )
            .unwrap();
    }
    let blob = aggregator.finish().unwrap();
    let range = HashRange::new(HashKey::MIN, HashKey::new(u128::MAX - 1)).unwrap();
    let mut splitter = Splitter::new();
    splitter.split(&blob).unwrap();
    let mut bytes = 0;
    let info = allocation_counter::measure(|| {
        for _ in 0..5 {
            let aggregate = splitter.split(&blob).unwrap().unwrap();
            assert!(aggregate.is_within(&range));
            bytes += aggregate
                .records()
                .map(|record| record.unwrap().data.len())
                .sum::<usize>();
        }
    });
    assert_eq!(info.count_total, 0, "{info:?}");
    assert_eq!(bytes, 5 * 500 * 100);
}

fn user_records() -> impl Strategy<Value = Vec<(String, Option<u128>, Vec<u8>)>> {
    vec(
        (
            "[a-c]{0,2}|\\PC{0,20}",
            proptest::option::of(any::<u128>()),
            vec(any::<u8>(), 0..300),
        ),
        1..20,
    )
}

proptest! {
    #[test]
    fn aggregates_read_back(records in user_records()) {
        let mut aggregator = Aggregator::new(usize::MAX);
        for (key, explicit, data) in &records {
            aggregator.add(key, explicit.map(HashKey::new), data).unwrap();
        }
        let len = aggregator.encoded_len();
        let blob = aggregator.finish().unwrap();
        prop_assert_eq!(blob.len(), len);
        let expected: Vec<Owned> = records
            .iter()
            .zip(0..)
            .map(|((key, explicit, data), n)| {
                (n, key.clone().into_bytes(), explicit.map(|explicit| explicit.to_string().into_bytes()), data.clone())
            })
            .collect();
        prop_assert_eq!(split(&blob).unwrap(), expected);

        // And the independent reader agrees, byte for byte.
        let message = &blob[4..blob.len() - 16];
        let decoded = AggregatedRecord::decode(message).unwrap();
        prop_assert_eq!(decoded.records.len(), records.len());
        for (found, (key, explicit, data)) in decoded.records.iter().zip(&records) {
            prop_assert_eq!(&decoded.partition_key_table[found.partition_key_index as usize], key);
            let found_explicit = found.explicit_hash_key_index.map(|n| decoded.explicit_hash_key_table[n as usize].clone());
            prop_assert_eq!(found_explicit, explicit.map(|explicit| explicit.to_string()));
            prop_assert_eq!(&found.data, data);
        }
        let again = decoded.encode_to_vec();
        prop_assert_eq!(&again[..], message);
    }

    #[test]
    fn what_prost_writes_is_read(
        keys in vec("\\PC{0,10}", 1..5),
        hashes in vec(any::<u128>(), 1..3),
        picks in vec((any::<Index>(), proptest::option::of(any::<Index>()), vec(any::<u8>(), 0..50), 0..3usize), 0..20),
    ) {
        let aggregated = AggregatedRecord {
            records: picks
                .iter()
                .map(|(key, hash, data, tags)| Record {
                    partition_key_index: key.index(keys.len()) as u64,
                    explicit_hash_key_index: hash.map(|hash| hash.index(hashes.len()) as u64),
                    data: data.clone(),
                    tags: vec![Tag { key: "t".into(), value: None }; *tags],
                })
                .collect(),
            partition_key_table: keys.clone(),
            explicit_hash_key_table: hashes.iter().map(u128::to_string).collect(),
        };
        let expected: Vec<Owned> = picks
            .iter()
            .zip(0..)
            .map(|((key, hash, data, _), n)| {
                let hash = hash.map(|hash| hashes[hash.index(hashes.len())].to_string().into_bytes());
                (n, keys[key.index(keys.len())].clone().into_bytes(), hash, data.clone())
            })
            .collect();
        prop_assert_eq!(split(&sealed(&aggregated.encode_to_vec())), Some(expected));
    }

    #[test]
    fn a_changed_byte_makes_a_plain_record(records in user_records(), at in any::<Index>(), flip in 1..=255u8) {
        let mut aggregator = Aggregator::new(usize::MAX);
        for (key, _, data) in &records {
            aggregator.add(key, None, data).unwrap();
        }
        let mut blob = aggregator.finish().unwrap();
        let at = at.index(blob.len());
        blob[at] ^= flip;
        prop_assert!(matches!(reason(&blob), Some(PlainReason::Magic | PlainReason::Digest)));
    }

    #[test]
    fn arbitrary_messages_never_panic(message in vec(any::<u8>(), 0..200)) {
        let blob = sealed(&message);
        let mut splitter = Splitter::new();
        let sound = match splitter.split(&blob) {
            Ok(Some(aggregate)) => {
                let range = HashRange::new(HashKey::new(5), HashKey::new(500)).unwrap();
                std::hint::black_box(aggregate.is_within(&range));
                aggregate.records().for_each(|record| match record {
                    Ok(record) => assert!(record.data.len() <= blob.len()),
                    Err(error) => assert!(!aggregate.raw(&error).is_empty()),
                });
                true
            }
            _ => false,
        };
        // prost is stricter about types and text, so its yes must be ours, apart from fields it does not require.
        if let Ok(decoded) = AggregatedRecord::decode(&message[..]) {
            prop_assert!(sound || message.is_empty() || !decoded.records.is_empty());
        }
    }
}
