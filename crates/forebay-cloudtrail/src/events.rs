//! [`Events`]: records that are kept for later.

use crate::event::{Event, MemberSpan, Places};

/// Records with what was found in them, for a reader that hands on several at once: nobody has to scan them again.
///
/// All of them share one text and one list of members, so that nothing is allocated per record once these have grown. What is
/// known of a record takes about as much memory as its text.
///
/// ```
/// use forebay_cloudtrail::{Events, Limits, RecordSplitter};
///
/// let mut events = Events::default();
/// let mut splitter = RecordSplitter::new(Limits::default());
/// splitter.feed(br#"{"Records":[{"eventName":"A"},{"eventName":"B"}]}"#);
/// while let Some(record) = splitter.next_record() {
///     events.push(&record.map_err(|bad| bad.error())?.event());
/// }
/// drop(splitter);
/// let names: Vec<_> = events.iter().map(|event| event.event_name().unwrap().to_string()).collect();
/// assert_eq!(names, ["A", "B"]);
/// # Ok::<(), forebay_cloudtrail::RecordError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Events {
    text: String,
    spans: Vec<MemberSpan>,
    kept: Vec<Kept>,
}

/// One record; it begins where the one before it ends.
#[derive(Clone, Debug)]
struct Kept {
    text_end: usize,
    spans_end: usize,
    places: Places,
}

impl Events {
    /// An empty store with room for somewhat more than this one holds, for the records that follow in the same file.
    #[must_use]
    pub fn following(&self) -> Self {
        Self {
            text: String::with_capacity(and_an_eighth(self.text.len())),
            spans: Vec::with_capacity(and_an_eighth(self.spans.len())),
            kept: Vec::with_capacity(and_an_eighth(self.kept.len())),
        }
    }

    /// Keeps a copy of a record.
    pub fn push(&mut self, event: &Event<'_>) {
        self.text.push_str(event.raw());
        self.spans.extend_from_slice(event.spans);
        self.kept.push(Kept {
            text_end: self.text.len(),
            spans_end: self.spans.len(),
            places: *event.places,
        });
    }

    /// The record with this number, from 0 in the order in which they were kept.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<Event<'_>> {
        let kept = self.kept.get(number)?;
        let (text, spans) = match number
            .checked_sub(1)
            .and_then(|before| self.kept.get(before))
        {
            Some(before) => (before.text_end, before.spans_end),
            None => (0, 0),
        };
        let found = (self.spans.get(spans..kept.spans_end)?, &kept.places);
        Some(Event::new(self.text.get(text..kept.text_end)?, found))
    }

    /// All records in the order in which they were kept.
    pub fn iter(&self) -> impl Iterator<Item = Event<'_>> {
        (0..self.len()).filter_map(|number| self.get(number))
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Bytes of JSON text.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// Bytes of memory in use: text, and what was found in it.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        bytes(self.text.len(), self.spans.len(), self.kept.len())
    }

    /// Bytes of memory that are held, room to grow included.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let (spans, kept) = (self.spans.capacity(), self.kept.capacity());
        bytes(self.text.capacity(), spans, kept)
    }
}

fn bytes(text: usize, spans: usize, kept: usize) -> usize {
    text + spans * size_of::<MemberSpan>() + kept * size_of::<Kept>()
}

fn and_an_eighth(length: usize) -> usize {
    length + length.div_ceil(8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Flattener, Limits, RecordSplitter};

    fn flat(event: &Event<'_>) -> Vec<String> {
        let mut lines = vec![event.raw().to_owned()];
        Flattener::default().flatten(event, |name, value| lines.push(format!("{name} {value:?}")));
        lines
    }

    #[test]
    fn kept_records_say_what_they_said_in_the_window() {
        let mut splitter = RecordSplitter::new(Limits::default());
        splitter.feed(
            b"[{\"eventName\":\"a\",\"eventName\":\"b\",\"userIdentity\":{\"userName\":\"\xff\"}},{},
              {\"responseElements\":{\"x\":{\"y\":1}},\"tlsDetails\":{\"tlsVersion\":\"\\u0041\"},\"new\":[1]}]",
        );
        let (mut events, mut seen) = (Events::default(), Vec::new());
        while let Some(record) = splitter.next_record() {
            let event = record.unwrap().event();
            seen.push(flat(&event));
            events.push(&event);
        }
        let kept: Vec<_> = events.iter().map(|event| flat(&event)).collect();
        assert_eq!((kept.len(), &kept), (3, &seen));
        assert!(events.get(3).is_none());
        assert!(events.text_bytes() < events.used_bytes());
        assert!(events.used_bytes() <= events.memory_bytes());
        let mut following = events.following();
        let room = following.memory_bytes();
        for event in events.iter() {
            following.push(&event);
        }
        assert_eq!(following.memory_bytes(), room, "it did not grow");
    }
}
