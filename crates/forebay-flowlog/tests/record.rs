//! Records: columns, typed values, what a bad value costs.

use std::net::IpAddr;

use forebay_flowlog::{
    Action, EncryptionStatus, Field, FieldErrorKind, FlowDirection, Format, InterfaceType,
    LineError, LogStatus, Protocol, Record, RecordBuf, RecordKind, RejectReason, ResourceType,
    SublocationType, TcpFlags, Timestamp, TrafficPath, TrafficType, Value, ValueType,
};

const LINE: &[u8] =
    b"2 012345678901 eni-0a1b2c3d 192.0.2.10 2001:db8::7 49152 443 6 12 3480 1712345600 1712345658 ACCEPT OK";

#[test]
fn all_default_fields_decode() {
    let format = Format::v2();
    let record = format.parse(LINE).unwrap();
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(record.version(), Ok(Some(2)));
    assert_eq!(
        record.account_id(),
        Ok(Some("012345678901")),
        "leading zeros matter"
    );
    assert_eq!(record.interface_id(), Ok(Some("eni-0a1b2c3d")));
    assert_eq!(record.src_addr(), Ok(Some(address("192.0.2.10"))));
    assert_eq!(record.dst_addr(), Ok(Some(address("2001:db8::7"))));
    assert_eq!(
        (record.src_port(), record.dst_port()),
        (Ok(Some(49_152)), Ok(Some(443)))
    );
    assert_eq!(record.protocol(), Ok(Some(Protocol::TCP)));
    assert_eq!(
        (record.packets(), record.bytes()),
        (Ok(Some(12)), Ok(Some(3480)))
    );
    assert_eq!(
        record.start(),
        Ok(Some(Timestamp::from_logged(1_712_345_600)))
    );
    assert_eq!(
        record.end(),
        Ok(Some(Timestamp::from_logged(1_712_345_658)))
    );
    assert_eq!(record.window().unwrap().unwrap().signed_seconds(), 58);
    assert_eq!(record.action(), Ok(Some(Action::Accept)));
    assert_eq!(record.log_status(), Ok(Some(LogStatus::Ok)));
    assert_eq!(record.kind(), RecordKind::Traffic);
    assert_eq!(record.vpc_id(), Ok(None), "not in the format");
    assert_eq!(record.raw(Field::VpcId), None);
    assert_eq!(record.column(13), Some(&b"OK"[..]));
    assert_eq!(record.column(14), None);
}

#[test]
fn fields_of_later_versions_decode() {
    let format = Format::from_names([
        "tcp-flags",
        "type",
        "sublocation-type",
        "flow-direction",
        "traffic-path",
        "reject-reason",
        "encryption-status",
        "instance-tag",
        "interface-type",
        "next-hop-interface-type",
        "resource-type",
        "packets-lost-blackhole",
        "region",
    ])
    .unwrap();
    let line = b"19 EFA outpost egress 8 BPA 3 web%20tier nat_gateway new_thing TransitGateway 18446744073709551615 eu-west-1";
    let record = format.parse(line).unwrap();
    assert_eq!(
        record.tcp_flags(),
        Ok(Some(TcpFlags::FIN | TcpFlags::SYN | TcpFlags::ACK))
    );
    assert_eq!(record.traffic_type(), Ok(Some(TrafficType::Efa)));
    assert_eq!(
        record.sublocation_type(),
        Ok(Some(SublocationType::Outpost))
    );
    assert_eq!(record.flow_direction(), Ok(Some(FlowDirection::Egress)));
    assert_eq!(record.traffic_path(), Ok(Some(TrafficPath::new(8))));
    assert_eq!(
        record.reject_reason(),
        Ok(Some(RejectReason::BlockPublicAccess))
    );
    assert_eq!(
        record.encryption_status(),
        Ok(Some(EncryptionStatus::new(3)))
    );
    assert_eq!(
        record.tag(Field::InstanceTag).unwrap().unwrap().text(),
        "web tier"
    );
    assert_eq!(record.interface_type(), Ok(Some(InterfaceType::NatGateway)));
    assert_eq!(
        record.next_hop_interface_type(),
        Ok(Some(InterfaceType::Other("new_thing")))
    );
    assert_eq!(
        record.resource_type(),
        Ok(Some(ResourceType::TransitGateway))
    );
    assert_eq!(
        record.number(Field::PacketsLostBlackhole),
        Ok(Some(u64::MAX))
    );
    assert_eq!(record.region(), Ok(Some("eu-west-1")));
}

