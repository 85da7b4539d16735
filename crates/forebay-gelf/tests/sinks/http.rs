//! HTTP: statuses, bodies, retries.

use std::io::Read as _;
use std::time::{Duration, Instant};

use forebay_gelf::testing::{Answer, HttpListener, Request};
use forebay_gelf::{Balance, Grade, HttpConfig, RefusalReason, Roots, Sink, SinkError, State};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::support::{PATIENCE, batch, number_of, open, padded, quick_sink, settled};

async fn receiver(
    script: impl IntoIterator<Item = Answer>,
) -> (HttpConfig, UnboundedReceiver<Request>) {
    let (listener, requests) = HttpListener::bind(script).await.unwrap();
    let mut config = HttpConfig::new(format!("http://{}/gelf", listener.address().unwrap()));
    config.misconfigured_wait = Duration::from_millis(30);
    // A plain receiver needs no roots, and a test machine may have none.
    config.tls.roots = Roots::Pem(crate::tls::authority().pem.into_bytes());
    tokio::spawn(listener.run());
    (config, requests)
}

pub(crate) fn inflate(request: &Request) -> Vec<u8> {
    let gzip = request
        .headers
        .iter()
        .any(|(name, value)| name == "content-encoding" && value == "gzip");
    if !gzip {
        return request.body.clone();
    }
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(&request.body[..])
        .read_to_end(&mut body)
        .unwrap();
    body
}

#[tokio::test]
async fn each_message_is_one_request_and_202_accepts_it() {
    for gzip in [true, false] {
        let (mut config, mut requests) = receiver([]).await;
        config.gzip = gzip;
        let (sink, _driver) = open(config, quick_sink());
        let acceptance = settled(sink.send(batch(0..20)).await.unwrap()).await;
        assert_eq!(
            (acceptance.accepted(), acceptance.grade),
            (20, Grade::Status)
        );
        let mut numbers = Vec::new();
        for _ in 0..20 {
            let request = requests.recv().await.unwrap();
            assert_eq!(request.line, "POST /gelf HTTP/1.1");
            numbers.push(number_of(&inflate(&request)));
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (0..20).collect::<Vec<_>>());
        assert!(requests.try_recv().is_err());
    }
}

#[tokio::test]
async fn connections_are_kept_and_one_that_was_closed_is_replaced() {
    let script = [
        Answer::Status(202),
        Answer::Status(202),
        Answer::StatusAndClose(202),
    ];
    let (mut config, mut requests) = receiver(script).await;
    config.concurrency = 1;
    let (sink, _driver) = open(config, quick_sink());
    for number in 0..5 {
        let ticket = sink.send(batch(number..number + 1)).await.unwrap();
        assert_eq!(settled(ticket).await.accepted(), 1);
    }
    let mut accepted = std::collections::BTreeMap::new();
    while let Ok(request) = requests.try_recv() {
        accepted
            .entry(request.connection)
            .or_insert_with(Vec::new)
            .push(number_of(&inflate(&request)));
    }
    assert_eq!(accepted, [(1, vec![0, 1, 2]), (2, vec![3, 4])].into());
}

#[tokio::test]
async fn several_messages_share_a_request_only_when_asked() {
    for (bulk, expected) in [(false, 4), (true, 1)] {
        let (mut config, mut requests) = receiver([]).await;
        config.bulk = bulk;
        let (sink, _driver) = open(config, quick_sink());
        settled(sink.send(batch(0..4)).await.unwrap()).await;
        let mut count = 0;
        while requests.try_recv().is_ok() {
            count += 1;
        }
        assert_eq!(count, expected, "bulk = {bulk}");
    }
}

