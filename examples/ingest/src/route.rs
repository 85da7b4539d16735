//! Which decoder for which stream and log group.

use forebay_flowlog::{Format, FormatError};

use crate::{
    config::{Decode, Kinesis},
    names::Names,
    shape::FlowPlan,
};

/// The decoders of one stream, by log group.
#[derive(Debug)]
pub(crate) struct Routes {
    routes: Vec<(Pattern, Route)>,
    default: Route,
}

/// How the events of a log group are read.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) decode: Decode,
    pub(crate) format: Format,
    pub(crate) plan: FlowPlan,
}

impl Route {
    /// A route that reads flow logs in `format`.
    pub(crate) fn new(decode: Decode, format: Format, field_prefix: bool, names: &Names) -> Self {
        let plan = FlowPlan::new(&format, field_prefix, names);
        Self {
            decode,
            format,
            plan,
        }
    }
}

impl Routes {
    /// The routes of an input, as configured; the configuration was checked.
    pub(crate) fn new(input: &Kinesis, names: &Names) -> Result<Self, FormatError> {
        let route = |decode, format: &str| {
            let format = flow_format(format)?;
            Ok(Route::new(decode, format, input.field_prefix, names))
        };
        let routes = input
            .route
            .iter()
            .map(|entry| {
                Ok((
                    Pattern::new(&entry.log_group),
                    route(entry.decode, &entry.flow_format)?,
                ))
            })
            .collect::<Result<_, FormatError>>()?;
        Ok(Self {
            routes,
            default: route(input.decode, &input.flow_format)?,
        })
    }

    /// One route for everything.
    pub(crate) fn only(route: Route) -> Self {
        Self {
            routes: Vec::new(),
            default: route,
        }
    }

    /// Whether records are texts and no payloads.
    pub(crate) fn is_raw(&self) -> bool {
        self.default.decode == Decode::Raw
    }

    /// The route of a log group; the first match wins.
    pub(crate) fn find(&self, log_group: &[u8]) -> &Route {
        let found = self
            .routes
            .iter()
            .find(|(pattern, _)| pattern.matches(log_group));
        found.map_or(&self.default, |(_, route)| route)
    }
}

/// A flow-log format as the configuration writes it: `default`, or the template given to AWS.
pub(crate) fn flow_format(text: &str) -> Result<Format, FormatError> {
    if text == "default" {
        Ok(Format::v2())
    } else {
        Format::from_template(text)
    }
}

/// A name in which `*` stands for any run of characters.
#[derive(Debug)]
struct Pattern {
    /// The literal pieces between the stars.
    pieces: Vec<Vec<u8>>,
}

impl Pattern {
    fn new(text: &str) -> Self {
        Self {
            pieces: text
                .split('*')
                .map(|piece| piece.as_bytes().to_vec())
                .collect(),
        }
    }

    fn matches(&self, name: &[u8]) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else {
            return false;
        };
        let Some(mut name) = name.strip_prefix(first.as_slice()) else {
            return false;
        };
        let Some((last, middle)) = rest.split_last() else {
            return name.is_empty();
        };
        for piece in middle {
            // The leftmost place leaves the most for the pieces that follow.
            let found = if piece.is_empty() {
                Some(0)
            } else {
                name.windows(piece.len()).position(|window| window == piece)
            };
            let Some(at) = found else { return false };
            name = name.get(at + piece.len()..).unwrap_or_default();
        }
        name.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run() {
        for (pattern, name, expected) in [
            ("/vpc/flow", "/vpc/flow", true),
            ("/vpc/flow", "/vpc/flow2", false),
            ("/vpc/*", "/vpc/flow", true),
            ("*", "", true),
            ("*-debug", "app-debug", true),
            ("*-debug", "app-debug-2", false),
            ("/aws/*/checkout*", "/aws/lambda/checkout-eu", true),
            ("/aws/*/checkout*", "/aws/checkout", false),
            ("a*a", "a", false),
            ("a**b", "ab", true),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(name.as_bytes()),
                expected,
                "{pattern} {name}"
            );
        }
    }
}
