//! Reads Kinesis streams on DynamoDB leases, beside or instead of the KCL.
#![forbid(unsafe_code)]
