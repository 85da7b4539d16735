//! `[output.NAME]`: where messages go.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ByteSize, Problem, Secret};

/// One or more GELF receivers that stand for each other.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// How messages travel.
    #[serde(default)]
    pub protocol: Protocol,
    /// `host:port` of each receiver, or for HTTP a URL.
    pub address: Vec<String>,
    /// Which of several receivers is used.
    #[serde(default)]
    pub balance: Balance,
    /// Certificate authorities in PEM; absent means the platform's.
    pub ca_file: Option<PathBuf>,
    /// Name the certificate must carry; absent means the address's host.
    pub server_name: Option<String>,
    /// Certificate chain of this client in PEM, for receivers that ask for one. Needs `client_key`.
    pub client_cert: Option<PathBuf>,
    /// Private key of `client_cert` in PEM.
    pub client_key: Option<Secret>,
    /// HTTP: compress request bodies.
    #[serde(default = "yes")]
    pub gzip: bool,
    /// HTTP: several messages per request. Only for inputs with "bulk receiving" turned on: others keep the first
    /// message of a request and drop the rest without a word.
    #[serde(default)]
    pub bulk: bool,
    /// Additional fields of every message.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// Byte budget of everything between AWS and the receiver's acceptance.
    #[serde(default = "budget")]
    pub queue: ByteSize,
    /// UDP cannot tell what arrived: `best-effort` says that this is understood.
    pub delivery: Option<Delivery>,
}

/// How messages travel.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// Plain TCP, NUL-terminated.
    #[default]
    Tcp,
    /// TCP inside TLS.
    Tls,
    /// `POST /gelf`.
    Http,
    /// Datagrams.
    Udp,
}

/// Which of several receivers is used.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// The first that works.
    #[default]
    Failover,
    /// One after the other.
    RoundRobin,
}

/// What the operator accepts about delivery.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// Loss between the kernel and the receiver is accepted.
    BestEffort,
}

impl Output {
    pub(super) fn check(&self, name: &str, problems: &mut Vec<Problem>) {
        let at = |key: &str, what: &str| Problem::at(["output", name, key], what);
        if self.address.is_empty() {
            problems
                .push(at("address", "`address` is empty").help("give at least one `host:port`"));
        }
        for (index, address) in self.address.iter().enumerate() {
            let port = address
                .rsplit_once(':')
                .map(|(_, port)| port.parse::<u16>());
            let url = self.protocol == Protocol::Http && address.contains("://");
            if !url && !matches!(port, Some(Ok(_))) {
                let path = ["output", name, "address", &index.to_string()];
                problems.push(
                    Problem::at(path, format!("`{address}` has no port"))
                        .help("Graylog's GELF inputs listen on 12201: \"graylog:12201\""),
                );
            }
        }
        if self.protocol == Protocol::Udp && self.delivery.is_none() {
            problems.push(
                at("protocol", "UDP cannot tell what arrived, so checkpoints would prove nothing").help(
                    "use `protocol = \"tcp\"`, or accept the loss with `delivery = \"best-effort\"`",
                ),
            );
        }
        if self.protocol == Protocol::Udp && self.address.len() > 1 {
            problems.push(at("address", "UDP has one receiver").help("list one address"));
        }
        let missing = match (&self.client_cert, &self.client_key) {
            (Some(_), None) => Some("client_key"),
            (None, Some(_)) => Some("client_cert"),
            _ => None,
        };
        if let Some(missing) = missing {
            problems.push(
                at(missing, "`client_cert` and `client_key` belong together").help("set both"),
            );
        }
        for field in self.fields.keys() {
            if let Err(error) = forebay_gelf::FieldName::new(field) {
                problems.push(Problem::at(
                    ["output", name, "fields", field],
                    error.to_string(),
                ));
            }
        }
    }
}

fn yes() -> bool {
    true
}

fn budget() -> ByteSize {
    ByteSize(64 << 20)
}
