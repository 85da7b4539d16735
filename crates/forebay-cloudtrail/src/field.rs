//! Names of fields in the flattened view: which are the plugin's, which are taken, and how others are made.

use crate::flatten::{AWS_SOURCE, OWN_NAME};
use crate::member::{Known, Scope};

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
        || [AWS_SOURCE, OWN_NAME].contains(&name)
        || Known::ALL.iter().any(|known| known.field() == name)
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
    AWS_SOURCE,
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
            if is_plugin_field(known.field()) {
                continue;
            }
            let (scope, json) = known.json();
            let mut name = String::new();
            join(scope, json, &mut name);
            assert_eq!(known.field(), name, "{known:?}");
        }
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
