//! `forebay`: brings AWS logs into Graylog.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use ingest::{command::Arguments, exit::Exit, private::keep_memory_private};

fn main() -> ExitCode {
    if let Err(error) = keep_memory_private() {
        warn(format_args!(
            "core dumps of this process stay possible: {error}"
        ));
    }
    match Arguments::parse().execute() {
        Ok(exit) => exit.into(),
        Err(error) => {
            let exit = Exit::of(&error);
            // A reader that has seen enough is no failure.
            if exit != Exit::Done {
                report(&error);
            }
            exit.into()
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "nothing logs there before the subscriber is set"
)]
fn warn(text: std::fmt::Arguments<'_>) {
    eprintln!("warning: {text}");
}

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
