//! Objects from S3: streamed, of one version, resumed by range when a download breaks.

use std::{sync::Arc, time::Duration};

use aws_sdk_s3::{
    Client,
    config::{StalledStreamProtectionConfig, timeout::TimeoutConfig},
    primitives::ByteStream,
    types::RequestPayer,
};
use bytes::Bytes;
use tokio::time::timeout;

use super::{Listed, ObjectBody, ObjectId, ObjectSource, region::Regions};
use crate::error::{Error, ErrorKind};

/// Objects from S3.
///
/// A bucket in another region of the client's partition is read through a client for that region, if
/// [`S3Source::with_regions`] says how to make one: S3 itself names the region when it is asked in the wrong one.
#[derive(Clone, Debug)]
pub struct S3Source {
    regions: Arc<Regions>,
    requester_pays: bool,
}

impl S3Source {
    /// Reads through `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            regions: Arc::new(Regions::new(client, None)),
            requester_pays: false,
        }
    }

    /// Reads through `client`, and through what `make` makes of a region's name when a bucket turns out to be elsewhere.
    #[must_use]
    pub fn with_regions(
        client: Client,
        make: impl Fn(&str) -> Client + Send + Sync + 'static,
    ) -> Self {
        Self {
            regions: Arc::new(Regions::new(client, Some(Box::new(make)))),
            requester_pays: false,
        }
    }

    /// Says with every request that the caller pays, which requester-pays buckets of other accounts demand.
    #[must_use]
    pub fn requester_pays(mut self, pays: bool) -> Self {
        self.requester_pays = pays;
        self
    }

    fn payer(&self) -> Option<RequestPayer> {
        self.requester_pays.then_some(RequestPayer::Requester)
    }

    async fn get(
        &self,
        object: &ObjectId,
        owner: Option<&str>,
        from: u64,
    ) -> Result<Download, Error> {
        let request = |client: Client| {
            client
                .get_object()
                .bucket(&object.bucket)
                .key(&object.key)
                .set_if_match(object.etag.as_ref().map(|etag| format!("\"{etag}\"")))
                .set_version_id(object.version.clone())
                .set_expected_bucket_owner(owner.map(str::to_owned))
                .set_request_payer(self.payer())
                .set_range((from > 0).then(|| format!("bytes={from}-")))
                .customize()
                .config_override(
                    // A reader that waits for its sink is not a stalled server: the wait for the next piece is ours.
                    aws_sdk_s3::config::Builder::new()
                        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
                        .timeout_config(
                            TimeoutConfig::builder()
                                .operation_attempt_timeout(FIRST_BYTE)
                                .build(),
                        ),
                )
                .send()
        };
        let answer = self
            .regions
            .call(&object.bucket, request)
            .await
            .map_err(|error| Error::from_sdk(error, "s3:GetObject", &object.to_string()))?;
        if from > 0 && answer.content_range().is_none() {
            let context = format!("{object}: the service ignored the range from byte {from}");
            return Err(Error::new(ErrorKind::Unavailable, context));
        }
        let remaining = answer
            .content_length()
            .and_then(|length| u64::try_from(length).ok())
            .ok_or_else(|| {
                // Without it, an answer that was cut could not be told from a whole one.
                let context = format!("{object}: the answer does not tell its length");
                Error::new(ErrorKind::Unavailable, context)
            })?;
        Ok(Download {
            body: answer.body,
            remaining,
            etag: answer
                .e_tag
                .map(|etag| etag.trim_matches('"').to_owned())
                .filter(|etag| !etag.is_empty()),
        })
    }
}

struct Download {
    body: ByteStream,
    remaining: u64,
    etag: Option<String>,
}

impl ObjectSource for S3Source {
    type Body = S3Body;

