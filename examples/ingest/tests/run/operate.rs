//! What operators do with a running process: reload it, let Graylog hold it back.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

use crate::{
    bed::{self, Aws, Forebay, PATIENCE, PAUSE, bytes_of, forebay},
    port::{ADMIN, Port},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_reload_changes_nothing_and_a_good_one_loses_nothing() {
    let aws = Aws::with_stream().await;
    let (address, mut messages) = bed::receiver().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = bed::config(folder.path(), &aws, address, ADMIN);
    let running = Forebay::start(&config);
    aws.put(1).await;
    assert_eq!(bytes_of(&mut messages, 1).await, [1]);

    let good = std::fs::read_to_string(&config).expect("the configuration");
    std::fs::write(
        &config,
        format!("{good}\n[kinesis.flow2]\nstraem = \"x\"\n"),
    )
    .expect("written");
    running.signal("-HUP");
    let refused = running.logged("refused, the old one stays").await;
    assert!(refused.contains("straem"), "{refused}");
    aws.put(2).await;
    assert_eq!(
        bytes_of(&mut messages, 1).await,
        [2],
        "the old pipeline goes on"
    );

    let unreadable = good.replace(
        "[output.test]\n",
        "[output.test]\nprotocol = \"tls\"\nca_file = \"/nowhere.pem\"\n",
    );
    std::fs::write(&config, unreadable).expect("written");
    running.signal("-HUP");
    let refused = running.logged("nowhere.pem").await;
    assert!(refused.contains("the old one stays"), "{refused}");

    let renamed = good.replace("[output.test]", "[output.renamed]");
    std::fs::write(&config, renamed).expect("written");
    let port = Port::of(&running).await;
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
    let (code, log) = running.terminate().await;
    assert_eq!(code, Some(0), "{log}");
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
    let running = Forebay::start(&config);
    aws.put(1).await;
    assert_eq!(bytes_of(&mut messages, 1).await, [1]);

    entries.store(100_001, Ordering::Relaxed);
    running.logged("throttled: reading waits").await;
    let port = Port::of(&running).await;
    let (code, reasons) = port.get("/readyz").await;
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reasons.contains("100001 unread entries"), "{reasons}");
    let rows = forebay(&["status", "--url", &port.url("")]).await;
    for seen in [
        "flow      throttled ",
        "throttle ON",
        "! throttled: the node's journal",
    ] {
        assert!(rows.out.contains(seen), "{seen}: {rows:?}");
    }
    aws.put(2).await;
    running.logged("leases are given back").await;
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
    let (code, log) = running.terminate().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("gray-token"), "no token in the log: {log}");
}
