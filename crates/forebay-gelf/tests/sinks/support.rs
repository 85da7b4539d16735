//! What the transport tests share: numbered messages and quick settings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use forebay_gelf::listener::Messages;
use forebay_gelf::{
    Batch, Encoder, FieldName, Report, Sink, SinkConfig, Stored, TcpConfig, Ticket, Transport,
};
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

/// `ci`, or `long` where a nightly or release run asks for it with `FOREBAY_TIER`.
pub(crate) fn scaled<T>(ci: T, long: T) -> T {
    match std::env::var("FOREBAY_TIER").as_deref() {
        Ok("nightly" | "release") => long,
        _ => ci,
    }
}

pub(crate) async fn settled(ticket: Ticket) -> forebay_gelf::Acceptance {
    tokio::time::timeout(PATIENCE, ticket)
        .await
        .expect("accepted in time")
        .expect("the driver runs")
}
