//! `forebay check`: does this configuration work, and what is missing?
//!
//! Offline it reads files only. Live it asks AWS, the receivers and the Graylog node, five seconds at most for each
//! question, and changes nothing: rights to write are tried with conditions that cannot hold, handles that do not exist
//! and requests that hold nothing.

mod prefix;
mod queue;
mod receiver;
mod stream;
mod table;

use std::{future::Future, time::Duration};

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use clap::Args;
use futures_util::future::LocalBoxFuture;
use serde_json::json;
use tokio::time::timeout;

use super::{ConfigArguments, say};
use crate::{aws::Account, config::Config, exit::Exit};

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Read files only: no network.
    #[arg(long)]
    offline: bool,
    /// Only this input. May be repeated.
    #[arg(long, value_name = "NAME")]
    input: Vec<String>,
    /// Also receive one notice of each queue, which counts towards the queue's redrive limit.
    #[arg(long)]
    receive: bool,
    /// Also send one marked message to each output: only what arrives is proved.
    #[arg(long, conflicts_with = "offline")]
    canary: bool,
    /// One JSON object per finding.
    #[arg(long)]
    json: bool,
    /// Warnings count as failures.
    #[arg(long)]
    deny_warnings: bool,
}

pub(super) async fn check(arguments: &CheckArguments) -> anyhow::Result<Exit> {
    let config = arguments.config.load()?;
    let mut findings = Findings {
        json: arguments.json,
        ..Findings::default()
    };
    findings.tell(
        "config",
        Level::Ok,
        format!(
            "{}, {}",
            plural(
                config.kinesis.len() + config.cloudtrail.len() + config.s3.len(),
                "input"
            ),
            plural(config.output.len(), "output")
        ),
    )?;
    files(&config, &mut findings)?;
    if !arguments.offline {
        let wanted = |name: &str| {
            arguments.input.is_empty() || arguments.input.iter().any(|input| input == name)
        };
        Box::pin(live(&config, wanted, arguments, &mut findings)).await?;
    }
    if !arguments.json {
        say(format_args!(
            "{}, {}",
            plural(findings.warnings, "warning"),
            plural(findings.failures, "failure")
        ))?;
    }
    let failed = findings.failures > 0 || arguments.deny_warnings && findings.warnings > 0;
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Level {
    Ok,
    /// Something worth knowing.
    Note,
    /// It works, with less.
    Warn,
    /// It does not work.
    Fail,
}

#[derive(Debug, Default)]
struct Findings {
    json: bool,
    warnings: usize,
    failures: usize,
}

impl Findings {
    fn tell(&mut self, of: &str, level: Level, text: impl Into<String>) -> anyhow::Result<()> {
        self.tell_with(of, level, text, "")
    }

    fn tell_with(
        &mut self,
        of: &str,
        level: Level,
        text: impl Into<String>,
        fix: &str,
    ) -> anyhow::Result<()> {
        let text = text.into();
        let word = match level {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Warn => {
                self.warnings += 1;
                "warn"
            }
            Level::Fail => {
                self.failures += 1;
                "FAIL"
            }
        };
        if self.json {
            return say(json!({"of": of, "level": word.to_lowercase(), "text": text, "fix": fix}));
        }
        say(format_args!("{of:<12} {word:<4}  {text}"))?;
        if fix.is_empty() {
            Ok(())
        } else {
            say(format_args!("{:<18} fix: {fix}", ""))
        }
    }

    /// Tells how a question ended that asks for a right. `without` says what is missed without an optional one.
    fn right(
        &mut self,
        of: &str,
        asked: Result<(), String>,
        without: Option<&str>,
    ) -> anyhow::Result<()> {
        match (asked, without) {
            (Ok(()), _) => Ok(()),
            (Err(error), Some(without)) => {
                self.tell(of, Level::Warn, format!("{error}: {without}"))
            }
            (Err(error), None) => self.tell_with(
                of,
                Level::Fail,
                error,
                "`forebay iam` prints the policy for this configuration",
            ),
        }
    }
}

/// What can be known without network: that files can be read, and who else can read the secret ones.
fn files(config: &Config, findings: &mut Findings) -> anyhow::Result<()> {
    use crate::config::Secret;
    let mut secrets = Vec::new();
    for (name, aws) in &config.aws {
        secrets.extend(
            aws.secret_key
                .iter()
                .map(|secret| (format!("aws.{name}"), secret)),
        );
    }
    for (name, output) in &config.output {
        let password = output
            .proxy
            .as_ref()
            .and_then(|proxy| proxy.password.as_ref());
        let all = output
            .client_key
            .iter()
            .chain(password)
            .chain(output.headers.values());
        secrets.extend(all.map(|secret| (format!("output.{name}"), secret)));
        for path in output.ca_file.iter().chain(&output.client_cert) {
            if let Err(error) = std::fs::read(path) {
                findings.tell(
                    name,
                    Level::Fail,
                    format!("{} cannot be read: {error}", path.display()),
                )?;
            }
        }
    }
    let tokens = [
        ("throttle", &config.throttle.token),
        ("admin", &config.admin.token),
    ];
    secrets.extend(
        tokens
            .into_iter()
            .filter_map(|(of, token)| Some((of.to_owned(), token.as_ref()?))),
    );
    for (of, secret) in secrets {
        if let Err(error) = secret.read() {
            findings.tell(&of, Level::Fail, format!("{error:#}"))?;
        }
        #[cfg(unix)]
        if let Secret::File(path) = secret
            && let Ok(known) = std::fs::metadata(path)
            && std::os::unix::fs::PermissionsExt::mode(&known.permissions()) & 0o077 != 0
        {
            let text = format!("others can read the secret file {}", path.display());
            findings.tell_with(
                &of,
                Level::Warn,
                text,
                &format!("chmod 600 {}", path.display()),
            )?;
        }
    }
    let folder = config
        .dead_letter
        .path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder
        && !folder.is_dir()
    {
        let text = format!("`path`: the directory {} does not exist", folder.display());
        findings.tell("dead_letter", Level::Fail, text)?;
    }
    if let Some(path) = &config.entities.ranges_file {
        let read = std::fs::read(path).map_err(|error| error.to_string());
        let read = read.and_then(|text| {
            forebay_entity::service_ranges(&text).map_err(|error| error.to_string())
        });
        match read {
            Ok(part) => findings.tell(
                "entities",
                Level::Ok,
                format!("{} published ranges", part.len()),
            )?,
            Err(error) => findings.tell(
                "entities",
                Level::Fail,
                format!("`ranges_file` {}: {error}", path.display()),
            )?,
        }
    }
    Ok(())
}

async fn live(
    config: &Config,
    wanted: impl Fn(&str) -> bool,
    arguments: &CheckArguments,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    for (name, input) in config.kinesis.iter().filter(|(name, _)| wanted(name)) {
        let Some(account) = Box::pin(account(config, &input.aws, name, findings)).await? else {
            continue;
        };
        Box::pin(stream::stream(name, input, &account, findings)).await?;
        Box::pin(table::table(name, input, &account, findings)).await?;
    }
    let objects = config.objects();
    for (name, input) in objects.iter().filter(|(name, _)| wanted(name)) {
        let Some(account) = Box::pin(account(config, &input.aws, name, findings)).await? else {
            continue;
        };
        let receive = arguments.receive;
        match &input.queue {
            Some(queue) => {
                Box::pin(queue::queue(
                    name, queue, input, &account, receive, findings,
                ))
                .await?
            }
            None => Box::pin(prefix::prefixes(name, input, &account, findings)).await?,
        }
    }
    #[cfg(feature = "entities")]
    if config.entities.enabled {
        match timeout(PATIENCE * 2, super::entities::refreshed(config)).await {
            Ok(Ok((table, failed))) => {
                let index = table.load();
                let text = format!(
                    "{} addresses, {} of them with several owners",
                    index.len(),
                    index.conflicts()
                );
                let level = if failed == 0 { Level::Ok } else { Level::Warn };
                findings.tell("entities", level, text)?;
            }
            Ok(Err(error)) => findings.tell("entities", Level::Fail, format!("{error:#}"))?,
            Err(_) => findings.tell("entities", Level::Warn, "no complete answer within 10 s")?,
        }
    }
    let letters = &config.dead_letter;
    if let Some(queue) = &letters.queue
        && let Some(account) =
            Box::pin(account(config, &letters.aws, "dead_letter", findings)).await?
    {
        let client = account.sqs(letters.region.as_deref());
        Box::pin(queue::letters(queue, &client, findings)).await?;
    }
    for (name, settings) in &config.output {
        receiver::output(name, settings, arguments.canary, findings).await?;
    }
    receiver::node(&config.throttle, findings).await
}

/// Waits for an answer, but not longer than a person does.
fn within<'a, T, E: std::fmt::Display>(
    work: impl Future<Output = Result<T, E>> + 'a,
) -> LocalBoxFuture<'a, Result<T, String>> {
    let limited = timeout(PATIENCE, work);
    // The futures of the SDK are large: each is kept on the heap.
    Box::pin(async move {
        match limited.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    })
}

