//! Receivers as an operator configures them: HTTP and its settings, TLS, what `check` says of them.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use forebay_gelf::testing::{Answer, HttpListener, Request};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc::UnboundedReceiver,
};

use crate::{
    bed::{self, Aws, Forebay, bytes_of, command},
    tls::Authority,
};

/// The value of `TEST_AWS_SECRET`, which here is also what receivers know a sender by.
const SECRET: &str = "canary-7f3a91";

async fn http_receiver(
    script: impl IntoIterator<Item = Answer>,
) -> (SocketAddr, UnboundedReceiver<Request>) {
    let (listener, requests) = HttpListener::bind(script).await.expect("a free port");
    let address = listener.address().expect("an address");
    tokio::spawn(listener.run());
    (address, requests)
}

/// A configuration whose output `test` has these settings.
fn configure(folder: &Path, aws: &Aws, output: &str, more: &str) -> PathBuf {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let path = bed::config(folder, aws, nowhere, more);
    let text = std::fs::read_to_string(&path).expect("the configuration");
    let text = text.replace("address = [\"127.0.0.1:9\"]\n", output);
    std::fs::write(&path, text).expect("written");
    path
}

/// The `_bytes` of the messages of a request, which is not compressed.
fn numbers(request: &Request) -> Vec<u64> {
    let lines = request.body.split(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let message: Value = serde_json::from_slice(line).expect("GELF");
            message["_bytes"].as_u64().expect("a byte count")
        })
        .collect()
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let mut headers = request.headers.iter();
    let found = headers.find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_https_receivers_share_the_messages_in_bulk_with_a_secret_header() {
    let aws = Aws::with_stream().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = Authority::new();
    let mut receivers = Vec::new();
    let mut urls = Vec::new();
    for _ in 0..2 {
        let (plain, requests) = http_receiver([]).await;
        urls.push(format!(
            "https://{}/gelf",
            authority.front("127.0.0.1", plain).await
        ));
        receivers.push(requests);
    }
    let output = format!(
        "protocol = \"http\"\naddress = {urls:?}\nbalance = \"round-robin\"\nbulk = true\ngzip = false\nca_file = {}\nheaders = {{ Authorization = {{ env = \"TEST_AWS_SECRET\" }} }}\n",
        authority.write(folder.path())
    );
    let config = configure(folder.path(), &aws, &output, "[service]\nlog = \"trace\"\n");
    // More than one body takes.
    let lines: Vec<String> = (1..=400).map(bed::flow_line).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    aws.put_record("flow", "0", bed::payload(&lines)).await;
    let ended = command(&config, &["run", "--until-caught-up"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.err.contains(SECRET), "{}", ended.err);
    let mut all = Vec::new();
    let mut together = 0;
    for requests in &mut receivers {
        let mut count = 0;
        while let Ok(request) = requests.try_recv() {
            count += 1;
            assert_eq!(request.line, "POST /gelf HTTP/1.1");
            assert_eq!(header(&request, "authorization"), Some(SECRET));
            let numbers = numbers(&request);
            together = together.max(numbers.len());
            all.extend(numbers);
        }
        assert!(count > 0, "each receiver has its turn");
    }
    all.sort_unstable();
    assert_eq!(all, (1..=400).collect::<Vec<_>>());
    assert!(together > 1, "several messages share a request");

    let shown = command(&config, &["config", "show"]).await;
    assert!(
        shown.out.contains("headers.Authorization") && !shown.out.contains(SECRET),
        "{shown:?}"
    );
    let checked = command(&config, &["check", "--canary"]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(
        checked
            .out
            .contains(&format!("{}: TLS handshake in ", urls[1]))
            && checked.out.contains("a valid certificate for 127.0.0.1"),
        "{checked:?}"
    );
    let marked = checked
        .out
        .split("`forebay_canary:")
        .nth(1)
        .expect("a mark");
    let mark = marked.split('`').next().expect("its end");
    let arrived = receivers[0].try_recv().expect("the canary");
    assert!(
        String::from_utf8_lossy(&arrived.body).contains(mark),
        "{arrived:?}"
    );
    assert!(!checked.out.contains(SECRET), "{}", checked.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_url_takes_over_when_the_first_fails() {
    let aws = Aws::with_stream().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let nobody = closed.local_addr().expect("an address");
    drop(closed);
    let (second, mut requests) = http_receiver([]).await;
    let output = format!(
        "protocol = \"http\"\naddress = [\"{nobody}\", \"http://{second}/gelf\"]\ngzip = false\n"
    );
    let config = configure(folder.path(), &aws, &output, "");
    aws.put(7).await;
    let ended = command(&config, &["run", "--until-caught-up"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(numbers(&requests.try_recv().expect("a request")), [7]);
    let checked = command(&config, &["check"]).await;
    assert_eq!(checked.code, Some(3), "{checked:?}");
    let line = checked
        .out
        .lines()
        .find(|line| line.contains("FAIL"))
        .expect("a failure");
    assert!(line.contains(&nobody.to_string()), "{line}");
}

/// What a proxy was told, and the way on to whoever it was asked for.
async fn proxy() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let heads = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let heads = Arc::clone(&shared);
            // A client that leaves is no failure of the test.
            tokio::spawn(async move { drop(pass(client, &heads).await) });
        }
    });
    (address, heads)
}

async fn pass(client: TcpStream, heads: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if client.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    heads.lock().expect("no test panicked").push(head);
    let mut origin = TcpStream::connect(target).await?;
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut client, &mut origin).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_is_told_its_password_and_nobody_else_is() {
    let aws = Aws::with_stream().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = Authority::new();
    let (plain, mut requests) = http_receiver([]).await;
    let receiver = authority.front("127.0.0.1", plain).await;
    let (proxy, heads) = proxy().await;
    let output = format!(
        "protocol = \"http\"\naddress = [\"https://{receiver}/gelf\"]\ngzip = false\nca_file = {}\nproxy = {{ url = \"http://{proxy}\", username = \"svc\", password = {{ env = \"TEST_AWS_SECRET\" }} }}\n",
        authority.write(folder.path())
    );
    let config = configure(folder.path(), &aws, &output, "[service]\nlog = \"trace\"\n");
    aws.put(7).await;
    let ended = command(&config, &["run", "--until-caught-up"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.err.contains(SECRET), "{}", ended.err);
    let request = requests.try_recv().expect("a request");
    assert_eq!(numbers(&request), [7]);
    assert_eq!(header(&request, "proxy-authorization"), None);
    let heads = heads.lock().expect("no test panicked").join("");
    assert!(
        heads.starts_with(&format!("CONNECT {receiver} ")),
        "{heads}"
    );
    // `svc:canary-7f3a91`
    assert!(heads.contains("Basic c3ZjOmNhbmFyeS03ZjNhOTE="), "{heads}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_certificate_is_refused_unless_that_is_turned_off_loudly() {
    let aws = Aws::with_stream().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (plain, mut messages) = bed::receiver().await;
    let stranger = Authority::new().front("graylog.example", plain).await;
    let ours = Authority::new().write(folder.path());
    let output = format!("protocol = \"tls\"\naddress = [\"{stranger}\"]\nca_file = {ours}\n");
    let config = configure(
        folder.path(),
        &aws,
        &output,
        "[admin]\nlisten = \"127.0.0.1:0\"\n",
    );
    aws.put(7).await;
    let checked = command(&config, &["check", "--canary"]).await;
    assert_eq!(checked.code, Some(3), "{checked:?}");
    for text in [
        ": TLS: invalid peer certificate: ",
        "FAIL  canary message: ",
        "`ca_file` is",
    ] {
        assert!(checked.out.contains(text), "{text}: {}", checked.out);
    }
    assert!(
        messages.try_next().is_none(),
        "nothing is sent to a stranger"
    );

    let text = std::fs::read_to_string(&config).expect("the configuration");
    let text = text.replace(
        &format!("ca_file = {ours}"),
        "danger_accept_invalid_certs = true",
    );
    std::fs::write(&config, text).expect("written");
    let checked = command(&config, &["check"]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(checked.out.contains("warn  UNVERIFIED"), "{checked:?}");
    let forebay = Forebay::start(&config);
    assert_eq!(bytes_of(&mut messages, 1).await, [7]);
    forebay.logged("TLS certificates are not verified").await;
    let open = forebay.logged("admin port open").await;
    let address = open.split("address=").nth(1).unwrap_or_default();
    let url = format!(
        "http://{}",
        address.split_whitespace().next().unwrap_or_default()
    );
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_forebay"))
        .args(["status", "--url", &url])
        .output()
        .expect("the binary runs");
    let rows = String::from_utf8_lossy(&status.stdout);
    assert!(rows.contains(" UNVERIFIED"), "{rows}");
    assert_eq!(forebay.terminate().await.0, Some(0));
}

/// A node that answers as `GET /api/system/journal` does, to whoever has the token.
async fn node(entries: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let length = client.read(&mut request).await.unwrap_or_default();
            let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
            // `canary-7f3a91:token`
            let known = request.contains("basic y2fuyxj5ltdmm2e5mtp0b2tlbg==");
            let status = if known { "200 OK" } else { "403 Forbidden" };
            let body = format!(
                r#"{{"enabled":true,"append_events_per_second":10,"read_events_per_second":10,"uncommitted_journal_entries":{entries},"journal_size":4,"journal_size_limit":1000}}"#
            );
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = client.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_asks_the_graylog_node() {
    let aws = Aws::with_stream().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (receiver, _messages) = bed::receiver().await;
    let wrong = folder.path().join("token");
    std::fs::write(&wrong, "wrong").expect("written");
    let right = "{ env = \"TEST_AWS_SECRET\" }";
    let wrong = format!("{{ file = {:?} }}", wrong.display().to_string());
    for (entries, token, expected) in [
        (212, right, "throttle     ok    http://127.0.0.1"),
        (212, right, "journal 0.4 % full, 212 unread entries"),
        (200_000, right, "throttle     warn"),
        (200_000, right, "200000 unread entries, more than 100000"),
        (212, wrong.as_str(), "throttle     FAIL"),
        (212, wrong.as_str(), "permission journal:read"),
    ] {
        let api = format!("http://{}/api", node(entries).await);
        let more = format!("[throttle]\ngraylog_api = {api:?}\ntoken = {token}\n");
        let config = bed::config(folder.path(), &aws, receiver, &more);
        let checked = command(&config, &["check"]).await;
        assert!(
            checked.out.contains(expected),
            "{expected}: {}",
            checked.out
        );
        assert!(!checked.out.contains(SECRET), "{}", checked.out);
    }
}
