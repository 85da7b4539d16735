//! `forebay replay`: captured files, and dead letters from files or the queue, to the outputs.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use base64::{Engine, prelude::BASE64_STANDARD};
use clap::Args;
use forebay_gelf::{Acceptance, Batch, Driver, SinkError};
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all},
    stream::FuturesUnordered,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use tokio::{task::JoinSet, time::sleep};

use super::{ConfigArguments, leases::account, note, say};
use crate::{
    config::Config,
    dead_letter::LetterQueue,
    decode::{self, Decoding, Letter},
    delivery::Outlet,
    exit::Exit,
    output,
};

#[derive(Debug, Args)]
pub(super) struct ReplayArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Dead-letter files, or captured files as `forebay decode` reads them.
    #[arg(required_unless_present = "queue")]
    files: Vec<PathBuf>,
    /// Also the letters of the `queue` of [dead_letter]; each is deleted when the outputs have accepted it.
    #[arg(long)]
    queue: bool,
    /// Only to this output. May be repeated.
    #[arg(long, value_name = "NAME")]
    to: Vec<String>,
    /// Read captured files as this input would (format of flow logs, source). Dead letters know their input.
    #[arg(long, value_name = "NAME", default_value = "")]
    input: String,
    /// At most so many messages per second.
    #[arg(long, value_name = "MESSAGES", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Print what would be sent.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn replay(arguments: &ReplayArguments) -> anyhow::Result<Exit> {
    let config = arguments.config.load()?;
    for name in &arguments.to {
        anyhow::ensure!(
            config.output.contains_key(name),
            "there is no [output.{name}]"
        );
    }
    let mut replay = Replay::open(&config, arguments)?;
    let total = arguments
        .files
        .iter()
        .filter_map(|path| Some(std::fs::metadata(path).ok()?.len()))
        .sum();
    let bar = ProgressBar::new(total);
    bar.set_style(ProgressStyle::with_template(
        "{bar:30} {percent}% {binary_bytes_per_sec} eta {eta} {msg}",
    )?);
    for path in &arguments.files {
        let bytes = decode::read(path).with_context(|| path.display().to_string())?;
        if is_dead_letters(&bytes) {
            for (number, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
                replay
                    .line(
                        &config,
                        &format!("{}:{}", path.display(), number + 1),
                        line,
                        &bar,
                    )
                    .await?;
                bar.inc(line.len() as u64);
            }
        } else {
            let (mut out, mut errors) = (Vec::new(), Vec::new());
            replay.faults += Decoding::of_input(&config, &arguments.input)?.file(
                path,
                &bytes,
                &mut out,
                &mut errors,
            )?;
            replay.tell(&bar, &errors);
            replay.send(&out).await?;
            bar.inc(bytes.len() as u64);
        }
    }
    if arguments.queue {
        let account = account(&config, &config.dead_letter.aws).await?;
        let queue = LetterQueue::new(&config.dead_letter, &account)
            .context("`--queue`: [dead_letter] names no `queue`")?;
        Box::pin(replay.queue(&config, &queue, &bar)).await?;
    }
    bar.finish_and_clear();
    replay.finish(arguments.dry_run).await
}

/// Dead letters are lines of JSON with a class and a payload.
fn is_dead_letters(bytes: &[u8]) -> bool {
    bytes
        .split(|&byte| byte == b'\n')
        .take(2)
        .any(|line| serde_json::from_slice::<Line>(line).is_ok())
}

/// What `replay` needs of a line of a dead-letter file.
#[derive(Deserialize)]
struct Line {
    input: String,
    origin: String,
    position: String,
    class: String,
    length: usize,
    payload: String,
}

struct Replay {
    outlets: Vec<Outlet>,
    drivers: JoinSet<()>,
    waiting: FuturesUnordered<BoxFuture<'static, (usize, Result<Acceptance, SinkError>)>>,
    rate: Option<u32>,
    sent: u64,
    refused: u64,
    faults: u64,
    /// The letter of the queue that is being sent, and those that could not be read or were refused.
    letter: usize,
    failed: Vec<usize>,
}

impl Replay {
    fn open(config: &Config, arguments: &ReplayArguments) -> anyhow::Result<Self> {
        let mut replay = Self {
            outlets: Vec::new(),
            drivers: JoinSet::new(),
            waiting: FuturesUnordered::new(),
            rate: arguments.rate,
            sent: 0,
            refused: 0,
            faults: 0,
            letter: 0,
            failed: Vec::new(),
        };
        let names = config
            .outputs_of(&arguments.to)
            .filter(|_| !arguments.dry_run);
        for name in names {
            let Some(settings) = config.output.get(name) else {
                continue;
            };
            let budget = usize::try_from(settings.queue.0).unwrap_or(usize::MAX);
            let (sink, driver) = output::open(settings, budget, &output::stats(name, settings))
                .with_context(|| format!("[output.{name}]"))?;
            replay.drivers.spawn(run(driver));
            let extra = output::members(&settings.fields)?.into();
            replay.outlets.push(Outlet { sink, extra });
        }
        Ok(replay)
    }

    /// Sends the letters of a queue until it is empty. What fails stays there.
    async fn queue(
        &mut self,
        config: &Config,
        queue: &LetterQueue,
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        loop {
            let received = queue.receive().await?;
            if received.is_empty() {
                return Ok(());
            }
            self.failed.clear();
            for (number, message) in received.iter().enumerate() {
                self.letter = number;
                let faults = self.faults;
                let name = format!("letter {}", message.message_id().unwrap_or_default());
                let body = message.body().unwrap_or_default();
                self.line(config, &name, body.as_bytes(), bar).await?;
                if self.faults > faults {
                    self.failed.push(number);
                }
            }
            self.settle().await?;
            let accepted = received.iter().enumerate();
            let accepted = accepted.filter(|(number, _)| !self.failed.contains(number));
            let handles: Vec<String> = accepted
                .filter_map(|(_, message)| message.receipt_handle.clone())
                .collect();
            // Without outputs nothing was sent.
            if !handles.is_empty() && !self.outlets.is_empty() {
                queue.delete(&handles).await?;
            }
        }
    }

