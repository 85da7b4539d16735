use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::types::ConsumerStatus;
use tokio::time::Instant;

use crate::call::Call;
use crate::error::{Error, ErrorKind};
use crate::report::Reporter;
use crate::stream::KinesisStream;

impl KinesisStream {
    /// The ARN of an ACTIVE consumer. One that is wanted by name is registered with the stream of this ARN if it is not
    /// there yet.
    pub(crate) async fn consumer(
        &self,
        wanted: &str,
        stream: Option<&str>,
        reporter: &Reporter,
    ) -> Result<Arc<str>, Error> {
        let by_arn = wanted.starts_with("arn:");
        let deadline = Instant::now() + CREATION_LIMIT;
        loop {
            let found = match self.describe_consumer(wanted, stream).await {
                Err(error) if error.kind() == ErrorKind::Gone && !by_arn => {
                    self.register_consumer(wanted, stream).await.map(|()| None)
                }
                found => found,
            };
            match found {
                Ok(Some(arn)) => return Ok(arn),
                Ok(None) => {}
                Err(error) if error.is_retryable() => reporter.error(&error),
                Err(error) => return Err(error),
            }
            if Instant::now() >= deadline {
                return Err(Error::new(
                    ErrorKind::Busy,
                    wanted,
                    "the consumer did not become ACTIVE within 2 min; a stream has at most 20 consumers",
                ));
            }
            tokio::time::sleep(CREATION_POLL).await;
        }
    }

    /// `None` while the consumer is not ACTIVE.
    async fn describe_consumer(
        &self,
        wanted: &str,
        stream: Option<&str>,
    ) -> Result<Option<Arc<str>>, Error> {
        let request = self.client().describe_stream_consumer();
        let request = if wanted.starts_with("arn:") {
            request.consumer_arn(wanted)
        } else {
            request
                .set_stream_arn(stream.map(str::to_owned))
                .consumer_name(wanted)
        };
        let send = request.customize().config_override(self.once()).send();
        let answer = self.watched(Call::DescribeStreamConsumer, send).await?;
        let consumer = answer.consumer_description.ok_or_else(|| {
            self.refuse(
                Call::DescribeStreamConsumer,
                "an answer without a description",
            )
        })?;
        let active = consumer.consumer_status == ConsumerStatus::Active;
        Ok(active.then(|| consumer.consumer_arn.into()))
    }

    async fn register_consumer(&self, name: &str, stream: Option<&str>) -> Result<(), Error> {
        let request = self
            .client()
            .register_stream_consumer()
            .set_stream_arn(stream.map(str::to_owned))
            .consumer_name(name);
        let send = request.customize().config_override(self.once()).send();
        let registered = self.watched(Call::RegisterStreamConsumer, send).await;
        match registered {
            Ok(_) => {
                tracing::info!(consumer = name, "consumer registered");
                Ok(())
            }
            Err(error) => {
                Err(error.with_detail("the consumer does not exist and cannot be registered"))
            }
        }
    }
}

const CREATION_POLL: Duration = Duration::from_secs(1);
const CREATION_LIMIT: Duration = Duration::from_secs(120);
