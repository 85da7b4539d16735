//! [`Field`]: names in the flattened view, which are the plugin's, which are taken, and how others are made.

use std::fmt;

use crate::member::{Known, Scope};

/// A field of the flattened view that is no part of every message. Its name has ASCII letters, digits and underscores, at most 128 bytes.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Field<'a>(Name<'a>);

#[derive(Clone, Copy, Eq, Hash, PartialEq)]
enum Name<'a> {
    /// Position in `Field::KNOWN`.
    Known(u8),
    Made(&'a str),
}

impl<'a> Field<'a> {
    /// The names that do not depend on the record: those of all documented members, and the plugin's constant one.
    pub const KNOWN: [&'static str; Known::ALL.len() + 2] = {
        let mut names = [AWS_SOURCE_NAME; Known::ALL.len() + 2];
        let mut at = 0;
        while at < Known::ALL.len() {
            names[at] = Known::ALL[at].details().field;
            at += 1;
        }
        names[at + 1] = "user_identity_user_name";
        names
    };

    /// The name as the plugin writes it, or as it would.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        match self.0 {
            Name::Known(position) => Self::KNOWN.get(usize::from(position)).unwrap_or(&""),
            Name::Made(name) => name,
        }
    }

    /// Position in [`KNOWN`](Self::KNOWN), so that an encoder can keep a table of names that are rendered already. `None` for a
    /// name that was made for a member that is not documented.
    #[must_use]
    pub const fn known(&self) -> Option<usize> {
        match self.0 {
            Name::Known(position) => Some(position as usize),
            Name::Made(_) => None,
        }
    }

    pub(crate) const fn of(known: Known) -> Self {
        Self(Name::Known(known as u8))
    }

    pub(crate) const fn made(name: &'a str) -> Self {
        Self(Name::Made(name))
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Field({})", self.as_str())
    }
}

/// The plugin's mark of messages from AWS.
pub(crate) const AWS_SOURCE: Field<'_> = Field(Name::Known(Known::ALL.len() as u8));
const AWS_SOURCE_NAME: &str = "aws_source";
/// The caller's own name where the issuer's is shown.
pub(crate) const OWN_NAME: Field<'_> = Field(Name::Known(Known::ALL.len() as u8 + 1));

/// Whether the plugin has a field of this name.
pub(crate) fn is_plugin_field(name: &str) -> bool {
    PLUGIN_FIELDS.contains(&name)
}

/// Makes the name of a field for a member that is not known by name.
pub(crate) fn push_field_name(scope: Scope, member: &str, name: &mut String) {
    join(scope, member, name);
    if name.is_empty() {
        name.push_str("member");
    }
    if is_taken(name) {
        name.insert_str(0, "cloudtrail_");
    }
    name.truncate(NAME_BYTES);
}

/// The object's words and the member's, the word where they meet said once.
fn join(scope: Scope, member: &str, name: &mut String) {
    name.clear();
    name.push_str(scope.prefix());
    let inner = name.len();
    push_snake_case(member, name);
    let words = name.get(inner..).unwrap_or("");
    let last_word = scope.prefix().rsplit('_').next().unwrap_or("");
    let repeated = words
        .strip_prefix(last_word)
        .filter(|rest| !last_word.is_empty() && rest.starts_with('_'));
    if let Some(rest) = repeated {
        let from = name.len() - rest.len();
        name.drain(inner..from);
    } else if inner > 0 {
        name.insert(inner, '_');
    }
}

/// Names that a member must not take: those of Graylog, of GELF and of the members that are known.
fn is_taken(name: &str) -> bool {
    name.starts_with("gl2_")
        || name == "member"
        || RESERVED.contains(&name)
        || Field::KNOWN.contains(&name)
}

/// `sourceIPAddress` becomes `source_ip_address`. Everything but ASCII letters and digits becomes an underscore.
fn push_snake_case(member: &str, name: &mut String) {
    let start = name.len();
    let mut before = None;
    let mut rest = member.chars().peekable();
    while let Some(letter) = rest.next() {
        let next_is_small = rest.peek().is_some_and(char::is_ascii_lowercase);
        let boundary = letter.is_ascii_uppercase()
            && before.is_some_and(|before: char| !before.is_ascii_uppercase() || next_is_small);
        let shown = if letter.is_ascii_alphanumeric() {
            letter.to_ascii_lowercase()
        } else {
            '_'
        };
        // One underscore between two words is enough, and none stands in front.
        if (boundary || shown == '_') && name.len() > start && !name.ends_with('_') {
            name.push('_');
        }
        if shown != '_' {
            name.push(shown);
        }
        before = Some(letter);
        if name.len() > NAME_BYTES {
            break;
        }
    }
}

