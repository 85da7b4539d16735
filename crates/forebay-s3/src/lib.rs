//! Reads S3 objects as their notices arrive on SQS, deleted only when accepted.
#![forbid(unsafe_code)]
