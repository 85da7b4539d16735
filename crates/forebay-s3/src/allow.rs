//! What a notice may make us read. A queue that others can write to must not choose our buckets.

use std::borrow::Cow;

/// Buckets that notices may name.
///
/// An empty list allows log files of CloudTrail's own key form in any bucket that belongs to `owner` (the caller's own
/// account): every GetObject carries that account as expected bucket owner, so a forged notice that names somebody
/// else's bucket is refused by S3 itself. A list that is not empty refuses every other bucket without a request.
/// Neither an owner nor a list is refused by [`Config::validate`](crate::Config::validate): a notice could then make
/// us read anything.
#[derive(Clone, Debug, Default)]
pub struct AllowList {
    /// Account expected to own buckets that have no owner of their own here. `None` sends no expectation, which is
    /// only safe with a list that is not empty.
    pub owner: Option<Cow<'static, str>>,
    /// The buckets; empty means any bucket of `owner`.
    pub buckets: Vec<AllowedBucket>,
}

/// One bucket that notices may name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AllowedBucket {
    /// Bucket name.
    pub name: String,
    /// Keys must begin with this; empty allows all keys.
    pub prefix: String,
    /// Account that owns the bucket; `None` means the list's `owner`.
    pub owner: Option<String>,
}

/// What the list says of one object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict<'a> {
    /// Read it, with this expected bucket owner.
    Allowed(Option<&'a str>),
    /// Never read it.
    Refused(&'static str),
}

impl AllowList {
    /// Whether anything limits what is read.
    pub(crate) fn is_limited(&self) -> bool {
        self.owner.is_some() || !self.buckets.is_empty()
    }

    /// Judges one object; `of_cloudtrail` tells whether its key has the form of CloudTrail's own log files.
    pub(crate) fn judge(&self, bucket: &str, key: &str, of_cloudtrail: bool) -> Verdict<'_> {
        if key.split('/').any(|part| part == "..") {
            return Verdict::Refused("the key climbs with `..`");
        }
        if self.buckets.is_empty() {
            return if of_cloudtrail {
                Verdict::Allowed(self.owner.as_deref())
            } else {
                Verdict::Refused(
                    "the key has not the form of a CloudTrail log file, and no list of buckets allows it",
                )
            };
        }
        let mut named = false;
        for allowed in self.buckets.iter().filter(|allowed| allowed.name == bucket) {
            named = true;
            if key.starts_with(&allowed.prefix) {
                return Verdict::Allowed(allowed.owner.as_deref().or(self.owner.as_deref()));
            }
        }
        Verdict::Refused(if named {
            "the key is outside the allowed prefix"
        } else {
            "the bucket is not on the allow-list"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> AllowList {
        AllowList {
            owner: Some("111122223333".into()),
            buckets: vec![
                AllowedBucket {
                    name: "trail".into(),
                    prefix: "AWSLogs/".into(),
                    owner: None,
                },
                AllowedBucket {
                    name: "audit".into(),
                    prefix: String::new(),
                    owner: Some("444455556666".into()),
                },
            ],
        }
    }

    #[test]
    fn an_empty_list_leaves_the_decision_to_the_expected_owner() {
        let list = AllowList {
            owner: Some("111122223333".into()),
            buckets: Vec::new(),
        };
        assert_eq!(
            list.judge("anything", "k", true),
            Verdict::Allowed(Some("111122223333"))
        );
    }

    #[test]
    fn without_a_list_only_log_files_of_cloudtrail_are_read() {
        let list = AllowList {
            owner: Some("111122223333".into()),
            buckets: Vec::new(),
        };
        assert!(matches!(
            list.judge("anything", "secrets.json", false),
            Verdict::Refused(_)
        ));
        assert!(!AllowList::default().is_limited());
    }

    #[test]
    fn a_list_refuses_what_it_does_not_name() {
        assert_eq!(
            list().judge("trail", "AWSLogs/x", true),
            Verdict::Allowed(Some("111122223333"))
        );
        assert_eq!(
            list().judge("audit", "x", true),
            Verdict::Allowed(Some("444455556666"))
        );
        assert_eq!(
            list().judge("trail", "other/x", true),
            Verdict::Refused("the key is outside the allowed prefix")
        );
        assert_eq!(
            list().judge("elsewhere", "AWSLogs/x", true),
            Verdict::Refused("the bucket is not on the allow-list")
        );
    }

    #[test]
    fn a_climbing_key_is_refused() {
        assert_eq!(
            list().judge("audit", "AWSLogs/../x", true),
            Verdict::Refused("the key climbs with `..`")
        );
        assert_eq!(
            list().judge("audit", "a..b/x", true),
            Verdict::Allowed(Some("444455556666"))
        );
    }
}
