//! `forebay tail`: what arrives in a stream, for people. No lease table, no checkpoint.

use std::{sync::Arc, time::Duration};

use clap::Args;
use forebay_gelf::{Sink, SinkConfig, WriterConfig};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{ConfigArguments, kinesis_input, say};
use crate::{
    clock,
    config::{Config, Start},
    exit::Exit,
    pipeline::Pipeline,
    reading::Reading,
};

#[derive(Debug, Args)]
pub(super) struct TailArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Which [kinesis.NAME]; needed if there are several.
    #[arg(long, value_name = "NAME")]
    input: Option<String>,
    /// From so long ago, such as `2h 30m`; else from now on.
    #[arg(long, value_name = "DURATION")]
    since: Option<String>,
    /// Only messages with this text anywhere.
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    /// Stop after so many messages.
    #[arg(short, long, value_name = "COUNT")]
    number: Option<u64>,
    /// Stop when the end of the stream is reached.
    #[arg(long)]
    exit_at_end: bool,
    /// The whole messages as JSON.
    #[arg(long)]
    raw: bool,
}

pub(super) async fn tail(arguments: &TailArguments) -> anyhow::Result<Exit> {
    let mut config = arguments.config.load()?;
    let name = kinesis_input(&config, arguments.input.as_deref())?
        .0
        .to_owned();
    only(&mut config, &name);
    if let Some(input) = config.kinesis.get_mut(&name) {
        input.start = match &arguments.since {
            None => Start::Latest,
            Some(text) => {
                let since: jiff::SignedDuration = text.parse()?;
                Start::At(clock::wall() - Duration::try_from(since)?)
            }
        };
    }
    let (writer, reader) = tokio::io::duplex(64 << 10);
    let (sink, driver) = Sink::open(
        WriterConfig::new("tail", writer),
        SinkConfig::default(),
        Arc::new(()),
    )?;
    let pipeline = Pipeline::new(config).await?.with_reading(Reading {
        instead: Some((sink, driver)),
        until_caught_up: arguments.exit_at_end,
    });
    let running = pipeline.run(async {
        // Without a handler for the signal the process ends at once, which loses nothing here.
        let _ = tokio::signal::ctrl_c().await;
    });
    let mut printing = std::pin::pin!(print(arguments, reader));
    tokio::select! {
        printed = &mut printing => printed?,
        ran = running => {
            ran?;
            printing.await?;
        }
    }
    Ok(Exit::Done)
}

/// Leaves only the stream `name` in the configuration.
fn only(config: &mut Config, name: &str) {
    config.kinesis.retain(|input, _| input == name);
    config.cloudtrail.clear();
    config.s3.clear();
}

async fn print(arguments: &TailArguments, reader: tokio::io::DuplexStream) -> anyhow::Result<()> {
    let mut lines = BufReader::new(reader).lines();
    let mut printed = 0;
    while let Some(line) = lines.next_line().await? {
        if arguments
            .grep
            .as_ref()
            .is_some_and(|text| !line.contains(text.as_str()))
        {
            continue;
        }
        if arguments.raw {
            say(&line)?;
        } else {
            say(compact(&line))?;
        }
        printed += 1;
        if arguments.number.is_some_and(|most| printed >= most) {
            break;
        }
    }
    Ok(())
}

/// One line for a person: time, source, text, names of the addresses.
fn compact(line: &str) -> String {
    let message: Value = serde_json::from_str(line).unwrap_or_default();
    let text = |name: &str| message[name].as_str().unwrap_or_default();
    let time = message["timestamp"]
        .as_f64()
        .and_then(|seconds| jiff::Timestamp::from_millisecond((seconds * 1000.0) as i64).ok());
    let time = time.map_or_else(String::new, |time| format!("{time:.3}"));
    let mut shown = format!("{time} {} {}", text("host"), text("short_message"));
    for (label, field) in [("from", "_src_addr"), ("to", "_dst_addr")] {
        let names =
            ["_entity_description", "_entity"].map(|suffix| text(&format!("{field}{suffix}")));
        if let Some(name) = names.iter().find(|name| !name.is_empty()) {
            shown.push_str(&format!("  {label} {name}"));
        }
    }
    // Control characters of the logs must not reach the terminal.
    shown.replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_time_source_text_and_names() {
        let line = r#"{"version":"1.1","host":"aws-flowlogs","short_message":"eni-1 ACCEPT TCP\u001b[31m","timestamp":1795000000.5,"_src_addr_entity":"ec2:i-1","_dst_addr_entity":"ec2:i-2","_dst_addr_entity_description":"db"}"#;
        assert_eq!(
            compact(line),
            "2026-11-18T11:06:40.500Z aws-flowlogs eni-1 ACCEPT TCP [31m  from ec2:i-1  to db"
        );
    }
}
