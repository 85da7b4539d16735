//! Chunks, whatever happens to them on the way.
#![expect(
    clippy::unwrap_used,
    reason = "a failure ends the test, also in its support code"
)]

use std::time::Duration;

use forebay_gelf::{ChunkError, Chunks, DatagramSize, Dechunker, MAX_CHUNKS, MessageId};
use proptest::prelude::*;

fn datagrams(payload: &[u8], size: DatagramSize, id: u64) -> Vec<Vec<u8>> {
    let mut chunks = Chunks::new(payload, size, MessageId::from_u64(id)).unwrap();
    let mut all = Vec::with_capacity(chunks.len());
    let mut datagram = Vec::new();
    while chunks.next_into(&mut datagram) {
        all.push(datagram.clone());
    }
    all
}

#[test]
fn chunks_have_this_form() {
    let size = DatagramSize::new(64).unwrap();
    let payload: Vec<u8> = (0..120).collect();
    let all = datagrams(&payload, size, 0x0102_0304_0506_0708);
    insta::assert_debug_snapshot!(all.iter().map(|datagram| (datagram.len(), &datagram[..14])).collect::<Vec<_>>(), @r"
    [
        (
            64,
            [
                30,
                15,
                1,
                2,
                3,
                4,
                5,
                6,
                7,
                8,
                0,
                3,
                0,
                1,
            ],
        ),
        (
            64,
            [
                30,
                15,
                1,
                2,
                3,
                4,
                5,
                6,
                7,
                8,
                1,
                3,
                52,
                53,
            ],
        ),
        (
            28,
            [
                30,
                15,
                1,
                2,
                3,
                4,
                5,
                6,
                7,
                8,
                2,
                3,
                104,
                105,
            ],
        ),
    ]
    ");
    assert_eq!(
        datagrams(&payload[..64], size, 1),
        [payload[..64].to_vec()],
        "what fits travels without a header"
    );
}

#[test]
fn the_129th_chunk_is_refused_before_anything_is_emitted() {
    let size = DatagramSize::WAN;
    let limit = size.longest_payload();
    assert_eq!(datagrams(&vec![1; limit], size, 1).len(), MAX_CHUNKS);
    let error = Chunks::new(&vec![1; limit + 1], size, MessageId::from_u64(1)).unwrap_err();
    assert_eq!(
        error,
        ChunkError::TooLong {
            bytes: limit + 1,
            limit
        }
    );
    assert_eq!(
        Chunks::new(b"", size, MessageId::from_u64(1)).unwrap_err(),
        ChunkError::Empty
    );
    assert!(DatagramSize::new(63).is_err() && DatagramSize::new(65_508).is_err());
}

proptest! {
    #[test]
    fn chunks_of_several_messages_join_in_any_order(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3000), 1..4),
        size in 64..600_u16,
        seed in any::<u64>(),
    ) {
        let size = DatagramSize::new(size).unwrap();
        let mut all = Vec::new();
        for (id, payload) in payloads.iter().enumerate() {
            prop_assume!(payload.len() <= size.longest_payload() && !payload.starts_with(&[0x1e, 0x0f]));
            all.extend(datagrams(payload, size, id as u64));
        }
        let mut state = seed | 1;
        for index in (1..all.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            all.swap(index, (state >> 33) as usize % (index + 1));
        }
        let mut dechunker = Dechunker::default();
        let mut joined = Vec::new();
        for datagram in &all {
            prop_assert!(datagram.len() <= size.get());
            joined.extend(dechunker.accept(datagram, Duration::ZERO).unwrap());
        }
        let mut expected = payloads.clone();
        expected.sort();
        joined.sort();
        prop_assert_eq!(joined, expected);
        prop_assert_eq!(dechunker.open(), 0);
    }

    #[test]
    fn any_datagrams_are_survived(datagrams in prop::collection::vec(any::<Vec<u8>>(), 0..20), with_magic in any::<bool>()) {
        let mut dechunker = Dechunker::default();
        for datagram in datagrams {
            let datagram = if with_magic { [&[0x1e, 0x0f][..], &datagram].concat() } else { datagram };
            let _ = dechunker.accept(&datagram, Duration::ZERO);
        }
        prop_assert!(dechunker.open() <= 20);
    }
}
