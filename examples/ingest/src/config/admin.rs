//! `[admin]`: the port for health, metrics and the status page.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Problem, Secret};

/// The port for health, metrics and the status page. Without it nothing listens.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Address and port, such as `127.0.0.1:9090`; absent means that nothing listens.
    #[schemars(with = "Option<String>")]
    pub listen: Option<SocketAddr>,
    /// Token that changes (`PUT /log-level`, `POST /reload`) must carry; absent means that only callers on this machine
    /// may make them.
    pub token: Option<Secret>,
}

impl Admin {
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        if self.token.is_some() && self.listen.is_none() {
            problems.push(
                Problem::at(["admin", "token"], "`token` of `[admin]` guards nothing")
                    .help("set `listen`, such as \"127.0.0.1:9090\""),
            );
        }
    }
}
