//! GELF over HTTP and HTTPS: settings.

use std::fmt;
use std::time::Duration;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::sink::error::SinkError;
use crate::sink::tcp::Balance;
use crate::sink::tcp::connect::{is_allowed, look_up};
use crate::sink::tls::TlsConfig;

pub(crate) use self::driver::run;

mod answer;
mod driver;

/// Settings of the HTTP transport.
///
/// Acceptance means [`Grade::Status`](crate::Grade::Status): 2xx, answer read completely.
#[non_exhaustive]
#[derive(Clone)]
pub struct HttpConfig {
    /// The receivers, each such as `https://graylog.example:12201/gelf`. Graylog wants exactly the path `/gelf`.
    pub urls: Vec<Box<str>>,
    /// Which receiver the next request goes to.
    pub balance: Balance,
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
    /// A proxy, `http://[user:password@]host:port`; its password is sent to nobody else. The environment is not
    /// looked at.
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
            urls: vec![url.into()],
            balance: Balance::Failover,
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

    /// Checks the settings; gives the client of all requests and the receivers' addresses.
    ///
    /// Redirects are answers, not orders: a receiver must not send messages elsewhere.
    pub(crate) fn client(&self) -> Result<(reqwest::Client, Vec<Url>), SinkError> {
        if self.urls.is_empty() {
            return Err(SinkError::config(
                "`urls` is empty; name at least one receiver",
            ));
        }
        if self.concurrency == 0 || self.body_bytes == 0 {
            return Err(SinkError::config(
                "`concurrency` and `body_bytes` must be above 0",
            ));
        }
        let urls = self
            .urls
            .iter()
            .map(|url| self.parse_url(url))
            .collect::<Result<_, _>>()?;
        let mut headers = reqwest::header::HeaderMap::new();
        for (name, value) in &self.headers {
            let name = reqwest::header::HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| SinkError::config(format!("`{name}` is not a header name")))?;
            let mut value = reqwest::header::HeaderValue::from_str(value).map_err(|_| {
                SinkError::config(format!("the value of header `{name}` cannot be sent"))
            })?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(self.connect_timeout)
            .timeout(self.request_timeout)
            // Graylog closes an idle connection after 60 s; be gone before.
            .pool_idle_timeout(Duration::from_secs(50))
            .http1_only()
            .dns_resolver(Resolver)
            .tls_backend_preconfigured(self.tls.client_config()?);
        builder = match &self.proxy {
            None => builder.no_proxy(),
            Some(proxy) => {
                let proxy = reqwest::Proxy::all(&**proxy)
                    .map_err(|_| SinkError::config("`proxy` is not a URL"))?;
                builder.proxy(proxy)
            }
        };
        let client = builder
            .build()
            .map_err(|error| SinkError::config(format!("HTTP client: {error}")))?;
        Ok((client, urls))
    }

    fn parse_url(&self, text: &str) -> Result<Url, SinkError> {
        let url = Url::parse(text)
            .map_err(|error| SinkError::config(format!("a URL of `urls`: {error}")))?;
        let Some(host) = url
            .host_str()
            .filter(|_| matches!(url.scheme(), "http" | "https"))
        else {
            return Err(SinkError::config(
                "each of `urls` must be http:// or https:// with a host",
            ));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(SinkError::config(
                "`urls` must not hold a password; use `headers`",
            ));
        }
        let address = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>()
            .ok();
        if address.is_some_and(|address| !is_allowed(address)) {
            return Err(SinkError::config(
                "link-local addresses are refused as receivers",
            ));
        }
        let loopback = address.map_or(host == "localhost", |address| address.is_loopback());
        let readable = url.scheme() == "http" && (!loopback || self.proxy.is_some());
        if readable && !self.headers.is_empty() {
            return Err(SinkError::config(
                "`headers` would travel readable over http://; use https://",
            ));
        }
        Ok(url)
    }
}

/// Looks up names as the other transports do.
struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The client puts the port of the URL in the place of 0.
            let addresses = look_up((name.as_str(), 0)).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
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
