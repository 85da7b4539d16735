//! What an attacker who can write to the stream, or read the log, gets: nothing.

use std::{
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use crate::{
    bed::{self, Aws, Bed, Forebay, PATIENCE, PAUSE, bytes_of, command, gzip, payload},
    port::Port,
};

/// Ends a line, forges one, moves the cursor, colours, hides and turns text around.
const HOSTILE: &str = "x\n2026-11-26T00:00:00.000000Z ERROR forged\r\u{1b}[2J\u{1b}[31mred\u{7}\u{8}\u{0}\u{85}\u{9b}31m\u{2028}\u{2029}\u{202e}\u{2066}\u{200f}";

/// What must never be seen in one piece.
const SECRETS: [&str; 6] = [
    "canary-7f3a91",
    "canary-session-52e1",
    "canary-admin-90c4",
    "canary-graylog-1b77",
    "canary-header-3d08",
    "canary-proxy-64ef",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_text_breaks_no_line_of_the_log_and_no_secret_is_in_it() {
    for format in ["text", "json"] {
        let aws = Aws::with_stream().await;
        let (address, mut messages) = bed::receiver().await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = configure(folder.path(), &aws, address, format);
        let envelope = serde_json::json!({
            "messageType": format!("OTHER{HOSTILE}"), "owner": HOSTILE, "logGroup": HOSTILE, "logStream": HOSTILE,
            "subscriptionFilters": [HOSTILE],
            "logEvents": [{"id": HOSTILE, "timestamp": 1, "message": HOSTILE}],
        });
        let line = format!("2 {HOSTILE} eni-1 10.0.0.1 10.0.0.2 1000 443 6 1 1 1 1 ACCEPT OK");
        let short = format!("2 1 eni-1 10.0.0.1{HOSTILE} 10.0.0.2 1000 443 6 1 1 1 1 ACCEPT OK");
        for data in [
            gzip(envelope.to_string().as_bytes()),
            payload(&[HOSTILE]),
            payload(&[&line]),
            payload(&[&short]),
            HOSTILE.as_bytes().to_vec(),
        ] {
            aws.put_record("flow", HOSTILE, data).await;
        }
        let aws_files = folder.path().join("aws");
        let forebay = Forebay::start_with(&config, &[("AWS_CONFIG_FILE", &aws_files)]);
        bed::letters(folder.path(), 5).await;
        aws.put(1).await;
        assert_eq!(bytes_of(&mut messages, 1).await, [1]);
        let (code, log) = forebay.terminate().await;
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("kept as dead letter"), "too soft");
        assert!(log.contains("TRACE"), "too soft");
        for line in log.lines() {
            let whole = match format {
                "json" => {
                    serde_json::from_str::<Value>(line).is_ok_and(|line| line["level"].is_string())
                }
                _ => line
                    .get(..25)
                    .is_some_and(|time| time.starts_with("20") && !time.contains("00:00:00.0000")),
            };
            assert!(whole, "no line of ours: {line:?}");
        }
        let bad = |char: &char| {
            char.is_control() && *char != '\n'
                || matches!(char, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        if let Some(at) = log.find(|char| bad(&char)) {
            let line = log.lines().find(|line| line.chars().any(|char| bad(&char)));
            panic!("byte {at} in {format}: {line:?}");
        }
        for secret in SECRETS {
            let line = log.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} is in the {format} log");
        }
    }
}

/// Neither is one anywhere else where people and programs look, though each is in use and some are wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_shown_anywhere() {
    let aws = Aws::with_stream().await;
    let (address, mut messages) = bed::receiver().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = configure(folder.path(), &aws, address, "json");
    // A receiver that is not there, behind a proxy that is not there: errors are where secrets leak.
    for (name, secret) in [("header", SECRETS[4]), ("proxy", SECRETS[5])] {
        std::fs::write(folder.path().join(name), secret).expect("written");
    }
    let text = std::fs::read_to_string(&config).expect("the configuration");
    let text = text.replace("[service]\n", "[service]\nshutdown_grace = \"1s\"\n");
    let more = format!(
        "[output.nobody]\nprotocol = \"http\"\naddress = [\"https://graylog.invalid/gelf\"]\nheaders = {{ Authorization = {{ file = {:?} }} }}\nproxy = {{ url = \"http://127.0.0.1:9\", username = \"ada\", password = {{ file = {:?} }} }}\n",
        folder.path().join("header"),
        folder.path().join("proxy"),
    );
    std::fs::write(&config, text + &more).expect("written");
    aws.put_record("flow", "x", b"no payload".to_vec()).await;
    aws.put(1).await;
    let running = Forebay::start(&config);
    let port = Port::of(&running).await;
    assert_eq!(bytes_of(&mut messages, 1).await, [1]);
    bed::letters(folder.path(), 1).await;
    let mut shown = Vec::new();
    for path in [
        "/",
        "/livez",
        "/readyz",
        "/metrics",
        "/status.json",
        "/none",
    ] {
        shown.push((path.to_owned(), port.get(path).await.1));
    }
    for token in [SECRETS[2], "wrong"] {
        let reload = port.client.post(port.url("/reload")).bearer_auth(token);
        let answer = reload.send().await.expect("an answer");
        shown.push((token.to_owned(), answer.text().await.expect("text")));
    }
    running.logged("pipeline is replaced").await;
    for words in [
        &["config", "show"][..],
        &["check"],
        &["check", "--json", "--offline"],
        &["iam", "--setup"],
        &["leases", "ls"],
        &["run", "--dry-run", "--until-caught-up"],
        &["run", "--set", "admin.straem=1"],
    ] {
        let ended = command(&config, words).await;
        assert_ne!(ended.out.len() + ended.err.len(), 0, "{words:?}");
        shown.push((words.join(" "), ended.out + &ended.err));
    }
    shown.push(("log".to_owned(), running.terminate().await.1));
    for file in ["dead.ndjson", "forebay.toml"] {
        let text = std::fs::read_to_string(folder.path().join(file)).expect("text");
        shown.push((file.to_owned(), text));
    }
    for (place, text) in shown {
        for secret in SECRETS {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} is in {place}");
        }
    }
}

