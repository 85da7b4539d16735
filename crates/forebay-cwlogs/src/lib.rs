//! Decodes CloudWatch Logs subscription payloads.
#![forbid(unsafe_code)]