#[tokio::test]
async fn bad_messages_are_refused_and_the_others_accepted() {
    let (mut config, _requests) = receiver([
        Answer::Status(202),
        Answer::Status(400),
        Answer::Status(413),
    ])
    .await;
    config.concurrency = 1;
    config.body_bytes = 2000;
    let (sink, _driver) = open(config, quick_sink());
    let mut all = batch(0..5);
    for message in padded(5..6, 3000).iter() {
        all.push_json(message).unwrap();
    }
    let acceptance = settled(sink.send(all).await.unwrap()).await;
    let refused: Vec<_> = acceptance
        .refused
        .iter()
        .map(|refusal| (refusal.index, refusal.reason))
        .collect();
    assert_eq!(
        refused[..2],
        [
            (1, RefusalReason::Status(400)),
            (2, RefusalReason::Status(413))
        ]
    );
    assert!(matches!(
        refused[2],
        (
            5,
            RefusalReason::TooLong {
                limit: Some(2000),
                ..
            }
        )
    ));
    assert_eq!(acceptance.accepted(), 3);
}

#[tokio::test]
async fn transient_answers_are_tried_again_until_they_pass() {
    let script = [
        Answer::Status(500),
        Answer::Status(503),
        Answer::Drop,
        Answer::Status(408),
        Answer::Status(429),
        Answer::Status(202),
        Answer::Status(504),
    ];
    let (mut config, mut requests) = receiver(script).await;
    config.concurrency = 1;
    let (sink, _driver) = open(config, quick_sink());
    let acceptance = settled(sink.send(batch(0..3)).await.unwrap()).await;
    assert_eq!(acceptance.accepted(), 3);
    let mut accepted = Vec::new();
    while let Ok(request) = requests.try_recv() {
        if request.status == Some(202) {
            accepted.push(number_of(&inflate(&request)));
        }
    }
    assert_eq!(accepted, [0, 1, 2], "one at a time keeps the order");
    assert_eq!(sink.health().state, State::Ready);
}

#[tokio::test]
async fn the_second_receiver_takes_over_at_once() {
    for balance in [Balance::Failover, Balance::RoundRobin] {
        let (mut config, mut first) = receiver([Answer::Status(500)]).await;
        let (other, mut second) = receiver([]).await;
        config.urls.extend(other.urls);
        config.balance = balance;
        config.concurrency = 1;
        let mut sink = quick_sink();
        // A wait would be longer than the test.
        (sink.retry_first, sink.retry_cap) = (2 * PATIENCE, 2 * PATIENCE);
        let (sink, _driver) = open(config, sink);
        let acceptance = settled(sink.send(batch(0..4)).await.unwrap()).await;
        assert_eq!(acceptance.accepted(), 4);
        assert_eq!(first.recv().await.unwrap().status, Some(500));
        assert!(first.try_recv().is_err(), "it is passed over for a minute");
        for number in 0..4 {
            let request = second.recv().await.unwrap();
            assert_eq!(number_of(&inflate(&request)), number);
        }
    }
}

#[tokio::test]
async fn round_robin_uses_all_receivers() {
    let (mut config, mut first) = receiver([]).await;
    let (other, mut second) = receiver([]).await;
    config.urls.extend(other.urls);
    config.balance = Balance::RoundRobin;
    let (sink, _driver) = open(config, quick_sink());
    settled(sink.send(batch(0..10)).await.unwrap()).await;
    for requests in [&mut first, &mut second] {
        let mut count = 0;
        while requests.try_recv().is_ok() {
            count += 1;
        }
        assert_eq!(count, 5);
    }
}

