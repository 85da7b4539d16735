//! `forebay completions` and `forebay man`: made from the definition of the arguments, so they cannot drift.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Arguments;
use crate::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// The shell.
    shell: Shell,
}

pub(super) fn completions(arguments: &CompletionsArguments) -> anyhow::Result<Exit> {
    let mut text = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Arguments::command(),
        "forebay",
        &mut text,
    );
    print(&text)
}

#[derive(Debug, Args)]
pub(super) struct ManualArguments {
    /// Where to write `forebay.1` and a page for each command.
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
}

pub(super) fn manual(arguments: &ManualArguments) -> anyhow::Result<Exit> {
    if let Some(folder) = &arguments.dir {
        clap_mangen::generate_to(Arguments::command(), folder)?;
        return Ok(Exit::Done);
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(Arguments::command()).render(&mut text)?;
    print(&text)
}

fn print(text: &[u8]) -> anyhow::Result<Exit> {
    std::io::Write::write_all(&mut std::io::stdout(), text)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
