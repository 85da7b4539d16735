//! TLS: who is trusted, and that nothing is sent to anybody else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use forebay_gelf::{ClientIdentity, Grade, Roots, Sink, SinkError, State, TcpConfig, TlsConfig};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::support::{PATIENCE, batch, number_of, open, quick_sink, quick_tcp, settled};

pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub(crate) pem: String,
}

pub(crate) fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let pem = issuer.pem();
    Authority { issuer, pem }
}

struct Leaf {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

fn leaf(authority: &Authority, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority.issuer).unwrap();
    Leaf { certificate, key }
}

/// A TLS receiver of NUL frames; gives the address and all bytes that arrive.
async fn receiver(
    leaf: &Leaf,
    clients: Option<&Authority>,
) -> (SocketAddr, mpsc::UnboundedReceiver<Vec<u8>>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(authority.issuer.der().clone()).unwrap();
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
                Arc::new(roots),
                provider,
            );
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::try_from(leaf.key.serialize_der()).unwrap();
    let config = builder
        .with_single_cert(vec![leaf.certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (bytes, arrived) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, bytes) = (acceptor.clone(), bytes.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut all = Vec::new();
                // A sender that was refused closes without farewell.
                let _ = stream.read_to_end(&mut all).await;
                let _ = bytes.send(all);
                let _ = tokio::io::AsyncWriteExt::shutdown(&mut stream).await;
            });
        }
    });
    (address, arrived)
}

fn config(address: SocketAddr, roots: &Authority) -> TcpConfig {
    let mut tls = TlsConfig::default();
    tls.roots = Roots::Pem(roots.pem.clone().into_bytes());
    tls.server_name = Some("graylog.test".into());
    let mut config = quick_tcp(address);
    config.tls = Some(tls);
    config
}

#[tokio::test]
async fn a_trusted_receiver_gets_and_proves_messages() {
    let authority = authority();
    let (address, mut arrived) = receiver(&leaf(&authority, "graylog.test", |_| {}), None).await;
    let (sink, _driver) = open(config(address, &authority), quick_sink());
    let acceptance = settled(sink.send(batch(0..50)).await.unwrap()).await;
    assert_eq!(
        (acceptance.accepted(), acceptance.grade),
        (50, Grade::Closed)
    );
    let bytes = arrived.recv().await.unwrap();
    let numbers: Vec<_> = bytes.split_terminator_frames().map(number_of).collect();
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
}

trait Frames {
    fn split_terminator_frames(&self) -> impl Iterator<Item = &[u8]>;
}

impl Frames for Vec<u8> {
    fn split_terminator_frames(&self) -> impl Iterator<Item = &[u8]> {
        self.strip_suffix(&[0])
            .expect("the last frame ends too")
            .split(|byte| *byte == 0)
    }
}

/// Nothing of a batch may reach this receiver.
async fn is_refused(config: TcpConfig, mut arrived: mpsc::UnboundedReceiver<Vec<u8>>, case: &str) {
    let (sink, _driver) = open(config, quick_sink());
    let mut ticket = sink.send(batch(0..5)).await.unwrap();
    let mut health = sink.health();
    while !matches!(
        health.state,
        State::Down { .. } | State::Misconfigured { .. }
    ) {
        health = tokio::time::timeout(PATIENCE, sink.health_changed(&health))
            .await
            .unwrap();
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(ticket.poll_now().unwrap().is_none(), "{case}");
    while let Ok(bytes) = arrived.try_recv() {
        assert!(bytes.is_empty(), "{case}: payload was sent");
    }
}

#[tokio::test]
async fn receivers_with_wrong_certificates_get_nothing() {
    let ours = authority();
    let other = authority();
    type Change = fn(&mut CertificateParams);
    let cases: [(&str, &Authority, &str, Change); 5] = [
        ("unknown authority", &other, "graylog.test", |_| {}),
        ("other name", &ours, "elsewhere.test", |_| {}),
        ("expired", &ours, "graylog.test", |params| {
            params.not_after = rcgen::date_time_ymd(2001, 1, 1)
        }),
        ("not yet valid", &ours, "graylog.test", |params| {
            params.not_before = rcgen::date_time_ymd(2999, 1, 1)
        }),
        ("for clients only", &ours, "graylog.test", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }),
    ];
    for (case, authority, name, change) in cases {
        let (address, arrived) = receiver(&leaf(authority, name, change), None).await;
        is_refused(config(address, &ours), arrived, case).await;
    }
}

#[tokio::test]
async fn a_receiver_without_tls_gets_nothing_readable() {
    let authority = authority();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sink, _driver) = open(config(address, &authority), quick_sink());
    let mut ticket = sink.send(batch(0..5)).await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut buffer = vec![0; 4096];
    let count = stream.read(&mut buffer).await.unwrap();
    assert_eq!(buffer[0], 22, "a TLS handshake record");
    assert!(
        !buffer[..count]
            .windows(8)
            .any(|window| window == b"numbered")
    );
    drop(stream);
    assert!(ticket.poll_now().unwrap().is_none());
}

#[tokio::test]
async fn a_receiver_that_asks_for_a_certificate_gets_it() {
    let authority = authority();
    let server = leaf(&authority, "graylog.test", |_| {});
    let client = leaf(&authority, "sender.test", |_| {});
    let (address, mut arrived) = receiver(&server, Some(&authority)).await;
    let mut with = config(address, &authority);
    if let Some(tls) = &mut with.tls {
        tls.client = Some(ClientIdentity::from_pem(
            client.certificate.pem(),
            client.key.serialize_pem(),
        ));
        assert!(!format!("{tls:?}").contains("BEGIN"));
    }
    let (sink, _driver) = open(with, quick_sink());
    settled(sink.send(batch(0..1)).await.unwrap()).await;
    assert!(!arrived.recv().await.unwrap().is_empty());
    let (address, arrived) = receiver(&server, Some(&authority)).await;
    is_refused(
        config(address, &authority),
        arrived,
        "no client certificate",
    )
    .await;
}

#[tokio::test]
async fn verification_can_be_turned_off_by_name_only() {
    let (ours, other) = (authority(), authority());
    let (address, mut arrived) = receiver(&leaf(&other, "elsewhere.test", |_| {}), None).await;
    let mut careless = config(address, &ours);
    if let Some(tls) = &mut careless.tls {
        tls.danger_accept_invalid_certs = true;
    }
    let (sink, _driver) = open(careless, quick_sink());
    settled(sink.send(batch(0..1)).await.unwrap()).await;
    assert!(!arrived.recv().await.unwrap().is_empty());
}

#[tokio::test]
async fn broken_pem_is_an_error_at_start_that_quotes_nothing() {
    let authority = authority();
    let mut broken = config("127.0.0.1:9".parse().unwrap(), &authority);
    if let Some(tls) = &mut broken.tls {
        tls.client = Some(ClientIdentity::from_pem(authority.pem.clone(), "canary"));
    }
    let Err(SinkError::Config { problem }) =
        Sink::open(broken, quick_sink(), Arc::new(())).map(drop)
    else {
        panic!("a broken key was taken")
    };
    assert!(problem.contains("client key") && !problem.contains("canary"));
}
