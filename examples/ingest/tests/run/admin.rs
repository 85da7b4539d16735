//! The admin port: what it shows, what it changes and for whom; `forebay status` before it.

use std::process::Command;

use reqwest::{Method, StatusCode, header::ORIGIN};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    bed::{self, Aws, Bed, Forebay, bytes_of, forebay},
    port::{ADMIN, Port},
};

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
    // Its checkpoint is told at this level only.
    aws.put(9).await;
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
    let mut forebay = Forebay::start(&config);
    assert_eq!(forebay.ended().await.code(), Some(74));
    forebay.logged("cannot be bound").await;
}

/// With a token, being on this machine is not enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_need_the_token_where_there_is_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "open-sesame\n").expect("written");
    let bed = Bed::new(&format!("{ADMIN}token = {{ file = {token:?} }}\n")).await;
    let running = Forebay::start(&bed.config);
    let port = Port::of(&running).await;
    port.status(|status| status["version"].is_string()).await;
    let changes = [
        (Method::PUT, "/log-level", StatusCode::OK),
        (Method::POST, "/reload", StatusCode::ACCEPTED),
    ];
    for (method, path, allowed) in changes {
        let ask = |authorization: Option<&str>| {
            let request = port
                .client
                .request(method.clone(), port.url(path))
                .body("info");
            let request = match authorization {
                Some(authorization) => request.header("authorization", authorization),
                None => request,
            };
            async { request.send().await.expect("an answer") }
        };
        for wrong in [
            None,
            Some("Bearer "),
            Some("Bearer open-sesam"),
            Some("Bearer open-sesame!"),
            Some("Basic open-sesame"),
            Some("open-sesame"),
        ] {
            let answer = ask(wrong).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path} {wrong:?}");
            let told = answer.text().await.expect("text");
            assert!(told.contains("Bearer TOKEN"), "it says what to do: {told}");
        }
        let answer = ask(Some("Bearer open-sesame")).await;
        assert_eq!(answer.status(), allowed, "{path}");
    }
    // Looking needs none.
    for path in ["/livez", "/metrics", "/status.json", "/"] {
        assert_eq!(port.get(path).await.0, StatusCode::OK, "{path}");
    }
    running.logged("pipeline is replaced").await;
    let (code, log) = running.terminate().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("sesam"), "{log}");
}

/// An empty token would let everybody in who sends none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_token_ends_the_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "\n").expect("written");
    let bed = Bed::new(&format!("{ADMIN}token = {{ file = {token:?} }}\n")).await;
    let mut running = Forebay::start(&bed.config);
    assert_eq!(running.ended().await.code(), Some(1));
    assert!(
        running.log().contains("token` is empty"),
        "{}",
        running.log()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_shows_rows_everything_or_only_what_is_wrong() {
    let mut bed = Bed::new(&format!("{ADMIN}[service]\nworker_id = \"auto\"\n")).await;
    bed.aws.put(1).await;
    let running = Forebay::start(&bed.config);
    let port = Port::of(&running).await;
    bytes_of(&mut bed.messages, 1).await;
    let status = port
        .status(|status| status["inputs"][0]["stream"]["leases_held"] == 2)
        .await;
    // The name under which the leases are held, and not how it was configured.
    let worker = status["worker_id"].as_str().expect("a name").to_owned();
    assert_ne!(worker, "auto");
    for (owner, _) in bed.aws.leases().await {
        assert_eq!(owner, Some(worker.clone()));
    }
    assert!(
        running.log().contains(&format!("worker={worker}")),
        "{}",
        running.log()
    );

    let url = port.url("");
    let rows = forebay(&["status", "--url", &url]).await;
    assert_eq!(rows.code, Some(0), "{rows:?}");
    let lines: Vec<_> = rows.out.lines().collect();
    assert!(
        lines[1].starts_with("flow      live            2/2   0.0 s"),
        "{rows:?}"
    );
    assert!(lines[3].starts_with("test      up "), "{rows:?}");
    assert!(lines[4].ends_with(&worker), "{rows:?}");
    let json = forebay(&["status", "--url", &url, "--json"]).await;
    let json: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(json["worker_id"], worker.as_str());
    let ready = forebay(&["status", "--url", &url, "--ready"]).await;
    assert_eq!((ready.code, ready.out.as_str()), (Some(0), ""), "{ready:?}");

    assert_eq!(running.terminate().await.0, Some(0));
    let gone = forebay(&["status", "--url", &url]).await;
    assert_eq!(gone.code, Some(1), "{gone:?}");
    assert!(gone.err.contains("does not answer"), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_of_a_process_that_is_not_ready_says_why_and_fails() {
    let more = format!(
        "{ADMIN}[output.second]\naddress = [\"127.0.0.1:9\"]\n[service]\nshutdown_grace = \"1s\"\n"
    );
    let bed = Bed::new(&more).await;
    bed.aws.put(1).await;
    let running = Forebay::start(&bed.config);
    let port = Port::of(&running).await;
    port.status(|status| status["outputs"][0]["state"] == "down")
        .await;
    let ready = forebay(&["status", "--url", &port.url(""), "--ready"]).await;
    assert_eq!(ready.code, Some(3), "{ready:?}");
    assert!(
        ready.out.starts_with("output second is down: "),
        "{ready:?}"
    );
    assert_eq!(
        port.get("/readyz").await,
        (StatusCode::SERVICE_UNAVAILABLE, ready.out)
    );
    assert_eq!(port.get("/livez").await.0, StatusCode::OK);
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
