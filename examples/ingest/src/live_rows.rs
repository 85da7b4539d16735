//! The foot of a terminal: rows that are drawn over and over, with log lines and other output scrolling above them.

use std::{
    convert::Infallible,
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::termios::tcgetwinsize;
use tokio::time::MissedTickBehavior;

use crate::{
    rows::rows,
    stats::{Stats, lock},
};

/// Rows at the foot of standard error, if that is a terminal; elsewhere nothing but standard error. Clones are the same
/// rows.
///
/// Between two writes the cursor stands at the beginning of the first row. So everything below it can be erased whatever
/// the terminal made of it: after a change of its size, or a `^C` that it showed.
#[derive(Clone, Debug)]
pub struct LiveRows {
    /// The rows that stand there now.
    drawn: Option<Arc<Mutex<Vec<String>>>>,
}

impl LiveRows {
    /// Rows where standard error is a terminal that can move its cursor.
    #[must_use]
    pub fn on_standard_error() -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let shown = !is_dumb && io::stderr().is_terminal();
        Self {
            drawn: shown.then(Arc::default),
        }
    }

    /// No rows.
    #[must_use]
    pub const fn hidden() -> Self {
        Self { drawn: None }
    }

    /// Whether there is a terminal to show them.
    #[must_use]
    pub const fn are_shown(&self) -> bool {
        self.drawn.is_some()
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
            self.replace(rows(&stats.snapshot()));
        }
    }

    /// Takes the rows away.
    pub fn clear(&self) {
        self.replace(Vec::new());
    }

    /// Takes the rows away while whole lines are written to the same terminal.
    pub(crate) fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        let Some(drawn) = &self.drawn else {
            return write();
        };
        let drawn = lock(drawn);
        if !drawn.is_empty() {
            put(ERASE);
        }
        let written = write();
        put(&block(&drawn));
        written
    }

    fn replace(&self, rows: Vec<String>) {
        if let Some(drawn) = &self.drawn {
            let mut drawn = lock(drawn);
            let erase = if drawn.is_empty() { "" } else { ERASE };
            put(&format!("{erase}{}", block(&rows)));
            *drawn = rows;
        }
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

/// What draws rows below the cursor and brings it back. No row is wider than the terminal, nor are there more than it has
/// lines.
fn block(rows: &[String]) -> String {
    let size = tcgetwinsize(io::stderr()).ok();
    let size = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
    let (width, height) = size.map_or((80, 24), |size| (size.ws_col, size.ws_row));
    let fit = |row: &String| row.chars().take(usize::from(width) - 1).collect();
    let rows: Vec<String> = rows.iter().take(usize::from(height)).map(fit).collect();
    match rows.len() {
        0 => String::new(),
        1 => format!("{}\r", rows.concat()),
        count => format!("{}\r\u{1b}[{}A", rows.join("\n"), count - 1),
    }
}

fn put(text: &str) {
    // A terminal that is gone shows nothing.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Back to the beginning of the line, and everything from there away.
const ERASE: &str = "\r\u{1b}[J";

const REDRAW: Duration = Duration::from_millis(500);
