//! TCP: proof, faults, order, budget.

use std::sync::Arc;
use std::time::Duration;

use forebay_gelf::listener::{Listener, ListenerConfig, Messages};
use forebay_gelf::testing::{Faults, faulty_listener};
use forebay_gelf::{Balance, Grade, Proof, Sink, SinkError, State};
use tokio::net::TcpListener;

use crate::proxy::{Fault, proxy};
use crate::support::{PATIENCE, batch, collect, open, padded, quick_sink, quick_tcp, settled};

async fn receiver() -> (std::net::SocketAddr, Messages, Faults) {
    let (listener, messages, faults) = faulty_listener(ListenerConfig::loopback()).await.unwrap();
    let address = listener.tcp_address().unwrap();
    tokio::spawn(listener.run());
    (address, messages, faults)
}

#[tokio::test]
async fn a_message_is_accepted_when_the_receiver_answers_the_close() {
    let (address, mut messages, _) = receiver().await;
    let (sink, driver) = open(quick_tcp(address), quick_sink());
    let ticket = sink.send(batch(0..3)).await.unwrap();
    let acceptance = settled(ticket).await;
    assert_eq!(
        (acceptance.accepted(), acceptance.grade),
        (3, Grade::Closed)
    );
    assert_eq!(
        collect(&mut messages, 0..3).await.values().sum::<usize>(),
        3
    );
    assert_eq!(sink.in_flight(), 0);
    let report = sink.close(PATIENCE).await;
    assert_eq!(
        (report.accepted, report.refused, report.unsettled),
        (3, 0, 0)
    );
    assert_eq!(driver.await.unwrap(), report);
    assert!(matches!(
        sink.send(batch(0..1)).await.unwrap_err().reason(),
        SinkError::Closed
    ));
}

#[tokio::test]
async fn enough_further_bytes_prove_a_message_without_a_close() {
    let (address, mut messages, _) = receiver().await;
    let mut tcp = quick_tcp(address);
    tcp.peer_buffer = 64 * 1024;
    tcp.send_buffer = 16 * 1024;
    tcp.close_after = PATIENCE;
    let (sink, _driver) = open(tcp, quick_sink());
    let first = sink.send(batch(0..1)).await.unwrap();
    let mut tickets = Vec::new();
    for number in 1..40 {
        tickets.push(sink.send(padded(number..number + 1, 16_000)).await.unwrap());
    }
    assert_eq!(settled(first).await.grade, Grade::Overrun);
    assert_eq!(collect(&mut messages, 0..40).await.len(), 40);
    assert!(
        tickets.last_mut().unwrap().poll_now().unwrap().is_none(),
        "nothing followed the last one"
    );
    sink.flush(PATIENCE).await.unwrap();
    assert_eq!(settled(tickets.pop().unwrap()).await.grade, Grade::Closed);
}

#[tokio::test]
async fn kernel_proof_never_closes_the_connection() {
    let (address, mut messages, _) = receiver().await;
    let mut tcp = quick_tcp(address);
    tcp.proof = Proof::Kernel {
        age: Duration::from_millis(30),
    };
    let (sink, _driver) = open(tcp, quick_sink());
    for number in 0..3 {
        let acceptance = settled(sink.send(batch(number..number + 1)).await.unwrap()).await;
        assert_eq!(acceptance.grade, Grade::Kernel);
    }
    for _ in 0..3 {
        assert_eq!(messages.next().await.unwrap().connection, 1);
    }
}

#[tokio::test]
async fn a_well_receiver_sees_no_repeats() {
    let (address, mut messages, _) = receiver().await;
    let mut tcp = quick_tcp(address);
    tcp.close_wait = PATIENCE;
    let (sink, _driver) = open(tcp, quick_sink());
    let mut tickets = Vec::new();
    for number in 0..300 {
        tickets.push(
            sink.send(padded(number * 10..number * 10 + 10, 100))
                .await
                .unwrap(),
        );
    }
    let seen = collect(&mut messages, 0..3000).await;
    assert_eq!(seen.values().sum::<usize>(), 3000);
    for ticket in tickets {
        assert_eq!(settled(ticket).await.accepted(), 10);
    }
}