    async fn open(&self, object: &ObjectId, owner: Option<&str>) -> Result<S3Body, Error> {
        let download = self.get(object, owner, 0).await?;
        let mut object = object.clone();
        // Whatever is read later must be the content that was opened.
        object.etag = download.etag.clone().or(object.etag);
        Ok(S3Body {
            source: self.clone(),
            object,
            owner: owner.map(str::to_owned),
            length: download.remaining,
            download,
            position: 0,
            resumes: 0,
        })
    }

    async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        owner: Option<&str>,
    ) -> Result<Vec<Listed>, Error> {
        let request = |client: Client| {
            client
                .list_objects_v2()
                .bucket(bucket)
                .prefix(prefix)
                .set_start_after(after.map(str::to_owned))
                .set_expected_bucket_owner(owner.map(str::to_owned))
                .set_request_payer(self.payer())
                .customize()
                .config_override(
                    aws_sdk_s3::config::Builder::new().timeout_config(
                        TimeoutConfig::builder()
                            .operation_attempt_timeout(FIRST_BYTE)
                            .build(),
                    ),
                )
                .send()
        };
        let answer = self.regions.call(bucket, request).await.map_err(|error| {
            Error::from_sdk(error, "s3:ListBucket", &format!("s3://{bucket}/{prefix}"))
        })?;
        let listed = answer.contents.unwrap_or_default().into_iter();
        Ok(listed
            .filter_map(|object| {
                Some(Listed {
                    key: object.key?,
                    etag: object.e_tag.map(|etag| etag.trim_matches('"').to_owned()),
                    size: object
                        .size
                        .and_then(|size| u64::try_from(size).ok())
                        .unwrap_or(0),
                    modified: object
                        .last_modified
                        .and_then(|time| time.to_millis().ok())
                        .unwrap_or(0),
                })
            })
            .collect())
    }
}

/// A download from S3.
#[derive(Debug)]
pub struct S3Body {
    source: S3Source,
    object: ObjectId,
    owner: Option<String>,
    length: u64,
    download: Download,
    /// Bytes delivered so far.
    position: u64,
    resumes: u32,
}

impl std::fmt::Debug for Download {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Download")
            .field("remaining", &self.remaining)
            .finish_non_exhaustive()
    }
}

impl ObjectBody for S3Body {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let broken = match timeout(PIECE, self.download.body.try_next()).await {
                Ok(Ok(Some(piece))) => {
                    let length = piece.len() as u64;
                    self.position += length;
                    self.download.remaining = self.download.remaining.saturating_sub(length);
                    return Ok(Some(piece));
                }
                Ok(Ok(None)) if self.download.remaining == 0 => return Ok(None),
                Ok(Ok(None)) => "the content ended early".to_owned(),
                Ok(Err(error)) => {
                    aws_smithy_types::error::display::DisplayErrorContext(&error).to_string()
                }
                Err(_) => format!("nothing came for {} s", PIECE.as_secs()),
            };
            if self.download.remaining == 0 {
                // Every byte came, and they are not what S3 has stored: reading the end again would not help.
                return Err(Error::new(
                    ErrorKind::Corrupt,
                    format!("{}: {broken}", self.object),
                ));
            }
            self.resumes += 1;
            if self.resumes > RESUMES {
                let context = format!("{} at byte {}: {broken}", self.object, self.position);
                return Err(Error::new(ErrorKind::Unavailable, context));
            }
            tracing::debug!(object = %self.object, position = self.position, broken, "download resumed");
            self.download = self
                .source
                .get(&self.object, self.owner.as_deref(), self.position)
                .await?;
        }
    }

    fn etag(&self) -> Option<&str> {
        self.object.etag.as_deref()
    }

    fn length(&self) -> Option<u64> {
        Some(self.length)
    }
}

/// Longest wait for an answer to begin.
const FIRST_BYTE: Duration = Duration::from_secs(10);

/// Longest wait for the next piece once reading asks for it.
const PIECE: Duration = Duration::from_secs(30);

/// Most resumes of one download.
const RESUMES: u32 = 5;
