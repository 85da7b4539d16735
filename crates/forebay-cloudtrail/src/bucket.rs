//! [`BucketName`]: where a notice may point to.

use std::fmt;
use std::str::FromStr;

/// The name of an S3 bucket, as "General purpose bucket naming rules" has it: 3 to 63 characters of `[a-z0-9.-]`, beginning and
/// ending with a letter or digit, no two dots in a row, no IPv4 address.
///
/// The check keeps a forged notice from naming anything else that an SDK takes for a bucket, such as the ARN of an access point.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BucketName(String);

impl BucketName {
    /// Takes a name that keeps the rules.
    ///
    /// # Errors
    ///
    /// Says which rule is broken.
    pub fn new(name: impl Into<String>) -> Result<Self, BucketNameError> {
        let name = name.into();
        match fault(&name) {
            None => Ok(Self(name)),
            Some(why) => Err(BucketNameError(why)),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl AsRef<str> for BucketName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for BucketName {
    type Err = BucketNameError;

    fn from_str(name: &str) -> Result<Self, BucketNameError> {
        Self::new(name)
    }
}

/// The rule of bucket names that a text breaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BucketNameError(&'static str);

impl BucketNameError {
    pub(crate) const fn why(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for BucketNameError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the bucket name {}", self.0)
    }
}

impl std::error::Error for BucketNameError {}

fn fault(name: &str) -> Option<&'static str> {
    let edge = |byte: Option<u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    if name.starts_with("arn:") {
        return Some("is an ARN; only plain bucket names are read");
    }
    if !(3..=63).contains(&name.len()) {
        return Some("is not 3 to 63 characters long");
    }
    if !name
        .bytes()
        .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'))
    {
        return Some("has characters other than a-z, 0-9, dot and hyphen");
    }
    if !edge(name.bytes().next()) || !edge(name.bytes().last()) {
        return Some("does not begin and end with a letter or digit");
    }
    if name.contains("..") {
        return Some("has two dots in a row");
    }
    if name.split('.').count() == 4
        && name
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return Some("looks like an IPv4 address");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_within_the_rules_are_taken() {
        for name in [
            "abc",
            "my-bucket",
            "my.bucket.logs",
            "123",
            &"a".repeat(63),
            "xxx",
            "aws-cloudtrail-logs-123456789012-1a2b3c4d",
        ] {
            assert!(BucketName::new(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for name in [
            "",
            "ab",
            &"a".repeat(64),
            "My-Bucket",
            "my_bucket",
            "my/bucket",
            "-bucket",
            "bucket-",
            ".bucket",
            "a..b",
            "192.168.0.1",
            "arn:aws:s3:eu-west-1:123456789012:accesspoint/logs",
            "bucket%2e",
            "bucket\n",
            "buck et",
            "bücket",
            "bucket?x=y",
            "a:b",
            "a@b.example",
        ] {
            assert!(BucketName::new(name).is_err(), "{name}");
        }
    }
}
