//! `Serialize` for what is a JSON object already.

use serde::ser::{Error, Serialize, Serializer};

use crate::event::Event;
use crate::record::Record;

/// As the object that the record is. Numbers beyond 64 bits and member order may change on the way through `serde_json::Value`; to keep a
/// record byte for byte use [`Event::raw`].
impl Serialize for Event<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: serde_json::Value = serde_json::from_str(self.raw()).map_err(Error::custom)?;
        value.serialize(serializer)
    }
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.event().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use crate::event::{Event, EventIndex};

    #[test]
    fn an_event_serializes_as_itself() {
        let mut index = EventIndex::new();
        let event =
            Event::parse(r#"{"a":[1,null],"eventName":"x\n"}"#, &mut index).expect("a record");
        assert_eq!(
            serde_json::to_string(&event).expect("JSON"),
            r#"{"a":[1,null],"eventName":"x\n"}"#
        );
    }
}
