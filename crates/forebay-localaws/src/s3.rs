//! Simple Storage Service: objects, ranges, conditions, listings.

mod operations;
mod request;

pub(crate) use request::S3Request;

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::Settings;
use crate::wire::md5_hex;

/// The S3 of one account. Buckets keep one version of each object.
#[derive(Clone, Debug)]
pub struct S3 {
    account: String,
    region: String,
    buckets: BTreeMap<String, Bucket>,
}

#[derive(Clone, Debug)]
struct Bucket {
    owner: String,
    /// Where requests must come, if that matters.
    region: Option<String>,
    requester_pays: bool,
    created: u64,
    objects: BTreeMap<String, Object>,
}

/// A stored object.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// The content.
    pub data: Bytes,
    /// When it was written, in Unix milliseconds.
    pub modified: u64,
    /// The entity tag: the MD5 of the content in quotes.
    pub etag: String,
    /// The version id, `null` in a bucket without versions.
    pub version: String,
    /// `content-type`, `content-encoding` and `x-amz-meta-...` as they were given.
    pub headers: Vec<(String, String)>,
}

impl S3 {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            account: settings.account.clone(),
            region: settings.region.clone(),
            buckets: BTreeMap::new(),
        }
    }

    /// Makes a bucket owned by the default account; an existing one is kept.
    pub fn create_bucket(&mut self, name: &str, now: u64) {
        let owner = self.account.clone();
        self.buckets
            .entry(name.to_owned())
            .or_insert_with(|| Bucket {
                owner,
                region: None,
                requester_pays: false,
                created: now,
                objects: BTreeMap::new(),
            });
    }

    /// Makes a bucket that answers requests signed for `region` only, and others with where it is. An existing bucket is moved.
    pub fn create_bucket_in(&mut self, name: &str, region: &str, now: u64) {
        self.create_bucket(name, now);
        if let Some(bucket) = self.buckets.get_mut(name) {
            bucket.region = Some(region.to_owned());
        }
    }

    /// Gives a bucket to another account that lets requesters pay: who does not say so with the request is denied.
    pub fn let_requesters_pay(&mut self, name: &str, owner: &str) {
        if let Some(bucket) = self.buckets.get_mut(name) {
            owner.clone_into(&mut bucket.owner);
            bucket.requester_pays = true;
        }
    }

    /// Stores an object, with its bucket if that is missing.
    pub fn put(&mut self, bucket: &str, key: &str, data: impl Into<Bytes>, now: u64) {
        self.create_bucket(bucket, now);
        let object = Object::new(data.into(), Vec::new(), now);
        if let Some(bucket) = self.buckets.get_mut(bucket) {
            bucket.objects.insert(key.to_owned(), object);
        }
    }

    /// The object, if it is there.
    pub fn get(&self, bucket: &str, key: &str) -> Option<&Object> {
        self.buckets.get(bucket)?.objects.get(key)
    }

    /// Removes an object; false if it was not there.
    pub fn remove(&mut self, bucket: &str, key: &str) -> bool {
        self.buckets
            .get_mut(bucket)
            .is_some_and(|bucket| bucket.objects.remove(key).is_some())
    }
}

impl Object {
    fn new(data: Bytes, headers: Vec<(String, String)>, now: u64) -> Self {
        Self {
            etag: format!("\"{}\"", md5_hex(&data)),
            version: "null".to_owned(),
            modified: now,
            data,
            headers,
        }
    }
}
