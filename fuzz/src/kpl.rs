//! Targets of `forebay-kpl`.

use std::cell::RefCell;

use forebay_kpl::{Aggregator, HashKey, HashRange, Limits, Splitter};
use md5::{Digest, Md5};

/// Target `kpl_record`: a record as it is, the same bytes as a message with the right magic and digest, and as the
/// data of user records that are packed and split again.
pub fn record(data: &[u8]) {
    thread_local! {
        static SPLITTER: RefCell<Splitter> = RefCell::new(Splitter::with_limits(Limits::default().with_user_records(64)));
    }
    SPLITTER.with_borrow_mut(|splitter| {
        exhaust(splitter, data);
        let digest = Md5::digest(data);
        exhaust(splitter, &[&MAGIC[..], data, &digest].concat());
        round_trip(splitter, data);
    });
}

fn exhaust(splitter: &mut Splitter, blob: &[u8]) {
    let reason = splitter.plain_reason(blob);
    let Ok(split) = splitter.split(blob) else {
        return assert_eq!(reason, None);
    };
    assert_eq!(split.is_none(), reason.is_some());
    let Some(aggregate) = split else { return };
    let lower = lower_half();
    let mut all_within = true;
    let mut count = 0;
    for record in aggregate.records() {
        match record {
            Ok(record) => {
                assert_eq!(record.sub_sequence, count);
                if let Ok(key) = record.effective_hash_key() {
                    all_within &= key.get() < 1 << 127;
                }
            }
            Err(error) => {
                assert_eq!(error.sub_sequence, count);
                assert_eq!(aggregate.raw(&error).len(), error.len);
            }
        }
        count += 1;
    }
    assert_eq!(aggregate.len() as u64, count);
    assert_eq!(aggregate.is_within(&lower), all_within);
}

/// Cuts the input into user records, each with a key made of its first byte.
fn round_trip(splitter: &mut Splitter, data: &[u8]) {
    let mut aggregator = Aggregator::new(usize::MAX);
    let pieces: Vec<&[u8]> = data.chunks(17).take(64).collect();
    for piece in &pieces {
        let (key, explicit) = keys(piece);
        aggregator
            .add(&key, explicit, piece)
            .expect("there is no limit");
    }
    let expected = aggregator.encoded_len();
    let Some(blob) = aggregator.finish() else {
        return assert!(data.is_empty());
    };
    assert_eq!(blob.len(), expected);
    let aggregate = splitter
        .split(&blob)
        .expect("within the limits")
        .expect("an aggregate");
    assert_eq!(aggregate.len(), pieces.len());
    for (record, piece) in aggregate.records().zip(&pieces) {
        let record = record.expect("our own indexes are sound");
        let (key, explicit) = keys(piece);
        assert_eq!(
            (record.data, record.partition_key),
            (*piece, key.as_bytes())
        );
        assert_eq!(
            record.explicit_hash_key,
            explicit
                .map(|key| key.to_string())
                .as_deref()
                .map(str::as_bytes)
        );
    }
}

fn keys(piece: &[u8]) -> (String, Option<HashKey>) {
    let first = piece.first().copied().unwrap_or_default();
    (
        format!("key {}", first % 7),
        (first % 3 == 0).then(|| HashKey::new(u128::from(first) << 120)),
    )
}

fn lower_half() -> HashRange {
    HashRange::new(HashKey::MIN, HashKey::new((1 << 127) - 1)).expect("the ends are in order")
}

const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];

/// Inputs to start from: whole records, and messages without magic and digest.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut aggregator = Aggregator::new(1 << 20);
    for n in 0..6u8 {
        let explicit = (n % 2 == 0).then(|| HashKey::new(u128::from(n) << 120));
        aggregator
            .add(&format!("key {}", n % 3), explicit, &[n; 20])
            .expect("there is room");
    }
    let blob = aggregator.finish().expect("six records were added");
    let message = blob[MAGIC.len()..blob.len() - 16].to_vec();
    let tags = b"\x0a\x01k\x1a\x0f\x08\x00\x1a\x02hi\x22\x03\x0a\x01t\x22\x02\x0a\x00".to_vec();
    let groups =
        b"\x0a\x01k\x4b\x13\x08\x01\x14\x4c\x1a\x06\x08\x00\x1a\x02hi\x39abcdefgh\x45abcd".to_vec();
    vec![
        blob,
        message,
        tags,
        groups,
        b"plain text".to_vec(),
        MAGIC.to_vec(),
    ]
}
