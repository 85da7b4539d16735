//! `forebay config`: what the configuration is, and what it may be.

use clap::{Args, Subcommand};

use super::{ConfigArguments, say};
use crate::{config::Config, exit::Exit};

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every value that is set somewhere, and where. What is not listed has its default.
    Show(ConfigArguments),
    /// The JSON Schema of a configuration file, with all keys and defaults; editors complete and check with it.
    Schema,
}

pub(super) fn config(arguments: &ShowArguments) -> anyhow::Result<Exit> {
    match &arguments.what {
        What::Show(config) => {
            let shown = Config::show(&config.sources())?;
            config.load()?;
            say(shown.trim_end())?;
        }
        What::Schema => say(format_args!("{:#}", Config::schema()))?,
    }
    Ok(Exit::Done)
}
