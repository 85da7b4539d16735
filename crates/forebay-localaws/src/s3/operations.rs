use std::collections::BTreeSet;

use bytes::Bytes;

use super::request::{Body, S3Request};
use super::{Bucket, Object, S3};
use crate::route::REQUEST_ID;
use crate::wire::time::{http_date, iso};
use crate::wire::xml::Xml;
use crate::wire::{checksum, decode_base64, encode_base64};
use crate::{Reply, ServiceError};

impl S3 {
    /// Runs an operation. `None`: not modelled.
    pub(crate) fn call(
        &mut self,
        operation: &str,
        input: &S3Request,
        region: &str,
        now: u64,
    ) -> Option<Result<Reply, ServiceError>> {
        if let Some(elsewhere) = self.elsewhere(&input.bucket, region) {
            return Some(Ok(elsewhere));
        }
        let result = match operation {
            "ListBuckets" => Ok(self.list_buckets()),
            "CreateBucket" => self.create(input, now),
            "DeleteBucket" => self.delete_bucket(input),
            "HeadBucket" => self.bucket(input).map(|_| empty(200)),
            "ListObjectsV2" => self.list(input),
            "PutObject" => self.put_object(input, now),
            "GetObject" => self.get_object(input, true),
            "HeadObject" => self.get_object(input, false),
            "DeleteObject" => self.delete(input),
            _ => return None,
        };
        Some(result.map(|reply| reply.with_header("x-amz-request-id", REQUEST_ID)))
    }

    /// The answer to a request that is signed for another region than the bucket's.
    fn elsewhere(&self, bucket: &str, region: &str) -> Option<Reply> {
        let actual = self.buckets.get(bucket)?.region.as_deref()?;
        (actual != region).then(|| {
            let body = Xml::document("Error", "", |xml| {
                xml.text("Code", "PermanentRedirect");
                xml.text("Message", "The bucket you are attempting to access must be addressed using the specified endpoint.");
                xml.text("Endpoint", format!("{bucket}.s3.{actual}.amazonaws.com"));
                xml.text("Bucket", bucket);
            });
            Reply::new(301, "application/xml", body.replace(" xmlns=\"\"", ""))
                .with_header("x-amz-bucket-region", actual)
        })
    }

    fn list_buckets(&self) -> Reply {
        xml("ListAllMyBucketsResult", |xml| {
            xml.element("Owner", |xml| xml.text("ID", &self.account));
            xml.element("Buckets", |xml| {
                for (name, bucket) in &self.buckets {
                    xml.element("Bucket", |xml| {
                        xml.text("Name", name);
                        xml.text("CreationDate", iso(bucket.created));
                    });
                }
            });
        })
    }

    fn create(&mut self, input: &S3Request, now: u64) -> Result<Reply, ServiceError> {
        if self.buckets.contains_key(&input.bucket) {
            return Err(ServiceError::new(
                "BucketAlreadyOwnedByYou",
                409,
                "Your previous request to create the named bucket succeeded and you already own it.",
            ));
        }
        self.create_bucket(&input.bucket, now);
        Ok(empty(200).with_header("location", format!("/{}", input.bucket)))
    }

    fn delete_bucket(&mut self, input: &S3Request) -> Result<Reply, ServiceError> {
        if !self.bucket(input)?.objects.is_empty() {
            return Err(ServiceError::new(
                "BucketNotEmpty",
                409,
                "The bucket you tried to delete is not empty",
            ));
        }
        self.buckets.remove(&input.bucket);
        Ok(empty(204))
    }

