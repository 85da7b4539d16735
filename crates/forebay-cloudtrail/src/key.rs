//! [`ObjectKey`]: what an object is, judged by its key alone.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The key of an S3 object, decoded: what `GetObject` takes.
///
/// At most 1,024 bytes ("Naming Amazon S3 objects"). Control characters and path parts that are `.` or `..` are refused: no log
/// file has them, and clients and proxies that tidy paths would read another object than the notice names.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Takes a key as it stands.
    ///
    /// # Errors
    ///
    /// Says which rule is broken.
    pub fn new(key: impl Into<String>) -> Result<Self, ObjectKeyError> {
        let key = key.into();
        match fault(&key) {
            None => Ok(Self(key)),
            Some(why) => Err(ObjectKeyError(why)),
        }
    }

    /// Takes a key out of an S3 event notification, where it is form-URL-encoded: `+` is a space, `%XX` a byte of UTF-8. It is
    /// decoded exactly once. A text that S3 would not have encoded like that (it holds a blank, a byte above 0x7F or a `%` without
    /// two digits) was decoded by somebody before and is taken as it stands.
    ///
    /// # Errors
    ///
    /// Says which rule is broken, before or after decoding.
    pub fn from_encoded(encoded: &str) -> Result<Self, ObjectKeyError> {
        match decode(encoded) {
            Some(key) => Self::new(key),
            None => Err(ObjectKeyError("is not UTF-8 after decoding")),
        }
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the object holds, as far as the key tells.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        KeyKind::of(&self.0)
    }

    /// Whether the key is one of the empty objects that consoles make to show a folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.0.ends_with('/') || self.0.ends_with("_$folder$")
    }

    /// The parts of the key if it has exactly the form that CloudTrail gives to its log files and digests:
    /// `[prefix/]AWSLogs/[o-…/]ACCOUNT/KIND/REGION/YYYY/MM/DD/ACCOUNT_NAME_REGION_TIME_UNIQUE.json.gz`.
    ///
    /// This is the check against forged notices: an object of any other form is not read unless the configuration allows it.
    #[must_use]
    pub fn cloudtrail_form(&self) -> Option<CloudTrailKey<'_>> {
        CloudTrailKey::parse(&self.0)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl AsRef<str> for ObjectKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectKey {
    type Err = ObjectKeyError;

    fn from_str(key: &str) -> Result<Self, ObjectKeyError> {
        Self::new(key)
    }
}

/// The rule of object keys that a text breaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ObjectKeyError(&'static str);

impl ObjectKeyError {
    pub(crate) const fn why(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for ObjectKeyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the object key {}", self.0)
    }
}

impl std::error::Error for ObjectKeyError {}

/// What an object holds, by the folder under `AWSLogs` that its key names.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum KeyKind {
    /// Management and data events.
    CloudTrail,
    /// Hashes of the log files of an hour; no records.
    Digest,
    /// Insights events.
    Insight,
    /// Network activity events of VPC endpoints.
    NetworkActivity,
    /// Aggregated data events.
    Aggregated,
    /// VPC flow logs.
    VpcFlowLogs,
    /// Nothing that is known.
    Other,
}

impl KeyKind {
    fn of(key: &str) -> Self {
        // The folder decides; without the usual folders the file name may still tell.
        let mut parts = key.split('/');
        let name = parts.next_back().unwrap_or("");
        let folder = parts
            .rev()
            .map(Self::of_folder)
            .find(|kind| *kind != Self::Other);
        folder
            .or_else(|| {
                name.split('_')
                    .map(Self::of_folder)
                    .find(|kind| *kind != Self::Other)
            })
            .unwrap_or(Self::Other)
    }

    fn of_folder(folder: &str) -> Self {
        match folder {
            "CloudTrail" => Self::CloudTrail,
            "CloudTrail-Digest" => Self::Digest,
            "CloudTrail-Insight" => Self::Insight,
            "CloudTrail-NetworkActivity" => Self::NetworkActivity,
            "CloudTrail-Aggregated" => Self::Aggregated,
            "vpcflowlogs" => Self::VpcFlowLogs,
            _ => Self::Other,
        }
    }

