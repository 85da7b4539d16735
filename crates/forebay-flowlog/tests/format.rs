//! Formats: where they come from, what they refuse, how they are chosen.

use forebay_flowlog::{Column, Field, Format, FormatError, FormatSet, LineError};

const V2_LINE: &[u8] =
    b"2 123456789010 eni-102010ab 198.51.100.1 192.0.2.1 443 49152 6 10 840 1439387263 1439387264 ACCEPT OK";

#[test]
fn the_default_formats_have_the_documented_order() {
    insta::assert_snapshot!(Format::v2(), @"${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${log-status}");
    insta::assert_snapshot!(Format::transit_gateway(), @"${version} ${resource-type} ${account-id} ${tgw-id} ${tgw-attachment-id} ${tgw-src-vpc-account-id} ${tgw-dst-vpc-account-id} ${tgw-src-vpc-id} ${tgw-dst-vpc-id} ${tgw-src-subnet-id} ${tgw-dst-subnet-id} ${tgw-src-eni} ${tgw-dst-eni} ${tgw-src-az-id} ${tgw-dst-az-id} ${tgw-pair-attachment-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} ${log-status} ${type} ${packets-lost-no-route} ${packets-lost-blackhole} ${packets-lost-mtu-exceeded} ${packets-lost-ttl-expired} ${tcp-flags} ${region} ${flow-direction} ${pkt-src-aws-service} ${pkt-dst-aws-service}");
    assert_eq!(
        (Format::v2().len(), Format::transit_gateway().len()),
        (14, 36)
    );
    assert_eq!(Format::default(), Format::v2());
}

#[test]
fn one_format_is_read_from_every_spelling() {
    let expected = Format::from_names(["version", "pkt-srcaddr", "log-status"]).unwrap();
    for template in [
        "${version} ${pkt-srcaddr} ${log-status}",
        "${version}${pkt-srcaddr}${log-status}",
        "  ${version}\t${pkt-srcaddr}  ${log-status}\n",
        "'${version} ${pkt-srcaddr} ${log-status}'",
        "$${version} $${pkt-srcaddr} $${log-status}",
        "version pkt-srcaddr log-status",
        "VERSION pkt_srcaddr Log_Status",
        "\"version\" \"pkt-srcaddr\" \"log-status\"",
    ] {
        assert_eq!(template.parse(), Ok(expected.clone()), "{template}");
    }
    for header in [
        "version pkt-srcaddr log-status\r\n",
        "\u{feff}VERSION PKT_SRCADDR LOG_STATUS",
    ] {
        assert_eq!(
            Format::from_header(header.as_bytes()),
            Ok(expected.clone()),
            "{header}"
        );
    }
}

