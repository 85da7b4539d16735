//! Log text as it is: the plugin's "AWS Logs".

use forebay_gelf::{EncodeError, Encoded};

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
        let host = self.host.as_deref().unwrap_or(HOST);
        let mut message = self.encoder.begin(host);
        message.short_message_json_text(text);
        event_fields(&mut message, event);
        message.fields(&self.constant);
        message.finish()
    }
}

/// The plugin's source of log text.
const HOST: &str = "aws-raw-logs";
