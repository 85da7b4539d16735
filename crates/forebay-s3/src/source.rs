//! Where objects come from: a trait, with S3 and memory behind it.

mod memory;
mod region;
mod s3;

use std::{fmt, future::Future};

use bytes::Bytes;

use crate::error::Error;

pub(crate) use region::redirected;

pub use memory::{MemoryBody, MemorySource};
pub use s3::{S3Body, S3Source};

/// Identity of an object, as a notice names it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct ObjectId {
    /// Bucket name.
    pub bucket: String,
    /// Key, decoded.
    pub key: String,
    /// Entity tag without quotes, when the notice tells it: a later read must be of the same content.
    pub etag: Option<String>,
    /// Version, when the notice tells it.
    pub version: Option<String>,
}

impl ObjectId {
    /// An object known by bucket and key only.
    #[must_use]
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            key: key.into(),
            etag: None,
            version: None,
        }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "s3://{}/{}", self.bucket, self.key)
    }
}

/// Opens objects for reading.
pub trait ObjectSource: Send + Sync + 'static {
    /// A running download.
    type Body: ObjectBody;

    /// Opens `object`. With `owner`, only if that account owns the bucket.
    ///
    /// # Errors
    ///
    /// [`ErrorKind`](crate::ErrorKind) tells a missing object from a denied one and from trouble that passes.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is consumed.
    fn open(
        &self,
        object: &ObjectId,
        owner: Option<&str>,
    ) -> impl Future<Output = Result<Self::Body, Error>> + Send;

    /// Lists objects of `bucket` whose keys begin with `prefix` and stand behind `after`, in the order of their keys: at least
    /// one, at most a thousand; none at the end.
    ///
    /// # Errors
    ///
    /// As [`ObjectSource::open`].
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is consumed.
    fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        owner: Option<&str>,
    ) -> impl Future<Output = Result<Vec<Listed>, Error>> + Send;
}

/// An object as a listing shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Listed {
    /// Key of the object.
    pub key: String,
    /// Entity tag without quotes.
    pub etag: Option<String>,
    /// Bytes.
    pub size: u64,
    /// When it was written, in milliseconds since 1970.
    pub modified: i64,
}

impl Listed {
    /// An object without entity tag.
    #[must_use]
    pub fn new(key: impl Into<String>, size: u64, modified: i64) -> Self {
        Self {
            key: key.into(),
            etag: None,
            size,
            modified,
        }
    }
}

/// A running download.
pub trait ObjectBody: Send {
    /// The next piece of the content, `None` at its verified end.
    ///
    /// # Errors
    ///
    /// The download broke and could not be resumed.
    ///
    /// # Cancel safety
    ///
    /// Not safe: a piece may be lost. Drop the body after cancelling.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Error>> + Send;

    /// Entity tag of the content that was opened, without quotes. Two reads with the same tag give the same bytes.
    fn etag(&self) -> Option<&str> {
        None
    }

    /// Bytes of the whole content, if known.
    fn length(&self) -> Option<u64> {
        None
    }
}
