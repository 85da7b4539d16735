//! [`Event`]: one CloudTrail record, borrowed.

use crate::error::{RecordError, RecordFault};
use crate::limits::RECORD_MEMBERS;
use crate::member::{Known, Scope};
use crate::order::Order;
use crate::scan::{Resume, scan_record};
use crate::text::{Text, TextForm};
use crate::time::parse_millis;

/// One record, read once and borrowed from its JSON text.
///
/// Every member that "CloudTrail record contents" and "CloudTrail userIdentity element" document has an accessor; all of them
/// return [`Text`], whatever JSON type the member has, so that no record fails because AWS changed a type.
/// [`members`](Self::members) lists every top-level member, the unknown ones included, and [`raw`](Self::raw) is the record
/// itself. Where a name appears twice the last one wins.
///
/// ```
/// use forebay_cloudtrail::{Event, EventIndex};
///
/// let mut index = EventIndex::new(); // reused for every record
/// let event = Event::parse(r#"{"eventName":"StopInstances","newMember":{"a":1}}"#, &mut index)?;
/// assert_eq!(event.event_name().unwrap(), "StopInstances");
/// assert_eq!(event.user_name(), None);
/// let last = event.members().last().unwrap();
/// assert_eq!((last.name().to_cow().as_ref(), last.json()), ("newMember", r#"{"a":1}"#));
/// # Ok::<(), forebay_cloudtrail::RecordError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    raw: &'a str,
    pub(crate) spans: &'a [MemberSpan],
    pub(crate) places: &'a Places,
}

impl<'a> Event<'a> {
    /// Reads a record. `index` is scratch space: what it held before is forgotten, and once it has grown nothing is allocated.
    ///
    /// # Errors
    ///
    /// The text is not one JSON object (blanks around it are fine), nests deeper than 64 or has more than 4,096 members.
    pub fn parse(text: &'a str, index: &'a mut EventIndex) -> Result<Self, RecordError> {
        let fail = |fault| RecordError {
            index: 0,
            offset: 0,
            fault,
        };
        let raw = text.trim_matches([' ', '\t', '\r', '\n', '\u{feff}']);
        let end = scan_record(raw.as_bytes(), index).map_err(fail)?;
        if end != raw.len() {
            return Err(fail(RecordFault::Syntax {
                at: end,
                expected: "the end of the record",
            }));
        }
        Ok(Self::new(raw, index.found()))
    }

    pub(crate) const fn new(raw: &'a str, (spans, places): (&'a [MemberSpan], &'a Places)) -> Self {
        Self { raw, spans, places }
    }

    /// The record as it was written.
    #[must_use]
    pub const fn raw(&self) -> &'a str {
        self.raw
    }

    /// All top-level members in the order of the record, unknown and repeated ones included.
    #[must_use]
    pub fn members(&self) -> Members<'a> {
        Members {
            raw: self.raw,
            spans: self.spans.iter(),
        }
    }

    /// The time of the event in milliseconds since the Unix epoch: `eventTime`, or for aggregated events, which have none,
    /// `timeWindow.windowEnd`, then `timeWindow.windowStart`. `None` if there is none that can be read: the caller's own
    /// clue (the file's time, the clock) is then the best there is.
    #[must_use]
    pub fn timestamp_millis(&self) -> Option<i64> {
        [Known::EventTime, Known::WindowEnd, Known::WindowStart]
            .into_iter()
            .find_map(|known| self.millis(known))
    }

    pub(crate) fn millis(&self, known: Known) -> Option<i64> {
        parse_millis(&self.text(known)?.to_cow())
    }

    pub(crate) fn text(&self, known: Known) -> Option<Text<'a>> {
        self.places.find(known, self.spans)?.text(self.raw)
    }
}

/// Where the members of one record are. Reused from record to record.
#[derive(Clone, Debug)]
pub struct EventIndex {
    pub(crate) members: Vec<MemberSpan>,
    pub(crate) places: Places,
    /// The last member of the record that was begun; `None` if there is none.
    pub(crate) resume: Option<Resume>,
    pub(crate) order: Order,
}

impl EventIndex {
    /// An empty index.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            members: Vec::new(),
            places: Places::NONE,
            resume: None,
            order: Order::new(),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.members.clear();
        self.places = Places::NONE;
        self.resume = None;
    }

    /// Lists a member and returns its place. A known one replaces an earlier one of its name.
    #[inline]
    pub(crate) fn push(&mut self, span: MemberSpan) -> Result<usize, RecordFault> {
        let place = self.members.len();
        if place >= RECORD_MEMBERS {
            return Err(RecordFault::TooManyMembers);
        }
        if let Some(known) = span.known
            && let Some(slot) = self.places.of_known.get_mut(known as usize)
        {
            self.places.repeated |= *slot != 0;
            *slot = place as u16 + 1;
        }
        self.members.push(span);
        Ok(place)
    }

    /// Says where the value at `place` ends.
    pub(crate) fn close(&mut self, place: usize, end: u32) {
        if let Some(span) = self.members.get_mut(place) {
            span.value_end = end;
        }
    }

    pub(crate) fn find(&self, known: Known) -> Option<&MemberSpan> {
        self.places.find(known, &self.members)
    }

    /// What [`Event`] needs of it.
    pub(crate) fn found(&self) -> (&[MemberSpan], &Places) {
        (&self.members, &self.places)
    }
}

