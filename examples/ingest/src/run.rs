//! `forebay run`: the pipeline until a signal.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{config::Config, exit::Exit, pipeline::Pipeline};

/// Runs the pipeline of `config` until SIGTERM or SIGINT, drains it and tells what was done. A second signal ends the
/// process at once.
///
/// # Errors
///
/// An input or the output cannot work at all.
pub async fn run(config: Config) -> anyhow::Result<Exit> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (told, first) = tokio::sync::oneshot::channel();
    let pipeline = Pipeline::new(config).await?.run(async move {
        // A sender that is gone means that the process is ending anyway.
        let _ = first.await;
    });
    let mut pipeline = std::pin::pin!(pipeline);
    let summary = tokio::select! {
        ended = &mut pipeline => ended?,
        name = either(&mut terminate, &mut interrupt) => {
            tracing::info!(signal = name, "stopping: reading has ended, draining");
            let _ = told.send(());
            tokio::select! {
                ended = pipeline => ended?,
                name = either(&mut terminate, &mut interrupt) => {
                    tracing::warn!(signal = name, "stopped at once: what was not accepted is read again");
                    return Ok(Exit::Forced);
                }
            }
        }
    };
    tracing::info!(
        accepted = summary.accepted,
        refused = summary.refused,
        unsettled = summary.unsettled,
        dead_letters = summary.dead_letters,
        "stopped"
    );
    Ok(if summary.unsettled == 0 {
        Exit::Done
    } else {
        Exit::Temporary
    })
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
