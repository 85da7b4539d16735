//! The receiving process dies after it read fast for a while and then stalled: what was in its kernel's buffers is gone.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_gelf::{Batch, Encoder, FieldName, Grade, Proof, TcpConfig};
use socket2::SockRef;

use crate::support::{PATIENCE, open, quick_sink, quick_tcp, scaled};

static NUMBER: FieldName = FieldName::literal("number");
static PADDING: FieldName = FieldName::literal("padding");

/// How a round goes.
#[derive(Clone, Copy)]
struct Round {
    /// Bytes that the receiver reads before it stalls.
    fast: usize,
    /// Bytes that are sent in all.
    total: usize,
    budget: usize,
    /// Receive buffer to ask for; the kernel chooses and grows it otherwise.
    buffer: Option<usize>,
}

const SMALL: Round = Round {
    fast: 2 << 20,
    total: 6 << 20,
    budget: 2 << 20,
    buffer: Some(128 << 10),
};
const AUTOTUNED: Round = Round {
    fast: 40 << 20,
    total: 72 << 20,
    budget: 64 << 20,
    buffer: None,
};

const STALL: Duration = Duration::from_millis(150);

/// Numbers of the messages that the receiving process has read, over all its lives.
type Seen = Arc<Mutex<BTreeSet<i64>>>;

/// A receiver that dies once.
fn mortal(round: Round) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    if let Some(buffer) = round.buffer {
        SockRef::from(&listener)
            .set_recv_buffer_size(buffer)
            .unwrap();
    }
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let shared = Arc::clone(&seen);
    std::thread::spawn(move || {
        for (index, stream) in listener.incoming().flatten().enumerate() {
            let seen = Arc::clone(&shared);
            let life = if index == 0 { round.fast } else { usize::MAX };
            std::thread::spawn(move || read(stream, life, &seen));
        }
    });
    (address, seen)
}

/// Reads to the end or for `life` bytes; then stalls, dies, and takes with it what it had not read.
fn read(mut stream: TcpStream, life: usize, seen: &Seen) {
    let mut buffer = vec![0; 256 << 10];
    let mut frames = forebay_gelf::FrameSplitter::new(0, 1 << 20);
    let mut count = 0;
    while count < life {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(bytes) => {
                count += bytes;
                frames.extend(&buffer[..bytes]);
            }
        }
        let mut seen = seen.lock().unwrap();
        while let Ok(Some(frame)) = frames.next_frame() {
            seen.insert(number_of(frame));
        }
    }
    #[expect(clippy::disallowed_methods, reason = "this thread runs nothing else")]
    std::thread::sleep(STALL);
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

/// Without a parser: it would take longer than all the rest.
fn number_of(frame: &[u8]) -> i64 {
    let text = std::str::from_utf8(frame.get(..200).unwrap_or(frame)).unwrap();
    let (_, rest) = text.split_once("\"_number\":").unwrap();
    rest.split([',', '}']).next().unwrap().parse().unwrap()
}

/// Sends through one death of the receiver; gives how many accepted messages nobody ever read, and the grades.
async fn lost(round: Round, proof: Proof) -> (usize, BTreeSet<&'static str>) {
    let (address, seen) = mortal(round);
    let mut tcp: TcpConfig = quick_tcp(address);
    tcp.proof = proof;
    tcp.close_after = PATIENCE;
    tcp.close_wait = PATIENCE;
    if let Some(buffer) = round.buffer {
        // Linux doubles what is asked for.
        tcp.peer_buffer = 2 * buffer;
        tcp.send_buffer = 64 << 10;
    }
    let mut config = quick_sink();
    config.budget = round.budget;
    let (sink, driver) = open(tcp, config);
    let padding = "x".repeat(8000);
    let mut encoder = Encoder::default();
    let mut tickets = Vec::new();
    let mut bytes = 0;
    let mut number = 0;
    while bytes < round.total {
        let mut batch = Batch::new();
        for _ in 0..8 {
            let mut message = encoder.begin("test");
            message.short_message("numbered").integer(&NUMBER, number);
            message.text(&PADDING, &padding);
            batch.push(&message.finish().unwrap());
            number += 1;
        }
        bytes += batch.byte_len();
        tickets.push(sink.send(batch).await.unwrap());
    }
    let report = sink.close(2 * PATIENCE).await;
    driver.await.unwrap();
    assert_eq!((report.accepted, report.unsettled), (number as u64, 0));
    let mut grades = BTreeSet::new();
    for ticket in tickets {
        grades.insert(match ticket.await.unwrap().grade {
            Grade::Overrun => "overrun",
            Grade::Closed => "closed",
            _ => "kernel",
        });
    }
    let seen = seen.lock().unwrap();
    (number as usize - seen.len(), grades)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_accepted_with_proof_is_lost_when_the_receiver_is_killed() {
    for index in 0..scaled(8, 200) {
        // Half of them with buffers that the kernel grows, one is enough for every run.
        let round = if index == 0 || index >= 100 {
            AUTOTUNED
        } else {
            SMALL
        };
        let (lost, grades) = lost(round, Proof::Receiver).await;
        assert_eq!(lost, 0, "round {index}");
        assert!(
            grades.contains("overrun"),
            "round {index} proves nothing: {grades:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_proof_the_same_death_loses_messages() {
    let proof = Proof::Kernel {
        age: Duration::from_millis(20),
    };
    for round in [SMALL, AUTOTUNED] {
        let mut most = 0;
        // A busy machine may give the sender no turn while the receiver stalls; not every time.
        for _ in 0..5 {
            most = lost(round, proof).await.0;
            if most > 0 {
                break;
            }
        }
        assert!(most > 0, "the test with proof shows nothing");
    }
}
