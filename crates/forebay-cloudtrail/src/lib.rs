//! Reads CloudTrail notices and log files.
#![forbid(unsafe_code)]