impl Default for EventIndex {
    fn default() -> Self {
        Self::new()
    }
}

/// Which of a record's members count for the names that are known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    /// One more than the place of a known member in the list of members; 0 means absent.
    of_known: [u16; Known::ALL.len()],
    /// A known member is listed twice.
    repeated: bool,
    /// `responseElements` has members that are not listed.
    pub(crate) more_response_elements: bool,
}

impl Places {
    const NONE: Self = Self {
        of_known: [0; Known::ALL.len()],
        repeated: false,
        more_response_elements: false,
    };

    fn find<'a>(&self, known: Known, spans: &'a [MemberSpan]) -> Option<&'a MemberSpan> {
        let place = usize::from(*self.of_known.get(known as usize)?);
        spans.get(place.checked_sub(1)?)
    }

    /// Whether the member at `place` is the one that counts for its name.
    pub(crate) fn counts(&self, known: Known, place: usize) -> bool {
        let noted = || self.of_known.get(known as usize);
        !self.repeated || noted().is_some_and(|&noted| usize::from(noted) == place + 1)
    }
}

/// A member of an opened object. Positions are bytes of the record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemberSpan {
    pub(crate) key: u32,
    pub(crate) key_end: u32,
    pub(crate) value: u32,
    pub(crate) value_end: u32,
    pub(crate) known: Option<Known>,
    pub(crate) scope: Scope,
    pub(crate) kind: Kind,
    pub(crate) key_escaped: bool,
}

impl MemberSpan {
    pub(crate) fn name<'a>(&self, raw: &'a str) -> Text<'a> {
        let form = if self.key_escaped {
            TextForm::Escaped
        } else {
            TextForm::Plain
        };
        Text::new(slice(raw, self.key, self.key_end), form)
    }

    pub(crate) fn json<'a>(&self, raw: &'a str) -> &'a str {
        slice(raw, self.value, self.value_end)
    }

    pub(crate) fn text<'a>(&self, raw: &'a str) -> Option<Text<'a>> {
        self.plain(raw).or_else(|| self.kind.text(self.json(raw)))
    }

    /// The text of a string without escapes.
    #[inline]
    pub(crate) fn plain<'a>(&self, raw: &'a str) -> Option<Text<'a>> {
        let content = || slice(raw, self.value + 1, self.value_end - 1);
        (self.kind == Kind::Plain).then(|| Text::new(content(), TextForm::Plain))
    }
}

/// The JSON type of a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    /// A string without escapes.
    Plain,
    /// A string with escapes.
    Escaped,
    Object,
    Array,
}

impl Kind {
    pub(crate) fn text<'a>(self, json: &'a str) -> Option<Text<'a>> {
        let unquoted = || json.get(1..json.len().saturating_sub(1)).unwrap_or("");
        Some(match self {
            Self::Null => return None,
            Self::Bool | Self::Number => Text::new(json, TextForm::Plain),
            Self::Plain => Text::new(unquoted(), TextForm::Plain),
            Self::Escaped => Text::new(unquoted(), TextForm::Escaped),
            Self::Object | Self::Array => Text::new(json, TextForm::Json),
        })
    }
}

/// The top-level members of a record; see [`Event::members`].
#[derive(Clone, Debug)]
pub struct Members<'a> {
    raw: &'a str,
    spans: std::slice::Iter<'a, MemberSpan>,
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let span = self.spans.find(|span| span.scope == Scope::Record)?;
        Some(Member {
            name: span.name(self.raw),
            json: span.json(self.raw),
            value: span.text(self.raw),
        })
    }
}

/// A top-level member of a record.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    name: Text<'a>,
    json: &'a str,
    value: Option<Text<'a>>,
}

impl<'a> Member<'a> {
    /// The member's name.
    #[must_use]
    pub const fn name(&self) -> Text<'a> {
        self.name
    }

    /// The value as it was written.
    #[must_use]
    pub const fn json(&self) -> &'a str {
        self.json
    }

    /// The value as text; `None` for null.
    #[must_use]
    pub const fn value(&self) -> Option<Text<'a>> {
        self.value
    }
}

fn slice(raw: &str, start: u32, end: u32) -> &str {
    raw.get(start as usize..end as usize).unwrap_or("")
}
