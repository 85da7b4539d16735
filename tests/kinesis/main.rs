//! kinesis tests.