    fn put_object(&mut self, input: &S3Request, now: u64) -> Result<Reply, ServiceError> {
        let data = match &input.body {
            Body::Whole(data) => data.clone(),
            Body::Incomplete => {
                return Err(ServiceError::new(
                    "IncompleteBody",
                    400,
                    "The body ends before its stated length.",
                ));
            }
            Body::BadDigest => {
                return Err(ServiceError::new(
                    "BadDigest",
                    400,
                    "The checksum you specified did not match the calculated checksum.",
                ));
            }
            Body::UnknownChecksum(algorithm) => {
                return Err(ServiceError::new(
                    "NotImplemented",
                    501,
                    format!("forebay-localaws cannot compute {algorithm} checksums"),
                ));
            }
        };
        let existing = self.bucket(input)?.objects.get(&input.key);
        if input.header("if-none-match") == Some("*") && existing.is_some() {
            return Err(precondition());
        }
        if let Some(wanted) = input.header("if-match")
            && existing.is_none_or(|object| object.etag != quoted(wanted))
        {
            return Err(precondition());
        }
        let headers = input
            .headers
            .iter()
            .filter_map(|(name, value)| match name.as_str() {
                "content-type" => Some((name.clone(), value.clone())),
                // The transfer coding is not part of the object.
                "content-encoding" => {
                    let kept: Vec<&str> = value
                        .split(',')
                        .map(str::trim)
                        .filter(|part| *part != "aws-chunked")
                        .collect();
                    (!kept.is_empty()).then(|| (name.clone(), kept.join(",")))
                }
                name if name.starts_with("x-amz-meta-") => Some((name.to_owned(), value.clone())),
                _ => None,
            })
            .collect();
        let object = Object::new(data, headers, now);
        let reply = empty(200).with_header("etag", object.etag.clone());
        if let Some(bucket) = self.buckets.get_mut(&input.bucket) {
            bucket.objects.insert(input.key.clone(), object);
        }
        Ok(reply)
    }

    fn get_object(&self, input: &S3Request, with_body: bool) -> Result<Reply, ServiceError> {
        let object = self.bucket(input)?.objects.get(&input.key).ok_or_else(|| {
            ServiceError::new("NoSuchKey", 404, "The specified key does not exist.")
        })?;
        if input
            .query
            .get("versionId")
            .is_some_and(|version| version != object.version)
        {
            return Err(ServiceError::new(
                "NoSuchVersion",
                404,
                "The specified version does not exist.",
            ));
        }
        if input
            .header("if-match")
            .is_some_and(|wanted| wanted != "*" && quoted(wanted) != object.etag)
        {
            return Err(precondition());
        }
        if input
            .header("if-none-match")
            .is_some_and(|other| quoted(other) == object.etag)
        {
            return Ok(empty(304).with_header("etag", object.etag.clone()));
        }
        let total = object.data.len();
        let (mut reply, range) = match input.header("range") {
            None => (Reply::new(200, "", Bytes::new()), 0..total),
            Some(header) => {
                let range = byte_range(header, total).ok_or_else(|| {
                    ServiceError::new(
                        "InvalidRange",
                        416,
                        "The requested range is not satisfiable",
                    )
                })?;
                let shown = format!(
                    "bytes {}-{}/{total}",
                    range.start,
                    range.end.saturating_sub(1)
                );
                (
                    Reply::new(206, "", Bytes::new()).with_header("content-range", shown),
                    range,
                )
            }
        };
        reply.headers.retain(|(name, _)| name != "content-type");
        reply.headers.extend(object.headers.iter().cloned());
        if !object
            .headers
            .iter()
            .any(|(name, _)| name == "content-type")
        {
            reply = reply.with_header("content-type", "binary/octet-stream");
        }
        reply = reply
            .with_header("accept-ranges", "bytes")
            .with_header("etag", object.etag.clone())
            .with_header("last-modified", http_date(object.modified))
            .with_header("content-length", range.len().to_string());
        if range.len() == total
            && input.header("x-amz-checksum-mode") == Some("ENABLED")
            && let Some(sum) = checksum::compute("crc32", &object.data)
        {
            reply = reply.with_header("x-amz-checksum-crc32", sum);
        }
        if with_body {
            reply.body = object.data.slice(range);
        }
        Ok(reply)
    }

    fn delete(&mut self, input: &S3Request) -> Result<Reply, ServiceError> {
        self.bucket(input)?;
        self.remove(&input.bucket, &input.key);
        Ok(empty(204))
    }

