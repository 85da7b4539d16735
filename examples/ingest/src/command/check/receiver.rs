//! Whether each receiver can be reached, and what the Graylog node says about itself.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use forebay_gelf::{Acceptance, Batch, Encoder, FieldName, Grade, State, TcpConfig};

use super::{Findings, Level, within};
use crate::{
    config::{Output, Protocol, Throttle},
    delivery::{Outlet, refusal_reason},
    output, throttle,
};

/// Whether the addresses of an output take connections, and one message if that is asked for.
pub(super) async fn output(
    name: &str,
    output: &Output,
    canary: bool,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    if output.danger_accept_invalid_certs {
        findings.tell_with(
            name,
            Level::Warn,
            "UNVERIFIED: any certificate is taken, whoever is in between can read and change everything",
            "`ca_file` with the authority of the receiver's certificate",
        )?;
    }
    if let Some(proxy) = &output.proxy {
        let text = format!(
            "the way leads through {}; only a message shows all of it, see --canary",
            proxy.url
        );
        findings.tell(name, Level::Note, text)?;
    }
    if output.protocol == Protocol::Udp {
        for address in &output.address {
            match within(tokio::net::lookup_host(address)).await {
                Ok(_) => findings.tell(
                    name,
                    Level::Note,
                    format!("{address}: over UDP nothing tells whether anybody listens"),
                )?,
                Err(error) => findings.tell(name, Level::Fail, format!("{address}: {error}"))?,
            }
        }
    } else {
        match output::connections(output) {
            Ok(connections) => {
                for (address, connection) in connections {
                    let outcomes = within(connection.probe()).await;
                    let outcome = outcomes.and_then(|outcomes| {
                        let first = outcomes.into_iter().next();
                        first.unwrap_or(Ok(Duration::ZERO)).map_err(String::from)
                    });
                    tell_connection(name, &address, &connection, outcome, findings)?;
                }
            }
            Err(error) => findings.tell(name, Level::Fail, format!("{error:#}"))?,
        }
    }
    if !canary {
        return Ok(());
    }
    match send_canary(name, output).await {
        Ok(text) => findings.tell(name, Level::Ok, text),
        Err(error) => findings.tell(name, Level::Fail, format!("canary message: {error:#}")),
    }
}

fn tell_connection(
    name: &str,
    address: &str,
    connection: &TcpConfig,
    outcome: Result<Duration, String>,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    match (outcome, &connection.tls) {
        (Ok(took), Some(tls)) => {
            let host = connection.addresses.first();
            let host = host.and_then(|address| Some(address.rsplit_once(':')?.0));
            let peer = tls.server_name.as_deref().or(host).unwrap_or_default();
            let worth = match tls.danger_accept_invalid_certs {
                true => "a certificate that nobody looked at".to_owned(),
                false => format!("a valid certificate for {peer}"),
            };
            let text = format!("{address}: TLS handshake in {} ms, {worth}", took.as_millis());
            findings.tell(name, Level::Ok, text)
        }
        (Ok(_), None) => findings.tell(name, Level::Ok, format!("{address} accepts connections")),
        (Err(error), _) => findings.tell_with(
            name,
            Level::Fail,
            format!("{address}: {error}"),
            if error.starts_with("TLS") {
                "`ca_file` is the authority of the receiver's certificate, `server_name` the name in it"
            } else {
                "is the GELF input running, and open in every firewall between?"
            },
        ),
    }
}

/// Sends one marked message; what its acceptance is worth, and how to find it.
async fn send_canary(name: &str, output: &Output) -> anyhow::Result<String> {
    let mark = format!("{:016x}", RandomState::new().hash_one(name));
    let mut encoder = Encoder::default();
    let mut message = encoder.begin("forebay");
    message
        .short_message("canary of `forebay check`")
        .text(&FOREBAY_CANARY, &mark);
    let mut batch = Batch::new();
    batch.push(&message.finish()?);

    let (sink, driver) = output::open(output, 0, &output::stats(name, output))?;
    let running = tokio::spawn(driver.run());
    let extra = output::members(&output.fields)?.into();
    let outlet = Outlet { sink, extra };
    let mut ticket = outlet
        .sink
        .send(outlet.own(batch))
        .await
        .map_err(|error| error.reason().clone())?;
    let flushed = outlet.sink.flush(PATIENCE).await;
    let state = outlet.sink.health().state;
    let answer = ticket.poll_now();
    running.abort();
    match (answer?, state) {
        (Some(acceptance), _) => {
            let worth = worth(&acceptance)?;
            Ok(format!(
                "canary message {worth}; in Graylog it is `forebay_canary:{mark}`"
            ))
        }
        (None, State::Down { reason } | State::Misconfigured { reason }) => {
            anyhow::bail!("{reason}")
        }
        (None, _) => {
            flushed?;
            anyhow::bail!("not accepted")
        }
    }
}

fn worth(acceptance: &Acceptance) -> anyhow::Result<&'static str> {
    if let Some(refusal) = acceptance.refused.first() {
        anyhow::bail!("{}", refusal_reason(&refusal.reason));
    }
    Ok(match acceptance.grade {
        Grade::Status => "accepted: the receiver answers before it looks at the message",
        Grade::Overrun | Grade::Closed => "accepted: the receiving process has read it",
        _ => "sent: nothing tells whether it arrived",
    })
}

/// What the Graylog node says about its load.
pub(super) async fn node(settings: &Throttle, findings: &mut Findings) -> anyhow::Result<()> {
    let asked = within(async {
        let asked = throttle::ask(settings).await;
        asked.map_err(|error| format!("{error:#}"))
    });
    match asked.await {
        Ok(None) => Ok(()),
        Ok(Some((text, None))) => findings.tell("throttle", Level::Ok, text),
        Ok(Some((text, Some(why)))) => findings.tell_with(
            "throttle",
            Level::Warn,
            format!("{text}: {why}"),
            "reading waits until the node has caught up",
        ),
        Err(error) => findings.tell_with(
            "throttle",
            Level::Fail,
            error,
            "`graylog_api` is such as \"https://graylog:9000/api\"; without an answer reading is never held back",
        ),
    }
}

static FOREBAY_CANARY: FieldName = FieldName::literal("forebay_canary");

/// How long a receiver may take to prove that it has the message: TCP proves by an orderly close.
const PATIENCE: Duration = Duration::from_secs(10);
