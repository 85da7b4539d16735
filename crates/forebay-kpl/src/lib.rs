//! Splits KPL-aggregated Kinesis records into user records.
#![forbid(unsafe_code)]
