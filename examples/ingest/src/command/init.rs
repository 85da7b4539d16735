//! `forebay init`: a configuration to start from, or one made from the plugin's inputs.

use std::{fmt::Write, path::PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::{note, say};
use crate::{decode, exit::Exit};

#[derive(Debug, Args)]
pub(super) struct InitArguments {
    /// The plugin's inputs, as `GET /api/system/inputs` of Graylog gives them; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    from_graylog: Option<PathBuf>,
    /// `host:port` of Graylog's GELF TCP input.
    #[arg(long, default_value = "127.0.0.1:12201", value_name = "ADDRESS")]
    to: String,
}

pub(super) fn init(arguments: &InitArguments) -> anyhow::Result<Exit> {
    let Some(path) = &arguments.from_graylog else {
        let example = include_str!("../../forebay.toml");
        say(example.trim_end().replace("127.0.0.1:12201", &arguments.to))?;
        return Ok(Exit::Done);
    };
    let bytes = decode::read(path).with_context(|| path.display().to_string())?;
    let list: Value =
        serde_json::from_slice(&bytes).with_context(|| format!("{} is no JSON", path.display()))?;
    let inputs = list["inputs"].as_array().or_else(|| list.as_array());
    let inputs = inputs.with_context(|| format!("{} has no list of inputs", path.display()))?;
    say(imported(inputs, &arguments.to)?.trim_end())?;
    Ok(Exit::Done)
}

/// The configuration that does what these inputs did.
fn imported(inputs: &[Value], to: &str) -> anyhow::Result<String> {
    let mut text = String::from(
        "# Made by `forebay init --from-graylog`. Secrets are not in Graylog's answer: see the lines with `secret_key`.\nversion = 1\n",
    );
    let mut made = 0;
    for input in inputs {
        let title = input["title"].as_str().unwrap_or_default();
        let kind = input["type"].as_str().unwrap_or_default();
        let settings = &input["attributes"];
        let setting = |name: &str| {
            settings[name]
                .as_str()
                .map(str::trim)
                .filter(|text| !text.is_empty())
        };
        let name = table_name(title, made);
        let class = kind.rsplit('.').next().unwrap_or_default();
        let decode = match (class, setting("aws_message_type")) {
            ("FlowLogsInput", _) | (_, Some("KINESIS_CLOUDWATCH_FLOW_LOGS")) => "flowlog",
            ("CloudWatchLogsInput" | "AWSLogsInput", _) | (_, Some("KINESIS_CLOUDWATCH_RAW")) => {
                "cloudwatch"
            }
            (_, Some("KINESIS_RAW")) => "raw",
            ("CloudTrailInput", _) => "cloudtrail",
            _ => {
                if setting("kinesis_stream_name").is_some() || kind.contains("aws") {
                    note(format_args!(
                        "left out: \"{title}\" ({kind}), which has no counterpart"
                    ));
                }
                continue;
            }
        };
        made += 1;
        writeln!(text, "\n# {}", title.replace(['\n', '\r'], " "))?;
        credentials(&mut text, &name, settings)?;
        if decode == "cloudtrail" {
            writeln!(
                text,
                "[cloudtrail.{name}]\naws = \"{name}\"\nqueue = {}",
                quoted(setting("aws_sqs_queue_name").unwrap_or("cloudtrail-notifications"))
            )?;
            for (theirs, ours) in [
                ("aws_sqs_region", "sqs_region"),
                ("aws_s3_region", "s3_region"),
            ] {
                if let Some(region) = setting(theirs) {
                    writeln!(text, "{ours} = {}", quoted(region))?;
                }
            }
            if settings["include_full_message_json"] == true {
                writeln!(text, "full_message = true")?;
            }
        } else {
            let stream = setting("kinesis_stream_arn")
                .or_else(|| setting("kinesis_stream_name"))
                .unwrap_or_default();
            writeln!(
                text,
                "[kinesis.{name}]\naws = \"{name}\"\nstream = {}\ndecode = \"{decode}\"",
                quoted(stream)
            )?;
            if let Some(size) = settings["kinesis_record_batch_size"].as_u64() {
                writeln!(text, "batch_size = {}", size.clamp(1, 10_000))?;
            }
            if settings["store_full_message"] == true {
                writeln!(text, "store_full_message = true")?;
            }
            // The plugin's switch works the wrong way round; absent means plain names.
            if settings["aws_flow_log_prefix"] == false {
                writeln!(text, "field_prefix = true")?;
            }
        }
        let generation = if class == "AWSInput" {
            "aws-kinesis-"
        } else {
            ""
        };
        match (setting("override_source"), generation, decode) {
            (Some(source), _, _) => writeln!(text, "source = {}", quoted(source))?,
            // The successor's inputs had other sources than the plugin's.
            (None, "aws-kinesis-", "flowlog") => {
                writeln!(text, "source = \"aws-kinesis-flowlogs\"")?
            }
            (None, "aws-kinesis-", "cloudwatch" | "raw") => {
                writeln!(text, "source = \"aws-kinesis-raw-logs\"")?
            }
            _ => {}
        }
    }
    anyhow::ensure!(made > 0, "there is no AWS input in this list");
    writeln!(text, "\n[output.graylog]\naddress = [{}]", quoted(to))?;
    Ok(text)
}

fn credentials(text: &mut String, name: &str, settings: &Value) -> anyhow::Result<()> {
    let setting = |name: &str| {
        settings[name]
            .as_str()
            .map(str::trim)
            .filter(|text| !text.is_empty())
    };
    writeln!(text, "[aws.{name}]")?;
    if let Some(region) = setting("aws_region").or_else(|| setting("aws_sqs_region")) {
        writeln!(text, "region = {}", quoted(region))?;
    }
    if let Some(key) = setting("aws_access_key") {
        writeln!(
            text,
            "access_key = {}\nsecret_key = {{ file = \"/run/secrets/{name}\" }}",
            quoted(key)
        )?;
    }
    if let Some(arn) = setting("aws_assume_role_arn") {
        let external =
            setting("aws_external_id").map(|id| format!(", external_id = {}", quoted(id)));
        writeln!(
            text,
            "assume_role = {{ arn = {}{} }}",
            quoted(arn),
            external.unwrap_or_default()
        )?;
    }
    let endpoints: Vec<String> = ["kinesis", "dynamodb"]
        .iter()
        .filter_map(|service| {
            Some(format!(
                "{service} = {}",
                quoted(setting(&format!("{service}_endpoint"))?)
            ))
        })
        .collect();
    if !endpoints.is_empty() {
        writeln!(text, "endpoints = {{ {} }}", endpoints.join(", "))?;
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A title as the name of a table, unlike all before.
fn table_name(title: &str, number: usize) -> String {
    let name: String = title
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let name = name
        .split('-')
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("-");
    match name.as_str() {
        "" => format!("input-{}", number + 1),
        _ => format!("{name}-{}", number + 1),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::config::Config;

    #[test]
    fn the_inputs_of_a_graylog_become_a_valid_configuration() {
        let list = json!({"total": 5, "inputs": [
            {"title": "VPC flow", "type": "org.graylog.aws.inputs.flowlogs.FlowLogsInput", "attributes": {
                "aws_region": "eu-west-1", "aws_access_key": "AKIAEXAMPLE", "aws_secret_key": "<encrypted>",
                "kinesis_stream_name": "flowlogs", "kinesis_record_batch_size": 10000, "throttling_allowed": true}},
            {"title": "App: \"shop\"", "type": "org.graylog.integrations.aws.inputs.AWSInput", "attributes": {
                "aws_region": "us-east-1", "aws_message_type": "KINESIS_CLOUDWATCH_RAW", "kinesis_stream_name": "apps",
                "aws_assume_role_arn": "arn:aws:iam::111122223333:role/logs", "aws_external_id": "x1", "aws_flow_log_prefix": true,
                "kinesis_endpoint": "https://vpce-1.example"}},
            {"title": "Trail", "type": "org.graylog.aws.inputs.cloudtrail.CloudTrailInput", "attributes": {
                "aws_sqs_region": "eu-west-1", "aws_s3_region": "eu-central-1", "aws_sqs_queue_name": "trail", "override_source": "audit"}},
            {"title": "Raw", "type": "org.graylog.integrations.aws.inputs.AWSInput", "attributes": {
                "aws_message_type": "KINESIS_RAW", "kinesis_stream_name": "raw", "store_full_message": true}},
            {"title": "Syslog", "type": "org.graylog2.inputs.syslog.udp.SyslogUDPInput", "attributes": {"port": 514}},
        ]});
        let inputs = list["inputs"].as_array().unwrap();
        let text = imported(inputs, "graylog:12201").unwrap();
        let config = Config::parse(Path::new("made.toml"), &text)
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!((config.kinesis.len(), config.cloudtrail.len()), (3, 1));
        assert!(!text.contains("<encrypted>"));
        insta::assert_snapshot!(text);
    }
}
