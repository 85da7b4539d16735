//! [`Notice`]: what the body of one SQS message says there is to read.

use std::fmt;

use serde_json::Value;

use crate::bucket::BucketName;
use crate::error::{NoticeError, NoticeLimit};
use crate::key::{KeyKind, ObjectKey, is_region};
use crate::time::parse_millis;
use crate::wire;

/// A notice, told apart from the SQS body alone.
///
/// CloudTrail, S3 and EventBridge announce objects in three shapes, each of them bare or inside one or more SNS envelopes; the same
/// queues also get test events, validation messages and notices of other services. See [`Form`] for the list.
///
/// A notice is only a hint from whoever may write to the queue. Before anything is read, check the bucket against what you expect
/// and the key with [`ObjectKey::cloudtrail_form`].
///
/// ```
/// use forebay_cloudtrail::{Disposition, Form, Notice};
///
/// let body = br#"{"s3Bucket":"trail-logs","s3ObjectKey":["AWSLogs/1/a.json.gz","AWSLogs/1/b.json.gz"]}"#;
/// let notice = Notice::parse(body)?;
/// assert_eq!(notice.form, Form::CloudTrail);
/// assert_eq!(notice.disposition(), Disposition::Objects);
/// assert_eq!(notice.objects[1].key.as_str(), "AWSLogs/1/b.json.gz");
/// # Ok::<(), forebay_cloudtrail::NoticeError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Notice {
    /// What the innermost message is.
    pub form: Form,
    /// SNS envelopes that were around it.
    pub envelopes: u8,
    /// The objects to read, in the order of the notice. Digests, folders, empty objects and anything but creations are left out
    /// and counted in [`ignored`](Self::ignored).
    pub objects: Vec<ObjectRef>,
    /// The ARN of the SNS topic, of the outermost envelope.
    pub topic_arn: Option<String>,
    /// What was left out.
    pub ignored: Ignored,
    /// For [`Form::CloudTrailEvent`]: the JSON text that holds the record. [`FileDecoder`](crate::FileDecoder) reads it.
    pub payload: Option<String>,
}

impl Notice {
    /// Reads the body of an SQS message.
    ///
    /// A body that is no known notice is not an error here: its [`disposition`](Self::disposition) is
    /// [`Disposition::Unknown`].
    ///
    /// # Errors
    ///
    /// The body is over a limit (1 MiB; 256 KiB inside an envelope; 1,000 objects; 3 envelopes), names a bucket or key that cannot
    /// be one, or lacks a member that its form needs. One refused object refuses the whole notice.
    pub fn parse(body: &[u8]) -> Result<Self, NoticeError> {
        limit(NoticeLimit::BodyBytes, BODY_BYTES, body.len())?;
        let text = String::from_utf8_lossy(body);
        let mut notice = Self {
            form: Form::Unknown,
            envelopes: 0,
            objects: Vec::new(),
            topic_arn: None,
            ignored: Ignored::default(),
            payload: None,
        };
        wire::read_message(&text, &mut notice)?;
        Ok(notice)
    }

    /// Reads an event as AWS Lambda gets it: a list of SQS or SNS records, each holding a notice. A body that is no such list is read
    /// as [`parse`](Self::parse) does and gives a list of one.
    ///
    /// # Errors
    ///
    /// The event is over 8 MiB or has more than 10,000 records. Errors of the single notices are in the list.
    pub fn from_lambda_event(body: &[u8]) -> Result<Vec<Result<Self, NoticeError>>, NoticeError> {
        limit(NoticeLimit::BodyBytes, LAMBDA_BYTES, body.len())?;
        let Some(bodies) = wire::lambda_bodies(body) else {
            return Ok(vec![Self::parse(body)]);
        };
        limit(NoticeLimit::Objects, LAMBDA_RECORDS, bodies.len())?;
        Ok(bodies
            .iter()
            .map(|body| Self::parse(body.as_bytes()))
            .collect())
    }

