//! Gzip, zlib and base64, whole, damaged and malicious. The outcome is the same with both inflaters.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;

use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flate2::{Compression, Crc, GzBuilder};
use forebay_cwlogs::{Damage, Decoder, Error, Limit, Limits};

const ONE: &str = r#"{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"s","subscriptionFilters":[],"logEvents":[{"id":"7","timestamp":1763029869851,"message":"hello"}]}"#;

const MIB: usize = 1024 * 1024;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Decodes and returns the messages of all payloads.
fn messages(decoder: &mut Decoder, input: &[u8]) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    for payload in decoder.decode(input)? {
        found.extend(
            payload?
                .events()
                .map(|event| event.unwrap().message().to_string()),
        );
    }
    Ok(found)
}

fn decode(input: &[u8]) -> Result<Vec<String>, Error> {
    messages(&mut Decoder::new(), input)
}

fn damage(input: &[u8]) -> (Damage, usize) {
    match decode(input) {
        Err(Error::Corrupt { damage, at, .. }) => (damage, at),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_compressed_form_is_recognised() {
    let one = ONE.as_bytes();
    assert_eq!(decode(&gzip(one)).unwrap(), ["hello"]);
    assert_eq!(decode(&zlib(one)).unwrap(), ["hello"]);
    assert_eq!(
        decode(&gzip(ONE.repeat(3).as_bytes())).unwrap(),
        ["hello"; 3]
    );
    let padded = [gzip(one), vec![0; 100]].concat();
    assert_eq!(decode(&padded).unwrap(), ["hello"]);
    let padded = [zlib(one), vec![0; 3]].concat();
    assert_eq!(decode(&padded).unwrap(), ["hello"]);
}

#[test]
fn all_members_are_read() {
    // Equal members are the case in which the end of the input fits the first member too.
    assert_eq!(
        decode(&gzip(ONE.as_bytes()).repeat(3)).unwrap(),
        ["hello"; 3]
    );
    let (first, second) = ONE.split_at(40);
    assert_eq!(
        decode(&[gzip(first.as_bytes()), gzip(b""), gzip(second.as_bytes())].concat()).unwrap(),
        ["hello"]
    );
    let many: Vec<u8> = (0..300)
        .flat_map(|n| gzip(ONE.replace("hello", &n.to_string()).as_bytes()))
        .collect();
    let expected: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    assert_eq!(decode(&many).unwrap(), expected);
}

#[test]
fn line_ends_that_firehose_puts_behind_members_are_passed_over() {
    let one = gzip(ONE.as_bytes());
    for delimiter in ["\n", "\r\n"] {
        let delimited = [&one, delimiter.as_bytes()].concat();
        assert_eq!(decode(&delimited).unwrap(), ["hello"]);
        assert_eq!(decode(&delimited.repeat(3)).unwrap(), ["hello"; 3]);
        let padded = [delimited.repeat(2), vec![0; 5]].concat();
        assert_eq!(decode(&padded).unwrap(), ["hello"; 2]);
    }
    // Anything else behind a line end is reported where it begins.
    let trailing = [&one, &b"\nx"[..]].concat();
    assert_eq!(damage(&trailing), (Damage::TrailingBytes, one.len() + 1));
}

#[test]
fn plain_text_that_begins_like_zlib_is_no_damage() {
    // `x` and a blank pass the checksum of a zlib header, but announce a dictionary that no producer of logs uses.
    for text in ["x = 1", "x? no", "x}"] {
        assert!(
            matches!(decode(text.as_bytes()), Err(Error::NotAnEnvelope { at: 0 })),
            "{text}"
        );
    }
}

#[test]
fn headers_may_hold_what_rfc_1952_allows() {
    let full = GzBuilder::new()
        .filename("a.log")
        .comment("why")
        .extra(vec![1, 2, 3])
        .mtime(5);
    let mut encoder = full.write(Vec::new(), Compression::new(6));
    encoder.write_all(ONE.as_bytes()).unwrap();
    let full = encoder.finish().unwrap();
    assert_eq!(decode(&full).unwrap(), ["hello"]);
    for end in 0..full.len() {
        assert!(decode(&full[..end]).is_err(), "cut at {end}");
    }

    // With a checksum of the header, which common encoders do not write.
    let plain = gzip(ONE.as_bytes());
    let mut header = plain[..10].to_vec();
    header[3] |= 2;
    let mut crc = Crc::new();
    crc.update(&header);
    let with_checksum = |sum: u16| [&header, &sum.to_le_bytes()[..], &plain[10..]].concat();
    assert_eq!(decode(&with_checksum(crc.sum() as u16)).unwrap(), ["hello"]);
    assert_eq!(
        damage(&with_checksum(crc.sum() as u16 ^ 1)),
        (Damage::Header, 10)
    );

    let with = |at: usize, value: u8| {
        let mut changed = plain.clone();
        changed[at] = value;
        changed
    };
    assert_eq!(damage(&with(2, 7)), (Damage::Header, 2));
    assert_eq!(damage(&with(3, 0x20)), (Damage::Header, 3));
}

#[test]
fn damage_is_named_with_its_place() {
    let plain = gzip(ONE.as_bytes());
    let with = |at: usize| {
        let mut changed = plain.clone();
        changed[at] ^= 0xff;
        changed
    };
    let end = plain.len();
    assert_eq!(damage(&with(end - 8)), (Damage::Checksum, end - 8));
    assert_eq!(damage(&with(end - 1)), (Damage::Length, end - 4));
    assert_eq!(
        damage(&[&plain, &b"xyz"[..]].concat()),
        (Damage::TrailingBytes, end)
    );
    assert_eq!(
        damage(&[&plain, &plain[..5]].concat()),
        (Damage::Truncated, end + 5)
    );
    assert_eq!(
        damage(&[&zlib(ONE.as_bytes())[..], b"x"].concat()).0,
        Damage::TrailingBytes
    );
    // An invalid block type right at the beginning of the stream.
    let mut bad_block = plain.clone();
    bad_block[10] = 0xff;
    let (what, at) = damage(&bad_block);
    assert!(
        what == Damage::Stream && (10..=12).contains(&at),
        "{what:?} at {at}"
    );
    for cut in 2..end {
        assert_eq!(
            damage(&plain[..cut]),
            (Damage::Truncated, cut),
            "cut at {cut}"
        );
    }
}

#[test]
fn zlib_damage_is_an_error() {
    let plain = zlib(ONE.as_bytes());
    for cut in 2..plain.len() {
        assert!(
            matches!(decode(&plain[..cut]), Err(Error::Corrupt { .. })),
            "cut at {cut}"
        );
    }
    let mut changed = plain.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert!(matches!(decode(&changed), Err(Error::Corrupt { .. })));
}

#[test]
fn a_decoder_goes_on_after_a_failure() {
    let mut decoder = Decoder::new();
    let good = gzip(ONE.as_bytes());
    for bad in [
        &good[..20],
        &b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00\xff\xff"[..],
        b"",
        b"x",
        &zlib(b"{")[..],
    ] {
        assert!(messages(&mut decoder, bad).is_err());
        assert_eq!(messages(&mut decoder, &good).unwrap(), ["hello"]);
        assert_eq!(
            messages(&mut decoder, &zlib(ONE.as_bytes())).unwrap(),
            ["hello"]
        );
    }
}

#[test]
fn layers_are_limited() {
    let twice = gzip(&gzip(ONE.as_bytes()));
    assert!(matches!(
        decode(&twice),
        Err(Error::Limit {
            what: Limit::Layers,
            limit: 1,
            ..
        })
    ));
    let mut two = Decoder::with_limits(Limits::default().with_layers(2));
    assert_eq!(messages(&mut two, &twice).unwrap(), ["hello"]);
    assert_eq!(
        messages(&mut two, &gzip(&zlib(ONE.as_bytes()))).unwrap(),
        ["hello"]
    );
    assert!(matches!(
        messages(&mut two, &gzip(&twice)),
        Err(Error::Limit {
            what: Limit::Layers,
            limit: 2,
            ..
        })
    ));
    let mut none = Decoder::with_limits(Limits::default().with_layers(0));
    assert!(messages(&mut none, &gzip(ONE.as_bytes())).is_err());
    assert_eq!(messages(&mut none, ONE.as_bytes()).unwrap(), ["hello"]);
}

#[test]
fn members_are_limited() {
    let mut decoder = Decoder::with_limits(Limits::default().with_members(3));
    let member = gzip(ONE.as_bytes());
    assert_eq!(messages(&mut decoder, &member.repeat(3)).unwrap().len(), 3);
    let error = messages(&mut decoder, &member.repeat(4)).unwrap_err();
    assert_eq!(
        error,
        Error::Limit {
            what: Limit::Members,
            limit: 3,
            at: 3 * member.len()
        }
    );
    let empty = gzip(b"");
    assert!(matches!(
        decode(&empty.repeat(1025)),
        Err(Error::Limit {
            what: Limit::Members,
            limit: 1024,
            ..
        })
    ));
}

/// Deflate of `len` zeros at about 1,030:1.
fn zeros(len: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let chunk = vec![b' '; MIB];
    for _ in 0..len / MIB {
        encoder.write_all(&chunk).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let bomb = zeros(48 * MIB);
    let mut decoder = Decoder::with_limits(Limits::default().with_inflate_ratio(2000));
    let info = allocation_counter::measure(|| {
        let error = messages(&mut decoder, &bomb).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Limit {
                    what: Limit::InflatedBytes,
                    limit: 33_554_432,
                    ..
                }
            ),
            "{error:?}"
        );
    });
    // What counts is what stays; a buffer that moves while it grows is counted twice by the allocator.
    assert!(
        decoder.buffer_bytes() <= 32 * MIB,
        "{}",
        decoder.buffer_bytes()
    );
    assert!(info.bytes_max <= 64 * MIB as u64, "{info:?}");
    decoder.shrink_to(MIB);
    assert!(decoder.buffer_bytes() <= MIB);
    assert_eq!(
        messages(&mut decoder, &gzip(ONE.as_bytes())).unwrap(),
        ["hello"]
    );
}

#[test]
fn the_ratio_is_limited_beyond_what_is_free() {
    // 12 MiB out of 12 KiB; with 8 MiB free, 250 times the input is far less.
    let bomb = zeros(12 * MIB);
    assert!(matches!(
        decode(&bomb),
        Err(Error::Limit {
            what: Limit::InflateRatio,
            limit: 250,
            ..
        })
    ));
    // Less than what is free may have any ratio.
    assert_eq!(decode(&zeros(7 * MIB)), Err(Error::Empty));
    let free = Limits::default().with_inflate_ratio(2000);
    assert_eq!(
        messages(&mut Decoder::with_limits(free), &bomb),
        Err(Error::Empty)
    );
    let strict = Limits::default().with_ratio_free_bytes(0);
    assert_eq!(
        messages(&mut Decoder::with_limits(strict), &gzip(ONE.as_bytes())).unwrap(),
        ["hello"]
    );
    assert!(messages(&mut Decoder::with_limits(strict), &zeros(MIB)).is_err());
}

#[test]
fn the_limit_is_exact() {
    let mut text = ONE.as_bytes().to_vec();
    for padding in [0, 1, 7, 64 * 1024, MIB] {
        text.resize(ONE.len() + padding, b' ');
        for input in [gzip(&text), zlib(&text), text.clone()] {
            let decode_with = |bytes| {
                let limits = Limits::default()
                    .with_inflated_bytes(bytes)
                    .with_inflate_ratio(usize::MAX);
                messages(&mut Decoder::with_limits(limits), &input)
            };
            assert_eq!(decode_with(text.len()).unwrap(), ["hello"]);
            let error = decode_with(text.len() - 1).unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::Limit {
                        what: Limit::InflatedBytes,
                        ..
                    }
                ),
                "{error:?}"
            );
        }
    }
}