#[test]
fn a_printed_format_reads_back() {
    let all = Format::from_names(Field::all().map(Field::name)).unwrap();
    let other = Format::from_names(["version", "Some_New-Field", "bytes"]).unwrap();
    for format in [Format::v2(), Format::transit_gateway(), all, other] {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
}

#[test]
fn an_unknown_name_is_kept_as_a_column() {
    let format = Format::from_template("${version} ${Some_New-Field} ${bytes}").unwrap();
    assert_eq!(format.columns()[1], Column::Other("Some_New-Field".into()));
    assert_eq!(
        format.unknown_names().collect::<Vec<_>>(),
        ["Some_New-Field"]
    );
    assert_eq!(format.position_of("some-new-field"), Some(1));
    assert_eq!(format.position(Field::Bytes), Some(2));
    assert!(!format.contains(Field::Packets));
    let record = format.parse(b"12 text 840").unwrap();
    assert_eq!(record.raw_by_name("${SOME_NEW_FIELD}"), Some(&b"text"[..]));
    assert_eq!(record.bytes(), Ok(Some(840)));
}

#[test]
fn what_is_no_format_is_refused_with_a_remedy() {
    let error = |template: &str| Format::from_template(template).unwrap_err().to_string();
    insta::assert_snapshot!(error(" "), @"a format needs at least one field; write it as in `${version} ${srcaddr}`");
    insta::assert_snapshot!(error("${version} ${bytes} ${VERSION}"), @"column 2 repeats `version` of column 0 (counted from 0); name each field once");
    insta::assert_snapshot!(error("a-b x A_B"), @"column 2 repeats `A_B` of column 0 (counted from 0); name each field once");
    insta::assert_snapshot!(error("${version} ${bytes"), @"column 1 (counted from 0) is `${bytes`, which is no field name; write fields as `${name}` with single spaces between them");
    insta::assert_snapshot!(error("version,bytes"), @"column 0 (counted from 0) is `version,bytes`, which is no field name; write fields as `${name}` with single spaces between them");
    insta::assert_snapshot!(error("version -"), @"column 1 (counted from 0) is `-`, which is no field name; write fields as `${name}` with single spaces between them");
    // Found by the fuzz target: a quote inside the braces made a name that could not be looked up.
    assert!(matches!(
        "${name'} ${bytes}".parse::<Format>(),
        Err(FormatError::BadName { column: 0, .. })
    ));
    let many: Vec<String> = (0..=Format::MAX_COLUMNS)
        .map(|index| format!("name-{index}"))
        .collect();
    assert_eq!(Format::from_names(&many), Err(FormatError::TooMany));
    assert!(Format::from_names(&many[1..]).is_ok());
    assert!(matches!(
        Format::from_header(b"version \xff"),
        Err(FormatError::BadName { .. })
    ));
}

#[test]
fn a_header_line_is_told_from_a_record() {
    let cases: [(&[u8], bool); 12] = [
        (b"version account-id", true),
        (b"\xEF\xBB\xBFversion\r", true),
        (b"VERSION SRCADDR new_field", true),
        (b"${version} ${srcaddr}", true),
        (b"\"version\" \"srcaddr\"", true),
        (V2_LINE, false),
        (b"eni-102010ab ACCEPT OK", false),
        (b"bogus line", false),
        (b"version 123456789010 eni-1", false),
        (b"- - -", false),
        (b"", false),
        (b"\xff\xfe version", false),
    ];
    for (line, expected) in cases {
        assert_eq!(Format::is_header(line), expected, "{}", line.escape_ascii());
    }
}

#[test]
fn formats_that_share_a_source_are_told_by_count_then_by_values() {
    let format = |template: &str| Format::from_template(template).unwrap();
    let addresses = format("${srcaddr} ${dstaddr} ${bytes}");
    let reversed = format("${bytes} ${dstaddr} ${srcaddr}");
    let interfaces = format("${interface-id} ${vpc-id} ${action}");
    let pair = format("${version} ${interface-id}");
    let set: FormatSet = [&addresses, &reversed, &interfaces, &pair, &pair]
        .into_iter()
        .cloned()
        .collect();
    assert_eq!(set.formats().len(), 4, "equal formats count once");

    let chosen = |line: &'static [u8]| set.parse(line).map(|record| record.format().clone());
    assert_eq!(chosen(b"192.0.2.1 192.0.2.2 840"), Ok(addresses.clone()));
    assert_eq!(chosen(b"840 192.0.2.1 192.0.2.2"), Ok(reversed.clone()));
    assert_eq!(chosen(b"eni-1 vpc-1 ACCEPT"), Ok(interfaces));
    assert_eq!(
        chosen(b"anything goes"),
        Ok(pair),
        "the only format with two columns"
    );
    assert_eq!(
        chosen(b"- 192.0.2.2 -"),
        Err(LineError::Ambiguous {
            found: 3,
            fitting: 2
        })
    );
    assert_eq!(
        chosen(b"one two three"),
        Err(LineError::NoneFits { found: 3, tried: 3 })
    );
    assert_eq!(
        chosen(b"one two three four"),
        Err(LineError::UnknownCount { found: 4 })
    );
    insta::assert_snapshot!(chosen(b"- 192.0.2.2 -").unwrap_err(), @"2 formats with 3 columns fit this line; let each flow log write to a log group of its own");
    insta::assert_snapshot!(chosen(b"a b c").unwrap_err(), @"the values fit no known format with 3 columns (3 tried); set the format to the `LogFormat` that EC2 `DescribeFlowLogs` shows for this flow log, such as `${version} ${srcaddr}`");
}

#[test]
fn a_default_format_that_nobody_configured_must_have_its_version() {
    let known = FormatSet::default();
    let gateway = |version: &str| format!("{version}{}", " -".repeat(35));
    assert!(known.parse(V2_LINE).is_ok());
    assert!(known.parse(gateway("6").as_bytes()).is_ok());
    assert!(known.parse(gateway("-").as_bytes()).is_ok());
    for count in [1, 2, 13, 15, 29, 35, 37, 54, 72] {
        let line = format!("2{}", " -".repeat(count - 1));
        assert_eq!(
            known.parse(line.as_bytes()),
            Err(LineError::UnknownCount { found: count })
        );
    }
    // Custom formats that happen to have as many columns.
    let others = [
        "eni-1 2 3 4 5 6 7 8 9 10 11 12 13 14".to_owned(),
        "5 vpc-1 i-1 4 5 6 7 8 9 10 11 12 13 14".to_owned(),
        gateway("7"),
    ];
    for line in others {
        let found = line.split(' ').count();
        assert_eq!(
            known.parse(line.as_bytes()),
            Err(LineError::NoneFits { found, tried: 1 }),
            "{line}"
        );
    }
    // Who names the format knows better.
    let v2 = FormatSet::new([Format::v2(), Format::transit_gateway()]);
    assert!(v2.parse(b"5 - - - - - - - - - - - - -").is_ok());
}

#[test]
fn one_format_alone_says_how_many_columns_it_expects() {
    let set = FormatSet::from(Format::v2());
    assert!(set.parse(V2_LINE).is_ok());
    assert_eq!(
        set.parse(b"2 3"),
        Err(LineError::FieldCount {
            expected: 14,
            found: 2,
            offset: 3
        })
    );
    assert!(FormatSet::default().parse(V2_LINE).is_ok());
    assert_eq!(
        FormatSet::new([]).parse(b"2 3"),
        Err(LineError::UnknownCount { found: 2 })
    );
}

#[test]
fn one_record_takes_the_format_of_each_line() {
    let set = FormatSet::new([]);
    let mut record = set.record();
    let gateway = format!("6{}", " -".repeat(35));
    for (line, columns) in [(V2_LINE, 14), (gateway.as_bytes(), 36), (V2_LINE, 14)] {
        set.read(&mut record, line).unwrap();
        assert_eq!(record.format().len(), columns);
        assert_eq!(record, set.parse(line).unwrap());
    }
    set.read(&mut record, b"2 3").unwrap_err();
    assert_eq!(record.line(), b"");
}
