//! `forebay`: brings AWS logs into Graylog.
#![forbid(unsafe_code)]

use std::{io::IsTerminal, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::{Parser, Subcommand};
use ingest::{
    config::{Config, LogFormat, Sources},
    decode, demo,
    exit::Exit,
    run,
};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, reload, util::SubscriberInitExt};

#[derive(Debug, Parser)]
#[command(
    name = "forebay",
    version,
    about = "Brings AWS logs into Graylog: CloudWatch Logs and VPC flow logs from Kinesis, CloudTrail from S3.",
    after_help = "Examples:\n  forebay demo\n  forebay run --config forebay.toml\n  forebay decode capture.gz | jq ._src_addr"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole pipeline on an embedded AWS for a few seconds and account for every message.
    Demo(DemoArguments),
    /// Run the pipeline on AWS until it is told to stop (SIGTERM, SIGINT).
    Run(RunArguments),
    /// Turn captured files into GELF lines on standard output, without network.
    Decode(DecodeArguments),
}

#[derive(Debug, clap::Args)]
struct DemoArguments {
    /// How long events are fed, in seconds.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Make the embedded AWS fail now and then: throttles, errors, answers lost after their effect.
    #[arg(long)]
    faults: bool,
    /// Show log lines of the pipeline on standard error.
    #[arg(long, short)]
    verbose: bool,
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// Configuration file.
    #[arg(long, short, env = "FOREBAY_CONFIG")]
    config: PathBuf,
}

#[derive(Debug, clap::Args)]
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

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Decode(arguments) => decode(&arguments),
        Command::Demo(arguments) => {
            log(
                if arguments.verbose { "info" } else { "off" },
                LogFormat::Text,
            );
            runtime(demo::demo(&demo::Options {
                feed: Duration::from_secs(arguments.seconds),
                faults: arguments.faults,
            }))
        }
        Command::Run(arguments) => run(&arguments),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => {
            report(&error);
            Exit::of(&error).into()
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

fn run(arguments: &RunArguments) -> anyhow::Result<Exit> {
    let sources = Sources::default()
        .with_environment(std::env::vars())
        .with_file(&arguments.config);
    let config = Config::load(&sources)?;
    let set_log = log(&config.service.log, config.service.log_format);
    runtime(run::run(run::Options {
        config,
        sources,
        set_log,
    }))
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

/// Sets up logging and gives the way to change its filter.
fn log(filter: &str, format: LogFormat) -> Arc<SetLog> {
    let filter = EnvFilter::try_from_env("FOREBAY_LOG").unwrap_or_else(|_| EnvFilter::new(filter));
    let (filter, handle) = reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
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

type SetLog = dyn Fn(&str) -> Result<(), String> + Send + Sync;

/// Standard error is where a command line tool reports; nothing logs there before the subscriber is set.
#[expect(clippy::print_stderr, reason = "the last words of the process")]
fn report(error: &anyhow::Error) {
    let mut text = error.to_string();
    if !text.starts_with("error") {
        text.insert_str(0, "error: ");
    }
    eprintln!("{text}");
    for cause in error.chain().skip(1) {
        eprintln!("  caused by: {cause}");
    }
}
