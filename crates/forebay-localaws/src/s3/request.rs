use bytes::Bytes;

use crate::Request;
use crate::wire::query::{Parameters, decode};
use crate::wire::{checksum, chunked};

/// An S3 request: bucket and key from host or path, the rest as headers and query.
#[derive(Debug)]
pub(crate) struct S3Request {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) query: Parameters,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
}

/// The uploaded data after its transfer encoding is undone and its checksum compared.
#[derive(Debug, PartialEq)]
pub(crate) enum Body {
    Whole(Bytes),
    /// The chunks do not add up.
    Incomplete,
    /// The data is not what the sender's checksum says.
    BadDigest,
    /// The model cannot compute this checksum.
    UnknownChecksum(String),
}

impl S3Request {
    /// Names the operation and the resource, `bucket` or `bucket/key`.
    pub(crate) fn read(request: &Request) -> (String, Option<String>, Self) {
        let path = decode(&request.path, false);
        let path = path.trim_start_matches('/');
        let (bucket, key) = match virtual_host(&request.host) {
            Some(bucket) => (bucket, path),
            None => path.split_once('/').unwrap_or((path, "")),
        };
        let query = Parameters::parse(&request.query);
        let operation = match (request.method.as_str(), bucket.is_empty(), key.is_empty()) {
            ("GET", true, _) => "ListBuckets",
            ("PUT", false, true) => "CreateBucket",
            ("HEAD", false, true) => "HeadBucket",
            ("GET", false, true) if query.get("list-type") == Some("2") => "ListObjectsV2",
            ("PUT", false, false) if request.header("x-amz-copy-source").is_none() => "PutObject",
            ("GET", false, false) => "GetObject",
            ("HEAD", false, false) => "HeadObject",
            ("DELETE", false, false) => "DeleteObject",
            ("DELETE", false, true) => "DeleteBucket",
            _ => "",
        };
        // A sub-resource such as `?acl` makes another operation of it.
        let sub_resource = SUB_RESOURCES.iter().find(|name| query.contains(name));
        let operation = match (operation, sub_resource) {
            ("", _) => format!("{} /{path}", request.method),
            (_, Some(name)) => format!("{} ?{name}", request.method),
            (name, None) => name.to_owned(),
        };
        let resource = match (bucket.is_empty(), key.is_empty()) {
            (true, _) => None,
            (false, true) => Some(bucket.to_owned()),
            (false, false) => Some(format!("{bucket}/{key}")),
        };
        let input = Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            query,
            headers: request.headers.clone(),
            body: body(request),
        };
        (operation, resource, input)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

fn body(request: &Request) -> Body {
    let chunked = request
        .header("x-amz-content-sha256")
        .is_some_and(|kind| kind.starts_with("STREAMING-"))
        || request
            .header("content-encoding")
            .is_some_and(|coding| coding.contains("aws-chunked"));
    let (data, trailers) = if chunked {
        match chunked::decode(&request.body) {
            Some(upload) => (upload.data, upload.trailers),
            None => return Body::Incomplete,
        }
    } else {
        (request.body.clone(), Vec::new())
    };
    let stated = request
        .header("x-amz-decoded-content-length")
        .and_then(|text| text.parse::<usize>().ok());
    if stated.is_some_and(|length| length != data.len()) {
        return Body::Incomplete;
    }
    for (name, value) in request.headers.iter().chain(&trailers) {
        let Some(algorithm) = name.strip_prefix("x-amz-checksum-") else {
            continue;
        };
        if matches!(algorithm, "algorithm" | "mode" | "type") {
            continue;
        }
        match checksum::compute(algorithm, &data) {
            Some(computed) if computed == *value => {}
            Some(_) => return Body::BadDigest,
            None => return Body::UnknownChecksum(algorithm.to_owned()),
        }
    }
    if let Some(stated) = request.header("content-md5")
        && stated != crate::wire::encode_base64(&crate::wire::md5(&data))
    {
        return Body::BadDigest;
    }
    Body::Whole(data)
}

/// The bucket in `bucket.s3.region.amazonaws.com` or `bucket.localhost`.
fn virtual_host(host: &str) -> Option<&str> {
    if let Some(bucket) = host.strip_suffix(".localhost") {
        return Some(bucket);
    }
    let at = host.find(".s3.").or_else(|| host.find(".s3-"))?;
    host.get(..at)
}

const SUB_RESOURCES: [&str; 12] = [
    "acl",
    "tagging",
    "uploads",
    "uploadId",
    "versioning",
    "versions",
    "policy",
    "lifecycle",
    "notification",
    "encryption",
    "attributes",
    "location",
];