    /// What there is to do.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        if !self.objects.is_empty() {
            return Disposition::Objects;
        }
        match self.form {
            Form::CloudTrailEvent => Disposition::Record,
            Form::Unknown => Disposition::Unknown,
            Form::TestEvent => Disposition::Nothing(NothingReason::TestEvent),
            Form::Validation => Disposition::Nothing(NothingReason::Validation),
            Form::AwsConfig => Disposition::Nothing(NothingReason::AwsConfig),
            Form::SubscriptionConfirmation => {
                Disposition::Nothing(NothingReason::SubscriptionConfirmation)
            }
            Form::CloudTrail | Form::S3 | Form::EventBridge | Form::SecurityLake => {
                Disposition::Nothing(NothingReason::NoLogFiles)
            }
        }
    }

    /// Counts an event that creates nothing.
    pub(crate) fn ignore_other(&mut self) -> Result<(), NoticeError> {
        self.ignored.not_created += 1;
        limit(
            NoticeLimit::Objects,
            OBJECTS,
            self.objects.len() + self.ignored.total(),
        )
    }

    pub(crate) fn push(&mut self, object: Candidate<'_>) -> Result<(), NoticeError> {
        let index = self.objects.len() + self.ignored.total();
        limit(NoticeLimit::Objects, OBJECTS, index + 1)?;
        let bucket =
            BucketName::new(object.bucket).map_err(|error| NoticeError::RefusedBucket {
                index,
                why: error.why(),
            })?;
        let key = if object.encoded {
            ObjectKey::from_encoded(object.key)
        } else {
            ObjectKey::new(object.key)
        };
        let key = key.map_err(|error| NoticeError::RefusedKey {
            index,
            why: error.why(),
        })?;
        if key.is_folder() {
            self.ignored.folders += 1;
        } else if key.kind() == KeyKind::Digest {
            self.ignored.digests += 1;
        } else if object.size == Some(0) {
            self.ignored.empty += 1;
        } else {
            self.objects.push(ObjectRef {
                bucket,
                key,
                size: object.size,
                etag: object
                    .etag
                    .map(|etag| etag.trim_matches('"').to_owned())
                    .filter(|etag| !etag.is_empty()),
                version_id: owned(object.version_id).filter(|version| version != "null"),
                sequencer: owned(object.sequencer),
                region: owned(object.region).filter(|region| is_region(region)),
                event_millis: object.time.and_then(parse_millis),
            });
        }
        Ok(())
    }
}

/// What the innermost message of a notice is. With [`Notice::envelopes`] this tells all the ways apart in which notices arrive.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Form {
    /// CloudTrail's own: `s3Bucket` and `s3ObjectKey`; keys are not encoded.
    CloudTrail,
    /// An S3 event notification: `Records` of `aws:s3`; keys are form-URL-encoded.
    S3,
    /// S3 through EventBridge; keys are not encoded.
    EventBridge,
    /// The same for subscribers of Security Lake, which have seen it without `detail-type`.
    SecurityLake,
    /// `s3:TestEvent`, sent when a notification is set up.
    TestEvent,
    /// `CloudTrail validation message.`, sent when a trail is set up.
    Validation,
    /// AWS Config on the same topic.
    AwsConfig,
    /// SNS asks for a subscription to be confirmed, or says that it ended.
    SubscriptionConfirmation,
    /// CloudTrail through EventBridge: the body holds the record itself.
    CloudTrailEvent,
    /// None of these.
    Unknown,
}

impl fmt::Display for Form {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::CloudTrail => "CloudTrail notice",
            Self::S3 => "S3 event notification",
            Self::EventBridge => "EventBridge event of S3",
            Self::SecurityLake => "Security Lake notice",
            Self::TestEvent => "S3 test event",
            Self::Validation => "CloudTrail validation message",
            Self::AwsConfig => "AWS Config notice",
            Self::SubscriptionConfirmation => "SNS subscription message",
            Self::CloudTrailEvent => "CloudTrail event of EventBridge",
            Self::Unknown => "unknown message",
        })
    }
}