#[test]
fn types_are_those_that_aws_publishes() {
    // Integers of the Parquet form, by the AWS pages "Flow log records" and "AWS Transit Gateway Flow Logs", with the
    // ranges that ports, protocols, flag bits and codes have. All but these, addresses and tags are text.
    let names = |wanted: ValueType, max: Option<u64>| {
        let fields =
            Field::all().filter(|field| (field.value_type(), field.max_value()) == (wanted, max));
        fields.map(Field::name).collect::<Vec<_>>().join(" ")
    };
    let number = |max: u64| names(ValueType::Number, Some(max));
    assert_eq!(number(u16::MAX.into()), "srcport dstport");
    assert_eq!(
        number(u8::MAX.into()),
        "protocol tcp-flags encryption-status"
    );
    assert_eq!(number(u32::MAX.into()), "version traffic-path");
    assert_eq!(
        number(u64::MAX),
        "packets bytes packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded packets-lost-ttl-expired"
    );
    assert_eq!(names(ValueType::Timestamp, Some(u64::MAX)), "start end");
    assert_eq!(
        names(ValueType::Address, None),
        "srcaddr dstaddr pkt-srcaddr pkt-dstaddr"
    );
    assert_eq!(
        names(ValueType::Tag, None),
        "instance-tag instance-tag-2 interface-tag interface-tag-2 asg-tag asg-tag-2"
    );
    assert_eq!(names(ValueType::Text, None).split(' ').count(), 72 - 25);
}

#[test]
fn a_dash_is_absent_in_every_field() {
    let format = Format::from_names(Field::all().map(Field::name)).unwrap();
    let line = vec!["-"; Field::COUNT].join(" ");
    let record = format.parse(line.as_bytes()).unwrap();
    for field in Field::all() {
        assert_eq!(record.value(field), Ok(None), "{field}");
        assert_eq!(record.raw(field), Some(&b"-"[..]), "{field}");
        assert_eq!(
            (record.text(field), record.number_text(field)),
            (Ok(None), Ok(None)),
            "{field}"
        );
    }
    assert_eq!(record.window(), Ok(None));
    assert_eq!(record.kind(), RecordKind::Empty);
}

#[test]
fn a_bad_value_is_an_error_of_its_field_alone() {
    let cases: [(Field, &str, FieldErrorKind); 16] = [
        (
            Field::SrcPort,
            "65536",
            FieldErrorKind::TooLarge { max: 65_535 },
        ),
        (
            Field::Protocol,
            "256",
            FieldErrorKind::TooLarge { max: 255 },
        ),
        (
            Field::TcpFlags,
            "256",
            FieldErrorKind::TooLarge { max: 255 },
        ),
        (
            Field::Version,
            "4294967296",
            FieldErrorKind::TooLarge {
                max: u32::MAX as u64,
            },
        ),
        (
            Field::Bytes,
            "18446744073709551616",
            FieldErrorKind::TooLarge { max: u64::MAX },
        ),
        (Field::Packets, "-5", FieldErrorKind::NotNumber),
        (Field::Packets, "+5", FieldErrorKind::NotNumber),
        (Field::Packets, "1e3", FieldErrorKind::NotNumber),
        (Field::Packets, "0x1f", FieldErrorKind::NotNumber),
        (Field::Start, "2024-04-05", FieldErrorKind::NotNumber),
        (Field::End, "--", FieldErrorKind::NotNumber),
        (Field::SrcAddr, "192.0.2.256", FieldErrorKind::NotAddress),
        (Field::DstAddr, "unknown", FieldErrorKind::NotAddress),
        (Field::PktSrcAddr, "192.0.2.01", FieldErrorKind::NotAddress),
        (Field::TrafficPath, "one", FieldErrorKind::NotNumber),
        (
            Field::EncryptionStatus,
            "999",
            FieldErrorKind::TooLarge { max: 255 },
        ),
    ];
    for (field, text, kind) in cases {
        let format = Format::from_names(["region", field.name(), "az-id"]).unwrap();
        let line = format!("eu-west-1  {text} use1-az1");
        let record = format.parse(line.as_bytes()).unwrap();
        let error = record.value(field).unwrap_err();
        assert_eq!(
            (error.field(), error.offset(), error.kind()),
            (field, 11, kind),
            "{text}"
        );
        assert_eq!(record.raw(field), Some(text.as_bytes()));
        assert_eq!(record.region(), Ok(Some("eu-west-1")));
        if field.max_value().is_some() {
            assert_eq!(record.number_text(field), Err(error), "{text}");
        }
    }
    let format = Format::from_names(["region", "srcport"]).unwrap();
    let record = format.parse(b"\xff 70000").unwrap();
    insta::assert_snapshot!(record.region().unwrap_err(), @"field `region` at byte 0: expected UTF-8");
    insta::assert_snapshot!(record.src_port().unwrap_err(), @"field `srcport` at byte 2: expected a number up to 65535");
}

