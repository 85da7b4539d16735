//! Which decoder for which stream and log group.

use forebay_flowlog::{Format, FormatError, FormatSet, Record};

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
    pub(crate) formats: FormatSet,
    /// One for each of the formats, in their order.
    plans: Vec<FlowPlan>,
}

impl Route {
    /// A route that reads flow logs in one of `formats`.
    pub(crate) fn new(
        decode: Decode,
        formats: FormatSet,
        field_prefix: bool,
        names: &Names,
    ) -> Self {
        let plan = |format| FlowPlan::new(format, field_prefix, names);
        Self {
            decode,
            plans: formats.formats().iter().map(plan).collect(),
            formats,
        }
    }

    /// What becomes of a record of this route.
    ///
    /// # Panics
    ///
    /// If the record has none of the route's formats.
    #[inline]
    pub(crate) fn plan(&self, record: &Record<'_>) -> &FlowPlan {
        let mut plans = self.formats.formats().iter().zip(&self.plans);
        let (_, plan) = plans
            .find(|(format, _)| *format == record.format())
            .expect("the formats of the route gave the record its format");
        plan
    }
}

impl Routes {
    /// The routes of an input, as configured; the configuration was checked.
    pub(crate) fn new(input: &Kinesis, names: &Names) -> Result<Self, FormatError> {
        let route = |decode, format: &str| {
            let formats = flow_formats(format)?;
            Ok(Route::new(decode, formats, input.field_prefix, names))
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

/// The flow-log formats that the configuration means: with `default` those that AWS uses unless told otherwise, else the
/// template given to AWS.
pub(crate) fn flow_formats(text: &str) -> Result<FormatSet, FormatError> {
    if text == "default" {
        Ok(FormatSet::default())
    } else {
        Format::from_template(text).map(FormatSet::from)
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
    fn the_default_formats_are_known_by_columns_and_version() {
        let formats = flow_formats("default").unwrap();
        let route = Route::new(Decode::Flowlog, formats, false, &Names::default());
        let columns = |line: &str| {
            let record = route.formats.parse(line.as_bytes()).ok()?;
            let _ = route.plan(&record);
            Some(record.format().len())
        };
        let vpc = "2 123456789010 eni-1 192.0.2.1 198.51.100.7 1 443 6 1 40 1712345600 1712345658 ACCEPT OK";
        assert_eq!(columns(vpc), Some(14));
        let gateway = format!("6 TransitGateway{}", " -".repeat(34));
        assert_eq!(columns(&gateway), Some(36));
        let custom =
            "eni-1 192.0.2.1 198.51.100.7 1 443 6 1 40 1712345600 1712345658 ACCEPT OK 3 IPv4";
        assert_eq!(columns(custom), None);
    }

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