/// Bytes of a name.
const NAME_BYTES: usize = 128;

/// Fields of the plugin, up to Graylog 7, besides message, source, timestamp and full_message.
const PLUGIN_FIELDS: &[&str] = &[
    AWS_SOURCE_NAME,
    "additional_event_data",
    "aws_region",
    "consoleLogin",
    "device",
    "errorMessage",
    "event_id",
    "event_name",
    "event_source",
    "event_type",
    "exitRole",
    "instanceId",
    "recipient_account_id",
    "renewRole",
    "request_id",
    "returnValue",
    "session_issuer_user_account_id",
    "session_issuer_user_principal_arn",
    "session_issuer_user_principal_id",
    "session_issuer_user_type",
    "source_address",
    "status",
    "user_access_key_id",
    "user_account_id",
    "user_agent",
    "user_name",
    "user_principal_arn",
    "user_principal_id",
    "user_session_creation_date",
    "user_session_mfa_authenticated",
    "user_type",
    "volumeId",
];

/// Names with a meaning in Graylog or GELF.
const RESERVED: &[&str] = &[
    "all",
    "facility",
    "file",
    "full_message",
    "host",
    "id",
    "index",
    "level",
    "line",
    "message",
    "score",
    "short_message",
    "source",
    "streams",
    "timestamp",
    "ttl",
    "type",
    "version",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn snake(member: &str) -> String {
        let mut name = String::new();
        push_snake_case(member, &mut name);
        name
    }

    #[test]
    fn member_names_become_snake_case() {
        for (member, expected) in [
            ("sourceIPAddress", "source_ip_address"),
            ("requestID", "request_id"),
            ("eventId", "event_id"),
            ("ARN", "arn"),
            ("ARNPrefix", "arn_prefix"),
            ("ec2RoleDelivery", "ec2_role_delivery"),
            ("already_snake", "already_snake"),
            ("_return", "return"),
            ("a.b c$d", "a_b_c_d"),
            ("x-amz-id-2", "x_amz_id_2"),
            ("ümlaut", "mlaut"),
            ("", ""),
        ] {
            assert_eq!(snake(member), expected, "{member}");
        }
    }

    #[test]
    fn names_of_known_members_follow_the_rule_unless_the_plugin_named_them() {
        for known in Known::ALL {
            let details = known.details();
            if is_plugin_field(details.field) {
                continue;
            }
            let mut name = String::new();
            join(details.scope, details.name, &mut name);
            assert_eq!(details.field, name, "{known:?}");
        }
    }

    #[test]
    fn known_fields_are_found_by_their_position() {
        for known in Known::ALL {
            let field = Field::of(*known);
            assert_eq!(field.as_str(), known.details().field);
            assert_eq!(Field::KNOWN[field.known().expect("known")], field.as_str());
        }
        assert_eq!(AWS_SOURCE.as_str(), "aws_source");
        assert_eq!(OWN_NAME.as_str(), "user_identity_user_name");
        assert_eq!(OWN_NAME.known(), Some(Field::KNOWN.len() - 1));
        assert_eq!(Field::made("x").known(), None);
    }

    #[test]
    fn made_names_never_cover_other_fields() {
        for scope in [Scope::Record, Scope::UserIdentity, Scope::TlsDetails] {
            for member in [
                "",
                "_",
                "message",
                "Source",
                "gl2_x",
                "_id",
                "userName",
                "user_name",
                "eventTime",
                "aws_source",
                "member",
                &"aB".repeat(200),
            ] {
                let mut name = String::new();
                push_field_name(scope, member, &mut name);
                assert!(!is_taken(&name), "{name}");
                assert!(!name.is_empty() && name.len() <= NAME_BYTES, "{name}");
                assert!(
                    name.bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
                    "{name}"
                );
            }
        }
    }
}