#[test]
fn numbers_can_be_copied_as_text() {
    let format = Format::from_names(["packets", "bytes", "srcport"]).unwrap();
    let record = format.parse(b"007 3480 0").unwrap();
    assert_eq!(
        record.number_text(Field::Packets),
        Ok(Some(&b"7"[..])),
        "JSON forbids leading zeros"
    );
    assert_eq!(record.number_text(Field::Bytes), Ok(Some(&b"3480"[..])));
    assert_eq!(record.number_text(Field::SrcPort), Ok(Some(&b"0"[..])));
    assert_eq!(record.number_text(Field::DstPort), Ok(None));
}

#[test]
fn milliseconds_are_noticed() {
    let format = Format::v2();
    let line = b"2 123456789010 eni-4b118871 - - - - - - - 1431280876000 1431280934500 - SKIPDATA";
    let record = format.parse(line).unwrap();
    let window = record.window().unwrap().unwrap();
    assert!(window.start().is_milliseconds());
    assert_eq!(
        (window.start().unix_seconds(), window.duration().as_millis()),
        (1_431_280_876, 58_500)
    );
    assert_eq!(record.kind(), RecordKind::SkipData);
}

#[test]
fn the_kind_is_judged_without_a_status_too() {
    let kind = |names: &str, line: &str| {
        let format = Format::from_template(names).unwrap();
        format.parse(line.as_bytes()).unwrap().kind()
    };
    assert_eq!(kind("srcaddr bytes", "- -"), RecordKind::Empty);
    assert_eq!(kind("srcaddr bytes", "192.0.2.1 -"), RecordKind::Traffic);
    assert_eq!(
        kind("interface-id vpc-id", "eni-1 vpc-1"),
        RecordKind::Traffic
    );
    assert_eq!(kind("bytes log-status", "- NEWSTATUS"), RecordKind::Empty);
    assert_eq!(kind("bytes log-status", "5 NEWSTATUS"), RecordKind::Traffic);
    assert_eq!(kind("bytes log-status", "- NODATA"), RecordKind::NoData);
}

#[test]
fn unknown_words_and_codes_are_kept() {
    let format =
        Format::from_names(["action", "log-status", "traffic-path", "type", "account-id"]).unwrap();
    let record = format.parse(b"DROP LATER 9 IPv8 unknown").unwrap();
    assert_eq!(record.action(), Ok(Some(Action::Other("DROP"))));
    assert_eq!(record.log_status(), Ok(Some(LogStatus::Other("LATER"))));
    assert_eq!(record.traffic_path(), Ok(Some(TrafficPath::new(9))));
    assert_eq!(record.traffic_type(), Ok(Some(TrafficType::Other("IPv8"))));
    assert_eq!(record.account_id(), Ok(Some("unknown")));
    assert_eq!(record.value(Field::Action), Ok(Some(Value::Text("DROP"))));
}

