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
    /// Name the certificate must carry; absent means the address's host. `tls` only.
    pub server_name: Option<String>,
    /// Takes any certificate: whoever is in between can read and change what is sent. Only for trying things out; the
    /// log, `check` and the status say that it is on.
    #[serde(default)]
    pub danger_accept_invalid_certs: bool,
    /// Certificate chain of this client in PEM, for receivers that ask for one. Needs `client_key`.
    pub client_cert: Option<PathBuf>,
    /// Private key of `client_cert` in PEM.
    pub client_key: Option<Secret>,
    /// HTTP: more headers of each request, such as `Authorization`. Each value is the place of a secret: a header is
    /// what a receiver knows a sender by. They travel over https only.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// HTTP: the proxy on the way to the receivers. That of the environment is for AWS and not used here.
    pub proxy: Option<Proxy>,
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

/// A proxy on the way to the receivers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// `http://host:port`, without user and password.
    pub url: String,
    /// User, if the proxy asks for one. Needs `password`.
    pub username: Option<String>,
    /// Password of `username`.
    pub password: Option<Secret>,
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
        self.check_http(name, problems);
        if self.danger_accept_invalid_certs && self.ca_file.is_some() {
            problems.push(
                at(
                    "danger_accept_invalid_certs",
                    "with `danger_accept_invalid_certs` nobody looks at `ca_file`",
                )
                .help(
                    "`ca_file` is the sound way to a certificate of your own: leave the other out",
                ),
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

    /// The settings that only HTTP has.
    fn check_http(&self, name: &str, problems: &mut Vec<Problem>) {
        let at = |key: &str, what: &str| Problem::at(["output", name, key], what);
        let set = [
            ("headers", !self.headers.is_empty()),
            ("proxy", self.proxy.is_some()),
            ("bulk", self.bulk),
        ];
        if self.protocol != Protocol::Http {
            for (key, _) in set.into_iter().filter(|(_, set)| *set) {
                problems.push(
                    at(key, &format!("`{key}` is for `protocol = \"http\"`"))
                        .help("leave it out, or send over HTTP"),
                );
            }
            return;
        }
        let readable = self.address.iter().find(|address| {
            !address.starts_with("https://") && (self.proxy.is_some() || !is_loopback(address))
        });
        if let Some(address) = readable.filter(|_| !self.headers.is_empty()) {
            problems.push(
                at(
                    "headers",
                    &format!("`headers` would travel in the clear to `{address}`"),
                )
                .help("send to an https:// URL"),
            );
        }
        let Some(proxy) = &self.proxy else { return };
        let help = "`url = \"http://proxy:3128\"`; user and password are `username` and `password = { file = \"PATH\" }`";
        if proxy.url.contains('@') {
            // Without its place: the line would be shown, password and all.
            let what = format!("`url` of [output.{name}.proxy] holds a user or a password");
            problems.push(Problem::at([], what).help(help));
        } else if !proxy.url.starts_with("http://") {
            let path = ["output", name, "proxy", "url"];
            problems
                .push(Problem::at(path, "`url` of a proxy must be http://host:port").help(help));
        }
        if proxy.username.is_some() != proxy.password.is_some() {
            let path = ["output", name, "proxy"];
            let what = "`username` and `password` belong together";
            problems.push(Problem::at(path, what).help("set both"));
        }
    }
}

/// Whether an address with or without `http://` never leaves this machine.
pub(super) fn is_loopback(address: &str) -> bool {
    let rest = address.strip_prefix("http://").unwrap_or(address);
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

fn yes() -> bool {
    true
}

fn budget() -> ByteSize {
    ByteSize(64 << 20)
}
