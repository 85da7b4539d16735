//! Files, environment and command line, merged into one tree whose every value knows where it stands.

use std::{
    borrow::Cow,
    ops::Range,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeArray, DeString, DeTable, DeValue, Deserializer},
};

use super::{Config, ConfigError, Problem};

/// Where a configuration comes from, in rising precedence.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    texts: Vec<(PathBuf, String)>,
    files: Vec<PathBuf>,
    environment: Vec<(String, String)>,
    settings: Vec<String>,
}

impl Sources {
    /// Adds a file, or a directory whose `*.toml` files are taken in the order of their names.
    #[must_use]
    pub fn with_file(mut self, path: &Path) -> Self {
        self.files.push(path.to_owned());
        self
    }

    /// Adds a text as if it were a file of that name.
    #[must_use]
    pub fn with_text(mut self, name: &Path, text: &str) -> Self {
        self.texts.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Adds the variables `FOREBAY_TABLE__KEY`, such as `FOREBAY_KINESIS__FLOW_LOGS__BATCH_SIZE`. Others are passed over.
    #[must_use]
    pub fn with_environment(
        mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let ours = |(name, _): &(String, String)| {
            name.strip_prefix(PREFIX)
                .is_some_and(|rest| rest.contains("__"))
        };
        self.environment.extend(variables.into_iter().filter(ours));
        self.environment.sort();
        self
    }

    /// Adds assignments as of `--set`: `kinesis.flow.batch_size=500`. A value that is no TOML is a text.
    #[must_use]
    pub fn with_settings(mut self, settings: impl IntoIterator<Item = String>) -> Self {
        self.settings.extend(settings);
        self
    }

    pub(super) fn read(&self) -> Result<Vec<Layer>, ConfigError> {
        let mut layers = Vec::new();
        for (name, text) in &self.texts {
            layers.push(Layer::new(
                &layers,
                name.display().to_string(),
                text.clone(),
            ));
        }
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |error| ConfigError::unreadable(&path, &error)
        };
        for path in &self.files {
            let mut files = vec![path.clone()];
            if path.is_dir() {
                let entries = std::fs::read_dir(path).map_err(unreadable(path))?;
                files = entries
                    .filter_map(|entry| Some(entry.ok()?.path()))
                    .collect();
                files.retain(|file| {
                    file.extension()
                        .is_some_and(|extension| extension == "toml")
                });
                files.sort();
            }
            for file in files {
                let text = std::fs::read_to_string(&file).map_err(unreadable(&file))?;
                layers.push(Layer::new(&layers, file.display().to_string(), text));
            }
        }
        for (name, value) in &self.environment {
            let path = name.trim_start_matches(PREFIX).to_ascii_lowercase();
            let keys: Vec<String> = path.split("__").map(quoted).collect();
            let text = assignment(&keys.join("."), value);
            let mut layer = Layer::new(&layers, format!("environment variable {name}"), text);
            layer.loose = true;
            layers.push(layer);
        }
        for setting in &self.settings {
            let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
            layers.push(Layer::new(
                &layers,
                "--set".to_owned(),
                assignment(key, value),
            ));
        }
        Ok(layers)
    }
}

/// `key = value`, with the value quoted unless it is TOML by itself.
fn assignment(key: &str, value: &str) -> String {
    let text = format!("{key} = {value}");
    match DeTable::parse(&text) {
        Ok(_) => text,
        Err(_) => format!("{key} = {}", toml::Value::from(value)),
    }
}

fn quoted(key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if key.bytes().all(bare) {
        key.to_owned()
    } else {
        toml::Value::from(key).to_string()
    }
}

/// One text of the configuration.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) name: String,
    pub(super) text: String,
    /// Where the text begins in the numbering of all layers.
    pub(super) base: usize,
    /// Table names of the environment have no `-`: they stand for the table that is there already.
    loose: bool,
}

impl Layer {
    fn new(before: &[Self], name: String, text: String) -> Self {
        let base = before
            .last()
            .map_or(0, |last| last.base + last.text.len() + 1);
        Self {
            name,
            text,
            base,
            loose: false,
        }
    }

