//! Every fault on every stream transport: each message is accepted exactly as the books say, in order per connection,
//! within the byte budget.

use std::net::SocketAddr;
use std::time::Duration;

use forebay_gelf::listener::{ListenerConfig, Messages};
use forebay_gelf::testing::{Answer, HttpListener, Request, faulty_listener};
use forebay_gelf::{HttpConfig, Roots, TlsConfig, Transport};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use crate::ledger::{Arrived, Ledger};
use crate::proxy::{Fault, proxy};
use crate::support::{PATIENCE, open, quick_sink, quick_tcp, scaled};
use crate::tls::{Authority, authority, tls_front};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Over {
    Tcp,
    Tls,
    /// With so many requests at a time. Only one at a time keeps the order.
    Http(usize),
    Https(usize),
}

const STREAMS: [Over; 5] = [
    Over::Tcp,
    Over::Tls,
    Over::Http(1),
    Over::Http(4),
    Over::Https(1),
];

impl Over {
    fn is_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Https(_))
    }

    pub(crate) fn is_http(self) -> bool {
        matches!(self, Self::Http(_) | Self::Https(_))
    }

    fn keeps_order(self) -> bool {
        !matches!(self, Self::Http(2..) | Self::Https(2..))
    }
}

/// A receiver of any kind and the settings to reach it through faults.
pub(crate) struct Bed {
    over: Over,
    address: SocketAddr,
    trusted: Authority,
    source: Source,
    pub(crate) arrived: Arrived,
}

enum Source {
    Frames(Messages),
    Requests(UnboundedReceiver<Request>),
}

impl Bed {
    pub(crate) async fn new(over: Over, faults: &[Fault], script: Vec<Answer>) -> Self {
        let trusted = authority();
        // The TLS server of a bad certificate in front of the good one.
        let strangers = faults
            .iter()
            .filter(|fault| matches!(fault, Fault::Stranger));
        let mut servers: Vec<_> = strangers
            .map(|_| authority().leaf("127.0.0.1", |_| {}).server_config())
            .collect();
        servers.push(trusted.leaf("127.0.0.1", |_| {}).server_config());
        let (mut address, source) = if over.is_http() {
            let (listener, requests) = HttpListener::bind(script).await.unwrap();
            let address = listener.address().unwrap();
            tokio::spawn(listener.run());
            (address, Source::Requests(requests))
        } else {
            let mut config = ListenerConfig::loopback();
            config.queue = 100_000;
            let (listener, messages, _) = faulty_listener(config).await.unwrap();
            let address = listener.tcp_address().unwrap();
            tokio::spawn(listener.run());
            (address, Source::Frames(messages))
        };
        if over.is_tls() {
            address = tls_front(servers, address).await;
        }
        let address = proxy(address, faults.to_vec()).await;
        Self {
            over,
            address,
            trusted,
            source,
            arrived: Arrived::default(),
        }
    }

    pub(crate) fn transport(&self) -> Transport {
        transport(self.over, self.address, &self.trusted)
    }

    pub(crate) fn drain(&mut self) {
        match &mut self.source {
            Source::Frames(messages) => self.arrived.drain(messages),
            Source::Requests(requests) => self.arrived.drain_requests(requests),
        }
    }
}

fn transport(over: Over, address: SocketAddr, trusted: &Authority) -> Transport {
    let mut tls = TlsConfig::default();
    tls.roots = Roots::Pem(trusted.pem.clone().into_bytes());
    let (scheme, at_a_time) = match over {
        Over::Tcp | Over::Tls => {
            let mut tcp = quick_tcp(address);
            tcp.tls = (over == Over::Tls).then_some(tls);
            return tcp.into();
        }
        Over::Http(at_a_time) => ("http", at_a_time),
        Over::Https(at_a_time) => ("https", at_a_time),
    };
    let mut http = HttpConfig::new(format!("{scheme}://{address}/gelf"));
    http.tls = tls;
    http.concurrency = at_a_time;
    http.request_timeout = Duration::from_secs(1);
    http.misconfigured_wait = Duration::from_millis(20);
    http.into()
}

/// What must show in what arrived, or the test is too soft.
#[derive(Clone, Copy, Debug)]
enum Expect {
    /// More than one connection was used.
    Reconnect,
    /// Something came twice: it had arrived, but nothing proved it.
    Repeats,
    Nothing,
}

#[derive(Clone, Debug)]
struct Case {
    name: &'static str,
    over: Over,
    faults: Vec<Fault>,
    script: Vec<Answer>,
    expect: Expect,
}

