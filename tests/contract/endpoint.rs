use std::error::Error;
use std::future::Future;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata};
use forebay_localaws::{Cloud, LocalAws, Settings};

/// Where a suite runs: our model inside the process, or an emulator behind a URL.
#[derive(Debug)]
pub struct Endpoint {
    config: SdkConfig,
    model: Option<LocalAws>,
}

impl Endpoint {
    /// Our model with its faithful defaults, on tokio's clock.
    pub async fn model() -> Self {
        let aws = LocalAws::new(Cloud::new(Settings::default(), 7), EPOCH_MS);
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(aws.http_client())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::for_tests())
            .load()
            .await;
        Self {
            config,
            model: Some(aws),
        }
    }

    /// The emulator that the environment names for this service, if it names one.
    pub async fn emulator(service: &str) -> Option<Self> {
        let url = std::env::var(format!("FOREBAY_CONTRACT_{service}")).ok()?;
        let config = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(url)
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::for_tests())
            .load()
            .await;
        Some(Self {
            config,
            model: None,
        })
    }

    /// What SDK clients are made of.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// The model, to lay fixtures; an emulator gets its fixtures through the SDK.
    pub fn local(&self) -> Option<&LocalAws> {
        self.model.as_ref()
    }
}

/// How one case ended.
#[derive(Debug)]
pub struct CaseResult {
    /// `service/case`, as the list of known differences names it.
    pub name: &'static str,
    /// What was wrong.
    pub outcome: Result<(), String>,
}

/// The body of a case.
pub(crate) type Check = Result<(), Box<dyn Error>>;

/// Runs one case.
pub(crate) async fn case(name: &'static str, body: impl Future<Output = Check>) -> CaseResult {
    let outcome = Box::pin(body)
        .await
        .map_err(|error| DisplayErrorContext(&*error).to_string());
    CaseResult { name, outcome }
}

/// Fails the case with a text unless the condition holds.
pub(crate) fn ensure(condition: bool, text: impl FnOnce() -> String) -> Check {
    if condition {
        Ok(())
    } else {
        Err(text().into())
    }
}

/// Fails the case unless the call was refused with one of these codes.
pub(crate) fn refused<T, E: ProvideErrorMetadata>(result: &Result<T, E>, codes: &[&str]) -> Check {
    match result {
        Ok(_) => Err(format!("accepted, but {codes:?} was due").into()),
        Err(error) => ensure(
            error.code().is_some_and(|code| codes.contains(&code)),
            || {
                format!(
                    "refused with {:?} ({:?}), but {codes:?} was due",
                    error.code(),
                    error.message()
                )
            },
        ),
    }
}

/// Our model passes every case.
pub(crate) fn expect_all_pass(results: &[CaseResult]) {
    let failed: Vec<String> = failures(results)
        .map(|(name, why)| format!("{name}: {why}"))
        .collect();
    assert!(!results.is_empty(), "the suite has no cases");
    assert!(
        failed.is_empty(),
        "{} of {} cases failed\n{}",
        failed.len(),
        results.len(),
        failed.join("\n")
    );
}

/// An emulator fails exactly the cases that the list names for it.
pub(crate) fn expect_known_differences(service: &str, results: &[CaseResult]) {
    let emulator =
        std::env::var("FOREBAY_CONTRACT_EMULATOR").unwrap_or_else(|_| "unnamed".to_owned());
    let known: Vec<&str> = include_str!("known_differences.txt")
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| {
            let mut columns = line.splitn(3, char::is_whitespace);
            let (named, case) = (columns.next()?, columns.next()?);
            (named == emulator).then_some(case)
        })
        .collect();
    let mut wrong = Vec::new();
    let mut differences = 0;
    for result in results {
        match (&result.outcome, known.contains(&result.name)) {
            (Err(_), true) => differences += 1,
            (Err(why), false) => {
                wrong.push(format!("{} fails and is not listed: {why}", result.name))
            }
            (Ok(()), true) => wrong.push(format!(
                "{} is listed and passes: strike it from the list",
                result.name
            )),
            (Ok(()), false) => {}
        }
    }
    println!(
        "contract: {emulator} {service}: {} cases, {differences} known differences, {} unexpected",
        results.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn failures(results: &[CaseResult]) -> impl Iterator<Item = (&str, &str)> {
    results
        .iter()
        .filter_map(|result| Some((result.name, result.outcome.as_ref().err()?.as_str())))
}

/// 25 November 2026: a fixed beginning for the model's clock.
const EPOCH_MS: u64 = 1_795_564_800_000;
