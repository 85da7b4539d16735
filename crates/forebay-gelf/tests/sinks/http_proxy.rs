//! HTTP through a proxy: both ways of it, and who sees which secret.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use forebay_gelf::testing::{HttpListener, Request};
use forebay_gelf::{HttpConfig, Roots, Sink, SinkError, State};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::http::inflate;
use crate::support::{PATIENCE, batch, number_of, open, quick_sink, settled};
use crate::tls::{authority, tls_front};

/// `user:canary`
const CREDENTIALS: &str = "proxy-authorization: basic dxnlcjpjyw5hcnk=";
const TOKEN: &str = "bearer another-canary";

/// Everything a proxy was told in heads of requests, in lower case.
type Heads = Arc<Mutex<Vec<String>>>;

/// A proxy that asks for user and password, and forgets them as a proxy must.
async fn proxy() -> (SocketAddr, Heads) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Heads::default();
    let shared = Arc::clone(&heads);
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let heads = Arc::clone(&shared);
            // A client that leaves is no failure of the test.
            tokio::spawn(async move { drop(pass(client, heads).await) });
        }
    });
    (address, heads)
}

/// One request per connection: as much as a test needs.
async fn pass(client: TcpStream, heads: Heads) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if client.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    heads.lock().unwrap().push(head.to_lowercase());
    if !head.to_lowercase().contains(CREDENTIALS) {
        let answer = b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n";
        return client.write_all(answer).await;
    }
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let mut origin;
    if method == "CONNECT" {
        origin = TcpStream::connect(target).await?;
        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
    } else {
        let (host, path) = target
            .strip_prefix("http://")
            .and_then(|rest| rest.split_once('/'))
            .expect("a proxy is told the whole URL");
        origin = TcpStream::connect(host).await?;
        let kept = head
            .split_inclusive("\r\n")
            .skip(1)
            .filter(|line| !line.to_lowercase().starts_with("proxy-"));
        let head = format!("{method} /{path} HTTP/1.1\r\n{}", kept.collect::<String>());
        origin.write_all(head.as_bytes()).await?;
    }
    tokio::io::copy_bidirectional(&mut client, &mut origin).await?;
    Ok(())
}

/// Settings to reach a receiver through `proxy`, and what the receiver gets.
async fn through(proxy: SocketAddr, tls: bool) -> (HttpConfig, UnboundedReceiver<Request>) {
    let (listener, requests) = HttpListener::bind([]).await.unwrap();
    let mut address = listener.address().unwrap();
    tokio::spawn(listener.run());
    let authority = authority();
    if tls {
        let server = authority.leaf("127.0.0.1", |_| {}).server_config();
        address = tls_front(vec![server], address).await;
    }
    let scheme = if tls { "https" } else { "http" };
    let mut config = HttpConfig::new(format!("{scheme}://{address}/gelf"));
    config.tls.roots = Roots::Pem(authority.pem.into_bytes());
    config.proxy = Some(format!("http://user:canary@{proxy}").into());
    config.concurrency = 1;
    (config, requests)
}

#[tokio::test]
async fn https_goes_through_a_tunnel_that_learns_nothing() {
    let (address, heads) = proxy().await;
    let (mut config, mut requests) = through(address, true).await;
    config.headers.push(("authorization".into(), TOKEN.into()));
    let (sink, _driver) = open(config, quick_sink());
    let acceptance = settled(sink.send(batch(0..3)).await.unwrap()).await;
    assert_eq!(acceptance.accepted(), 3);
    let told = heads.lock().unwrap().clone();
    assert_eq!(told.len(), 1, "one tunnel serves all requests: {told:?}");
    assert!(told[0].starts_with("connect 127.0.0.1:") && told[0].contains(CREDENTIALS));
    assert!(
        !told[0].contains("another-canary"),
        "the receiver's token is not for the proxy"
    );
    for number in 0..3 {
        let request = requests.recv().await.unwrap();
        assert_eq!(number_of(&inflate(&request)), number);
        assert_eq!(request.line, "POST /gelf HTTP/1.1");
        let mut headers = request.headers.iter();
        assert!(headers.any(|(name, value)| name == "authorization" && value == TOKEN));
        assert!(!format!("{request:?}").contains("proxy-authorization"));
    }
}

#[tokio::test]
async fn plain_http_tells_the_proxy_the_whole_url() {
    let (address, heads) = proxy().await;
    let (config, mut requests) = through(address, false).await;
    let url = config.urls[0].to_lowercase();
    let (sink, _driver) = open(config, quick_sink());
    settled(sink.send(batch(0..1)).await.unwrap()).await;
    let told = heads.lock().unwrap().clone();
    assert!(told[0].starts_with(&format!("post {url} ")) && told[0].contains(CREDENTIALS));
    let request = requests.recv().await.unwrap();
    assert_eq!(number_of(&inflate(&request)), 0);
}

#[tokio::test]
async fn a_proxy_that_refuses_us_is_a_misconfiguration_and_the_secret_stays_secret() {
    for tls in [false, true] {
        let (address, heads) = proxy().await;
        let (mut config, mut requests) = through(address, tls).await;
        config.proxy = Some(format!("http://user:wrong-canary@{address}").into());
        assert!(!format!("{config:?}").contains("canary"));
        let (sink, _driver) = open(config, quick_sink());
        let mut ticket = sink.send(batch(0..1)).await.unwrap();
        let mut health = sink.health();
        let reason = loop {
            if let State::Misconfigured { reason } = &health.state {
                break reason;
            }
            assert!(!matches!(health.state, State::Down { .. }), "{health:?}");
            health = tokio::time::timeout(PATIENCE, sink.health_changed(&health))
                .await
                .unwrap();
        };
        assert!(
            reason.contains("proxy") && !reason.contains("canary"),
            "{reason}"
        );
        assert!(ticket.poll_now().unwrap().is_none() && requests.try_recv().is_err());
        assert!(!heads.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_token_is_not_shown_to_a_proxy() {
    let (mut config, _requests) = through("127.0.0.1:9".parse().unwrap(), false).await;
    config.headers.push(("authorization".into(), TOKEN.into()));
    let refused = Sink::open(config, quick_sink(), Arc::new(())).map(drop);
    assert!(matches!(refused, Err(SinkError::Config { problem }) if problem.contains("https")));
}