#[tokio::test]
async fn a_receiver_slower_than_its_patience_gets_less_at_a_time() {
    let (address, mut messages, _) = receiver().await;
    // 57 KB go out at once; at 40 KB/s their close would be answered after 1.4 s, and nobody waits more than 0.4 s.
    let address = proxy(address, vec![Fault::Slow(40); 1000]).await;
    let (sink, _driver) = open(quick_tcp(address), quick_sink());
    let mut tickets = Vec::new();
    for number in 0..60 {
        let numbers = number * 5..number * 5 + 5;
        tickets.push(sink.send(padded(numbers, 100)).await.unwrap());
    }
    for ticket in tickets {
        assert_eq!(settled(ticket).await.accepted(), 5);
    }
    assert_eq!(collect(&mut messages, 0..300).await.len(), 300);
}

#[tokio::test]
async fn a_batch_that_takes_longer_than_the_patience_is_not_cut_off_while_it_moves() {
    let (address, mut messages, _) = receiver().await;
    let address = proxy(address, vec![Fault::Slow(1000); 1000]).await;
    let mut tcp = quick_tcp(address);
    tcp.send_buffer = 8 * 1024;
    tcp.close_wait = Duration::from_secs(1);
    let (sink, _driver) = open(tcp, quick_sink());
    let small = sink.send(batch(0..1)).await.unwrap();
    // A close is due 50 ms later; these 1.5 MB need half a second more than the patience.
    let large = sink.send(padded(1..51, 30_000)).await.unwrap();
    assert_eq!(settled(small).await.accepted(), 1);
    assert_eq!(settled(large).await.accepted(), 50);
    assert_eq!(collect(&mut messages, 0..51).await.len(), 51);
}

#[tokio::test]
async fn a_stalled_receiver_fills_the_budget_and_stops_the_sender() {
    let (address, mut messages, faults) = receiver().await;
    faults.stall(true);
    let mut config = quick_sink();
    config.budget = 64 * 1024;
    let mut tcp = quick_tcp(address);
    tcp.close_wait = PATIENCE;
    let (sink, _driver) = open(tcp, config);
    let mut sent = 0;
    while tokio::time::timeout(
        Duration::from_millis(200),
        sink.send(padded(sent..sent + 1, 1000)),
    )
    .await
    .is_ok()
    {
        sent += 1;
        assert!(sink.in_flight() <= 64 * 1024);
    }
    assert!(
        (40..64).contains(&sent),
        "{sent} batches of about 1,100 bytes fill 64 KiB"
    );
    assert!(sink.health().stalled >= Duration::from_millis(200));
    assert_eq!(
        sink.flush(Duration::from_millis(20)).await,
        Err(SinkError::TimedOut)
    );
    faults.stall(false);
    assert_eq!(
        collect(&mut messages, 0..sent).await.len(),
        usize::try_from(sent).unwrap()
    );
    sink.flush(PATIENCE).await.unwrap();
    assert_eq!(sink.in_flight(), 0);
}

