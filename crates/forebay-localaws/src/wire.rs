//! The encodings AWS speaks: JSON members, XML, query strings, CBOR, chunked uploads, checksums, times.

pub(crate) mod cbor;
pub(crate) mod checksum;
pub(crate) mod chunked;
pub(crate) mod json;
pub(crate) mod query;
pub(crate) mod time;
pub(crate) mod xml;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

/// Base64 with padding, the only kind AWS uses in bodies.
pub(crate) fn encode_base64(data: &[u8]) -> String {
    STANDARD.encode(data)
}

/// The reverse; `None` if it is not base64.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The MD5 digest.
pub(crate) fn md5(data: &[u8]) -> [u8; 16] {
    Md5::digest(data).into()
}

/// The MD5 digest in lower-case hexadecimal.
pub(crate) fn md5_hex(data: &[u8]) -> String {
    format!("{:032x}", u128::from_be_bytes(md5(data)))
}