    fn parse(&self) -> (DeTable<'_>, Vec<Problem>) {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        let problems = errors.iter().map(|error| {
            let span = error.span().unwrap_or_default();
            Problem::of_span(
                span.start + self.base..span.end + self.base,
                error.message(),
            )
        });
        (shift(table.into_inner(), self.base), problems.collect())
    }
}

/// The merged tree.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pub(super) layers: &'a [Layer],
    root: DeTable<'a>,
}

impl<'a> Document<'a> {
    pub(super) fn merge(layers: &'a [Layer]) -> Result<Self, ConfigError> {
        let mut document = Self {
            layers,
            root: DeTable::new(),
        };
        let mut problems = Vec::new();
        for layer in layers {
            let (table, wrong) = layer.parse();
            problems.extend(wrong);
            merge(&mut document.root, table, layer.loose);
        }
        if problems.is_empty() {
            Ok(document)
        } else {
            Err(ConfigError::new(&document, &problems))
        }
    }

    /// Reads the tree as often as it takes to find every problem: serde stops at the first, so what is wrong is taken
    /// out, or renamed to what was meant, and the rest is read again.
    pub(super) fn read(&self) -> (Option<Config>, Vec<Problem>) {
        let mut root = self.root.clone();
        let mut problems = Vec::new();
        loop {
            let end = self
                .layers
                .last()
                .map_or(0, |last| last.base + last.text.len());
            let tree = Deserializer::from(Spanned::new(0..end, root.clone()));
            match Config::deserialize(tree) {
                Ok(config) => {
                    let mut more = config.problems();
                    if !problems.is_empty() {
                        // What was taken out would be missed: only what is still there counts then.
                        more.retain(|problem| {
                            problem.path().is_some_and(|path| {
                                reach(&root, path).is_some_and(|(_, whole)| whole)
                            })
                        });
                    }
                    problems.extend(more);
                    return (Some(config), problems);
                }
                Err(error) => {
                    let span = error.span().unwrap_or_default();
                    let problem = Problem::of_serde(span.clone(), error.message());
                    let mended = mend(&mut root, &span, problem.meant());
                    problems.push(problem);
                    if !mended || problems.len() >= MOST_PROBLEMS {
                        return (None, problems);
                    }
                }
            }
        }
    }

    /// The place of a value: the deepest part of `path` that is written somewhere.
    pub(super) fn span(&self, path: &[String]) -> Option<Range<usize>> {
        reach(&self.root, path).map(|(span, _)| span)
    }

    /// The layer that holds a place, and the place inside it.
    pub(super) fn locate(&self, span: &Range<usize>) -> Option<(&'a Layer, Range<usize>)> {
        let layer = self
            .layers
            .iter()
            .rev()
            .find(|layer| layer.base <= span.start)?;
        let start = (span.start - layer.base).min(layer.text.len());
        let end = span
            .end
            .saturating_sub(layer.base)
            .clamp(start, layer.text.len());
        Some((layer, start..end))
    }

    pub(super) fn show(&self) -> String {
        let mut text = String::new();
        self.show_table(&self.root, "", &mut text);
        text
    }

    fn show_table(&self, table: &DeTable<'_>, path: &str, text: &mut String) {
        for (key, value) in table {
            let path = match path {
                "" => quoted(key.get_ref()),
                _ => format!("{path}.{}", quoted(key.get_ref())),
            };
            match value.get_ref() {
                DeValue::Table(inner) => self.show_table(inner, &path, text),
                _ => {
                    let Some((layer, place)) = self.locate(&value.span()) else {
                        continue;
                    };
                    let line = layer.text[..place.start].matches('\n').count() + 1;
                    let shown = layer.text[place].replace('\n', " ");
                    text.push_str(&format!("{path} = {shown}  # {}:{line}\n", layer.name));
                }
            }
        }
    }
}