/// A dump of the memory would hold every secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_leaves_no_core() {
    let bed = Bed::new("").await;
    let mut running = Forebay::start(&bed.config);
    running.logged("lease taken").await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.id()));
    let limits = limits.expect("it runs");
    let core = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"));
    let core: Vec<_> = core.expect("a limit").split_whitespace().collect();
    assert_eq!(core, ["0", "0", "bytes"], "neither now nor raised later");
    // A shell may have its jobs ignore QUIT; nobody ignores this one.
    running.signal("-ABRT");
    let ended = running.ended().await;
    assert_eq!(ended.signal(), Some(6));
    assert!(!ended.core_dumped());
}

/// The log at its most talkative, every secret that a configuration can name.
fn configure(folder: &Path, aws: &Aws, output: SocketAddr, format: &str) -> std::path::PathBuf {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let admin = write("admin", SECRETS[2]);
    let graylog = write("graylog", SECRETS[3]);
    let more = format!(
        r#"
[service]
log = "trace"
log_format = "{format}"
[admin]
listen = "127.0.0.1:0"
token = {{ file = {admin:?} }}
[throttle]
graylog_api = "http://127.0.0.1:9/api"
token = {{ file = {graylog:?} }}
"#
    );
    let config = bed::config(folder, aws, output, &more);
    if format == "text" {
        // The other way to credentials, with a session.
        let [key, session, ..] = SECRETS;
        write(
            "aws",
            &format!(
                "[profile canary]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = {key}\naws_session_token = {session}\n"
            ),
        );
        let text = std::fs::read_to_string(&config).expect("the configuration");
        let text = text
            .replace("access_key = \"AKIAEXAMPLE\"\n", "profile = \"canary\"\n")
            .replace("secret_key = { env = \"TEST_AWS_SECRET\" }\n", "");
        std::fs::write(&config, text).expect("written");
    }
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_listens_but_the_admin_port_where_it_is_configured() {
    let aws = Aws::with_stream().await;
    let (address, mut messages) = bed::receiver().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    aws.put(1).await;
    let config = bed::config(folder.path(), &aws, address, "");
    let without = Forebay::start(&config);
    assert_eq!(bytes_of(&mut messages, 1).await, [1]);
    let Some(listens) = without.listens() else {
        println!("skipped: where the process listens (only root may look)");
        return;
    };
    assert_eq!(listens, [""; 0], "without `[admin]`");
    assert_eq!(without.terminate().await.0, Some(0));

    let config = bed::config(
        folder.path(),
        &aws,
        address,
        "[admin]\nlisten = \"127.0.0.1:0\"\n",
    );
    let with = Forebay::start(&config);
    with.logged("admin port open").await;
    let listens = with.listens().expect("as before");
    let [only] = listens.as_slice() else {
        panic!("{listens:?} listen");
    };
    // 127.0.0.1 as the kernel writes it.
    let (host, port) = only.split_once(':').expect("an address");
    assert_eq!(host, "0100007F");
    let port = u16::from_str_radix(port, 16).expect("a port");
    TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("it is open there");
    TcpStream::connect(("127.0.0.2", port))
        .await
        .expect_err("and nowhere else");
    tokio::time::sleep(PAUSE).await;
    assert_eq!(with.terminate().await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_with_the_certificate_of_another_gets_nothing_and_nothing_is_lost() {
    let aws = Aws::with_stream().await;
    aws.put(1).await;
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, authority.pem()).expect("written");

    // Both are signed by the authority that is trusted.
    let [other, right] =
        ["other.example", "graylog.example"].map(|name| acceptor(name, &authority));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (is_right, refused) = (
        Arc::new(AtomicBool::default()),
        Arc::new(AtomicUsize::default()),
    );
    let (now_right, count) = (Arc::clone(&is_right), Arc::clone(&refused));
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = match now_right.load(Ordering::Relaxed) {
                true => &right,
                false => &other,
            };
            let mut frame = Vec::new();
            match acceptor.accept(socket).await {
                // Until it closes the connection to prove the delivery, or leaves without one.
                Ok(mut connection) => drop(connection.read_to_end(&mut frame).await),
                Err(_) => drop(count.fetch_add(1, Ordering::Relaxed)),
            }
            if !frame.is_empty() {
                sender.send(frame).expect("the test waits");
            }
        }
    });

    let config = bed::config(folder.path(), &aws, address, "");
    let text = std::fs::read_to_string(&config).expect("the configuration");
    let tls = format!("protocol = \"tls\"\nserver_name = \"graylog.example\"\nca_file = {roots:?}");
    let text = text.replace("[output.test]", &format!("[output.test]\n{tls}"));
    std::fs::write(&config, text).expect("written");
    let forebay = Forebay::start(&config);
    let line = forebay.logged("graylog.example").await;
    assert!(line.contains("certificate"), "{line}");
    let more = async {
        while refused.load(Ordering::Relaxed) < 2 {
            tokio::time::sleep(PAUSE).await;
        }
    };
    timeout(PATIENCE, more).await.expect("it tries again");
    received.try_recv().expect_err("nothing is sent to another");
    is_right.store(true, Ordering::Relaxed);
    let frame = timeout(PATIENCE, received.recv()).await;
    let frame = frame.expect("in time").expect("the receiver runs");
    let message = frame.strip_suffix(&[0]).expect("a frame");
    let message: Value = serde_json::from_slice(message).expect("GELF is JSON");
    assert_eq!(message["_bytes"], 1);
    assert_eq!(forebay.terminate().await.0, Some(0));
}

/// A TLS server with a certificate for `name`.
fn acceptor(name: &str, authority: &CertifiedIssuer<'static, KeyPair>) -> TlsAcceptor {
    let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    let key = key.serialize_der().try_into().expect("a private key");
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("they belong together");
    TlsAcceptor::from(Arc::new(config))
}
