//! What is wrong with a configuration file, where, and what to do.

use std::{fmt, io, ops::Range, path::Path};

/// One problem of a configuration text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    span: Option<Range<usize>>,
    what: String,
    help: Option<String>,
}

impl Problem {
    /// A problem of the bytes `span`.
    pub(super) fn at(span: Range<usize>, what: impl Into<String>) -> Self {
        Self {
            span: (!span.is_empty()).then_some(span),
            what: what.into(),
            help: None,
        }
    }

    /// A problem of the file as a whole.
    pub(super) fn general(what: impl Into<String>) -> Self {
        Self {
            span: None,
            what: what.into(),
            help: None,
        }
    }

    pub(super) fn from_toml(error: &toml::de::Error) -> Self {
        Self {
            span: error.span(),
            what: error.message().to_owned(),
            help: None,
        }
    }

    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A configuration file that cannot be used, with all its problems.
#[derive(Debug)]
pub struct ConfigError {
    report: String,
}

impl ConfigError {
    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self {
            report: format!("error: {} cannot be read: {error}", path.display()),
        }
    }

    pub(super) fn new(path: &Path, text: &str, problems: Vec<Problem>) -> Self {
        let mut report = String::new();
        for (index, problem) in problems.iter().enumerate() {
            if index > 0 {
                report.push('\n');
            }
            problem.render(path, text, &mut report);
        }
        Self { report }
    }
}

impl Problem {
    fn render(&self, path: &Path, text: &str, report: &mut String) {
        use fmt::Write;
        // Writing to a String cannot fail.
        let _ = write!(report, "error: {}", self.what);
        match &self.span {
            None => {
                let _ = write!(report, "\n  --> {}", path.display());
            }
            Some(span) => {
                let start = span.start.min(text.len());
                let before = text.get(..start).unwrap_or(text);
                let line = before.matches('\n').count() + 1;
                let line_start = before.rfind('\n').map_or(0, |at| at + 1);
                let column = before[line_start..].chars().count() + 1;
                let source = text[line_start..].lines().next().unwrap_or_default();
                let width = text
                    .get(span.clone())
                    .and_then(|marked| marked.lines().next())
                    .map_or(1, |marked| marked.chars().count().max(1));
                let (source, width) = if is_secret(source) {
                    ("(a line with a secret is not shown)", 0)
                } else {
                    (source, width)
                };
                let gutter = " ".repeat(line.to_string().len());
                let _ = write!(
                    report,
                    "\n{gutter}--> {}:{line}:{column}\n{gutter} |\n{line} | {source}\n{gutter} | {}{}",
                    path.display(),
                    " ".repeat(if width > 0 { column - 1 } else { 0 }),
                    "^".repeat(width),
                );
            }
        }
        if let Some(help) = &self.help {
            let _ = write!(report, "\n  = help: {help}");
        }
    }
}

/// Whether a line of the file may hold a secret.
fn is_secret(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["secret", "password", "token"]
        .iter()
        .any(|word| line.contains(word))
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.report)
    }
}

impl std::error::Error for ConfigError {}
