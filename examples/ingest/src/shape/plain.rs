//! Log text as it is: the plugin's "AWS Logs".

use forebay_gelf::{EncodeError, Encoded, MessageWriter};

use super::{Event, Shaper, event_fields};

impl Shaper {
    /// A message of log text. `text` is the content of a JSON string.
    ///
    /// # Errors
    ///
    /// The text is blank.
    pub(crate) fn plain(
        &mut self,
        event: &Event<'_>,
        text: &[u8],
    ) -> Result<Encoded<'_>, EncodeError> {
        self.log_text(event, |message| {
            message.short_message_json_text(text);
        })
    }

    /// A message of a line of text as it stands in a file.
    ///
    /// # Errors
    ///
    /// The line is blank.
    pub(crate) fn line(
        &mut self,
        event: &Event<'_>,
        line: &[u8],
    ) -> Result<Encoded<'_>, EncodeError> {
        self.log_text(event, |message| {
            message.short_message(line);
        })
    }

    fn log_text(
        &mut self,
        event: &Event<'_>,
        write: impl FnOnce(&mut MessageWriter<'_>),
    ) -> Result<Encoded<'_>, EncodeError> {
        let host = self.host.as_deref().unwrap_or(HOST);
        let mut message = self.encoder.begin(host);
        write(&mut message);
        event_fields(&mut message, event);
        message.fields(&self.constant);
        message.finish()
    }
}

/// The plugin's source of log text.
const HOST: &str = "aws-raw-logs";