#[tokio::test]
async fn a_receiver_that_dies_unread_loses_nothing_that_was_accepted() {
    let (address, mut messages, faults) = receiver().await;
    let (sink, _driver) = open(quick_tcp(address), quick_sink());
    settled(sink.send(batch(0..10)).await.unwrap()).await;
    faults.stall(true);
    let mut ticket = sink.send(batch(10..20)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(
        ticket.poll_now().unwrap().is_none(),
        "unread bytes are not accepted"
    );
    faults.reset();
    faults.stall(false);
    assert_eq!(settled(ticket).await.accepted(), 10);
    assert_eq!(collect(&mut messages, 0..20).await.len(), 20);
}

#[tokio::test]
async fn a_receiver_that_comes_late_gets_what_waited() {
    let held = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = held.local_addr().unwrap();
    drop(held);
    let (sink, _driver) = open(quick_tcp(address), quick_sink());
    let ticket = sink.send(batch(0..5)).await.unwrap();
    let mut health = sink.health();
    while !matches!(health.state, State::Down { .. }) {
        health = tokio::time::timeout(PATIENCE, sink.health_changed(&health))
            .await
            .unwrap();
    }
    let mut config = ListenerConfig::default();
    config.tcp = Some(address);
    let (listener, mut messages) = Listener::bind(config).await.unwrap();
    tokio::spawn(listener.run());
    assert_eq!(settled(ticket).await.accepted(), 5);
    assert_eq!(collect(&mut messages, 0..5).await.len(), 5);
}

#[tokio::test]
async fn the_second_receiver_takes_over_at_once() {
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead_address = dead.local_addr().unwrap();
    drop(dead);
    let (address, mut messages, _) = receiver().await;
    let mut tcp = quick_tcp(dead_address);
    tcp.addresses.push(address.to_string().into());
    let mut config = quick_sink();
    config.retry_first = PATIENCE;
    config.retry_cap = PATIENCE;
    let (sink, _driver) = open(tcp, config);
    settled(sink.send(batch(0..5)).await.unwrap()).await;
    assert_eq!(collect(&mut messages, 0..5).await.len(), 5);
}

#[tokio::test]
async fn round_robin_uses_all_receivers() {
    let (first, mut first_messages, _) = receiver().await;
    let (second, mut second_messages, _) = receiver().await;
    let mut tcp = quick_tcp(first);
    tcp.addresses.push(second.to_string().into());
    tcp.balance = Balance::RoundRobin;
    let (sink, _driver) = open(tcp, quick_sink());
    for number in 0..4 {
        let ticket = sink.send(batch(number..number + 1)).await.unwrap();
        sink.flush(PATIENCE).await.unwrap();
        settled(ticket).await;
    }
    for messages in [&mut first_messages, &mut second_messages] {
        assert!(
            messages.try_next().is_some()
                && messages.try_next().is_some()
                && messages.try_next().is_none()
        );
    }
}

#[tokio::test]
async fn closing_drains_what_was_sent() {
    let (address, mut messages, _) = receiver().await;
    let mut tcp = quick_tcp(address);
    tcp.close_after = PATIENCE;
    let (sink, driver) = open(tcp, quick_sink());
    let ticket = sink.send(batch(0..100)).await.unwrap();
    let report = sink.close(PATIENCE).await;
    assert_eq!((report.accepted, report.unsettled), (100, 0));
    assert_eq!(settled(ticket).await.grade, Grade::Closed);
    assert_eq!(collect(&mut messages, 0..100).await.len(), 100);
    assert_eq!(driver.await.unwrap(), report);
}

#[tokio::test]
async fn closing_gives_up_at_the_deadline_and_says_what_is_open() {
    let (address, _messages, faults) = receiver().await;
    faults.stall(true);
    let (sink, _driver) = open(quick_tcp(address), quick_sink());
    let ticket = sink.send(batch(0..7)).await.unwrap();
    let report = sink.close(Duration::from_millis(100)).await;
    assert_eq!((report.accepted, report.unsettled), (0, 7));
    assert_eq!(ticket.await.unwrap_err(), SinkError::Closed);
}

#[tokio::test]
async fn a_dropped_driver_closes_the_sink() {
    let (sink, driver) = Sink::open(quick_tcp("127.0.0.1:9"), quick_sink(), Arc::new(())).unwrap();
    let ticket = sink.send(batch(0..1)).await.unwrap();
    drop(driver);
    assert_eq!(ticket.await.unwrap_err(), SinkError::Closed);
    assert!(matches!(
        sink.send(batch(0..1)).await.unwrap_err().reason(),
        SinkError::Closed
    ));
    assert_eq!(sink.health().state, State::Closed);
}

#[tokio::test]
async fn a_batch_beyond_the_budget_is_handed_back() {
    let mut config = quick_sink();
    config.budget = 100;
    let (sink, _driver) = open(quick_tcp("127.0.0.1:9"), config);
    let error = sink.send(padded(0..1, 200)).await.unwrap_err();
    assert!(matches!(
        error.reason(),
        SinkError::TooLarge { limit: 100, .. }
    ));
    assert_eq!(error.into_batch().len(), 1);
}