    async fn line(
        &mut self,
        config: &Config,
        name: &str,
        line: &[u8],
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let mut out = Vec::new();
        let mut errors = Vec::new();
        match serde_json::from_slice::<Line>(line) {
            Err(error) => {
                self.faults += 1;
                errors = format!("{name}: no dead letter, perhaps cut by a crash: {error}\n")
                    .into_bytes();
            }
            Ok(line) => match payload(&line) {
                Err(why) => {
                    self.faults += 1;
                    errors = format!("{name}: {why}\n").into_bytes();
                }
                // What the receiver refused is ready to be sent.
                Ok(message) if line.class == "message" => {
                    out = message;
                    out.push(b'\n');
                }
                Ok(payload) => {
                    let letter = Letter {
                        name,
                        class: &line.class,
                        origin: &line.origin,
                        position: &line.position,
                        payload: &payload,
                    };
                    self.faults += Decoding::of_input(config, &line.input)?.letter(
                        &letter,
                        &mut out,
                        &mut errors,
                    )?;
                }
            },
        }
        self.tell(bar, &errors);
        self.send(&out).await
    }

    fn tell(&self, bar: &ProgressBar, errors: &[u8]) {
        if !errors.is_empty() {
            bar.suspend(|| note(String::from_utf8_lossy(errors).trim_end()));
        }
    }

    /// Sends lines of JSON to every output, or prints them if there is none.
    async fn send(&mut self, lines: &[u8]) -> anyhow::Result<()> {
        let mut batch = Batch::new();
        for line in lines
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            self.sent += 1;
            if self.outlets.is_empty() {
                say(String::from_utf8_lossy(line))?;
                continue;
            }
            if batch.push_json(line).is_err() {
                self.faults += 1;
            }
            if batch.len() >= BATCH {
                self.batch(std::mem::take(&mut batch)).await?;
            }
        }
        if batch.is_empty() {
            Ok(())
        } else {
            self.batch(batch).await
        }
    }

    async fn batch(&mut self, batch: Batch) -> anyhow::Result<()> {
        let pause = self
            .rate
            .map(|rate| Duration::from_secs_f64(batch.len() as f64 / f64::from(rate)));
        for outlet in &self.outlets {
            let own = outlet.own(batch.clone());
            let ticket = outlet.sink.send(own).await;
            let ticket = ticket.map_err(|error| error.reason().clone())?;
            let letter = self.letter;
            self.waiting
                .push(async move { (letter, ticket.await) }.boxed());
        }
        while let Some(Some(answer)) = self.waiting.next().now_or_never() {
            self.settled(answer)?;
        }
        if let Some(pause) = pause {
            sleep(pause).await;
        }
        Ok(())
    }

    fn settled(
        &mut self,
        (letter, answer): (usize, Result<Acceptance, SinkError>),
    ) -> anyhow::Result<()> {
        for refusal in answer?.refused {
            self.refused += 1;
            self.failed.push(letter);
            note(format_args!(
                "refused by the receiver: {:?}",
                refusal.reason
            ));
        }
        Ok(())
    }

    /// Waits until everything sent is accepted or refused.
    async fn settle(&mut self) -> anyhow::Result<()> {
        let sinks: Vec<_> = self
            .outlets
            .iter()
            .map(|outlet| outlet.sink.clone())
            .collect();
        let flushing = async move {
            loop {
                // A receiver that is down is tried again; the command can be interrupted.
                join_all(sinks.iter().map(|sink| sink.flush(FLUSH))).await;
                sleep(PAUSE).await;
            }
        };
        let mut flushing = std::pin::pin!(flushing);
        while !self.waiting.is_empty() {
            tokio::select! {
                Some(answer) = self.waiting.next() => self.settled(answer)?,
                () = &mut flushing => {}
            }
        }
        Ok(())
    }

    async fn finish(mut self, dry_run: bool) -> anyhow::Result<Exit> {
        self.settle().await?;
        join_all(self.outlets.iter().map(|outlet| outlet.sink.close(FLUSH))).await;
        self.drivers.shutdown().await;
        if !dry_run {
            say(format_args!(
                "{} messages sent and accepted, {} refused, {} inputs not readable",
                self.sent * self.outlets.len() as u64 - self.refused,
                self.refused,
                self.faults
            ))?;
        }
        Ok(if self.faults + self.refused > 0 {
            Exit::Failed
        } else {
            Exit::Done
        })
    }
}

async fn run(driver: Driver) {
    driver.run().await;
}

/// The bytes of a letter, if they are all there.
fn payload(line: &Line) -> Result<Vec<u8>, String> {
    let payload = BASE64_STANDARD
        .decode(&line.payload)
        .map_err(|error| format!("the payload is no base64: {error}"))?;
    match line.class.as_str() {
        "object" => Err(format!(
            "an object is not kept here, read it again: s3://{}",
            line.origin
        )),
        _ if payload.len() < line.length => Err(format!(
            "only {} of {} bytes were kept",
            payload.len(),
            line.length
        )),
        _ => Ok(payload),
    }
}

const BATCH: usize = 200;
const FLUSH: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);
