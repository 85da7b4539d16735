//! TLS for TCP and HTTPS: rustls with the aws-lc-rs provider, verified by default.

use std::fmt;

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
    /// hourly.
    pub danger_accept_invalid_certs: bool,
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
        Self { certificates: certificates.into(), key: key.into() }
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TlsConfig")
            .field("roots", &self.roots)
            .field("client", &self.client.is_some())
            .field("server_name", &self.server_name)
            .field("danger_accept_invalid_certs", &self.danger_accept_invalid_certs)
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