#[test]
fn a_false_length_does_not_allocate() {
    let mut liar = gzip(ONE.as_bytes());
    let end = liar.len();
    liar[end - 4..].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut decoder = Decoder::new();
    assert!(matches!(
        messages(&mut decoder, &liar),
        Err(Error::Corrupt {
            damage: Damage::Length,
            ..
        })
    ));
    assert!(
        decoder.buffer_bytes() < 128 * 1024,
        "{}",
        decoder.buffer_bytes()
    );
    // And a length that is too short does not hide what follows.
    liar[end - 4..].copy_from_slice(&3u32.to_le_bytes());
    assert!(matches!(
        messages(&mut decoder, &liar),
        Err(Error::Corrupt {
            damage: Damage::Length,
            ..
        })
    ));
}

#[test]
fn the_next_member_is_found_whatever_stands_in_the_first() {
    // A stored block may hold the magic of a member without being one.
    let stored = |text: &[u8]| {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::none());
        encoder.write_all(text).unwrap();
        let mut crc = Crc::new();
        crc.update(text);
        [
            &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0][..],
            &encoder.finish().unwrap(),
            &crc.sum().to_le_bytes(),
            &(text.len() as u32).to_le_bytes(),
        ]
        .concat()
    };
    let mut with_magic = ONE.as_bytes().to_vec();
    let at = ONE.find("hello").unwrap();
    with_magic.splice(at..at, [0x1f, 0x8b, 0x08]);
    // The control characters make it a bad event, but the member must come out whole and be followed by the next.
    let input = [stored(&with_magic), stored(ONE.as_bytes())].concat();
    let mut decoder = Decoder::new();
    let payloads: Vec<_> = decoder
        .decode(&input)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(payloads.len(), 2);
    assert!(payloads[0].events().next().unwrap().is_err());
    assert_eq!(
        payloads[1].events().next().unwrap().unwrap().message(),
        "hello"
    );
}

