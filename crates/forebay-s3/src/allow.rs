//! What a notice may make us read. A queue that others can write to must not choose our buckets.

use std::borrow::Cow;

use crate::content::Content;

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

/// One bucket that notices may name. Of several that fit an object the first one counts.
#[derive(Clone, Debug, Default)]
pub struct AllowedBucket {
    /// Bucket name.
    pub name: String,
    /// Keys must begin with this; empty allows all keys.
    pub prefix: String,
    /// Account that owns the bucket; `None` means the list's `owner`.
    pub owner: Option<String>,
    /// What the objects hold. CloudTrail log files unless set.
    pub content: Content,
}

/// How an object is to be read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rule<'a> {
    /// The bucket's expected owner.
    pub(crate) owner: Option<&'a str>,
    pub(crate) content: Content,
    /// Position in the list; `None` without a list.
    pub(crate) index: Option<usize>,
}

/// What the list says of one object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict<'a> {
    /// Read it.
    Allowed(Rule<'a>),
    /// Never read it.
    Refused(&'static str),
}

impl AllowList {
    /// Whether anything limits what is read.
    pub(crate) fn is_limited(&self) -> bool {
        self.owner.is_some() || !self.buckets.is_empty()
    }

    /// How objects of one entry are read.
    pub(crate) fn rule<'a>(&'a self, index: usize, allowed: &'a AllowedBucket) -> Rule<'a> {
        Rule {
            owner: allowed.owner.as_deref().or(self.owner.as_deref()),
            content: allowed.content,
            index: Some(index),
        }
    }

    /// Judges one object; `of_cloudtrail` tells whether its key has the form of CloudTrail's own log files.
    pub(crate) fn judge(&self, bucket: &str, key: &str, of_cloudtrail: bool) -> Verdict<'_> {
        if key.split('/').any(|part| part == "..") {
            return Verdict::Refused("the key climbs with `..`");
        }
        if self.buckets.is_empty() {
            return if of_cloudtrail {
                Verdict::Allowed(Rule {
                    owner: self.owner.as_deref(),
                    ..Rule::default()
                })
            } else {
                Verdict::Refused(
                    "the key has not the form of a CloudTrail log file, and no list of buckets allows it",
                )
            };
        }
        let mut named = false;
        for (index, allowed) in self.buckets.iter().enumerate() {
            if allowed.name != bucket {
                continue;
            }
            named = true;
            if key.starts_with(&allowed.prefix) {
                return Verdict::Allowed(self.rule(index, allowed));
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
                    ..AllowedBucket::default()
                },
                AllowedBucket {
                    name: "audit".into(),
                    owner: Some("444455556666".into()),
                    ..AllowedBucket::default()
                },
            ],
        }
    }

    /// Owner and entry, or why not.
    fn judge<'a>(
        list: &'a AllowList,
        bucket: &str,
        key: &str,
        of_cloudtrail: bool,
    ) -> Result<(&'a str, Option<usize>), &'static str> {
        match list.judge(bucket, key, of_cloudtrail) {
            Verdict::Allowed(rule) => Ok((rule.owner.unwrap_or_default(), rule.index)),
            Verdict::Refused(why) => Err(why),
        }
    }

    #[test]
    fn without_a_list_log_files_of_cloudtrail_are_read_if_the_owner_is_right() {
        let list = AllowList {
            owner: Some("111122223333".into()),
            buckets: Vec::new(),
        };
        assert_eq!(
            judge(&list, "anything", "k", true),
            Ok(("111122223333", None))
        );
        assert!(judge(&list, "anything", "secrets.json", false).is_err());
        assert!(!AllowList::default().is_limited());
    }

    #[test]
    fn a_list_refuses_what_it_does_not_name() {
        let list = list();
        for (bucket, key, expected) in [
            ("trail", "AWSLogs/x", Ok(("111122223333", Some(0)))),
            ("audit", "x", Ok(("444455556666", Some(1)))),
            (
                "trail",
                "other/x",
                Err("the key is outside the allowed prefix"),
            ),
            (
                "elsewhere",
                "AWSLogs/x",
                Err("the bucket is not on the allow-list"),
            ),
            ("audit", "AWSLogs/../x", Err("the key climbs with `..`")),
            ("audit", "a..b/x", Ok(("444455556666", Some(1)))),
        ] {
            assert_eq!(judge(&list, bucket, key, true), expected, "{bucket} {key}");
        }
    }
}