    const fn folder(self) -> &'static str {
        match self {
            Self::CloudTrail => "CloudTrail",
            Self::Digest => "CloudTrail-Digest",
            Self::Insight => "CloudTrail-Insight",
            Self::NetworkActivity => "CloudTrail-NetworkActivity",
            Self::Aggregated => "CloudTrail-Aggregated",
            Self::VpcFlowLogs => "vpcflowlogs",
            Self::Other => "",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Other => "other",
            known => known.folder(),
        })
    }
}

/// The parts of a key that has CloudTrail's own form; see [`ObjectKey::cloudtrail_form`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct CloudTrailKey<'a> {
    /// What stands before `AWSLogs/`, without the slash; empty if nothing.
    pub prefix: &'a str,
    /// The organisation of an organisation trail, `o-…`.
    pub organization: Option<&'a str>,
    /// The account, twelve digits.
    pub account: &'a str,
    /// What the object holds. Never [`KeyKind::VpcFlowLogs`] or [`KeyKind::Other`].
    pub kind: KeyKind,
    /// The region whose events these are.
    pub region: &'a str,
    /// Year, month and day, UTC.
    pub date: (u16, u8, u8),
    /// The last part of the key.
    pub name: &'a str,
}

impl<'a> CloudTrailKey<'a> {
    fn parse(key: &'a str) -> Option<Self> {
        // From the end: what stands before may hold anything, even another `AWSLogs`.
        let mut parts = key.rsplit('/');
        let name = parts.next()?;
        let day = number(parts.next()?, 2, 1..=31)?;
        let month = number(parts.next()?, 2, 1..=12)?;
        let year = number(parts.next()?, 4, 2000..=9999)?;
        let region = parts.next().filter(|region| is_region(region))?;
        let kind = KeyKind::of_folder(parts.next()?);
        if matches!(kind, KeyKind::VpcFlowLogs | KeyKind::Other) {
            return None;
        }
        let account = parts.next().filter(|account| is_account(account))?;
        let mut above = parts.next()?;
        let organization = is_organization(above).then_some(above);
        if organization.is_some() {
            above = parts.next()?;
        }
        if above != "AWSLogs" {
            return None;
        }
        let behind = organization.map_or(0, |id| id.len() + 1)
            + account.len()
            + kind.folder().len()
            + region.len()
            + name.len()
            + 14;
        let prefix = key.get(..key.len().checked_sub(behind + "AWSLogs/".len())?)?;
        let prefix = if prefix.is_empty() {
            prefix
        } else {
            prefix
                .strip_suffix('/')
                .filter(|prefix| !prefix.is_empty())?
        };
        if !is_prefix(prefix) || !is_name(name, account, kind, region) {
            return None;
        }
        Some(Self {
            prefix,
            organization,
            account,
            kind,
            region,
            date: (year, u8::try_from(month).ok()?, u8::try_from(day).ok()?),
            name,
        })
    }
}

/// `ACCOUNT_KIND_REGION_…json.gz`; a digest names its trail before the time.
fn is_name(name: &str, account: &str, kind: KeyKind, region: &str) -> bool {
    let rest = name
        .strip_prefix(account)
        .and_then(|rest| rest.strip_prefix('_'))
        .and_then(|rest| {
            rest.strip_prefix(kind.folder())
                .or_else(|| rest.strip_prefix("CloudTrail"))
        })
        .and_then(|rest| rest.strip_prefix('_'))
        .and_then(|rest| rest.strip_prefix(region))
        .and_then(|rest| rest.strip_prefix('_'))
        .and_then(|rest| rest.strip_suffix(".json.gz"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
    })
}

/// At most 200 characters as "CreateTrail" says; nothing that could be read in two ways.
fn is_prefix(prefix: &str) -> bool {
    prefix.chars().count() <= 200
        && (prefix.is_empty() || prefix.split('/').all(|part| !part.is_empty()))
        && !prefix.contains(['%', '\\', '?', '#'])
}

