//! What holds for any input.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use forebay_flowlog::{Column, Error, Field, Format, Reader, RecordBuf, TagValue, Value};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;

fn all_names() -> Vec<&'static str> {
    Field::all().map(Field::name).collect()
}

/// Any subset of the fields in any order.
fn formats() -> impl Strategy<Value = Format> {
    subsequence(all_names(), 1..=24)
        .prop_shuffle()
        .prop_map(|names| Format::from_names(names).unwrap())
}

/// A line as AWS could write it, with what its columns mean.
fn lines() -> impl Strategy<Value = (Format, Vec<String>)> {
    formats().prop_flat_map(|format| {
        let values: Vec<_> = format
            .columns()
            .iter()
            .map(|column| value(column.field().unwrap()))
            .collect();
        (Just(format), values)
    })
}

fn value(field: Field) -> BoxedStrategy<String> {
    use forebay_flowlog::ValueType::{Address, Number, Timestamp};
    let text = match (field.value_type(), field.max_value()) {
        (Number | Timestamp, Some(max)) => (0..=max).prop_map(|number| number.to_string()).boxed(),
        (Address, _) => prop_oneof![
            any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
            any::<std::net::Ipv6Addr>().prop_map(|address| address.to_string()),
        ]
        .boxed(),
        _ => "[!-~]{1,40}|[a-zé]{1,8}".boxed(),
    };
    prop_oneof![1 => Just("-".to_owned()), 6 => text].boxed()
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same((format, values) in lines()) {
        let line = values.join(" ");
        let record = format.parse(line.as_bytes()).unwrap();
        prop_assert_eq!(record.to_string(), line.clone());
        let printed = record.to_string();
        let again = format.parse(printed.as_bytes()).unwrap();
        prop_assert_eq!(&again, &record);
        for (column, text) in format.columns().iter().zip(&values) {
            let value = record.value(column.field().unwrap()).unwrap();
            let printed = match value {
                None => "-".to_owned(),
                Some(Value::Text(text)) => text.to_owned(),
                Some(Value::Address(address)) => address.to_string(),
                Some(Value::Number(number)) => number.to_string(),
                Some(Value::Timestamp(time)) => time.to_string(),
                Some(Value::Tag(tag)) => String::from_utf8(tag.raw().to_vec()).unwrap(),
                Some(other) => panic!("{other:?}"),
            };
            prop_assert_eq!(&printed, text);
        }
    }

    #[test]
    fn all_values_are_those_asked_for_one_by_one(
        columns in vec(
            prop_oneof![4 => "-|[0-9]{1,10}|[a-z\"]{1,20}|10[.]0[.]0[.][0-9]".prop_map(String::into_bytes),
                1 => vec(0x21_u8.., 1..5)], 14))
    {
        let format = Format::v2();
        let line = columns.join(&b' ');
        let record = format.parse(&line).unwrap();
        let one_by_one: Vec<_> = format
            .columns()
            .iter()
            .filter_map(Column::field)
            .map(|field| (field, record.value(field)))
            .collect();
        prop_assert_eq!(record.values().collect::<Vec<_>>(), one_by_one);
    }

    #[test]
    fn borrowed_equals_owned((format, values) in lines(), blanks in "[ \t]{1,3}") {
        let line = values.join(&blanks);
        let borrowed = format.parse(line.as_bytes()).unwrap();
        let owned = RecordBuf::parse(&format, line.clone().into_bytes()).unwrap();
        prop_assert_eq!(&owned, &borrowed);
        prop_assert_eq!(&RecordBuf::from(&borrowed), &owned);
        let single = values.join(" ");
        prop_assert_eq!(&format.parse(single.as_bytes()).unwrap(), &borrowed);
        for field in Field::all() {
            prop_assert_eq!(owned.as_record().value(field), borrowed.value(field));
        }
    }

    #[test]
    fn a_format_prints_and_reads_back(format in formats()) {
        prop_assert_eq!(&format.to_string().parse::<Format>().unwrap(), &format);
        let header: Vec<&str> = format.columns().iter().map(Column::name).collect();
        let header = header.join(" ");
        prop_assert!(Format::is_header(header.as_bytes()));
        prop_assert_eq!(&Format::from_header(header.as_bytes()).unwrap(), &format);
    }

    #[test]
    fn any_bytes_are_a_record_or_an_error(format in formats(), line in vec(bytes(), 0..400)) {
        if let Ok(record) = format.parse(&line) {
            for field in Field::all() {
                let _ = (record.value(field), record.text(field), record.number_text(field), record.address(field));
            }
            let _ = (record.kind(), record.window(), record.to_string(), format!("{record:?}"));
            prop_assert_eq!(record.iter().count(), format.len());
        }
        let _ = Format::from_header(&line);
        let _ = TagValue::new(&line).text();
    }

    #[test]
    fn any_text_is_a_format_or_an_error(template in "([$a-z{}_ -]|srcaddr|\\$\\{bytes\\}|\\PC){0,40}") {
        if let Ok(format) = Format::from_template(&template) {
            prop_assert_eq!(format.to_string().parse::<Format>().unwrap(), format);
        }
    }

    #[test]
    fn reader_and_lines_agree_on_any_bytes(text in vec(bytes(), 0..600), format in formats()) {
        let whole = format.records(&text).map(|item| match item {
            Ok(record) => Ok(record.line().to_vec()),
            Err(bad) => Err((bad.position(), bad.line().to_vec())),
        });
        let read = Reader::new(&text[..]).with_formats(format.clone()).into_iter().map(|item| match item {
            Ok(record) => Ok(record.line().to_vec()),
            Err(error) => Err((error.position(), error.line().to_vec())),
        });
        // A header line or a file that is no text is for the reader alone.
        let special = |item: &Result<RecordBuf, Error>| matches!(item, Err(error) if error.is_fatal());
        let has_header = text.split(|byte| *byte == b'\n').any(Format::is_header);
        if !has_header && !Reader::new(&text[..]).into_iter().any(|item| special(&item)) {
            prop_assert_eq!(read.collect::<Vec<_>>(), whole.collect::<Vec<_>>());
        }
    }
}

fn bytes() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(b' '), 2 => Just(b'\n'), 1 => Just(b'-'), 6 => 0x21_u8..0x7f, 1 => any::<u8>()]
}