#[test]
fn base64_is_decoded_on_request() {
    let encoded = base64(&gzip(ONE.as_bytes()));
    let mut decoder = Decoder::new();
    let count = decoder
        .decode_base64(encoded.as_bytes())
        .unwrap()
        .map(|payload| payload.unwrap().len())
        .sum::<usize>();
    assert_eq!(count, 1);
    let plain = base64(ONE.as_bytes());
    assert_eq!(
        decoder
            .decode_base64(plain.trim_end_matches('=').as_bytes())
            .unwrap()
            .len(),
        1
    );
    assert!(matches!(
        decoder.decode_base64(b"H4sI*"),
        Err(Error::Base64 { at: 4 })
    ));
    assert!(matches!(decoder.decode_base64(b""), Err(Error::Empty)));
}

#[test]
fn the_event_of_a_lambda_function_is_unwrapped() {
    for inner in [gzip(ONE.as_bytes()), zlib(ONE.as_bytes())] {
        let event = format!(r#"{{"awslogs":{{"data":"{}"}}}}"#, base64(&inner));
        assert_eq!(decode(event.as_bytes()).unwrap(), ["hello"]);
        let escaped = event.replace('/', "\\/");
        assert_eq!(decode(escaped.as_bytes()).unwrap(), ["hello"]);
    }
    assert!(decode(br#"{"awslogs":{"data":"H4sI"}}"#).is_err());
}

fn base64(bytes: &[u8]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .chain([&0, &0])
            .take(3)
            .fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        for place in 0..4 {
            let digit = char::from(alphabet[bits >> (18 - 6 * place) & 63]);
            out.push(if place <= chunk.len() { digit } else { '=' });
        }
    }
    out
}
