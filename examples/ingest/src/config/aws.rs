//! `[aws.NAME]`: credentials, region and endpoints.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Problem, Secret};

/// One set of credentials, region and endpoints.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Aws {
    /// Region; absent means the standard chain (environment, profile, instance metadata).
    pub region: Option<String>,
    /// Named profile of the shared AWS files.
    pub profile: Option<String>,
    /// Static access key, as the plugin's `aws_access_key`. Needs `secret_key`.
    pub access_key: Option<String>,
    /// Static secret, from a file, an environment variable or a command; never the text itself.
    pub secret_key: Option<Secret>,
    /// Role to assume with the credentials above, as the plugin's `aws_assume_role_arn`.
    pub assume_role: Option<AssumeRole>,
    /// Endpoint overrides by service: `kinesis`, `dynamodb`, `sqs`, `s3`, `ec2`, `elasticloadbalancing`, `sts`.
    pub endpoints: BTreeMap<String, String>,
    /// Path-style S3 addressing, for private endpoints and emulators.
    pub s3_path_style: bool,
}

/// A role to assume.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssumeRole {
    /// ARN of the role.
    pub arn: String,
    /// External id demanded by the role's trust policy.
    pub external_id: Option<String>,
    /// Session name shown in the other account's CloudTrail.
    #[serde(default = "session_name")]
    pub session_name: String,
}

impl Aws {
    pub(super) fn check(&self, name: &str, problems: &mut Vec<Problem>) {
        let missing = match (&self.access_key, &self.secret_key) {
            (Some(_), None) => Some("secret_key"),
            (None, Some(_)) => Some("access_key"),
            _ => None,
        };
        if let Some(missing) = missing {
            problems.push(
                Problem::at(
                    ["aws", name, missing],
                    "`access_key` and `secret_key` belong together",
                )
                .help("set both, or neither to use the standard AWS chain"),
            );
        }
        for service in self.endpoints.keys() {
            if !SERVICES.contains(&service.as_str()) {
                problems.push(
                    Problem::at(
                        ["aws", name, "endpoints", service],
                        format!("unknown service `{service}`"),
                    )
                    .help(format!("known are {}", SERVICES.join(", "))),
                );
            }
        }
        if let Some(role) = &self.assume_role
            && !(role.arn.starts_with("arn:") && role.arn.contains(":role/"))
        {
            problems.push(
                Problem::at(
                    ["aws", name, "assume_role", "arn"],
                    format!("`{}` is no ARN of a role", role.arn),
                )
                .help("it looks like arn:aws:iam::111122223333:role/NAME"),
            );
        }
    }
}

fn session_name() -> String {
    "forebay".to_owned()
}

/// Services whose endpoint can be set.
pub const SERVICES: [&str; 7] = [
    "dynamodb",
    "ec2",
    "elasticloadbalancing",
    "kinesis",
    "s3",
    "sqs",
    "sts",
];
