//! Objects from S3: streamed, of one version, resumed by range when a download breaks.

use std::time::Duration;

use aws_sdk_s3::{
    Client,
    config::{StalledStreamProtectionConfig, timeout::TimeoutConfig},
    primitives::ByteStream,
};
use bytes::Bytes;
use tokio::time::timeout;

use super::{ObjectBody, ObjectId, ObjectSource};
use crate::error::{Error, ErrorKind};

/// Objects from S3 through a client of the bucket's region.
#[derive(Clone, Debug)]
pub struct S3Source {
    client: Client,
}

impl S3Source {
    /// Reads through `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    async fn get(
        &self,
        object: &ObjectId,
        owner: Option<&str>,
        from: u64,
    ) -> Result<Download, Error> {
        let answer = self
            .client
            .get_object()
            .bucket(&object.bucket)
            .key(&object.key)
            .set_if_match(object.etag.clone())
            .set_version_id(object.version.clone())
            .set_expected_bucket_owner(owner.map(str::to_owned))
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
            .await
            .map_err(|error| Error::from_sdk(error, "s3:GetObject", &object.to_string()))?;
        if from > 0 && answer.content_range().is_none() {
            let context = format!("{object}: the service ignored the range from byte {from}");
            return Err(Error::new(ErrorKind::Unavailable, context));
        }
        let remaining = answer
            .content_length()
            .and_then(|length| u64::try_from(length).ok());
        Ok(Download {
            body: answer.body,
            remaining,
            etag: answer.e_tag,
        })
    }
}

struct Download {
    body: ByteStream,
    remaining: Option<u64>,
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
            download,
            position: 0,
            resumes: 0,
        })
    }
}

/// A download from S3.
#[derive(Debug)]
pub struct S3Body {
    source: S3Source,
    object: ObjectId,
    owner: Option<String>,
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
                    self.position += piece.len() as u64;
                    if let Some(remaining) = &mut self.download.remaining {
                        *remaining = remaining.saturating_sub(piece.len() as u64);
                    }
                    return Ok(Some(piece));
                }
                Ok(Ok(None))
                    if self
                        .download
                        .remaining
                        .is_none_or(|remaining| remaining == 0) =>
                {
                    return Ok(None);
                }
                Ok(Ok(None)) => "the content ended early".to_owned(),
                Ok(Err(error)) => {
                    aws_smithy_types::error::display::DisplayErrorContext(&error).to_string()
                }
                Err(_) => format!("nothing came for {} s", PIECE.as_secs()),
            };
            if self.download.remaining == Some(0) {
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
}

/// Longest wait for an answer to begin.
const FIRST_BYTE: Duration = Duration::from_secs(10);

/// Longest wait for the next piece once reading asks for it.
const PIECE: Duration = Duration::from_secs(30);

/// Most resumes of one download.
const RESUMES: u32 = 5;
