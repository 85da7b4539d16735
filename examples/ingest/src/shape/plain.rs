//! Log text as it is: the plugin's "AWS Logs".

use forebay_gelf::{EncodeError, Encoded, MessageWriter};

use super::{Event, Shaper, event_fields};

impl Shaper {
    /// A message of log text. `text` is the content of a JSON string.
    ///
    /// # Errors
    ///
    /// The text is blank, or too long for one message.
    pub(crate) fn plain(
        &mut self,
        event: &Event<'_>,
        text: &[u8],
    ) -> Result<Encoded<'_>, EncodeError> {
        self.log_text(event, |message, full| {
            message.short_message_json_text(text);
            if full {
                message.full_message_json_text(text);
            }
        })
    }

    /// A message of text as it stands in a file or a record.
    ///
    /// # Errors
    ///
    /// The text is blank, or too long for one message.
    pub(crate) fn line(
        &mut self,
        event: &Event<'_>,
        text: &[u8],
    ) -> Result<Encoded<'_>, EncodeError> {
        self.log_text(event, |message, full| {
            message.short_message(text);
            if full {
                message.full_message(text);
            }
        })
    }

    fn log_text(
        &mut self,
        event: &Event<'_>,
        write: impl FnOnce(&mut MessageWriter<'_>, bool),
    ) -> Result<Encoded<'_>, EncodeError> {
        let host = self.host.as_deref().unwrap_or(HOST);
        let mut message = self.encoder.begin(host);
        write(&mut message, self.full_message);
        event_fields(&mut message, event);
        message.fields(&self.constant);
        message.finish()
    }
}

/// The plugin's source of log text.
const HOST: &str = "aws-raw-logs";
