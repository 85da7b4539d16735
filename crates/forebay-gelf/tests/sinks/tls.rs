//! TLS: who is trusted, and that nothing is sent to anybody else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forebay_gelf::{ClientIdentity, Grade, Roots, Sink, SinkError, TcpConfig, TlsConfig};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio_rustls::TlsAcceptor;

use crate::support::{batch, number_of, open, quick_sink, quick_tcp, settled};

pub(crate) struct Authority {
    pub(crate) issuer: CertifiedIssuer<'static, KeyPair>,
    pub(crate) pem: String,
}

pub(crate) fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    Authority::new(issuer)
}

impl Authority {
    pub(crate) fn new(issuer: CertifiedIssuer<'static, KeyPair>) -> Self {
        let pem = issuer.pem();
        Self { issuer, pem }
    }

    /// A certificate for `name`, which may be an address.
    pub(crate) fn leaf(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf { certificate, key }
    }
}

pub(crate) struct Leaf {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Leaf {
    pub(crate) fn server_config(&self) -> ServerConfig {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        server_config(vec![self.certificate.der().clone()], key)
    }
}

/// A server with this identity that asks nobody for a certificate.
pub(crate) fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> ServerConfig {
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A receiver that gives what it decrypted of each connection once that is over: nothing, if the handshake failed.
pub(crate) async fn serve(config: ServerConfig) -> (SocketAddr, UnboundedReceiver<Vec<u8>>) {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (reports, reported) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, reports) = (acceptor.clone(), reports.clone());
            tokio::spawn(async move {
                let mut all = Vec::new();
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    // A sender that was refused closes without farewell.
                    let _ = stream.read_to_end(&mut all).await;
                    let _ = tokio::io::AsyncWriteExt::shutdown(&mut stream).await;
                }
                let _ = reports.send(all);
            });
        }
    });
    (address, reported)
}

/// Puts TLS in front of a receiver that knows none. The n-th connection gets the n-th server, later ones the last.
pub(crate) async fn tls_front(servers: Vec<ServerConfig>, target: SocketAddr) -> SocketAddr {
    let mut acceptors = servers
        .into_iter()
        .map(|server| TlsAcceptor::from(Arc::new(server)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut acceptor = acceptors.next().unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let current = acceptor.clone();
            acceptor = acceptors.next().unwrap_or(acceptor);
            tokio::spawn(async move {
                let mut server = TcpStream::connect(target).await?;
                let mut client = current.accept(stream).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    address
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
    let server = authority.leaf("graylog.test", |_| {}).server_config();
    let (address, mut arrived) = serve(server).await;
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

#[tokio::test]
async fn a_receiver_that_asks_for_a_certificate_gets_it() {
    let authority = authority();
    let server = authority.leaf("graylog.test", |_| {});
    let client = authority.leaf("sender.test", |_| {});
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.issuer.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let asking = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![server.certificate.der().clone()],
            PrivateKeyDer::try_from(server.key.serialize_der()).unwrap(),
        )
        .unwrap();
    let (address, mut reported) = serve(asking).await;
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
    assert!(!reported.recv().await.unwrap().is_empty());
    let (sink, _driver) = open(config(address, &authority), quick_sink());
    let mut ticket = sink.send(batch(0..5)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(reported.recv().await.unwrap(), b"", "no client certificate");
    }
    assert!(ticket.poll_now().unwrap().is_none());
}

#[tokio::test]
async fn verification_can_be_turned_off_by_name_only() {
    let (ours, other) = (authority(), authority());
    let server = other.leaf("elsewhere.test", |_| {}).server_config();
    let (address, mut reported) = serve(server).await;
    let mut careless = config(address, &ours);
    if let Some(tls) = &mut careless.tls {
        tls.danger_accept_invalid_certs = true;
    }
    let (sink, _driver) = open(careless, quick_sink());
    settled(sink.send(batch(0..1)).await.unwrap()).await;
    assert!(!reported.recv().await.unwrap().is_empty());
    assert!(sink.health().unverified);
}

#[tokio::test(start_paused = true)]
async fn unverified_certificates_are_warned_of_at_start_and_hourly() {
    let hour = Duration::from_secs(3600);
    for (careless, expected) in [(true, 4), (false, 0)] {
        let warnings = Warnings::default();
        let guard = tracing::subscriber::set_default(warnings.clone());
        let mut config = config("127.0.0.1:9".parse().unwrap(), &authority());
        if let Some(tls) = &mut config.tls {
            tls.danger_accept_invalid_certs = careless;
        }
        let mut patient = quick_sink();
        (patient.retry_first, patient.retry_cap) = (hour, hour);
        let (sink, _driver) = open(config, patient);
        assert_eq!(sink.health().unverified, careless);
        tokio::time::sleep(3 * hour + hour / 2).await;
        drop(guard);
        assert_eq!(warnings.count(), expected);
    }
}

/// Counts warnings about certificates.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Warnings {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(bool);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 |= format!("{value:?}").contains("certificates are not verified");
            }
        }
        let mut text = Text(false);
        event.record(&mut text);
        self.0.fetch_add(usize::from(text.0), Ordering::Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
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

#[tokio::test]
async fn a_probe_shakes_hands_tells_why_not_and_sends_nothing() {
    let authority = authority();
    let good = serve(authority.leaf("127.0.0.1", |_| ()).server_config()).await;
    let other = serve(authority.leaf("graylog.example", |_| ()).server_config()).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = closed.local_addr().unwrap();
    let mut config = quick_tcp(good.0);
    config
        .addresses
        .extend([other.0, closed].map(|address| address.to_string().into()));
    let mut tls = TlsConfig::default();
    tls.roots = Roots::Pem(authority.pem.into_bytes());
    config.tls = Some(tls);
    let outcomes = config.probe().await.unwrap();
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
    let wrong = outcomes[1].as_ref().unwrap_err();
    assert!(wrong.contains("graylog.example"), "{wrong}");
    assert!(outcomes[2].is_err(), "nobody listens there");
    let (_, mut received) = good;
    assert_eq!(received.recv().await.unwrap(), b"");
}
