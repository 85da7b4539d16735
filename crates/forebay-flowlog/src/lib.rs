//! Parses VPC and Transit Gateway flow logs.
#![forbid(unsafe_code)]
