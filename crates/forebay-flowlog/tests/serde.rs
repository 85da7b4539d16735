//! The serde forms, which are promises.
#![cfg(feature = "serde")]

use forebay_flowlog::{Format, RecordBuf};

#[test]
fn a_record_is_a_map_of_what_it_has() {
    let format = Format::from_names([
        "version",
        "account-id",
        "srcaddr",
        "dstaddr",
        "bytes",
        "start",
        "end",
        "action",
        "instance-tag",
        "New-Field",
        "srcport",
    ])
    .unwrap();
    let line = b"11 012345678901 2001:DB8::1 - 18446744073709551615 1712345600 1712345658500 ACCEPT web%20tier text 70000";
    let record = format.parse(line).unwrap();
    let json = serde_json::to_string(&record).unwrap();
    insta::assert_snapshot!(json, @r#"{"version":11,"account_id":"012345678901","srcaddr":"2001:db8::1","bytes":18446744073709551615,"start":1712345600,"end":1712345658.5,"action":"ACCEPT","instance_tag":"web tier","New-Field":"text","srcport":"70000"}"#);
    assert_eq!(
        serde_json::to_string(&RecordBuf::from(record)).unwrap(),
        json
    );
}

#[test]
fn a_format_is_its_template() {
    let format = Format::from_names(["version", "New-Field"]).unwrap();
    let json = serde_json::to_string(&format).unwrap();
    insta::assert_snapshot!(json, @r#""${version} ${New-Field}""#);
    assert_eq!(serde_json::from_str::<Format>(&json).unwrap(), format);
    let error = serde_json::from_str::<Format>(r#""${version} ${version}""#).unwrap_err();
    insta::assert_snapshot!(error, @"column 1 repeats `version` of column 0 (counted from 0); name each field once at line 1 column 23");
    assert!(serde_json::from_str::<Format>("14").is_err());
}
