//! TLS for TCP and HTTPS: rustls with the aws-lc-rs provider, verified by default.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::sink::error::SinkError;

/// Settings of TLS. The default verifies the receiver against the roots of the operating system.
#[non_exhaustive]
#[derive(Clone, Default)]
pub struct TlsConfig {
    /// Who may sign the receiver's certificate.
    pub roots: Roots,
    /// Certificate and key to present, if the receiver asks for one.
    pub client: Option<ClientIdentity>,
    /// Name to verify and to ask for (SNI), if it differs from the host of the address. TCP only.
    pub server_name: Option<Box<str>>,
    /// Accepts any certificate: encryption without any protection against somebody in between. Warns at start and
    /// hourly, and [`Health::unverified`](crate::Health::unverified) says so.
    pub danger_accept_invalid_certs: bool,
}

impl TlsConfig {
    pub(crate) fn connector(&self) -> Result<tokio_rustls::TlsConnector, SinkError> {
        Ok(Arc::new(self.client_config()?).into())
    }

    /// The settings as rustls takes them: TLS 1.2 or 1.3, provider aws-lc-rs.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, SinkError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| SinkError::config(format!("TLS: {error}")))?;
        let builder = if self.danger_accept_invalid_certs {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unverified::new(&provider)))
        } else {
            match &self.roots {
                Roots::Platform => builder.with_platform_verifier().map_err(|error| {
                    SinkError::config(format!("TLS roots of the system: {error}"))
                })?,
                Roots::Pem(pem) => builder.with_root_certificates(read_roots(pem)?),
            }
        };
        match &self.client {
            None => Ok(builder.with_no_client_auth()),
            Some(identity) => {
                let (chain, key) = identity.read()?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| SinkError::config(format!("client certificate: {error}")))
            }
        }
    }
}

/// Where trust comes from.
#[non_exhaustive]
#[derive(Clone, Default)]
pub enum Roots {
    /// The roots of the operating system, through its own verifier where it has one.
    #[default]
    Platform,
    /// Only these certificates, as PEM text.
    Pem(Vec<u8>),
}

/// A certificate chain and its private key, both as PEM text.
#[derive(Clone)]
pub struct ClientIdentity {
    certificates: Vec<u8>,
    key: Vec<u8>,
}

impl ClientIdentity {
    /// The chain, leaf first, and the key (PKCS#8, PKCS#1 or SEC1).
    #[must_use]
    pub fn from_pem(certificates: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self {
            certificates: certificates.into(),
            key: key.into(),
        }
    }

    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), SinkError> {
        let chain = CertificateDer::pem_slice_iter(&self.certificates)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| SinkError::config(format!("client certificate: {error}")))?;
        if chain.is_empty() {
            return Err(SinkError::config(
                "client certificate: the PEM text holds no certificate",
            ));
        }
        // The parser's own message could quote the text, so only the fact is told.
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| {
            SinkError::config("client key: the PEM text holds no readable private key")
        })?;
        Ok((chain, key))
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TlsConfig")
            .field("roots", &self.roots)
            .field("client", &self.client.is_some())
            .field("server_name", &self.server_name)
            .field(
                "danger_accept_invalid_certs",
                &self.danger_accept_invalid_certs,
            )
            .finish()
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform => formatter.write_str("Platform"),
            Self::Pem(pem) => write!(formatter, "Pem({} bytes)", pem.len()),
        }
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientIdentity(..)")
    }
}

fn read_roots(pem: &[u8]) -> Result<RootCertStore, SinkError> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate =
            certificate.map_err(|error| SinkError::config(format!("CA certificates: {error}")))?;
        store
            .add(certificate)
            .map_err(|error| SinkError::config(format!("CA certificates: {error}")))?;
    }
    if store.is_empty() {
        return Err(SinkError::config(
            "CA certificates: the PEM text holds none",
        ));
    }
    Ok(store)
}

/// Accepts every certificate, but still demands that the other side owns it.
#[derive(Debug)]
struct Unverified {
    algorithms: WebPkiSupportedAlgorithms,
}

impl Unverified {
    fn new(provider: &CryptoProvider) -> Self {
        Self {
            algorithms: provider.signature_verification_algorithms,
        }
    }
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
