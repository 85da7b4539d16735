//! Decides who reads which shard, compatible with the Kinesis Client Library.
#![forbid(unsafe_code)]
