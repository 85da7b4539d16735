//! A model of the AWS services Forebay uses, for demos and tests.
#![forbid(unsafe_code)]