#[tokio::test]
async fn an_answer_counts_only_when_it_was_read_to_its_end() {
    let body = |promised, sent| Answer::Body {
        status: 202,
        promised,
        sent,
    };
    // Cut off, longer than anybody wants to read, and good.
    let script = [body(10, 5), body(4_000_000, 4_000_000), body(1000, 1000)];
    let (mut config, mut requests) = receiver(script).await;
    config.concurrency = 1;
    let (sink, _driver) = open(config, quick_sink());
    let acceptance = settled(sink.send(batch(0..1)).await.unwrap()).await;
    assert_eq!(acceptance.accepted(), 1);
    let mut connections = Vec::new();
    while let Ok(request) = requests.try_recv() {
        connections.push(request.connection);
    }
    assert_eq!(connections, [1, 2, 3], "a bad answer ends its connection");
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let (config, _requests) = receiver([Answer::RetryAfter(429, 1)]).await;
    let (sink, _driver) = open(config, quick_sink());
    #[expect(clippy::disallowed_methods, reason = "a test measures real time")]
    let begun = Instant::now();
    settled(sink.send(batch(0..1)).await.unwrap()).await;
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_sender_that_is_not_welcome_waits_and_says_so() {
    for status in [401, 403, 404, 405, 302] {
        let (mut config, _requests) = receiver([Answer::Status(status)]).await;
        config.misconfigured_wait = Duration::from_millis(100);
        let (sink, _driver) = open(config, quick_sink());
        let ticket = sink.send(batch(0..1)).await.unwrap();
        let mut health = sink.health();
        while !matches!(health.state, State::Misconfigured { .. }) {
            health = tokio::time::timeout(PATIENCE, sink.health_changed(&health))
                .await
                .unwrap();
        }
        assert_eq!(
            settled(ticket).await.accepted(),
            1,
            "the message is kept and sent once it is welcome"
        );
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_in_time_is_asked_again() {
    let (mut config, _requests) = receiver([Answer::Delay(PATIENCE)]).await;
    config.request_timeout = Duration::from_millis(100);
    let (sink, _driver) = open(config, quick_sink());
    assert_eq!(
        settled(sink.send(batch(0..1)).await.unwrap())
            .await
            .accepted(),
        1
    );
}

#[tokio::test]
async fn bulk_puts_one_message_per_line_and_finds_the_bad_one() {
    let (mut config, mut requests) = receiver([
        Answer::Status(400),
        Answer::Status(202),
        Answer::Status(400),
        Answer::Status(202),
        Answer::Status(400),
    ])
    .await;
    config.bulk = true;
    config.concurrency = 1;
    let (sink, _driver) = open(config, quick_sink());
    // 400 for 0..8, 202 for 0..4, 400 for 4..8, 202 for 4..6, 400 for 6..8, then 202 for 6 and 7 alone.
    let acceptance = settled(sink.send(batch(0..8)).await.unwrap()).await;
    assert_eq!(acceptance.accepted(), 8);
    let mut accepted = Vec::new();
    while let Ok(request) = requests.try_recv() {
        let body = inflate(&request);
        assert!(body.ends_with(b"}\n"));
        if request.status == Some(202) {
            accepted.extend(body.split_inclusive(|byte| *byte == b'\n').map(number_of));
        }
    }
    assert_eq!(accepted, (0..8).collect::<Vec<_>>());
}

#[tokio::test]
async fn secrets_never_travel_readable_nor_show_up_in_text() {
    let open =
        |config: HttpConfig| Sink::open(config, quick_sink(), std::sync::Arc::new(())).map(drop);
    let (mut config, mut requests) = receiver([]).await;
    config
        .headers
        .push(("authorization".into(), "Bearer canary".into()));
    assert!(!format!("{config:?}").contains("canary"));
    let (sink, _driver) = crate::support::open(config.clone(), quick_sink());
    settled(sink.send(batch(0..1)).await.unwrap()).await;
    let request = requests.recv().await.unwrap();
    assert!(
        request
            .headers
            .contains(&("authorization".into(), "Bearer canary".into()))
    );
    for url in [
        "http://graylog.example/gelf",
        "https://user:canary@graylog.example/gelf",
        "ftp://graylog.example/",
        "http://169.254.169.254/gelf",
    ] {
        config.urls = vec![url.into()];
        let Err(SinkError::Config { problem }) = open(config.clone()) else {
            panic!("{url} was taken")
        };
        assert!(!problem.contains("canary"));
    }
}
