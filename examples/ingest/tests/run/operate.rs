//! What operators do with a running process: look at it, change its log, reload it, let Graylog hold it back.

use std::{
    net::SocketAddr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::{Client, StatusCode, header::ORIGIN};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::bed::{self, Aws, Forebay, PATIENCE, PAUSE, bytes_of};

/// The admin port of a process, found in its log.
struct Port {
    client: Client,
    address: String,
}

impl Port {
    async fn of(forebay: &Forebay) -> Self {
        let line = forebay.logged("admin port open").await;
        let (_, address) = line.rsplit_once("address=").expect("an address");
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Self {
            client: Client::new(),
            address: address.trim().to_owned(),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let answer = self
            .client
            .get(self.url(path))
            .send()
            .await
            .expect("an answer");
        (answer.status(), answer.text().await.expect("text"))
    }

    /// Waits until `/status.json` satisfies `wanted`.
    async fn status(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let seen = async {
            loop {
                let (_, body) = self.get("/status.json").await;
                match serde_json::from_str::<Value>(&body) {
                    Ok(status) if wanted(&status) => return status,
                    _ => tokio::time::sleep(PAUSE).await,
                }
            }
        };
        timeout(PATIENCE, seen)
            .await
            .expect("the status comes to be")
    }
}

const ADMIN: &str = "[admin]\nlisten = \"127.0.0.1:0\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_port_shows_health_metrics_shards_and_changes_the_log() {
    let aws = Aws::with_stream().await;
    let (address, mut messages) = bed::receiver().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = bed::config(folder.path(), &aws, address, ADMIN);
    let forebay = Forebay::start(&config);
    for number in 1..=5 {
        aws.put(number).await;
    }
    assert_eq!(bytes_of(&mut messages, 5).await, [1, 2, 3, 4, 5]);
    let port = Port::of(&forebay).await;

    assert_eq!(
        port.get("/livez").await,
        (StatusCode::OK, "live\n".to_owned())
    );
    let owned = |status: &Value| {
        let shards = status["inputs"][0]["stream"]["shards"].as_array();
        shards.is_some_and(|shards| {
            shards.len() == 2
                && shards
                    .iter()
                    .all(|shard| shard["held"] == true && shard["owner"].is_string())
        })
    };
    let status = port.status(owned).await;
    assert_eq!(status["inputs"][0]["name"], "flow");
    assert_eq!(status["inputs"][0]["messages"], 5, "{status}");
    assert_eq!(
        port.get("/readyz").await,
        (StatusCode::OK, "ready\n".to_owned())
    );

    let (code, metrics) = port.get("/metrics").await;
    assert_eq!(code, StatusCode::OK);
    for line in [
        "forebay_messages_total{input=\"flow\"} 5",
        "forebay_leases_held{input=\"flow\"} 2",
        "forebay_kinesis_lag_seconds{input=\"flow\",shard=\"shardId-000000000000\"} 0",
        "# EOF",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }

    let (code, page) = port.get("/").await;
    assert_eq!(code, StatusCode::OK);
    for outside in ["http://", "https://", "src=", "@import"] {
        let page = page.replace("http://www.w3.org/2000/svg", "");
        assert!(
            !page.contains(outside),
            "the page asks nobody else: {outside}"
        );
    }
    assert_eq!(port.get("/etc/passwd").await.0, StatusCode::NOT_FOUND);

    if let Some(seen) = browser(&port.url("/"), "status-page.png") {
        for part in [
            "data-input=\"flow\"",
            "data-output=\"test\"",
            "class=\"shard\"",
            "this process 2",
            ">ready<",
        ] {
            assert!(seen.contains(part), "{part} is not on the page: {seen}");
        }
        assert_eq!(seen.matches("class=\"shard\"").count(), 2, "{seen}");
    }

    let put = |filter: &'static str| port.client.put(port.url("/log-level")).body(filter).send();
    assert_eq!(
        put("info,forebay_kinesis=debug")
            .await
            .expect("an answer")
            .status(),
        StatusCode::OK
    );
    forebay.logged("DEBUG").await;
    let refused = put("forebay=nonsense=x").await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let foreign = port
        .client
        .post(port.url("/reload"))
        .header(ORIGIN, "http://elsewhere.example");
    assert_eq!(
        foreign.send().await.expect("an answer").status(),
        StatusCode::FORBIDDEN
    );
    let long = port
        .client
        .put(port.url("/log-level"))
        .body("x".repeat(5_000));
    assert_eq!(
        long.send().await.expect("an answer").status(),
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let mut raw = TcpStream::connect(&port.address)
        .await
        .expect("the port is open");
    let head = format!("GET /livez HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(20_000));
    // The port may close before everything is written.
    let _ = raw.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = raw.read_to_end(&mut answer).await;
    assert!(
        !answer.starts_with(b"HTTP/1.1 200"),
        "a long head is refused"
    );

    let (code, log) = forebay.terminate().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_ends_the_start() {
    let aws = Aws::with_stream().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = taken.local_addr().expect("an address");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let more = format!("[admin]\nlisten = \"{address}\"\n");
    let config = bed::config(folder.path(), &aws, address, &more);
    let forebay = Forebay::start(&config);
    forebay.logged("cannot be bound").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_reload_changes_nothing_and_a_good_one_loses_nothing() {
    let aws = Aws::with_stream().await;
    let (address, mut messages) = bed::receiver().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = bed::config(folder.path(), &aws, address, ADMIN);
    let forebay = Forebay::start(&config);
    aws.put(1).await;
    assert_eq!(bytes_of(&mut messages, 1).await, [1]);

    let good = std::fs::read_to_string(&config).expect("the configuration");
    std::fs::write(
        &config,
        format!("{good}\n[kinesis.flow2]\nstraem = \"x\"\n"),
    )
    .expect("written");
    forebay.signal("-HUP");
    let refused = forebay.logged("refused, the old one stays").await;
    assert!(refused.contains("straem"), "{refused}");
    aws.put(2).await;
    assert_eq!(
        bytes_of(&mut messages, 1).await,
        [2],
        "the old pipeline goes on"
    );

    let renamed = good.replace("[output.test]", "[output.renamed]");
    std::fs::write(&config, renamed).expect("written");
    let port = Port::of(&forebay).await;
    let asked = port
        .client
        .post(port.url("/reload"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(asked.status(), StatusCode::ACCEPTED);
    port.status(|status| status["outputs"][0]["name"] == "renamed")
        .await;
    aws.put(3).await;
    assert_eq!(
        bytes_of(&mut messages, 1).await,
        [3],
        "nothing is lost and nothing repeated"
    );
    let (code, log) = forebay.terminate().await;
    assert_eq!(code, Some(0), "{log}");
}

/// What a headless Chromium shows of `url` after some seconds, as HTML; and a picture of it in `.artifacts`.
fn browser(url: &str, picture: &str) -> Option<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.artifacts");
    std::fs::create_dir_all(&folder).expect("the folder of artefacts");
    let profile = tempfile::tempdir().expect("a temporary folder");
    let run = |what: &str| {
        Command::new("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .args(["--window-size=1100,900", "--virtual-time-budget=3000", what])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(url)
            .output()
    };
    let Ok(page) = run("--dump-dom") else {
        #[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
        {
            println!("skipped: the status page in a browser (no chromium)");
        }
        return None;
    };
    let picture = folder.join(picture);
    let shot = run(&format!("--screenshot={}", picture.display())).expect("chromium starts again");
    assert!(
        shot.status.success(),
        "{}",
        String::from_utf8_lossy(&shot.stderr)
    );
    Some(String::from_utf8_lossy(&page.stdout).into_owned())
}

/// A Graylog node whose journal has as many entries as `entries` says.
async fn graylog(entries: Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let entries = Arc::clone(&entries);
            tokio::spawn(async move {
                let mut head = vec![0; 4_096];
                while let Ok(read) = socket.read(&mut head).await {
                    let head = String::from_utf8_lossy(head.get(..read).unwrap_or_default());
                    if read == 0 {
                        break;
                    }
                    // The token as user, the word as password (base64 of `gray-token:token`).
                    let known = head.contains("Basic Z3JheS10b2tlbjp0b2tlbg==")
                        || head.contains("basic Z3JheS10b2tlbjp0b2tlbg==");
                    let body = format!(
                        r#"{{"enabled":true,"append_events_per_second":9,"read_events_per_second":9,"uncommitted_journal_entries":{},"journal_size":1,"journal_size_limit":100,"number_of_segments":1}}"#,
                        entries.load(Ordering::Relaxed)
                    );
                    let status = if known && head.starts_with("GET /api/system/journal ") {
                        "200 OK"
                    } else {
                        "401 Unauthorized"
                    };
                    let answer = format!(
                        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    if socket.write_all(answer.as_bytes()).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_falls_behind_pauses_reading_then_frees_the_leases_and_gets_everything_later() {
    let aws = Aws::with_stream().await;
    let (address, mut messages) = bed::receiver().await;
    let entries = Arc::new(AtomicU64::new(0));
    let api = graylog(Arc::clone(&entries)).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "gray-token\n").expect("written");
    let more = format!(
        "{ADMIN}[throttle]\ngraylog_api = \"http://{api}/api\"\ntoken = {{ file = {token:?} }}\npoll = \"100ms\"\nrelease_leases_after = \"2s\"\n"
    );
    let config = bed::config(folder.path(), &aws, address, &more);
    let forebay = Forebay::start(&config);
    aws.put(1).await;
    assert_eq!(bytes_of(&mut messages, 1).await, [1]);

    entries.store(100_001, Ordering::Relaxed);
    forebay.logged("throttled: reading waits").await;
    let port = Port::of(&forebay).await;
    let (code, reasons) = port.get("/readyz").await;
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reasons.contains("100001 unread entries"), "{reasons}");
    aws.put(2).await;
    forebay.logged("leases are given back").await;
    let free = async {
        while aws.leases().await.iter().any(|(owner, _)| owner.is_some()) {
            tokio::time::sleep(PAUSE).await;
        }
    };
    timeout(PATIENCE, free).await.expect("the leases are free");
    assert!(
        timeout(Duration::from_millis(500), messages.next())
            .await
            .is_err(),
        "nothing is sent while the node is behind"
    );

    entries.store(0, Ordering::Relaxed);
    assert_eq!(
        bytes_of(&mut messages, 1).await,
        [2],
        "it comes once the node has caught up"
    );
    let (code, log) = forebay.terminate().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("gray-token"), "no token in the log: {log}");
}