    fn list(&self, input: &S3Request) -> Result<Reply, ServiceError> {
        let bucket = self.bucket(input)?;
        let bad = |name: &str| {
            ServiceError::new("InvalidArgument", 400, format!("`{name}` is malformed"))
        };
        let get = |name: &str| input.query.get(name).filter(|value| !value.is_empty());
        let prefix = get("prefix").unwrap_or_default();
        let limit = match get("max-keys") {
            None => 1_000,
            Some(text) => text
                .parse::<usize>()
                .map_err(|_| bad("max-keys"))?
                .min(1_000),
        };
        let after = match get("continuation-token") {
            Some(token) => {
                let bytes = decode_base64(token).ok_or_else(|| bad("continuation-token"))?;
                Some(String::from_utf8(bytes).map_err(|_| bad("continuation-token"))?)
            }
            None => get("start-after").map(str::to_owned),
        };
        let (mut objects, mut prefixes) = (Vec::new(), BTreeSet::new());
        let (mut last, mut truncated) = (None, false);
        for (key, object) in bucket
            .objects
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
        {
            if after.as_ref().is_some_and(|after| key <= after) {
                continue;
            }
            let rest = key.get(prefix.len()..).unwrap_or_default();
            let common = get("delimiter")
                .and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()))
                .and_then(|end| key.get(..prefix.len() + end));
            // Keys below a common prefix shown on an earlier page, or already on this one.
            if common.is_some_and(|common| {
                prefixes.contains(common)
                    || after
                        .as_deref()
                        .is_some_and(|after| after.starts_with(common))
            }) {
                last = Some(key);
                continue;
            }
            if objects.len() + prefixes.len() == limit {
                truncated = true;
                break;
            }
            match common {
                Some(common) => {
                    prefixes.insert(common.to_owned());
                }
                None => objects.push((key, object)),
            }
            last = Some(key);
        }
        Ok(xml("ListBucketResult", |xml| {
            xml.text("Name", &input.bucket);
            xml.text("Prefix", prefix);
            xml.option("Delimiter", get("delimiter"));
            xml.text("MaxKeys", limit);
            xml.text("KeyCount", objects.len() + prefixes.len());
            xml.text("IsTruncated", truncated);
            if let (true, Some(last)) = (truncated, last) {
                xml.text("NextContinuationToken", encode_base64(last.as_bytes()));
            }
            for (key, object) in &objects {
                xml.element("Contents", |xml| {
                    xml.text("Key", key);
                    xml.text("LastModified", iso(object.modified));
                    xml.text("ETag", &object.etag);
                    xml.text("Size", object.data.len());
                    xml.text("StorageClass", "STANDARD");
                });
            }
            for prefix in &prefixes {
                xml.element("CommonPrefixes", |xml| xml.text("Prefix", prefix));
            }
        }))
    }

    fn bucket(&self, input: &S3Request) -> Result<&Bucket, ServiceError> {
        let bucket = self.buckets.get(&input.bucket).ok_or_else(|| {
            ServiceError::new("NoSuchBucket", 404, "The specified bucket does not exist")
        })?;
        let expected = input.header("x-amz-expected-bucket-owner");
        let unpaid = bucket.requester_pays && input.header("x-amz-request-payer").is_none();
        if expected.is_some_and(|owner| owner != bucket.owner) || unpaid {
            return Err(ServiceError::new("AccessDenied", 403, "Access Denied"));
        }
        Ok(bucket)
    }

    /// The region the buckets are in.
    pub fn region(&self) -> &str {
        &self.region
    }
}

fn xml(root: &str, fill: impl FnOnce(&mut Xml)) -> Reply {
    Reply::new(
        200,
        "application/xml",
        Xml::document(root, "http://s3.amazonaws.com/doc/2006-03-01/", fill),
    )
}

fn empty(status: u16) -> Reply {
    let mut reply = Reply::new(status, "", Bytes::new());
    reply.headers.clear();
    reply
}

fn precondition() -> ServiceError {
    ServiceError::new(
        "PreconditionFailed",
        412,
        "At least one of the pre-conditions you specified did not hold",
    )
}

fn quoted(etag: &str) -> String {
    format!("\"{}\"", etag.trim_matches('"'))
}

/// `bytes=a-b`, `bytes=a-` or `bytes=-n`, cut to the object; `None` if nothing of it is there.
fn byte_range(header: &str, total: usize) -> Option<std::ops::Range<usize>> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        let length: usize = last.parse().ok().filter(|length| *length > 0)?;
        return (total > 0).then(|| total.saturating_sub(length)..total);
    }
    let first: usize = first.parse().ok()?;
    let end = if last.is_empty() {
        total
    } else {
        last.parse::<usize>().ok()?.saturating_add(1).min(total)
    };
    (first < end).then_some(first..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_object_or_refused() {
        assert_eq!(byte_range("bytes=0-4", 10), Some(0..5));
        assert_eq!(byte_range("bytes=5-", 10), Some(5..10));
        assert_eq!(byte_range("bytes=-3", 10), Some(7..10));
        assert_eq!(byte_range("bytes=-30", 10), Some(0..10));
        assert_eq!(byte_range("bytes=8-99", 10), Some(8..10));
        assert_eq!(byte_range("bytes=10-", 10), None);
        assert_eq!(byte_range("bytes=-0", 10), None);
        assert_eq!(byte_range("items=1-2", 10), None);
    }
}
