//! Every target is a plain function here, so that libFuzzer (`fuzz_targets/`) and the deterministic mutation
//! run on stable (`src/bin/mutate.rs`) execute the same code.
#![forbid(unsafe_code)]

pub mod cloudtrail;
pub mod cwlogs;
pub mod flowlog;
pub mod gelf;
pub mod kpl;

/// A target: its name, the function, and inputs to start from.
pub type Target = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

/// All targets.
pub const TARGETS: &[Target] = &[
    ("cloudtrail_notice", cloudtrail::notice, cloudtrail::seeds),
    ("cloudtrail_file", cloudtrail::file, cloudtrail::seeds),
    ("cwlogs_gzip", cwlogs::gzip, cwlogs::seeds),
    ("cwlogs_json", cwlogs::json, cwlogs::seeds),
    ("flowlog_line", flowlog::line, flowlog::seeds),
    ("flowlog_format", flowlog::format, flowlog::seeds),
    ("flowlog_reader", flowlog::reader, flowlog::seeds),
    ("gelf_fields", gelf::fields, gelf::seeds),
    ("gelf_chunks", gelf::chunks, gelf::seeds),
    ("kpl_record", kpl::record, kpl::seeds),
];
