//! Fourteen servers that must not be trusted: each is refused for its own reason and gets no byte of payload, over
//! GELF on TLS and over HTTPS.

use std::net::SocketAddr;

use forebay_gelf::{HttpConfig, Roots, State, TlsConfig, Transport};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::support::{PATIENCE, batch, open, quick_sink, quick_tcp, settled};
use crate::tls::{Authority, authority, serve, server_config};
use crate::weak_rsa;

/// A server, whom the sender trusts, and what the sender must say about it.
struct BadServer {
    case: &'static str,
    server: Server,
    roots: String,
    reason: &'static str,
}

enum Server {
    /// Speaks TLS properly.
    Tls(Box<ServerConfig>),
    /// Answers the first bytes with these, then listens.
    Scripted(Vec<u8>),
    /// Closes after the first bytes.
    Closes,
}

const HOST: &str = "127.0.0.1";
const CA: &str = include_str!("../testdata/tls/ca.pem");
const LEAF_KEY: &str = include_str!("../testdata/tls/leaf.key");

fn bad_servers() -> Vec<BadServer> {
    let ours = authority();
    let other = authority();
    let case = |case, server, reason| BadServer {
        case,
        server,
        roots: ours.pem.clone(),
        reason,
    };
    let signed = |name: &str, change: fn(&mut CertificateParams)| {
        Server::Tls(Box::new(ours.leaf(name, change).server_config()))
    };
    let mut self_signed = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    self_signed
        .distinguished_name
        .push(DnType::CommonName, "self-signed");
    let own_key = KeyPair::generate().unwrap();
    let self_signed = server_config(
        vec![self_signed.self_signed(&own_key).unwrap().der().clone()],
        PrivateKeyDer::try_from(own_key.serialize_der()).unwrap(),
    );
    let mut intermediate = CertificateParams::new(Vec::new()).unwrap();
    intermediate.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    intermediate
        .distinguished_name
        .push(DnType::CommonName, "intermediate");
    let intermediate = Authority::new(
        CertifiedIssuer::signed_by(intermediate, KeyPair::generate().unwrap(), &ours.issuer)
            .unwrap(),
    );
    let fixture = |case, server, reason| BadServer {
        case,
        server,
        roots: CA.to_owned(),
        reason,
    };
    vec![
        case(
            "expired",
            signed(HOST, |params| {
                params.not_after = rcgen::date_time_ymd(2001, 1, 1);
            }),
            "certificate expired",
        ),
        case(
            "not yet valid",
            signed(HOST, |params| {
                params.not_before = rcgen::date_time_ymd(2999, 1, 1);
            }),
            "certificate not valid yet",
        ),
        case(
            "other name",
            signed("elsewhere.test", |_| {}),
            "certificate not valid for name",
        ),
        case(
            "self-signed",
            Server::Tls(Box::new(self_signed)),
            "UnknownIssuer",
        ),
        case(
            "unknown authority",
            Server::Tls(Box::new(other.leaf(HOST, |_| {}).server_config())),
            // Both are called the same, so only the signature tells them apart.
            "BadSignature",
        ),
        case(
            "missing intermediate",
            Server::Tls(Box::new(intermediate.leaf(HOST, |_| {}).server_config())),
            "UnknownIssuer",
        ),
        case(
            "common name only",
            signed(HOST, |params| {
                params.subject_alt_names.clear();
                params.distinguished_name.push(DnType::CommonName, HOST);
            }),
            "certificate not valid for name",
        ),
        case(
            "for clients only",
            signed(HOST, |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }),
            "does not allow extended key usage",
        ),
        fixture(
            "RSA with 1,024 bits",
            Server::Tls(Box::new(weak_rsa::server_config())),
            "BadSignature",
        ),
        fixture(
            "signed with SHA-1",
            Server::Tls(Box::new(fixture_leaf(include_str!(
                "../testdata/tls/sha1.pem"
            )))),
            "UnsupportedSignatureAlgorithm",
        ),
        case(
            "TLS 1.1",
            Server::Scripted(server_hello([3, 2], *b"a server of 2006")),
            "ServerDoesNotSupportTls12Or13",
        ),
        case(
            "plaintext",
            Server::Scripted(b"220 who speaks first?\r\n".to_vec()),
            "InvalidContentType",
        ),
        case(
            "downgrade",
            // RFC 8446, section 4.1.3: how a server of TLS 1.3 says that it was talked into TLS 1.2.
            Server::Scripted(server_hello([3, 3], *b"01234567DOWNGRD\x01")),
            "AttemptedDowngradeToTls12WhenTls13IsSupported",
        ),
        case("close in the handshake", Server::Closes, "handshake eof"),
    ]
}

/// A server with a certificate of `testdata` and the key that belongs to it.
fn fixture_leaf(certificate: &str) -> ServerConfig {
    server_config(
        vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
        PrivateKeyDer::from_pem_slice(LEAF_KEY.as_bytes()).unwrap(),
    )
}

