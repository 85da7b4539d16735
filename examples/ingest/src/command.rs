//! The command line: arguments, and which code answers them.

mod check;
mod config;
#[cfg(feature = "entities")]
mod entities;
mod iam;
mod init;
mod leases;
mod manual;
mod replay;
mod status;
mod tail;

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, reload, util::SubscriberInitExt};

use crate::{
    allocator::give_memory_back,
    config::{Config, ConfigError, LogFormat, Sources},
    decode,
    demo::{self, Act},
    exit::Exit,
    live_rows::LiveRows,
    log_lines::LogLines,
    run,
};

/// The arguments of `forebay`.
#[derive(Debug, Parser)]
#[command(
    name = "forebay",
    version,
    about = "Brings AWS logs into Graylog: CloudWatch Logs and VPC flow logs from Kinesis, CloudTrail from S3.",
    after_help = "Examples:\n  forebay demo\n  forebay check --config forebay.toml\n  forebay run --config forebay.toml\n  forebay decode capture.gz | jq ._src_addr"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole pipeline on an embedded AWS for a few seconds and account for every message.
    Demo(DemoArguments),
    /// Run the pipeline on AWS until it is told to stop (SIGTERM, SIGINT).
    Run(RunArguments),
    /// Try the configuration: rights, streams, queues, lease tables, receivers. Changes nothing.
    Check(check::CheckArguments),
    /// Print the IAM policy that this very configuration needs, or the commands that set up the AWS side.
    Iam(iam::IamArguments),
    /// Look at the lease table of a stream, and mend it by hand.
    Leases(leases::LeasesArguments),
    /// Look at the names that addresses get.
    #[cfg(feature = "entities")]
    Entities(entities::EntitiesArguments),
    /// Send captured files or dead letters to the outputs.
    Replay(replay::ReplayArguments),
    /// Print what arrives in a stream, without leases and without checkpoints.
    Tail(tail::TailArguments),
    /// Turn captured files into GELF lines on standard output, without network.
    Decode(DecodeArguments),
    /// Ask the admin port of a running process how it is.
    Status(status::StatusArguments),
    /// Print a configuration file to start from, or one made from the plugin's inputs.
    Init(init::InitArguments),
    /// Print the configuration that results from all sources, or its JSON Schema.
    Config(config::ShowArguments),
    /// Print completions for a shell.
    Completions(manual::CompletionsArguments),
    /// Print the manual page, or write the pages of all commands into a directory.
    Man(manual::ManualArguments),
}

/// Where the configuration comes from.
#[derive(Clone, Debug, Args)]
struct ConfigArguments {
    /// Configuration file, or a directory of them. May be repeated: later ones go before earlier ones.
    #[arg(
        long,
        short,
        env = "FOREBAY_CONFIG",
        default_value = "forebay.toml",
        global = true,
        value_name = "FILE"
    )]
    config: Vec<PathBuf>,
    /// One value, such as `kinesis.flow-logs.batch_size=500`. May be repeated.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl ConfigArguments {
    fn sources(&self) -> Sources {
        let sources = Sources::default().with_environment(std::env::vars());
        let sources = self
            .config
            .iter()
            .fold(sources, |sources, path| sources.with_file(path));
        sources.with_settings(self.set.iter().cloned())
    }

    fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.sources())
    }
}

#[derive(Debug, Args)]
struct DemoArguments {
    /// How long events are fed, in seconds.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Make the embedded AWS fail now and then: throttles, errors, answers lost after their effect.
    #[arg(long)]
    faults: bool,
    /// Show how one kind of trouble is got over. May be repeated.
    #[arg(long, value_enum)]
    act: Vec<Act>,
    /// Show log lines of the pipeline on standard error.
    #[arg(long, short)]
    verbose: bool,
}

#[derive(Debug, Args)]
struct RunArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Read without leases, checkpoints and deletes, and print what would be sent. Queues are left alone.
    #[arg(long)]
    dry_run: bool,
    /// Stop when every shard of every stream has been read to its end.
    #[arg(long)]
    until_caught_up: bool,
}

#[derive(Debug, Args)]
struct DecodeArguments {
    /// Files to decode; `-` is standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Flow-log format for lines without a header: `default`, or the template given to AWS.
    #[arg(long, default_value = "default")]
    flow_format: String,
    /// Tell on standard error, for each file, what it was and how many messages it gave.
    #[arg(long)]
    summary: bool,
}

