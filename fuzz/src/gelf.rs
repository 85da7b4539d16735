//! Targets of `forebay-gelf`.

use std::time::Duration;

use forebay_gelf::{
    Batch, ChunkError, Chunks, DatagramSize, Dechunker, Encoder, FieldName, FrameSplitter,
    MessageId, inflate_payload, receive,
};

/// Names and values from anywhere: what comes out is one frame that a receiver keeps.
///
/// The input is cut at `0xff`: host, short message, then names and values in turn. The first byte of a value chooses
/// how it is written.
pub fn fields(data: &[u8]) {
    let mut parts = data.split(|byte| *byte == 0xff);
    let host = parts.next().unwrap_or_default();
    let short = parts.next().unwrap_or_default();
    let mut encoder = Encoder::default();
    let mut message = encoder.begin(host);
    message.short_message_json_text(short);
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        let name = FieldName::repaired(&String::from_utf8_lossy(name));
        assert_eq!(
            FieldName::new(name.as_str()),
            Ok(name),
            "a repaired name passes the check"
        );
        match value.split_first() {
            Some((0, rest)) => message.json_text(&name, rest),
            Some((1, rest)) => message.number_text(&name, rest),
            Some((2, rest)) => {
                let mut bits = [0; 8];
                let length = rest.len().min(8);
                bits[..length].copy_from_slice(&rest[..length]);
                let bits = u64::from_le_bytes(bits);
                message
                    .float(&name, f64::from_bits(bits))
                    .unsigned(&name, bits)
                    .timestamp_millis(bits as i64)
            }
            _ => message.text(&name, value),
        };
    }
    let Ok(json) = message.finish() else { return };
    let bytes = json.as_bytes();
    assert!(
        !bytes.iter().any(|byte| *byte < b' '),
        "no delimiter inside a frame"
    );
    let received = receive(bytes).expect("the receiver keeps it");
    assert!(
        received.dropped.is_empty(),
        "and every field: {:?}",
        received.dropped
    );
    for name in received.fields.keys() {
        let stored = name.replace('.', "_");
        assert!(
            !stored.starts_with("gl2_") && !matches!(&*stored, "_id" | "id" | "source" | "streams")
        );
    }
    let mut batch = Batch::new();
    batch.push(&json);
    assert_eq!(batch.get(0), Some(bytes));
}

/// Datagrams from anywhere: nothing panics, memory is bounded, and our own chunks join again.
///
/// The input is read as datagrams, each with its length in the first byte; then it is chunked itself.
pub fn chunks(data: &[u8]) {
    let mut dechunker = Dechunker::default();
    let mut rest = data;
    let mut now = Duration::ZERO;
    while let Some((length, tail)) = rest.split_first() {
        let (datagram, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        now += Duration::from_millis(u64::from(*length) * 10);
        if let Ok(Some(payload)) = dechunker.accept(datagram, now) {
            let _ = inflate_payload(&payload, 1 << 20);
        }
        assert!(dechunker.open() <= 1024);
    }
    let size =
        DatagramSize::new(64 + u16::from(data.first().copied().unwrap_or(0))).expect("at least 64");
    let mut chunks = match Chunks::new(data, size, MessageId::from_u64(7)) {
        Ok(chunks) => chunks,
        Err(ChunkError::Empty) => return,
        Err(_) => {
            assert!(data.len() > size.longest_payload());
            return;
        }
    };
    let mut dechunker = Dechunker::default();
    let mut datagram = Vec::new();
    let mut whole = None;
    let chunked = chunks.len() > 1;
    while chunks.next_into(&mut datagram) {
        assert!(datagram.len() <= size.get());
        whole = dechunker.accept(&datagram, Duration::ZERO).ok().flatten();
    }
    if chunked {
        assert_eq!(whole.as_deref(), Some(data), "chunks join to what was cut");
    }
    let mut splitter = FrameSplitter::new(0, 1 << 16);
    let mut joined = Vec::new();
    for part in data.chunks(7) {
        splitter.extend(part);
        while let Ok(Some(frame)) = splitter.next_frame() {
            joined.extend_from_slice(frame);
            joined.push(0);
        }
    }
    joined.extend_from_slice(splitter.rest());
    assert!(
        data.len() > 1 << 16 || joined == data,
        "frames and rest are the stream"
    );
}

/// Inputs to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    let field = |name: &str, kind: u8, value: &[u8]| {
        [&[0xff][..], name.as_bytes(), &[0xff, kind], value].concat()
    };
    let message = [
        &b"host\xffshort \\u00e9 message"[..],
        &field("src_addr", 3, b"10.0.0.1"),
        &field("gl2_source_node", 0, br#"a \"quoted\" \ud83d\ude00 text"#),
        &field("bytes", 1, b"1234567890123456789"),
        &field("x y", 2, &[1, 2, 3, 4, 5, 6, 7, 8]),
    ]
    .concat();
    let chunk = |number: u8| {
        [
            &[16, 0x1e, 0x0f, 1, 2, 3, 4, 5, 6, 7, 8, number, 2][..],
            b"data",
        ]
        .concat()
    };
    vec![
        Vec::new(),
        message,
        [chunk(0), chunk(1)].concat(),
        vec![b'x'; 5000],
    ]
}
