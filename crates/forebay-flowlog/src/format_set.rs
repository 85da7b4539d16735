use crate::columns::Columns;
use crate::error::LineError;
use crate::field::Field;
use crate::format::Format;
use crate::record::Record;

/// Several formats that share one source, such as a log group that several flow logs write to.
///
/// A line is given the format with its number of columns. Where several have that number, the values decide:
/// only a format whose numbers, addresses, action and log status all decode stays in the choice.
#[derive(Clone, Debug)]
pub struct FormatSet {
    formats: Vec<Format>,
    /// Nobody said that these are the formats in use.
    is_guess: bool,
}

impl FormatSet {
    /// Takes the formats to choose from; equal ones count once. Without any, it is the set of [`FormatSet::default`].
    pub fn new(formats: impl IntoIterator<Item = Format>) -> Self {
        let mut distinct: Vec<Format> = Vec::new();
        for format in formats {
            if !distinct.contains(&format) {
                distinct.push(format);
            }
        }
        if distinct.is_empty() {
            return Self::default();
        }
        Self {
            formats: distinct,
            is_guess: false,
        }
    }

    /// The formats to choose from, at least one.
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
        let mut record = self.record();
        self.read(&mut record, line)?;
        Ok(record)
    }

    /// A record of an empty line, for [`FormatSet::read`].
    #[inline]
    pub fn record(&self) -> Record<'_> {
        self.formats
            .first()
            .expect("a set has at least one format")
            .record()
    }

    /// Splits another line in place of that of `record`, which takes the format that fits. Saves what making and moving a
    /// record costs, as [`Record::read`] does.
    ///
    /// # Errors
    ///
    /// As [`FormatSet::parse`]. The record is then of an empty line.
    #[inline]
    pub fn read<'a>(&'a self, record: &mut Record<'a>, line: &'a [u8]) -> Result<(), LineError> {
        record.read_as(line, |line, columns| self.choose(line, columns))
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
            return if self.is_guess && !has_own_version(first, line, columns) {
                Err(LineError::NoneFits { found, tried: 1 })
            } else {
                Ok(first)
            };
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
    ///
    /// Since nobody named them, a line must also begin with their version, 2 or 6: a custom format with as many columns
    /// would be read as something else.
    fn default() -> Self {
        Self {
            is_guess: true,
            ..Self::new([Format::v2(), Format::transit_gateway()])
        }
    }
}

/// Whether a line begins with the version of a default format, or with none.
fn has_own_version(format: &Format, line: &[u8], columns: &Columns) -> bool {
    let version: &[u8] = if format.contains(Field::TgwId) {
        b"6"
    } else {
        b"2"
    };
    let (start, end) = columns.bounds(0);
    line.get(start..end)
        .is_some_and(|text| text == version || text == b"-")
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
