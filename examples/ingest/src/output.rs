//! The GELF receiver of the configuration, as a sink.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
};

use anyhow::Context;
use forebay_gelf::{
    Balance, Driver, HttpConfig, Roots, Sink, SinkConfig, TcpConfig, TlsConfig, Transport,
    UdpConfig,
};

use crate::{
    config::{Output, Protocol},
    stats::OutputStats,
};

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
    let addresses = output.address.get_ref();
    let first = addresses.first().context("`address` is empty")?.as_str();
    let transport: Transport = match output.protocol {
        Protocol::Tcp => tcp(addresses, None).into(),
        Protocol::Tls => tcp(addresses, Some(tls(output)?)).into(),
        Protocol::Http => {
            let mut http = HttpConfig::new(url(first));
            http.tls = tls(output)?;
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

fn tcp(addresses: &[String], tls: Option<TlsConfig>) -> TcpConfig {
    let mut tcp = TcpConfig::new("");
    tcp.addresses = addresses
        .iter()
        .map(|address| address.as_str().into())
        .collect();
    tcp.balance = Balance::Failover;
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
}
