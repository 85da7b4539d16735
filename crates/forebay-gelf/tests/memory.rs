//! What a sink holds while its receiver takes nothing: the byte budget and little more, counted in the allocator.
#![cfg(feature = "http")]

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use forebay_gelf::{Batch, HttpConfig, Roots, Sink, SinkConfig, TcpConfig, Transport};

const BUDGET: usize = 4 << 20;
/// Batches of 64 KiB, the one that does not fit, requests on their way, and the client's own tables.
const SLACK: usize = 1 << 20;

/// One batch, as large as it says.
fn batch() -> Batch {
    let message = format!(
        "{{\"host\":\"h\",\"short_message\":\"{}\"}}",
        "x".repeat(1000)
    );
    let mut batch = Batch::with_capacity(64, 64 * (message.len() + 1));
    for _ in 0..64 {
        batch.push_json(message.as_bytes()).expect("one line");
    }
    batch
}

/// Fills the sink until it takes no more; gives the bytes inside.
async fn fill(transport: Transport) -> usize {
    let mut config = SinkConfig::default();
    config.budget = BUDGET;
    let (sink, driver) = Sink::open(transport, config, Arc::new(())).expect("good settings");
    let driver = tokio::spawn(driver.run());
    let mut tickets = Vec::new();
    let patience = Duration::from_millis(200);
    while let Ok(sent) = tokio::time::timeout(patience, sink.send(batch())).await {
        tickets.push(sent.expect("the sink is open"));
    }
    let inside = sink.in_flight();
    let report = sink.close(Duration::ZERO).await;
    assert_eq!(report.unsettled, 64 * tickets.len() as u64);
    driver.await.expect("the driver ends");
    inside
}

#[test]
fn a_receiver_that_takes_nothing_costs_the_budget_and_no_more() {
    // Connections are made by the kernel; nobody ever reads.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let mut http = HttpConfig::new(format!("http://{address}/gelf"));
    http.tls.roots = Roots::Pem(include_bytes!("testdata/tls/ca.pem").to_vec());
    for (name, transport) in [
        ("tcp", TcpConfig::new(address).into()),
        ("http", http.into()),
    ] {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let mut inside = 0;
        let counted = allocation_counter::measure(|| inside = runtime.block_on(fill(transport)));
        let most = usize::try_from(counted.bytes_max).expect("it fits");
        println!("{name}: {inside} bytes inside, {most} allocated at most, budget {BUDGET}");
        assert!(inside <= BUDGET && inside > BUDGET - (128 << 10), "{name}");
        assert!(most >= inside && most <= BUDGET + SLACK, "{name}: {most}");
    }
}
