//! `[entities]`: names for addresses.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Problem, default_name, units};

/// Translation of addresses into AWS entities.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Entities {
    /// Off by default, as in the plugin.
    pub enabled: bool,
    /// `[aws.NAME]` sets to scan.
    pub accounts: Vec<String>,
    /// Regions to scan; empty means each account's own.
    pub regions: Vec<String>,
    /// Time between scans, at least 10 s.
    #[serde(deserialize_with = "units::duration")]
    #[schemars(with = "String")]
    pub refresh: Duration,
    /// From this age on what is known is reported as stale. It is used all the same.
    #[serde(deserialize_with = "units::duration")]
    #[schemars(with = "String")]
    pub stale_after: Duration,
    /// Message fields whose address is translated: columns of flow logs, and `source_address` of CloudTrail.
    pub fields: Vec<String>,
    /// Further fields beside the plugin's three: kind, name, account, region, VPC, subnet, interface.
    pub extended: bool,
    /// Tags that name an entity; the first one present counts.
    pub tags: Vec<String>,
    /// What to do with an address that several entities have.
    pub on_conflict: OnConflict,
    /// Ask for the DNS names of classic load balancers as well; needs a right of its own.
    pub load_balancers: bool,
    /// Where to keep what is known for the next start.
    pub snapshot_file: Option<PathBuf>,
    /// A local copy of AWS's `ip-ranges.json`: names for addresses of AWS services.
    pub ranges_file: Option<PathBuf>,
}

/// What to do with an address that several entities have.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum OnConflict {
    /// The entity on the recording interface; else the only one in its VPC; else the only one in its account.
    #[default]
    ByInterface,
    /// Only entities of the record's account; among several of them as with `by-interface`.
    ByAccount,
    /// The entity of the account that is listed first.
    First,
    /// None.
    Skip,
}

impl Default for Entities {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            enabled: false,
            accounts: vec![default_name()],
            regions: Vec::new(),
            refresh: Duration::from_secs(60),
            stale_after: Duration::from_secs(15 * 60),
            fields: names(&["src_addr", "dst_addr"]),
            extended: false,
            tags: names(&["Name"]),
            on_conflict: OnConflict::default(),
            load_balancers: true,
            snapshot_file: None,
            ranges_file: None,
        }
    }
}

/// Fields of messages that hold an address.
pub(crate) const ADDRESS_FIELDS: [&str; 5] = [
    "src_addr",
    "dst_addr",
    "pkt_srcaddr",
    "pkt_dstaddr",
    "source_address",
];

impl Entities {
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        if self.refresh < Duration::from_secs(10) {
            problems.push(
                Problem::at(["entities", "refresh"], "`refresh` must be at least 10s")
                    .help("each refresh reads everything; the plugin takes 60s"),
            );
        }
        for (index, field) in self.fields.iter().enumerate() {
            if !ADDRESS_FIELDS.contains(&field.as_str()) {
                problems.push(
                    Problem::at(
                        ["entities", "fields", &index.to_string()],
                        format!("`{field}` is no field with an address"),
                    )
                    .help(format!("such fields are {}", ADDRESS_FIELDS.join(", "))),
                );
            }
        }
    }
}
