//! Clients by region, made on demand.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aws_sdk_s3::Client;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};

/// Which client reads which bucket.
pub(crate) struct Regions {
    own: Client,
    make: Option<Box<MakeClient>>,
    learned: Mutex<Learned>,
}

type MakeClient = dyn Fn(&str) -> Client + Send + Sync;

#[derive(Default)]
struct Learned {
    /// Regions of buckets that are not in the own client's.
    buckets: HashMap<String, String>,
    clients: HashMap<String, Client>,
}

impl Regions {
    pub(crate) fn new(own: Client, make: Option<Box<MakeClient>>) -> Self {
        Self {
            own,
            make,
            learned: Mutex::default(),
        }
    }

    /// Sends a request about `bucket`, and once more if S3 answers that the bucket is elsewhere.
    pub(crate) async fn call<T, E, F>(
        &self,
        bucket: &str,
        request: impl Fn(Client) -> F,
    ) -> Result<T, SdkError<E, HttpResponse>>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let error = match request(self.client(bucket)).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        match redirected(&error).and_then(|region| self.learn(bucket, region)) {
            Some(client) => request(client).await,
            None => Err(error),
        }
    }

    fn client(&self, bucket: &str) -> Client {
        let learned = self.learned();
        let region = learned.buckets.get(bucket);
        region
            .and_then(|region| learned.clients.get(region))
            .unwrap_or(&self.own)
            .clone()
    }

    /// The client for a bucket that S3 says is in `region`; `None` if it may not be read from there.
    fn learn(&self, bucket: &str, region: &str) -> Option<Client> {
        let make = self.make.as_ref()?;
        let own = self.own.config().region()?;
        if !is_region(region) || partition(region) != partition(own.as_ref()) {
            return None;
        }
        let mut learned = self.learned();
        let client = learned
            .clients
            .entry(region.to_owned())
            .or_insert_with(|| make(region))
            .clone();
        if learned.buckets.len() >= BUCKETS {
            learned.buckets.clear();
        }
        learned.buckets.insert(bucket.to_owned(), region.to_owned());
        Some(client)
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Regions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Regions")
            .field("own", &self.own.config().region())
            .finish_non_exhaustive()
    }
}

/// The region that S3 tells in the answer to a request that came to the wrong one.
pub(crate) fn redirected<E>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    let response = error.raw_response()?;
    matches!(response.status().as_u16(), 301 | 307 | 400)
        .then(|| response.headers().get("x-amz-bucket-region"))
        .flatten()
}

fn is_region(name: &str) -> bool {
    (5..=32).contains(&name.len())
        && name.contains('-')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// What stands for a partition in its region names. Credentials are good in one partition only.
fn partition(region: &str) -> &str {
    [
        "cn-", "us-gov-", "us-isob-", "us-isof-", "eu-isoe-", "us-iso-",
    ]
    .into_iter()
    .find(|prefix| region.starts_with(prefix))
    .unwrap_or_default()
}

/// Buckets remembered: an allow-list rarely has more than a handful in other regions.
const BUCKETS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_followed_within_its_partition_only() {
        for (own, other, same) in [
            ("eu-west-1", "us-east-2", true),
            ("eu-west-1", "cn-north-1", false),
            ("us-gov-east-1", "us-gov-west-1", true),
            ("us-gov-east-1", "us-east-1", false),
            ("us-east-1", "us-iso-east-1", false),
        ] {
            assert_eq!(partition(own) == partition(other), same, "{own} {other}");
        }
        for name in ["", "evil.example/", "EU-WEST-1", "eu west 1", "euwest1"] {
            assert!(!is_region(name), "{name}");
        }
        assert!(is_region("ap-southeast-3"));
    }
}