#[test]
fn blanks_and_line_ends_make_no_difference() {
    let format = Format::from_names(["version", "bytes"]).unwrap();
    let expected = format.parse(b"2 840").unwrap();
    for line in [
        &b"2  840"[..],
        b"2\t840",
        b" 2 840 ",
        b"2 840\r\n",
        b"2 840\n",
        b"\t2 \t 840 \r\r\n",
        b"2 840\r \n",
    ] {
        let record = format.parse(line).unwrap();
        assert_eq!(record, expected, "{}", line.escape_ascii());
        assert_eq!(record.iter().collect::<Vec<_>>(), [&b"2"[..], b"840"]);
    }
    assert_ne!(format.parse(b"2 841").unwrap(), expected);
    let other = Format::from_names(["version", "packets"]).unwrap();
    assert_ne!(other.parse(b"2 840").unwrap(), expected);
}

#[test]
fn a_wrong_count_says_what_and_where() {
    let format = Format::from_names(["version", "bytes"]).unwrap();
    let cases: [(&[u8], usize, usize); 5] = [
        (b"", 0, 0),
        (b"2", 1, 1),
        (b"2 ", 1, 1),
        (b"2 840 6", 3, 6),
        (b"2 840  6 7\r\n", 4, 7),
    ];
    for (line, found, offset) in cases {
        let expected = LineError::FieldCount {
            expected: 2,
            found,
            offset,
        };
        assert_eq!(format.parse(line), Err(expected), "{}", line.escape_ascii());
        assert_eq!(RecordBuf::parse(&format, line.to_vec()), Err(expected));
    }
    insta::assert_snapshot!(format.parse(b"2").unwrap_err(), @"expected 2 columns, found 1 when the line ended at byte 1; check the format against the flow log's `LogFormat`");
    insta::assert_snapshot!(format.parse(b"2 840 6").unwrap_err(), @"expected 2 columns, found 3, the first too many at byte 6; check the format against the flow log's `LogFormat`");
}

#[test]
fn a_line_may_be_as_long_as_the_limit() {
    let format = Format::from_names(["region", "bytes"]).unwrap();
    let mut line = vec![b'r'; Format::MAX_LINE - 4];
    line.extend(b" 840");
    assert_eq!(format.parse(&line).unwrap().bytes(), Ok(Some(840)));
    line.insert(0, b'r');
    assert_eq!(
        format.parse(&line),
        Err(LineError::TooLong { limit: 65_535 })
    );
}

#[test]
fn owned_and_borrowed_are_equal_and_print_the_line() {
    let format = Format::v2();
    let record = format.parse(LINE).unwrap();
    let owned = RecordBuf::from(&record);
    assert_eq!(owned, record);
    assert_eq!(record, owned);
    assert_eq!(Record::from(&owned), record);
    assert_eq!(owned.to_string().as_bytes(), LINE);
    assert_eq!(owned.line(), record.line());
    assert_eq!(
        RecordBuf::parse(&format, [LINE, b"\r\n"].concat()).unwrap(),
        owned
    );
    let unread = RecordBuf::new();
    assert_eq!(
        (unread.as_record().bytes(), unread.as_record().kind()),
        (Ok(None), RecordKind::Empty)
    );
    insta::assert_snapshot!(format!("{:?}", Format::from_names(["version", "new-one"]).unwrap().parse(b"2 \"").unwrap()), @r#"{version: 2, new-one: \"}"#);
}

#[test]
fn a_record_reads_one_line_after_the_other() {
    let format = Format::from_template("${srcaddr} ${bytes}").unwrap();
    let mut record = format.record();
    assert_eq!((record.line(), record.bytes()), (b"".as_slice(), Ok(None)));
    record.read(b"192.0.2.1 0840\r\n").unwrap();
    assert_eq!(record.line(), b"192.0.2.1 0840");
    assert_eq!((record.span(0), record.span(1)), (0..9, 10..14));
    assert_eq!(record.number_text(Field::Bytes), Ok(Some(&b"840"[..])));
    record.read(b"- 1").unwrap();
    assert_eq!((record.src_addr(), record.bytes()), (Ok(None), Ok(Some(1))));
    let error = record.read(b"192.0.2.1 7 8").unwrap_err();
    assert!(matches!(error, LineError::FieldCount { found: 3, .. }));
    assert_eq!(
        (record.line(), record.column(0)),
        (b"".as_slice(), Some(b"".as_slice()))
    );
    assert!(record.span(80).is_empty());
}