/// What a request gives; an error is told as [`told`] does.
async fn ask<T, E, R>(
    request: impl Future<Output = Result<T, SdkError<E, R>>>,
    action: &str,
    resource: &str,
) -> Result<T, String>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let answer = async {
        request
            .await
            .map_err(|error| told(&error, action, resource))
    };
    within(answer).await
}

/// An error of the SDK as one line; a missing right by its name.
fn told<E, R>(error: &SdkError<E, R>, action: &str, resource: &str) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let code = error
        .as_service_error()
        .and_then(|error| error.code())
        .unwrap_or_default();
    let message = error
        .as_service_error()
        .and_then(|error| error.message())
        .unwrap_or_default();
    if code.starts_with("AccessDenied") || code == "UnauthorizedOperation" {
        return format!("`{action}` on `{resource}` is not granted");
    }
    match code {
        "" => format!(
            "{action} on {resource}: {}",
            aws_smithy_types::error::display::DisplayErrorContext(error)
        ),
        code => format!("{action} on {resource}: {code}: {message}"),
    }
}

async fn account(
    config: &Config,
    name: &str,
    of: &str,
    findings: &mut Findings,
) -> anyhow::Result<Option<Account>> {
    let account = match within(super::leases::account(config, name)).await {
        Ok(account) => account,
        Err(error) => {
            findings.tell(of, Level::Fail, error)?;
            return Ok(None);
        }
    };
    let asked = account.sts().get_caller_identity().send();
    let identity = match timeout(PATIENCE, Box::pin(asked)).await {
        Ok(Ok(identity)) => identity,
        Ok(Err(error)) => {
            let text = told(&error, "sts:GetCallerIdentity", &format!("[aws.{name}]"));
            findings.tell_with(
                of,
                Level::Fail,
                text,
                &format!("look at the credentials of [aws.{name}]"),
            )?;
            return Ok(None);
        }
        Err(_) => {
            findings.tell(
                of,
                Level::Warn,
                format!(
                    "STS does not answer for [aws.{name}] within {} s",
                    PATIENCE.as_secs()
                ),
            )?;
            return Ok(Some(account));
        }
    };
    let arn = identity.arn.unwrap_or_default();
    findings.tell(
        of,
        Level::Ok,
        format!("[aws.{name}] is {arn} in {}", account.region()),
    )?;
    Ok(Some(account))
}

fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// No question is waited for longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A key and a handle that nothing has.
const NOBODY: &str = "forebay-check";
