use crate::columns::Columns;
use crate::error::LineError;
use crate::format::{Format, check_length, without_line_end};
use crate::record::Record;

/// Several formats that share one source, such as a log group that several flow logs write to.
///
/// A line is given the format with its number of columns. Where several have that number, the values decide:
/// only a format whose numbers, addresses, action and log status all decode stays in the choice.
#[derive(Clone, Debug)]
pub struct FormatSet {
    formats: Vec<Format>,
}

impl FormatSet {
    /// Takes the formats to choose from; equal ones count once.
    pub fn new(formats: impl IntoIterator<Item = Format>) -> Self {
        let mut distinct: Vec<Format> = Vec::new();
        for format in formats {
            if !distinct.contains(&format) {
                distinct.push(format);
            }
        }
        Self { formats: distinct }
    }

    /// The formats to choose from.
    pub fn formats(&self) -> &[Format] {
        &self.formats
    }

    /// Splits a line into a record of the format that fits, without allocating.
    ///
    /// # Errors
    ///
    /// [`LineError::FieldCount`] if there is one format only and the line has another number of columns, otherwise
    /// [`LineError::UnknownCount`], [`LineError::Ambiguous`] or [`LineError::NoneFits`]; [`LineError::TooLong`].
    #[inline]
    pub fn parse<'a>(&'a self, line: &'a [u8]) -> Result<Record<'a>, LineError> {
        if let [format] = &*self.formats {
            return format.parse(line);
        }
        let line = without_line_end(line);
        let mut columns = Columns::new();
        columns.read(check_length(line)?);
        let format = self.choose(line, &columns)?;
        Ok(Record::of(format, line, columns))
    }

    /// The format for a line whose columns are known.
    pub(crate) fn choose(&self, line: &[u8], columns: &Columns) -> Result<&Format, LineError> {
        if let [format] = &*self.formats {
            format.check_count(line, columns)?;
            return Ok(format);
        }
        let found = columns.found();
        let mut candidates = self.formats.iter().filter(|format| format.len() == found);
        let Some(first) = candidates.next() else {
            return Err(LineError::UnknownCount { found });
        };
        if candidates.clone().next().is_none() {
            return Ok(first);
        }
        let tried = 1 + candidates.clone().count();
        let mut fitting = std::iter::once(first)
            .chain(candidates)
            .filter(|format| Record::of(format, line, *columns).is_plausible());
        match (fitting.next(), fitting.count()) {
            (Some(format), 0) => Ok(format),
            (Some(_), more) => Err(LineError::Ambiguous {
                found,
                fitting: more + 1,
            }),
            (None, _) => Err(LineError::NoneFits { found, tried }),
        }
    }
}

impl Default for FormatSet {
    /// The two default formats, which differ in their number of columns: VPC (14) and Transit Gateway (36).
    fn default() -> Self {
        Self::new([Format::v2(), Format::transit_gateway()])
    }
}

impl From<Format> for FormatSet {
    fn from(format: Format) -> Self {
        Self::new([format])
    }
}

impl FromIterator<Format> for FormatSet {
    fn from_iter<I: IntoIterator<Item = Format>>(formats: I) -> Self {
        Self::new(formats)
    }
}