fn is_account(account: &str) -> bool {
    account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_organization(id: &str) -> bool {
    id.strip_prefix("o-").is_some_and(|rest| {
        (10..=32).contains(&rest.len())
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

/// `eu-west-1`, `us-gov-east-1`, `us-iso-east-1`, `cn-north-1`: words and a number at the end.
pub(crate) fn is_region(region: &str) -> bool {
    let mut parts = region.rsplit('-');
    let number = parts.next().unwrap_or("");
    let words = parts.clone().count();
    region.len() <= 32
        && (2..=4).contains(&words)
        && (1..=2).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && parts.all(|word| {
            (2..=12).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase())
        })
}

fn number(text: &str, width: usize, range: std::ops::RangeInclusive<u16>) -> Option<u16> {
    let digits = text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|value| digits && range.contains(value))
}

fn fault(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        return Some("is empty");
    }
    if key.len() > 1024 {
        return Some("is longer than 1024 bytes");
    }
    if key.chars().any(char::is_control) {
        return Some("has control characters");
    }
    if key.split('/').any(|part| part == "." || part == "..") {
        return Some("has a path part `.` or `..`");
    }
    None
}

/// `None` if the bytes are no UTF-8.
fn decode(encoded: &str) -> Option<Cow<'_, str>> {
    let bytes = encoded.as_bytes();
    if bytes.iter().any(|byte| *byte == b' ' || *byte >= 0x80)
        || memchr::memchr2(b'%', b'+', bytes).is_none()
    {
        return Some(Cow::Borrowed(encoded));
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digit =
                    |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
                match (digit(rest.next()), digit(rest.next())) {
                    (Some(high), Some(low)) => out.push(u8::try_from(high * 16 + low).ok()?),
                    _ => return Some(Cow::Borrowed(encoded)),
                }
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "AWSLogs/123456789012/CloudTrail/eu-west-1/2024/07/10/123456789012_CloudTrail_eu-west-1_20240710T1645Z_Ab12Cd34Ef56Gh78.json.gz";

    fn form(key: &str) -> Option<String> {
        let key = ObjectKey::new(key).ok()?;
        key.cloudtrail_form().map(|form| {
            format!(
                "{}|{:?}|{}|{}|{}|{:?}",
                form.prefix, form.organization, form.account, form.kind, form.region, form.date
            )
        })
    }

    #[test]
    fn keys_of_cloudtrail_come_apart() {
        let cases = [
            (LOG.to_owned(), "|None|123456789012|CloudTrail|eu-west-1|(2024, 7, 10)"),
            (format!("logs/a b/{LOG}"), "logs/a b|None|123456789012|CloudTrail|eu-west-1|(2024, 7, 10)"),
            (format!("AWSLogs/111111111111/{LOG}"), "AWSLogs/111111111111|None|123456789012|CloudTrail|eu-west-1|(2024, 7, 10)"),
            (LOG.replace("AWSLogs/", "AWSLogs/o-exampleorgid/"), "|Some(\"o-exampleorgid\")|123456789012|CloudTrail|eu-west-1|(2024, 7, 10)"),
            (LOG.replace("eu-west-1", "us-gov-east-1"), "|None|123456789012|CloudTrail|us-gov-east-1|(2024, 7, 10)"),
            (LOG.replace("CloudTrail", "CloudTrail-Insight"), "|None|123456789012|CloudTrail-Insight|eu-west-1|(2024, 7, 10)"),
            (LOG.replace("CloudTrail", "CloudTrail-NetworkActivity"), "|None|123456789012|CloudTrail-NetworkActivity|eu-west-1|(2024, 7, 10)"),
            (LOG.replace("CloudTrail", "CloudTrail-Aggregated"), "|None|123456789012|CloudTrail-Aggregated|eu-west-1|(2024, 7, 10)"),
            (LOG.replace("Z_", "Z"), "|None|123456789012|CloudTrail|eu-west-1|(2024, 7, 10)"),
            (
                "AWSLogs/111122223333/CloudTrail-Digest/us-east-2/2015/08/17/111122223333_CloudTrail-Digest_us-east-2_your-trail_us-east-2_20150817T150131Z.json.gz".to_owned(),
                "|None|111122223333|CloudTrail-Digest|us-east-2|(2015, 8, 17)",
            ),
        ];
        for (key, expected) in cases {
            assert_eq!(form(&key).as_deref(), Some(expected), "{key}");
        }
    }

    #[test]
    fn keys_of_any_other_form_are_not_cloudtrails() {
        for key in [
            "secret.txt".to_owned(),
            format!("/{LOG}"),
            format!("a//{LOG}"),
            format!("a%2f{LOG}"),
            format!("a\\b/{LOG}"),
            format!("{}/{LOG}", "p".repeat(201)),
            LOG.replace("AWSLogs", "awslogs"),
            LOG.replace("AWSLogs/", "AWSLogs/o-X/"),
            LOG.replacen("123456789012", "210987654321", 1),
            LOG.replacen("123456789012", "12345678901", 1),
            LOG.replacen("CloudTrail", "Config", 1),
            LOG.replacen("eu-west-1", "eu-west-2", 1),
            LOG.replace("eu-west-1", "eu-west"),
            LOG.replace("eu-west-1", "EU-WEST-1"),
            LOG.replace("2024/07/10", "2024/13/10"),
            LOG.replace("2024/07/10", "2024/7/10"),
            LOG.replace("2024/07/10", "2024/07/00"),
            LOG.replace("2024/07/10", "2024/07/+1"),
            LOG.replace(".json.gz", ".json"),
            LOG.replace(".json.gz", ".json.gz.json"),
            LOG.replace("Z_", "Z_%2e"),
            format!("{LOG}/"),
            format!("{LOG}?versionId=1"),
        ] {
            assert_eq!(form(&key), None, "{key}");
        }
    }

    #[test]
    fn kinds_are_known_by_folder_then_by_name() {
        for (key, kind) in [
            (LOG, KeyKind::CloudTrail),
            ("x/CloudTrail-Digest/y.json.gz", KeyKind::Digest),
            (
                "copied/123456789012_CloudTrail-Digest_us-east-2_t_us-east-2_20150817T150131Z.json.gz",
                KeyKind::Digest,
            ),
            (
                "AWSLogs/123456789012/vpcflowlogs/eu-west-1/2024/01/01/x.log.gz",
                KeyKind::VpcFlowLogs,
            ),
            ("AWSLogs/123456789012/CloudTrail/", KeyKind::CloudTrail),
            ("CloudTrailx/y", KeyKind::Other),
            ("test.pdf", KeyKind::Other),
        ] {
            assert_eq!(ObjectKey::new(key).expect("key").kind(), kind, "{key}");
        }
    }

    #[test]
    fn encoded_keys_are_decoded_exactly_once() {
        for (encoded, key) in [
            ("Happy%20Face.jpg", "Happy Face.jpg"),
            ("Happy+Face.jpg", "Happy Face.jpg"),
            ("a%2Bb", "a+b"),
            ("a%2bb+c", "a+b c"),
            ("100%25.gz", "100%.gz"),
            ("a%2520b", "a%20b"),
            ("caf%C3%A9", "café"),
            ("plain/key", "plain/key"),
            ("already decoded+1", "already decoded+1"),
            ("caf\u{e9}+1", "caf\u{e9}+1"),
            ("50%+off", "50%+off"),
            ("end%2", "end%2"),
        ] {
            assert_eq!(
                ObjectKey::from_encoded(encoded).map(|key| key.0).as_deref(),
                Ok(key),
                "{encoded}"
            );
        }
    }

    #[test]
    fn keys_that_name_nothing_sane_are_refused() {
        for encoded in [
            "",
            "%00",
            "a%0Ab",
            "%FF%FE",
            "../x",
            "a/%2e%2e/b",
            "a/./b",
            "..",
            &"k".repeat(1025),
            "%C2%85",
        ] {
            assert!(ObjectKey::from_encoded(encoded).is_err(), "{encoded}");
        }
        assert!(
            ObjectKey::from_encoded(&"%41".repeat(1024)).is_ok(),
            "the limit counts decoded bytes"
        );
    }
}
