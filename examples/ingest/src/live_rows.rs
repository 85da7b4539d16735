//! The foot of a terminal: rows that are drawn over and over, with log lines and other output scrolling above them.

use std::{
    convert::Infallible,
    io::{self, IsTerminal, Write},
    sync::Arc,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::termios::tcgetwinsize;
use tokio::time::MissedTickBehavior;

use crate::{rows::rows, stats::Stats};

/// Rows at the foot of standard error, if that is a terminal; elsewhere nothing but standard error. Clones are the same
/// rows.
#[derive(Clone, Debug)]
pub struct LiveRows {
    block: ProgressBar,
}

impl LiveRows {
    /// Rows where standard error is a terminal that can move its cursor.
    #[must_use]
    pub fn on_standard_error() -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if is_dumb || !io::stderr().is_terminal() {
            return Self::hidden();
        }
        Self::on(ProgressDrawTarget::stderr())
    }

    /// No rows.
    #[must_use]
    pub fn hidden() -> Self {
        Self::on(ProgressDrawTarget::hidden())
    }

    fn on(target: ProgressDrawTarget) -> Self {
        let style = ProgressStyle::with_template("{msg}").expect("the template is valid");
        Self {
            block: ProgressBar::with_draw_target(None, target).with_style(style),
        }
    }

    /// Whether there is a terminal to show them.
    #[must_use]
    pub fn are_shown(&self) -> bool {
        !self.block.is_hidden()
    }

    /// Draws the state of a pipeline, for ever.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the last rows stay until [`Self::clear`].
    pub(crate) async fn follow(&self, stats: Arc<Stats>) -> Infallible {
        let mut ticks = tokio::time::interval(REDRAW);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.block.set_message(fitted(&rows(&stats.snapshot())));
        }
    }

    /// Takes the rows away while something else is written to the same terminal.
    pub(crate) fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        self.block.suspend(write)
    }

    /// Takes the rows away for good.
    pub fn clear(&self) {
        self.block.finish_and_clear();
    }
}

/// Standard error above the rows.
impl Write for LiveRows {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.above(|| io::stderr().write(bytes))
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.above(|| io::stderr().write_all(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The rows as one text, none wider than the terminal: a row that wraps would push the others off the screen.
fn fitted(rows: &[String]) -> String {
    let width = tcgetwinsize(io::stderr()).map_or(0, |size| usize::from(size.ws_col));
    let width = if width == 0 { WIDTH } else { width };
    let fit = |row: &String| row.chars().take(width).collect::<String>();
    rows.iter().map(fit).collect::<Vec<_>>().join("\n")
}

/// Of a terminal that does not tell.
const WIDTH: usize = 80;

const REDRAW: Duration = Duration::from_millis(500);