/// What there is to do about a notice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Disposition {
    /// Read [`Notice::objects`].
    Objects,
    /// The message carries a record itself: read [`Notice::payload`].
    Record,
    /// Nothing; delete the message.
    Nothing(NothingReason),
    /// Nobody knows; the message belongs into the dead letter.
    Unknown,
}

/// Why a notice asks for nothing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum NothingReason {
    /// S3 tried whether it may send.
    TestEvent,
    /// CloudTrail tried whether it may send.
    Validation,
    /// AWS Config shares the topic.
    AwsConfig,
    /// A person must confirm the subscription; this crate never opens the link.
    SubscriptionConfirmation,
    /// All that is named was removed, is a digest, a folder or empty; see [`Notice::ignored`].
    NoLogFiles,
}

impl fmt::Display for NothingReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TestEvent => "S3 test event",
            Self::Validation => "CloudTrail validation message",
            Self::AwsConfig => "AWS Config notice",
            Self::SubscriptionConfirmation => "SNS subscription message",
            Self::NoLogFiles => "no log files named",
        })
    }
}

/// An object that a notice announces.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ObjectRef {
    /// The bucket.
    pub bucket: BucketName,
    /// The key, decoded exactly as often as the form demands.
    pub key: ObjectKey,
    /// Bytes of the object, if told.
    pub size: Option<u64>,
    /// Entity tag without quotes, if told. Good for `If-Match`.
    pub etag: Option<String>,
    /// Version in a versioned bucket, if told.
    pub version_id: Option<String>,
    /// Order of the events of one key: compare as hexadecimal text, padded on the right.
    pub sequencer: Option<String>,
    /// Region that the notice names. A hint for messages only: never choose an endpoint by it.
    pub region: Option<String>,
    /// When the object was written, in milliseconds since the Unix epoch, if told.
    pub event_millis: Option<i64>,
}

/// What a notice names besides log files.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Ignored {
    /// Events that create nothing: removals, restores, tagging.
    pub not_created: usize,
    /// Digest files.
    pub digests: usize,
    /// Keys that only show a folder.
    pub folders: usize,
    /// Objects of zero bytes.
    pub empty: usize,
}

impl Ignored {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.not_created + self.digests + self.folders + self.empty
    }
}

/// An object as a message names it, unchecked.
#[derive(Default)]
pub(crate) struct Candidate<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    pub(crate) encoded: bool,
    pub(crate) size: Option<u64>,
    pub(crate) etag: Option<&'a str>,
    pub(crate) version_id: Option<&'a str>,
    pub(crate) sequencer: Option<&'a str>,
    pub(crate) region: Option<&'a str>,
    pub(crate) time: Option<&'a str>,
}

pub(crate) const fn limit(what: NoticeLimit, limit: usize, seen: usize) -> Result<(), NoticeError> {
    if seen > limit {
        Err(NoticeError::Limit { what, limit, seen })
    } else {
        Ok(())
    }
}

fn owned(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty() && text.len() <= 1024)
        .map(str::to_owned)
}

/// A size may come as a number or as its digits.
pub(crate) fn size(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Bytes of a body: SQS takes 1 MiB.
const BODY_BYTES: usize = 1 << 20;
/// Bytes inside an envelope: SNS takes 256 KiB.
pub(crate) const MESSAGE_BYTES: usize = 256 << 10;
/// Objects of one notice.
const OBJECTS: usize = 1000;
/// Envelopes around each other: a topic that feeds a topic by way of a function has two.
pub(crate) const ENVELOPES: usize = 3;
/// Bytes of a Lambda event: 6 MB, with room for what is printed more widely.
const LAMBDA_BYTES: usize = 8 << 20;
/// Records of a Lambda event: the largest batch of an SQS trigger.
const LAMBDA_RECORDS: usize = 10_000;
