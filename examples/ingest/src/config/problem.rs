//! What is wrong with a configuration, where, and what to do.

use std::{fmt, io, ops::Range, path::Path};

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use super::document::Document;

/// One problem of a configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    place: Place,
    what: String,
    help: Option<String>,
    /// The key or value that was probably meant.
    meant: Option<String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Place {
    Span(Range<usize>),
    Path(Vec<String>),
}

impl Problem {
    /// A problem of the value at `path`; of the whole if the path is empty.
    pub(super) fn at<const N: usize>(path: [&str; N], what: impl Into<String>) -> Self {
        Self::new(Place::Path(path.map(str::to_owned).to_vec()), what)
    }

    pub(super) fn of_span(span: Range<usize>, what: impl Into<String>) -> Self {
        Self::new(Place::Span(span), what)
    }

    /// What serde found, in our words.
    pub(super) fn of_serde(span: Range<usize>, message: &str) -> Self {
        let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let what = |text: &str| Self::of_span(span.clone(), text);
        match (
            message.split_once(' ').unwrap_or_default(),
            quoted.split_first(),
        ) {
            (("unknown", rest), Some((found, known))) => {
                let kind = if rest.starts_with("field") {
                    "key"
                } else {
                    "value"
                };
                let nearest = known
                    .iter()
                    .map(|known| (strsim::osa_distance(found, known), known))
                    .min()
                    .filter(|(distance, _)| *distance <= found.len().div_ceil(3))
                    .map(|(_, known)| (*known).to_owned());
                let problem = what(&format!("unknown {kind} `{found}`"));
                match nearest {
                    Some(nearest) => {
                        let help = format!("did you mean `{nearest}`?");
                        Self {
                            meant: (kind == "key").then_some(nearest),
                            ..problem.help(help)
                        }
                    }
                    None => problem.help(format!("known here: {}", known.join(", "))),
                }
            }
            (("missing", _), Some((missing, _))) => {
                what(&format!("the key `{missing}` is missing"))
            }
            _ => what(message),
        }
    }

    fn new(place: Place, what: impl Into<String>) -> Self {
        Self {
            place,
            what: what.into(),
            help: None,
            meant: None,
        }
    }

    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn meant(&self) -> Option<&str> {
        self.meant.as_deref()
    }

    pub(super) fn path(&self) -> Option<&[String]> {
        match &self.place {
            Place::Span(_) => None,
            Place::Path(path) => Some(path),
        }
    }

    fn span(&self, document: &Document<'_>) -> Option<Range<usize>> {
        match &self.place {
            Place::Span(span) => Some(span.clone()),
            Place::Path(path) => document.span(path),
        }
    }

    fn report(&self, document: &Document<'_>) -> Group<'static> {
        let help = self.help.clone().map(|help| Level::HELP.message(help));
        let group = Level::ERROR.primary_title(self.what.clone());
        let located = self
            .span(document)
            .and_then(|place| document.locate(&place));
        let element: Element<'static> = match located {
            None => match document.layers.first() {
                Some(layer) => Origin::path(layer.name.clone()).into(),
                None => return group.elements(help),
            },
            Some((layer, span)) => {
                let before = &layer.text[..span.start];
                let line = before.matches('\n').count() + 1;
                let start = before.rfind('\n').map_or(0, |at| at + 1);
                let source = layer.text[start..].lines().next().unwrap_or_default();
                if is_secret(source) {
                    let column = before[start..].chars().count() + 1;
                    let origin = Origin::path(layer.name.clone())
                        .line(line)
                        .char_column(column);
                    let note = Level::NOTE.message("the line is not shown, it may hold a secret");
                    return group.element(origin).element(note).elements(help);
                } else {
                    let end = (span.end - start).min(source.len());
                    Snippet::source(source.to_owned())
                        .line_start(line)
                        .path(layer.name.clone())
                        .annotation(AnnotationKind::Primary.span(span.start - start..end))
                        .into()
                }
            }
        };
        group.element(element).elements(help)
    }
}

/// Whether a line may hold a secret.
fn is_secret(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["secret", "password", "token", "client_key"]
        .iter()
        .any(|word| line.contains(word))
}

/// A configuration that cannot be used, with all its problems.
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

    pub(super) fn new(document: &Document<'_>, problems: &[Problem]) -> Self {
        let renderer = Renderer::plain();
        let mut problems: Vec<&Problem> = problems.iter().collect();
        problems.sort_by_key(|problem| problem.span(document).map(|span| span.start));
        let reports = problems
            .iter()
            .map(|problem| renderer.render(&[problem.report(document)]));
        Self {
            report: reports.collect::<Vec<_>>().join("\n\n"),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.report)
    }
}

impl std::error::Error for ConfigError {}
