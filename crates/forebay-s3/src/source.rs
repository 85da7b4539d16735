//! Where objects come from: a trait, with S3 and memory behind it.

mod memory;
mod s3;

use std::{fmt, future::Future};

use bytes::Bytes;

use crate::error::Error;

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
}
