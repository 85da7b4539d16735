//! s3 tests.