impl Arguments {
    /// Does what the arguments ask for.
    ///
    /// # Errors
    ///
    /// What kept the command from its work; [`Exit::of`] gives the code.
    pub fn execute(self) -> anyhow::Result<Exit> {
        match self.command {
            Command::Decode(arguments) => decode(&arguments),
            Command::Demo(arguments) => {
                let rows = LiveRows::on_standard_error();
                let filter = if arguments.verbose { "info" } else { "off" };
                log(filter, LogFormat::Text, rows.clone());
                let options = demo::Options {
                    feed: Duration::from_secs(arguments.seconds),
                    faults: arguments.faults,
                    acts: arguments.act,
                    rows: rows.clone(),
                };
                let ended = runtime(async {
                    tokio::select! {
                        ended = demo::demo(&options) => ended,
                        _ = tokio::signal::ctrl_c() => Ok(Exit::Forced),
                    }
                });
                rows.clear();
                ended
            }
            Command::Run(arguments) => {
                let given_back = give_memory_back();
                let config = arguments.config.load()?;
                let rows = LiveRows::on_standard_error();
                let (filter, format) = (&config.service.log, config.service.log_format);
                let set_log = log(filter, format, rows.clone());
                if let Err(error) = given_back {
                    tracing::warn!(%error, "more memory is kept after an outage");
                }
                let ended = runtime(run::run(run::Options {
                    config,
                    sources: arguments.config.sources(),
                    dry_run: arguments.dry_run,
                    until_caught_up: arguments.until_caught_up,
                    set_log,
                    rows: rows.clone(),
                }));
                rows.clear();
                ended
            }
            Command::Check(arguments) => quiet(check::check(&arguments)),
            Command::Iam(arguments) => quiet(iam::iam(&arguments)),
            Command::Leases(arguments) => quiet(leases::leases(&arguments)),
            #[cfg(feature = "entities")]
            Command::Entities(arguments) => quiet(entities::entities(&arguments)),
            Command::Replay(arguments) => quiet(replay::replay(&arguments)),
            Command::Tail(arguments) => quiet(tail::tail(&arguments)),
            Command::Status(arguments) => quiet(status::status(&arguments)),
            Command::Init(arguments) => init::init(&arguments),
            Command::Config(arguments) => config::config(&arguments),
            Command::Completions(arguments) => manual::completions(&arguments),
            Command::Man(arguments) => manual::manual(&arguments),
        }
    }
}

fn decode(arguments: &DecodeArguments) -> anyhow::Result<Exit> {
    let options = decode::Options {
        flow_format: arguments.flow_format.clone(),
        summary: arguments.summary,
    };
    decode::files(
        &arguments.files,
        &options,
        &mut std::io::stdout().lock(),
        &mut std::io::stderr().lock(),
    )
}

/// Runs a command that prints its own findings: only what `FOREBAY_LOG` asks for is logged.
fn quiet(work: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    log("off", LogFormat::Text, LiveRows::hidden());
    runtime(work)
}

/// Runs `work` on a runtime whose threads end with it.
fn runtime(work: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Sets up logging above `rows` and gives the way to change its filter.
fn log(filter: &str, format: LogFormat, rows: LiveRows) -> Arc<run::SetLog> {
    let filter = EnvFilter::try_from_env("FOREBAY_LOG").unwrap_or_else(|_| EnvFilter::new(filter));
    let (filter, handle) = reload::Layer::new(filter);
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
    let colours = format == LogFormat::Text && std::io::stderr().is_terminal() && !is_plain;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(move || LogLines::new(rows.clone(), colours))
        .with_ansi(colours);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .init();
    Arc::new(move |filter: &str| {
        let filter = EnvFilter::try_new(filter).map_err(|error| {
            format!("no log filter: {error}; such as `info` or `forebay_kinesis=debug,info`")
        })?;
        handle.reload(filter).map_err(|error| error.to_string())
    })
}

/// Writes a line of findings to standard output; a closed pipe is an error that ends the process quietly.
fn say(line: impl std::fmt::Display) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").map_err(anyhow::Error::from)
}

/// Tells something beside the findings.
fn note(line: impl std::fmt::Display) {
    // Standard error is the last place to tell anything.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The stream that `--input` names, or the only one.
fn kinesis_input<'a>(
    config: &'a Config,
    name: Option<&str>,
) -> anyhow::Result<(&'a str, &'a crate::config::Kinesis)> {
    let names = || {
        config
            .kinesis
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let found = match name {
        Some(name) => config.kinesis.get_key_value(name),
        None if config.kinesis.len() == 1 => config.kinesis.iter().next(),
        None => anyhow::bail!(
            "several streams are configured: choose one with --input ({})",
            names()
        ),
    };
    match found {
        Some((name, input)) => Ok((name, input)),
        None => anyhow::bail!(
            "there is no [kinesis.{}]; known are: {}",
            name.unwrap_or("NAME"),
            names()
        ),
    }
}
