//! GELF over HTTP and HTTPS: settings.

use std::fmt;
use std::time::Duration;

use crate::sink::error::SinkError;
use crate::sink::tls::TlsConfig;

/// Settings of the HTTP transport.
///
/// Acceptance means [`Grade::Status`](crate::Grade::Status): 2xx, answer read completely.
#[non_exhaustive]
#[derive(Clone)]
pub struct HttpConfig {
    /// The receiver, such as `https://graylog.example:12201/gelf`. Graylog wants exactly the path `/gelf`.
    pub url: Box<str>,
    /// Headers of each request, such as a token the receiver asks for. Values are never printed.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// TLS for `https`.
    pub tls: TlsConfig,
    /// Requests under way at the same time. Default 8.
    pub concurrency: usize,
    /// Compresses bodies with `Content-Encoding: gzip`. Default true.
    pub gzip: bool,
    /// Several messages per request, one per line. Only for receivers with bulk receiving turned on: others keep the
    /// first message and drop the rest without a word.
    pub bulk: bool,
    /// Longest body before compression. Default 65,536 bytes, Graylog's `max_chunk_size`; longer messages are
    /// refused without being sent.
    pub body_bytes: usize,
    /// A proxy, `http://[user:password@]host:port`. The environment is not looked at.
    pub proxy: Option<Box<str>>,
    /// Limit for lookup, connect and TLS handshake. Default 5 s.
    pub connect_timeout: Duration,
    /// Limit for a whole request. Default 30 s.
    pub request_timeout: Duration,
    /// Wait after an answer that only a person can change (401, 403, 404, 405, redirects). Default 60 s.
    pub misconfigured_wait: Duration,
}

impl HttpConfig {
    /// Default settings for one receiver.
    #[must_use]
    pub fn new(url: impl Into<Box<str>>) -> Self {
        Self {
            url: url.into(),
            headers: Vec::new(),
            tls: TlsConfig::default(),
            concurrency: 8,
            gzip: true,
            bulk: false,
            body_bytes: 65_536,
            proxy: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            misconfigured_wait: Duration::from_secs(60),
        }
    }

    pub(crate) fn check(&self) -> Result<(), SinkError> {
        Ok(())
    }
}

impl fmt::Debug for HttpConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HttpConfig")
            .field("headers", &self.headers.len())
            .field("concurrency", &self.concurrency)
            .field("gzip", &self.gzip)
            .field("bulk", &self.bulk)
            .finish_non_exhaustive()
    }
}