/// A ServerHello of TLS 1.2 or older that chooses ECDHE-RSA with AES-128-GCM; its random ends with `tail`.
fn server_hello(version: [u8; 2], tail: [u8; 16]) -> Vec<u8> {
    let mut hello = version.to_vec();
    hello.extend([7; 16]);
    hello.extend(tail);
    hello.extend([0, 0xc0, 0x2f, 0]);
    let mut message = vec![2, 0, 0, hello.len() as u8];
    message.extend(hello);
    let mut record = vec![22, version[0], version[1], 0, message.len() as u8];
    record.extend(message);
    record
}

impl Server {
    /// Starts it; gives the payload of each connection once that is over.
    async fn start(self) -> (SocketAddr, UnboundedReceiver<Vec<u8>>) {
        let answer = match self {
            Self::Tls(config) => return serve(*config).await,
            Self::Scripted(answer) => Some(answer),
            Self::Closes => None,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (reports, reported) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut sent = vec![0; 4096];
                let count = stream.read(&mut sent).await.unwrap();
                sent.truncate(count);
                if let Some(answer) = &answer {
                    stream.write_all(answer).await.unwrap();
                    // The sender may reset the connection in its anger.
                    let _ = stream.read_to_end(&mut sent).await;
                }
                let _ = reports.send(payload(&sent));
            }
        });
        (address, reported)
    }
}

/// Everything in a stream of TLS records that is neither handshake nor alert.
fn payload(mut stream: &[u8]) -> Vec<u8> {
    const ALERT: u8 = 21;
    const HANDSHAKE: u8 = 22;
    while let [ALERT | HANDSHAKE, 3, _, high, low, rest @ ..] = stream {
        let length = usize::from(*high) * 256 + usize::from(*low);
        stream = rest.get(length..).unwrap_or_default();
    }
    stream.to_vec()
}

fn transports(address: SocketAddr, roots: &str) -> [(&'static str, Transport); 2] {
    let mut tls = TlsConfig::default();
    tls.roots = Roots::Pem(roots.as_bytes().to_vec());
    let mut https = HttpConfig::new(format!("https://{address}/gelf"));
    https.tls = tls.clone();
    https.misconfigured_wait = std::time::Duration::from_millis(10);
    let mut tcp = quick_tcp(address);
    tcp.tls = Some(tls);
    [("tls", tcp.into()), ("https", https.into())]
}

#[tokio::test]
async fn fourteen_bad_servers_are_refused_and_get_no_byte_of_payload() {
    let servers = bad_servers();
    assert_eq!(servers.len(), 14);
    for BadServer {
        case,
        server,
        roots,
        reason,
    } in servers
    {
        let (address, mut reported) = server.start().await;
        for (name, transport) in transports(address, &roots) {
            let case = format!("{case} over {name}");
            let (sink, driver) = open(transport, quick_sink());
            let mut ticket = sink.send(batch(0..5)).await.unwrap();
            // Two attempts: the sender does not give in either.
            for _ in 0..2 {
                let payload = tokio::time::timeout(PATIENCE, reported.recv())
                    .await
                    .unwrap_or_else(|_| panic!("{case}: no attempt"))
                    .unwrap();
                assert_eq!(payload, b"", "{case}: payload was sent");
            }
            let mut health = sink.health();
            let said = loop {
                if let State::Down { reason } | State::Misconfigured { reason } = &health.state {
                    break reason;
                }
                health = tokio::time::timeout(PATIENCE, sink.health_changed(&health))
                    .await
                    .unwrap_or_else(|_| panic!("{case}: nothing is said"));
            };
            assert!(said.contains(reason), "{case}: {said}");
            let certificate = said.contains("certificate");
            assert!(
                !certificate || matches!(health.state, State::Misconfigured { .. }),
                "{case}: a person must act"
            );
            assert!(ticket.poll_now().unwrap().is_none(), "{case}: accepted");
            driver.abort();
            assert!(driver.await.is_err());
            while let Ok(payload) = reported.try_recv() {
                assert_eq!(payload, b"", "{case}: payload was sent");
            }
        }
    }
}

#[tokio::test]
async fn the_good_twin_of_each_kind_of_server_is_accepted() {
    let ours = authority();
    let twins = [
        (ours.leaf(HOST, |_| {}).server_config(), ours.pem.clone()),
        (
            fixture_leaf(include_str!("../testdata/tls/sha256.pem")),
            CA.to_owned(),
        ),
    ];
    for (config, roots) in twins {
        let (address, mut reported) = serve(config).await;
        let [(_, tls), _] = transports(address, &roots);
        let (sink, _driver) = open(tls, quick_sink());
        settled(sink.send(batch(0..5)).await.unwrap()).await;
        assert!(!reported.recv().await.unwrap().is_empty());
    }
}
