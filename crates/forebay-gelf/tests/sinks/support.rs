//! What the transport tests share: numbered messages, quick settings, an oracle and a proxy with faults.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use forebay_gelf::listener::Messages;
use forebay_gelf::{
    Batch, Encoder, FieldName, Report, Sink, SinkConfig, Stored, TcpConfig, Ticket, Transport,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

static NUMBER: FieldName = FieldName::literal("number");
static PADDING: FieldName = FieldName::literal("padding");

/// Long enough for a loaded machine; reached only by failures.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Messages with the numbers `from..to`.
pub(crate) fn batch(numbers: std::ops::Range<i64>) -> Batch {
    padded(numbers, 0)
}

/// The same, with so many bytes of padding each.
pub(crate) fn padded(numbers: std::ops::Range<i64>, padding: usize) -> Batch {
    let mut encoder = Encoder::default();
    let mut batch = Batch::new();
    for number in numbers {
        let mut message = encoder.begin("test");
        message
            .short_message("numbered")
            .integer(&NUMBER, number)
            .text(&PADDING, "x".repeat(padding));
        batch.push(&message.finish().unwrap());
    }
    batch
}

/// The number of one message.
pub(crate) fn number_of(json: &[u8]) -> i64 {
    match forebay_gelf::receive(json)
        .expect("whole messages only")
        .fields
        .get("number")
    {
        Some(Stored::Integer(number)) => *number,
        other => panic!("no number but {other:?}"),
    }
}

pub(crate) fn quick_sink() -> SinkConfig {
    let mut config = SinkConfig::default();
    config.retry_first = Duration::from_millis(10);
    config.retry_cap = Duration::from_millis(50);
    config.seed = 7;
    config
}

pub(crate) fn quick_tcp(address: impl ToString) -> TcpConfig {
    let mut config = TcpConfig::new(address.to_string());
    config.close_after = Duration::from_millis(50);
    config.close_wait = Duration::from_millis(400);
    config
}

pub(crate) fn open(
    transport: impl Into<Transport>,
    config: SinkConfig,
) -> (Sink, JoinHandle<Report>) {
    let (sink, driver) = Sink::open(transport, config, Arc::new(())).unwrap();
    (sink, tokio::spawn(driver.run()))
}

/// How often each number arrived. Checks that the numbers of each connection never go back, and that half a frame is
/// only ever the last thing of a connection that was cut. Stops once all are there.
pub(crate) async fn collect(
    messages: &mut Messages,
    expected: std::ops::Range<i64>,
) -> BTreeMap<i64, usize> {
    let mut seen = BTreeMap::new();
    let mut last = BTreeMap::new();
    let mut cut = std::collections::BTreeSet::new();
    let all = expected.count();
    while seen.len() < all {
        let arrived = tokio::time::timeout(PATIENCE, messages.next())
            .await
            .expect("messages come in time")
            .unwrap();
        assert!(
            !cut.contains(&arrived.connection),
            "something follows half a frame"
        );
        if arrived.receive().is_err() {
            cut.insert(arrived.connection);
            continue;
        }
        let number = number_of(&arrived.json);
        if let Some(last) = last.insert(arrived.connection, number) {
            assert!(
                last < number,
                "{number} after {last} on connection {}",
                arrived.connection
            );
        }
        *seen.entry(number).or_insert(0) += 1;
    }
    seen
}

pub(crate) async fn settled(ticket: Ticket) -> forebay_gelf::Acceptance {
    tokio::time::timeout(PATIENCE, ticket)
        .await
        .expect("accepted in time")
        .expect("the driver runs")
}

/// What a proxy does to one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Passes everything.
    None,
    /// Resets after so many bytes.
    ResetAfter(usize),
    /// Closes in good order after so many bytes, whoever had more to say.
    CloseAfter(usize),
    /// Passes so many bytes per millisecond.
    Slow(usize),
    /// Takes everything and passes nothing; the close is never answered.
    Swallow,
}

/// A proxy to `target`; its n-th connection suffers the n-th fault, later ones none.
pub(crate) async fn proxy(target: SocketAddr, faults: Vec<Fault>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut faults = faults.into_iter();
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let fault = faults.next().unwrap_or(Fault::None);
            tokio::spawn(async move {
                // Faults end connections; that is no failure of the test.
                let _ = pass(client, target, fault).await;
            });
        }
    });
    address
}

async fn pass(mut client: TcpStream, target: SocketAddr, fault: Fault) -> std::io::Result<()> {
    let mut server = TcpStream::connect(target).await?;
    let mut buffer = vec![0; 16 * 1024];
    let mut passed = 0;
    loop {
        let room = match fault {
            Fault::ResetAfter(limit) | Fault::CloseAfter(limit) => {
                (limit - passed).min(buffer.len())
            }
            Fault::Slow(bytes) => bytes,
            Fault::None | Fault::Swallow => buffer.len(),
        };
        if room == 0 {
            if matches!(fault, Fault::ResetAfter(_)) {
                socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
            }
            return Ok(());
        }
        match client.read(&mut buffer[..room]).await? {
            0 if matches!(fault, Fault::Swallow) => std::future::pending::<()>().await,
            0 => break,
            count => {
                if !matches!(fault, Fault::Swallow) {
                    server.write_all(&buffer[..count]).await?;
                }
                passed += count;
            }
        }
        if matches!(fault, Fault::Slow(_)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    server.shutdown().await?;
    while server.read(&mut buffer).await? > 0 {}
    client.shutdown().await
}