fn cases() -> Vec<Case> {
    let outage = scaled(Duration::from_secs(1), Duration::from_secs(60));
    let table = [
        ("no fault", vec![], Expect::Nothing),
        (
            "reset in the middle of a frame",
            vec![
                Fault::ResetAfter(3001),
                Fault::ResetAfter(0),
                Fault::ResetAfter(9007),
            ],
            Expect::Reconnect,
        ),
        (
            "close in the middle of a frame",
            vec![Fault::CloseAfter(3001), Fault::CloseAfter(9007)],
            Expect::Reconnect,
        ),
        ("black hole", vec![Fault::Swallow], Expect::Nothing),
        (
            "half-open",
            vec![Fault::FreezeAfter(4001)],
            Expect::Reconnect,
        ),
        ("answers lost", vec![Fault::Mute], Expect::Repeats),
        ("slow reader", vec![Fault::Slow(60); 4], Expect::Nothing),
        (
            "listener down",
            vec![Fault::Outage(5000, outage)],
            Expect::Reconnect,
        ),
    ];
    let mut cases = Vec::new();
    for over in STREAMS {
        let tls = over.is_tls();
        for (name, faults, expect) in table.clone() {
            // Without the server's part of the handshake nothing gets as far as a message.
            let expect = match expect {
                Expect::Repeats if tls => Expect::Nothing,
                expect => expect,
            };
            cases.push(Case {
                name,
                over,
                faults,
                script: Vec::new(),
                expect,
            });
        }
        if tls {
            cases.push(Case {
                name: "certificate wrong for a while",
                over,
                faults: vec![Fault::Stranger, Fault::Stranger],
                script: Vec::new(),
                expect: Expect::Nothing,
            });
        }
    }
    let scripts = [
        ("429", vec![Answer::RetryAfter(429, 0); 9], Expect::Nothing),
        ("500", vec![Answer::Status(500); 9], Expect::Nothing),
        (
            "timeout",
            vec![Answer::Delay(Duration::from_millis(1500)); 2],
            Expect::Repeats,
        ),
        (
            "202 and close",
            vec![Answer::StatusAndClose(202); 9],
            Expect::Reconnect,
        ),
        (
            "close without an answer",
            vec![Answer::Drop; 9],
            Expect::Nothing,
        ),
    ];
    for over in STREAMS.into_iter().filter(|over| over.is_http()) {
        for (name, script, expect) in scripts.clone() {
            cases.push(Case {
                name,
                over,
                faults: Vec::new(),
                script,
                expect,
            });
        }
    }
    cases
}

const MESSAGES: i64 = 150;

async fn run(case: Case) {
    let mut bed = Bed::new(case.over, &case.faults, case.script.clone()).await;
    let mut config = quick_sink();
    config.budget = 16 * 1024;
    let budget = config.budget;
    let (sink, driver) = open(bed.transport(), config);
    let mut ledger = Ledger::default();
    ledger.send(&sink, 0, MESSAGES, 4 * PATIENCE).await;
    let report = sink.close(PATIENCE).await;
    assert_eq!(driver.await.unwrap(), report);
    assert_eq!(sink.in_flight(), 0);
    bed.drain();
    // The receiver notes a request when it answers: one whose sender gave up may still be on its way to its books.
    let late = async {
        while matches!(case.expect, Expect::Repeats) && bed.arrived.repeats() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            bed.drain();
        }
    };
    let _ = tokio::time::timeout(PATIENCE, late).await;
    assert_eq!(report.accepted, MESSAGES as u64);
    assert_eq!((report.refused, report.unsettled), (0, 0));
    ledger.check(&bed.arrived, budget);
    if case.over.keeps_order() {
        bed.arrived.check_order(case.over.is_http());
    }
    let grade = if case.over.is_http() {
        "status"
    } else {
        "closed"
    };
    assert!(ledger.grades().eq([grade]));
    match case.expect {
        Expect::Reconnect => assert!(bed.arrived.connections() > 1, "too soft"),
        Expect::Repeats => assert!(bed.arrived.repeats() > 0, "too soft"),
        Expect::Nothing => {}
    }
}

#[tokio::test]
async fn every_fault_on_every_stream_leaves_the_books_right() {
    let mut running = JoinSet::new();
    let mut names = std::collections::HashMap::new();
    for case in cases() {
        let name = format!("{} over {:?}", case.name, case.over);
        names.insert(running.spawn(run(case)).id(), name);
    }
    let mut failed = Vec::new();
    while let Some(ended) = running.join_next_with_id().await {
        if let Err(error) = ended {
            failed.push(format!("{}: {error}", names[&error.id()]));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