/// The place of the deepest part of `path` that is there, and whether that is all of it.
fn reach(root: &DeTable<'_>, path: &[String]) -> Option<(Range<usize>, bool)> {
    let (key, mut value) = root.get_key_value(path.first()?.as_str())?;
    let mut place = key.span();
    for (depth, key) in path.iter().enumerate().skip(1) {
        let inner = match value.get_ref() {
            DeValue::Table(table) => table
                .get_key_value(key.as_str())
                .map(|(key, value)| (key.span(), value)),
            DeValue::Array(items) => {
                let item = key.parse().ok().and_then(|index: usize| items.get(index));
                item.map(|item| (item.span(), item))
            }
            _ => None,
        };
        let Some(inner) = inner else {
            return Some((place, false));
        };
        value = inner.1;
        let last = depth + 1 == path.len();
        place = if last && !value.get_ref().is_table() {
            value.span()
        } else {
            inner.0
        };
    }
    Some((place, true))
}

/// Takes the value at `span` out, or gives it the name that was meant.
fn mend(table: &mut DeTable<'_>, span: &Range<usize>, meant: Option<&str>) -> bool {
    let here = table
        .iter()
        .find(|(key, value)| key.span() == *span || value.span() == *span)
        .map(|(key, _)| key.get_ref().clone().into_owned());
    if let Some(name) = here {
        let taken = table.remove_entry(name.as_str());
        if let (Some(meant), Some((key, value))) = (meant, taken)
            && !table.contains_key(meant)
        {
            table.insert(
                Spanned::new(key.span(), Cow::Owned(meant.to_owned())),
                value,
            );
        }
        return true;
    }
    let inner = table.iter_mut().map(|(_, value)| value.get_mut());
    inner.into_iter().any(|value| match value {
        DeValue::Table(inner) => mend(inner, span, meant),
        DeValue::Array(items) => mend_items(items, span, meant),
        _ => false,
    })
}

fn mend_items<'a>(items: &mut DeArray<'a>, span: &Range<usize>, meant: Option<&str>) -> bool {
    if items.iter().any(|item| item.span() == *span) {
        let all = std::mem::replace(items, DeArray::new());
        let kept = all.into_iter().filter(|item| item.span() != *span);
        kept.for_each(|item| items.push(item));
        return true;
    }
    items.iter_mut().any(|item| match item.get_mut() {
        DeValue::Table(inner) => mend(inner, span, meant),
        _ => false,
    })
}

fn merge<'a>(into: &mut DeTable<'a>, from: DeTable<'a>, loose: bool) {
    for (key, value) in from {
        let known = into
            .keys()
            .map(|known| known.get_ref().clone())
            .find(|known| {
                known == key.get_ref() || loose && known.replace('-', "_") == **key.get_ref()
            });
        let name: DeString<'a> = known.unwrap_or_else(|| key.get_ref().clone());
        let span = value.span();
        match (
            into.get_mut(name.as_ref()).map(Spanned::get_mut),
            value.into_inner(),
        ) {
            (Some(DeValue::Table(old)), DeValue::Table(new)) => merge(old, new, loose),
            (_, value) => {
                into.remove(name.as_ref());
                into.insert(Spanned::new(key.span(), name), Spanned::new(span, value));
            }
        }
    }
}

/// Moves every place of a tree by `base`.
fn shift(table: DeTable<'_>, base: usize) -> DeTable<'_> {
    let moved = |span: Range<usize>| span.start + base..span.end + base;
    table
        .into_iter()
        .map(|(key, value)| {
            let (key_span, value_span) = (moved(key.span()), moved(value.span()));
            (
                Spanned::new(key_span, key.into_inner()),
                Spanned::new(value_span, shift_value(value.into_inner(), base)),
            )
        })
        .collect()
}

fn shift_value(value: DeValue<'_>, base: usize) -> DeValue<'_> {
    match value {
        DeValue::Table(table) => DeValue::Table(shift(table, base)),
        DeValue::Array(mut items) => {
            for item in items.iter_mut() {
                let span = item.span();
                let value = std::mem::replace(item.get_mut(), DeValue::Boolean(false));
                *item = Spanned::new(span.start + base..span.end + base, shift_value(value, base));
            }
            DeValue::Array(items)
        }
        other => other,
    }
}

const PREFIX: &str = "FOREBAY_";

/// A file with more problems than this is none of ours.
const MOST_PROBLEMS: usize = 100;
