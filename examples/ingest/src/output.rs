//! The GELF receiver of the configuration, as a sink.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
};

use anyhow::Context;
use forebay_gelf::{
    Balance, ClientIdentity, Driver, Encoder, FieldBlock, FieldName, HttpConfig, Roots, Sink,
    SinkConfig, TcpConfig, TlsConfig, Transport, UdpConfig,
};

use crate::{
    config::{self, Output, Protocol},
    stats::OutputStats,
};

/// Counters of an output, all at zero.
pub(crate) fn stats(name: &str, output: &Output) -> Arc<OutputStats> {
    let protocol = match output.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Tls => "tls",
        Protocol::Http => "http",
        Protocol::Udp => "udp",
    };
    OutputStats::new(name, protocol, &output.address)
}

/// Opens the sink of an output with this byte budget.
///
/// # Errors
///
/// A certificate file cannot be read, or the settings contradict each other.
pub(crate) fn open(
    output: &Output,
    budget: usize,
    stats: &Arc<OutputStats>,
) -> anyhow::Result<(Sink, Driver)> {
    let first = output
        .address
        .first()
        .context("`address` is empty")?
        .as_str();
    let transport: Transport = match output.protocol {
        Protocol::Tcp => tcp(output, None).into(),
        Protocol::Tls => tcp(output, Some(tls(output)?)).into(),
        Protocol::Http => {
            let mut http = HttpConfig::new("");
            http.urls = output
                .address
                .iter()
                .map(|address| url(address).into())
                .collect();
            http.balance = balance(output);
            http.gzip = output.gzip;
            http.bulk = output.bulk;
            http.tls = tls(output)?;
            for (name, value) in &output.headers {
                let value = value
                    .read()
                    .with_context(|| format!("`{name}` of `headers`"))?;
                http.headers.push((name.as_str().into(), value.into()));
            }
            http.proxy = output.proxy.as_ref().map(proxy).transpose()?;
            http.into()
        }
        Protocol::Udp => UdpConfig::new(first).into(),
    };
    let mut config = SinkConfig::default();
    config.budget = budget.max(MINIMUM_BUDGET);
    // Two processes that share a receiver must differ: the standard library seeds each hasher from the system.
    config.seed = RandomState::new().build_hasher().finish();
    let (sink, driver) = Sink::open(transport, config, Arc::clone(stats) as _)?;
    stats.watch(&sink);
    Ok((sink, driver))
}

/// The connections that an output makes, each to one address and called so; through a proxy, the one to the proxy.
///
/// # Errors
///
/// As [`open`]; an address is no URL.
pub(crate) fn connections(output: &Output) -> anyhow::Result<Vec<(String, TcpConfig)>> {
    let one = |address: &str, tls: bool| {
        let mut one = TcpConfig::new(address);
        if tls {
            one.tls = Some(self::tls(output)?);
        }
        anyhow::Ok(one)
    };
    let http = |address: &str| {
        let url = reqwest::Url::parse(&url(address)).with_context(|| address.to_owned())?;
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        let mut one = one(&format!("{host}:{port}"), url.scheme() == "https")?;
        if let Some(tls) = &mut one.tls {
            tls.server_name = None;
        }
        anyhow::Ok(one)
    };
    let addresses = match &output.proxy {
        Some(proxy) => std::slice::from_ref(&proxy.url),
        None => output.address.as_slice(),
    };
    let connections = addresses.iter().map(|address| {
        let connection = match output.protocol {
            Protocol::Http => http(address),
            protocol => one(address, protocol == Protocol::Tls),
        };
        Ok((address.clone(), connection?))
    });
    connections.collect()
}

/// The JSON members that `fields` add to every message, with a comma in front.
pub(crate) fn members(fields: &BTreeMap<String, String>) -> anyhow::Result<Vec<u8>> {
    let mut block = FieldBlock::new();
    for (name, value) in fields {
        block = block.text(&FieldName::new(name)?, value);
    }
    let mut encoder = Encoder::default();
    let mut render = |block: &FieldBlock| {
        let mut message = encoder.begin("-");
        message.short_message("-").fields(block);
        message.finish().map(|message| message.as_bytes().to_vec())
    };
    let (bare, full) = (render(&FieldBlock::new())?, render(&block)?);
    let members = full.get(bare.len() - 1..full.len() - 1);
    Ok(members.unwrap_or_default().to_vec())
}

/// The URL of a proxy, with user and password in it.
fn proxy(proxy: &config::Proxy) -> anyhow::Result<Box<str>> {
    let mut url = reqwest::Url::parse(&proxy.url).context("`url` of `proxy`")?;
    if let (Some(user), Some(password)) = (&proxy.username, &proxy.password) {
        let password = password.read().context("`password` of `proxy`")?;
        let written = url
            .set_username(user)
            .and_then(|()| url.set_password(Some(&password)));
        // Only a URL without host cannot have them.
        written.map_err(|()| anyhow::anyhow!("`url` of `proxy` has no host"))?;
    }
    Ok(url.as_str().into())
}

fn balance(output: &Output) -> Balance {
    match output.balance {
        config::Balance::Failover => Balance::Failover,
        config::Balance::RoundRobin => Balance::RoundRobin,
    }
}

fn tcp(output: &Output, tls: Option<TlsConfig>) -> TcpConfig {
    let mut tcp = TcpConfig::new("");
    tcp.addresses = output
        .address
        .iter()
        .map(|address| address.as_str().into())
        .collect();
    tcp.balance = balance(output);
    tcp.tls = tls;
    tcp
}

fn tls(output: &Output) -> anyhow::Result<TlsConfig> {
    let mut tls = TlsConfig::default();
    if let Some(path) = &output.ca_file {
        let pem = std::fs::read(path)
            .with_context(|| format!("`ca_file` {} cannot be read", path.display()))?;
        tls.roots = Roots::Pem(pem);
    }
    if let (Some(path), Some(key)) = (&output.client_cert, &output.client_key) {
        let pem = std::fs::read(path)
            .with_context(|| format!("`client_cert` {} cannot be read", path.display()))?;
        tls.client = Some(ClientIdentity::from_pem(pem, key.read()?));
    }
    tls.danger_accept_invalid_certs = output.danger_accept_invalid_certs;
    tls.server_name = output.server_name.as_deref().map(Box::from);
    Ok(tls)
}

/// A full URL, or `host:port` with Graylog's own path.
fn url(address: &str) -> String {
    if address.contains("://") {
        address.to_owned()
    } else {
        format!("http://{address}/gelf")
    }
}

/// The sink must take a full batch and go on filling the next.
const MINIMUM_BUDGET: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_port_gets_the_path_of_graylog() {
        assert_eq!(url("graylog:12201"), "http://graylog:12201/gelf");
        assert_eq!(url("https://graylog:12201/in"), "https://graylog:12201/in");
    }

    #[test]
    fn members_can_follow_those_of_any_message() {
        let fields = [("zone", "a \"b\""), ("environment", "prod")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let members = String::from_utf8(members(&fields.into()).unwrap()).unwrap();
        assert_eq!(members, r#","_environment":"prod","_zone":"a \"b\"""#);
        assert_eq!(super::members(&BTreeMap::new()).unwrap(), b"");
    }
}
