//! UDP: every compression, chunked or not, and what cannot be sent.

use forebay_gelf::listener::{Listener, ListenerConfig};
use forebay_gelf::{Compression, DatagramSize, Grade, RefusalReason, UdpConfig};

use crate::support::{PATIENCE, number_of, open, padded, quick_sink, settled};

#[tokio::test]
async fn each_compression_arrives_whole_and_chunked() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zlib] {
        let (listener, mut messages) = Listener::bind(ListenerConfig::loopback()).await.unwrap();
        let mut udp = UdpConfig::new(listener.udp_address().unwrap().to_string());
        udp.compression = compression;
        udp.datagram = DatagramSize::new(80).unwrap();
        tokio::spawn(listener.run());
        let (sink, _driver) = open(udp, quick_sink());
        let mut batch = padded(0..1, 0);
        for message in padded(1..5, 800).iter() {
            batch.push_json(message).unwrap();
        }
        let acceptance = settled(sink.send(batch).await.unwrap()).await;
        assert_eq!(
            (acceptance.accepted(), acceptance.grade),
            (5, Grade::Kernel)
        );
        for number in 0..5 {
            let arrived = tokio::time::timeout(PATIENCE, messages.next())
                .await
                .unwrap()
                .unwrap();
            assert_eq!(number_of(&arrived.json), number, "{compression:?}");
        }
    }
}

#[tokio::test]
async fn a_message_beyond_128_chunks_is_refused_and_its_neighbours_are_sent() {
    let (listener, mut messages) = Listener::bind(ListenerConfig::loopback()).await.unwrap();
    let mut udp = UdpConfig::new(listener.udp_address().unwrap().to_string());
    udp.compression = Compression::None;
    udp.datagram = DatagramSize::new(80).unwrap();
    tokio::spawn(listener.run());
    let (sink, _driver) = open(udp, quick_sink());
    let mut batch = padded(0..1, 0);
    for message in padded(1..2, 20_000).iter().chain(padded(2..3, 0).iter()) {
        batch.push_json(message).unwrap();
    }
    let acceptance = settled(sink.send(batch).await.unwrap()).await;
    assert_eq!(acceptance.accepted(), 2);
    let [refusal] = acceptance.refused[..] else {
        panic!("{:?}", acceptance.refused)
    };
    assert_eq!(refusal.index, 1);
    assert!(
        matches!(
            refusal.reason,
            RefusalReason::TooLong {
                limit: Some(8704),
                ..
            }
        ),
        "{refusal:?}"
    );
    for number in [0, 2] {
        assert_eq!(number_of(&messages.next().await.unwrap().json), number);
    }
}

#[tokio::test]
async fn nobody_listening_does_not_hold_the_sink() {
    let free = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let (sink, _driver) = open(UdpConfig::new(address.to_string()), quick_sink());
    for number in 0..20 {
        settled(sink.send(padded(number..number + 1, 0)).await.unwrap()).await;
    }
}
