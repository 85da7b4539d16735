//! Flow-log records: the plugin's fields, and every column that it did not know.

use std::{fmt, sync::OnceLock};

use forebay_entity::{Index, Scope};
use forebay_flowlog::{Column, Field, FieldError, Format, Record, ValueType};
use forebay_gelf::{
    EncodeError, Encoded, FieldBlock, FieldName, Line, Literal, MessageWriter, PartField, Piece,
    TextWriter,
};

use crate::names::{NamedField, Names, Tally};

use super::{
    AWS_SOURCE, Event, Shaper, event_fields,
    protocol::{protocol_name, spaced_name},
};

/// What becomes of each column of one format. Made once per format, so that a record costs no look-ups by name.
#[derive(Debug)]
pub(crate) struct FlowPlan {
    steps: Vec<Step>,
    /// The same steps as far as they are copies of what stands in the line, which they nearly always are.
    fields: Vec<PartField>,
    /// Columns of the short message: interface, action, source, its port, destination, its port.
    summary: [u8; 6],
    protocol: FieldName,
    has_protocol: bool,
    /// The two fields of each protocol, rendered when it is first seen.
    protocols: Box<[OnceLock<FieldBlock>; 256]>,
    duration: FieldName,
    has_duration: bool,
    source: FieldBlock,
    /// Columns whose address gets a name.
    lookups: Vec<(Field, NamedField)>,
}

/// What becomes of one column.
#[derive(Debug)]
struct Step {
    position: usize,
    name: FieldName,
    write: Write,
}

#[derive(Clone, Copy, Debug)]
enum Write {
    /// Text that the plugin published: `-` is kept.
    PluginText,
    /// A number that the plugin published: `-` is 0.
    PluginNumber(Field),
    /// The protocol: a number and a name.
    Protocol,
    /// Text; `-` gives no field.
    Text,
    /// A number; `-` gives no field.
    Number(Field),
    /// A time in Unix seconds; `-` gives no field.
    Time(Field),
    /// A percent-encoded tag; `-` gives no field.
    Tag(Field),
}

impl FlowPlan {
    /// The plan of `format`; with `prefix` the plugin's fields are called `flow_log_…`.
    pub(crate) fn new(format: &Format, prefix: bool, names: &Names) -> Self {
        let prefix = if prefix { "flow_log_" } else { "" };
        let plugin = |name: &str| FieldName::repaired(&format!("{prefix}{name}"));
        let step = |(position, column): (usize, &Column)| {
            let (name, write) = match column.field() {
                Some(field) => match published(field) {
                    Some((name, write)) => (plugin(name), write),
                    None => (FieldName::repaired(&added_name(field)), written_as(field)),
                },
                None => (
                    FieldName::repaired(&column.name().replace('-', "_")),
                    Write::Text,
                ),
            };
            Step {
                position,
                name,
                write,
            }
        };
        let steps: Vec<Step> = format.columns().iter().enumerate().map(step).collect();
        // A format has at most 80 columns, and beyond them there is nothing.
        let column = |field| {
            format
                .position(field)
                .and_then(|column| u8::try_from(column).ok())
        };
        Self {
            fields: steps.iter().map(Step::part).collect(),
            steps,
            summary: [
                Field::InterfaceId,
                Field::Action,
                Field::SrcAddr,
                Field::SrcPort,
                Field::DstAddr,
                Field::DstPort,
            ]
            .map(|field| column(field).unwrap_or(u8::MAX)),
            protocol: plugin("protocol"),
            has_protocol: format.contains(Field::Protocol),
            protocols: Box::new([const { OnceLock::new() }; 256]),
            duration: plugin("capture_window_duration_seconds"),
            has_duration: format.contains(Field::Start) && format.contains(Field::End),
            source: FieldBlock::new().boolean(&AWS_SOURCE, true),
            lookups: [
                (Field::SrcAddr, "src_addr", prefix),
                (Field::DstAddr, "dst_addr", prefix),
                (Field::PktSrcAddr, "pkt_srcaddr", ""),
                (Field::PktDstAddr, "pkt_dstaddr", ""),
            ]
            .into_iter()
            .filter(|(field, name, _)| format.contains(*field) && names.wants(name))
            .map(|(field, name, prefix)| (field, names.target(&format!("{prefix}{name}"))))
            .collect(),
        }
    }

    /// The fields of a protocol: its number, called `number`, and its name.
    #[inline]
    fn protocol(&self, number: &FieldName, protocol: u8) -> &FieldBlock {
        self.protocols[usize::from(protocol)].get_or_init(|| {
            FieldBlock::new()
                .integer(number, protocol.into())
                .text(&self.protocol, protocol_name(protocol))
        })
    }

    /// The plugin's short message.
    #[inline]
    fn summary(
        &self,
        text: &mut TextWriter<'_>,
        record: &Record<'_>,
        line: &Line<'_>,
        protocol: u8,
    ) {
        let protocol = if self.has_protocol {
            spaced_name(protocol)
        } else {
            &NO_PROTOCOL
        };
        let [
            interface,
            action,
            source,
            source_port,
            destination,
            destination_port,
        ] = self.summary;
        let pieces = [
            Piece::new(&NOTHING, interface),
            Piece::new(&BLANK, action),
            Piece::new(protocol, source),
            Piece::new(&COLON, source_port).except(b'-'),
            Piece::new(&ARROW, destination),
            Piece::new(&COLON, destination_port).except(b'-'),
        ];
        let mut next = 0;
        loop {
            next += text.push_parts(&pieces[next..], line, |column| record.span(column));
            let Some(piece) = pieces.get(next) else { break };
            text.push(piece.before());
            text.push(match record.column(piece.column()) {
                None => ABSENT,
                Some(ABSENT) if piece.is_except() => b"0",
                Some(raw) => raw,
            });
            next += 1;
        }
    }
}

impl Step {
    /// The step as a copy of what stands in the line.
    fn part(&self) -> PartField {
        let Ok(column) = u8::try_from(self.position) else {
            return PartField::other();
        };
        let number = |field: Field| {
            PartField::number(&self.name, field.max_value().unwrap_or(u64::MAX), column)
        };
        match self.write {
            Write::PluginText => PartField::text(&self.name, column),
            Write::PluginNumber(field) => number(field),
            Write::Text => PartField::text(&self.name, column).absent(b'-'),
            Write::Number(field) => number(field).absent(b'-'),
            // Larger numbers are milliseconds.
            Write::Time(_) => PartField::number(&self.name, 99_999_999_999, column).absent(b'-'),
            Write::Protocol | Write::Tag(_) => PartField::other(),
        }
    }
}

impl Shaper {
    /// A message of a flow-log record, whose line is `line`.
    ///
    /// # Errors
    ///
    /// A column does not hold what its format says: the whole line is then suspect, most likely of another format.
    pub(crate) fn flow(
        &mut self,
        event: &Event<'_>,
        plan: &FlowPlan,
        record: &Record<'_>,
        line: &Line<'_>,
        names: &Index,
    ) -> Result<Encoded<'_>, FlowError> {
        // The plugin reads `-` as 0, and prints `IP`. The field's range is that of a byte.
        let protocol = record.number(Field::Protocol)?.unwrap_or(0);
        let protocol = u8::try_from(protocol).unwrap_or(u8::MAX);
        let host = self.host.as_deref().unwrap_or(HOST);
        let mut message = self.encoder.begin(host);
        message.short_message_with(|text| plan.summary(text, record, line, protocol));
        if self.full_message {
            message.full_message(record.line());
        }
        event_fields(&mut message, event);
        let mut next = 0;
        loop {
            next += message.parts(&plan.fields[next..], line, |column| record.span(column));
            let Some(step) = plan.steps.get(next) else {
                break;
            };
            next += 1;
            let raw = record.column(step.position).unwrap_or_default();
            match step.write {
                Write::PluginText => {
                    message.text(&step.name, raw);
                }
                Write::PluginNumber(field) => {
                    message.number_text(&step.name, record.number_text(field)?.unwrap_or(b"0"));
                }
                Write::Protocol => {
                    message.fields(plan.protocol(&step.name, protocol));
                }
                _ if raw == ABSENT => {}
                Write::Text => {
                    message.text(&step.name, raw);
                }
                Write::Number(field) => {
                    if let Some(digits) = record.number_text(field)? {
                        message.number_text(&step.name, digits);
                    }
                }
                Write::Time(field) => {
                    if let Some(time) = record.timestamp(field)? {
                        message.unsigned(&step.name, time.unix_seconds());
                    }
                }
                Write::Tag(field) => {
                    if let Some(tag) = record.tag(field)? {
                        message.text(&step.name, tag.text().as_bytes());
                    }
                }
            }
        }
        if plan.has_duration
            && let (Some(start), Some(end)) = (
                record.timestamp(Field::Start)?,
                record.timestamp(Field::End)?,
            )
        {
            let seconds = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
            message.integer(
                &plan.duration,
                seconds(end.unix_seconds()) - seconds(start.unix_seconds()),
            );
        }
        message.fields(&plan.source);
        if !names.parts().is_empty() {
            let mut lookup = Lookup {
                record,
                names,
                text: &mut self.text,
                tally: &mut self.tally,
            };
            for (field, target) in &plan.lookups {
                lookup.fields(&mut message, *field, target)?;
            }
        }
        message.fields(&self.constant);
        message.finish().map_err(FlowError::Encode)
    }
}

/// Looks up addresses of one record and writes what is known.
struct Lookup<'a> {
    record: &'a Record<'a>,
    names: &'a Index,
    text: &'a mut String,
    tally: &'a mut Tally,
}

impl Lookup<'_> {
    fn fields(
        &mut self,
        message: &mut MessageWriter<'_>,
        field: Field,
        target: &NamedField,
    ) -> Result<(), FieldError> {
        let Some(address) = self.record.address(field)? else {
            return Ok(());
        };
        let text = |field| {
            self.record
                .raw(field)
                .and_then(|raw| std::str::from_utf8(raw).ok())
                .filter(|text| *text != "-")
        };
        let scope = Scope {
            vpc: text(Field::VpcId),
            interface: text(Field::InterfaceId),
            account: text(Field::AccountId),
        };
        let found = self.names.lookup(address, &scope);
        target.write(message, &found, self.text, self.tally);
        Ok(())
    }
}

/// Why a record gives no message.
#[derive(Debug)]
pub(crate) enum FlowError {
    /// A column does not decode.
    Field(FieldError),
    /// The receiver would drop the message.
    Encode(EncodeError),
}

impl From<FieldError> for FlowError {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}

impl fmt::Display for FlowError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(error) => write!(
                formatter,
                "{error}; is `flow_format` the format of this log group?"
            ),
            Self::Encode(error) => error.fmt(formatter),
        }
    }
}

/// Name and treatment of a column that the plugin published.
fn published(field: Field) -> Option<(&'static str, Write)> {
    Some(match field {
        Field::AccountId => ("account_id", Write::PluginText),
        Field::InterfaceId => ("interface_id", Write::PluginText),
        Field::SrcAddr => ("src_addr", Write::PluginText),
        Field::DstAddr => ("dst_addr", Write::PluginText),
        Field::SrcPort => ("src_port", Write::PluginNumber(field)),
        Field::DstPort => ("dst_port", Write::PluginNumber(field)),
        Field::Protocol => ("protocol_number", Write::Protocol),
        Field::Packets => ("packets", Write::PluginNumber(field)),
        Field::Bytes => ("bytes", Write::PluginNumber(field)),
        Field::Action => ("action", Write::PluginText),
        Field::LogStatus => ("log_status", Write::PluginText),
        _ => return None,
    })
}

/// The name of a column that the plugin did not publish: AWS's own, with `_` for `-`. Names that are too general to
/// stand alone in an index get `flow_` in front.
fn added_name(field: Field) -> String {
    let name = field.name().replace('-', "_");
    match field {
        Field::Version | Field::Start | Field::End | Field::Type | Field::Region => {
            format!("flow_{name}")
        }
        _ => name,
    }
}

fn written_as(field: Field) -> Write {
    match field.value_type() {
        ValueType::Number => Write::Number(field),
        ValueType::Timestamp => Write::Time(field),
        ValueType::Tag => Write::Tag(field),
        _ => Write::Text,
    }
}

const ABSENT: &[u8] = b"-";

static NOTHING: Literal = Literal::new("");
static BLANK: Literal = Literal::new(" ");
static COLON: Literal = Literal::new(":");
static ARROW: Literal = Literal::new(" -> ");
/// Where the format has none.
static NO_PROTOCOL: Literal = Literal::new(" - ");

/// The plugin's source of flow logs.
const HOST: &str = "aws-flowlogs";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Origin;

    /// Format (empty: the default one), line, message or error.
    #[rustfmt::skip]
    const CASES: &[(&str, &str, &str)] = &[
        (
            "",
            "2 123456789010 eni-0a1b2c3d4e5f60718 10.0.3.7 203.0.113.9 443 49152 6 12 3480 1712345600 1712345658 ACCEPT OK",
            r##"{"version":"1.1","host":"aws-flowlogs","short_message":"eni-0a1b2c3d4e5f60718 ACCEPT TCP 10.0.3.7:443 -> 203.0.113.9:49152","timestamp":1712345600.25,"_aws_log_group":"/vpc/flow","_aws_log_stream":"eni-1-all","_aws_owner":"123456789010","_aws_kinesis_stream":"flows","_flow_version":2,"_account_id":"123456789010","_interface_id":"eni-0a1b2c3d4e5f60718","_src_addr":"10.0.3.7","_dst_addr":"203.0.113.9","_src_port":443,"_dst_port":49152,"_protocol_number":6,"_protocol":"TCP","_packets":12,"_bytes":3480,"_flow_start":1712345600,"_flow_end":1712345658,"_action":"ACCEPT","_log_status":"OK","_capture_window_duration_seconds":58,"_aws_source":"true","_site":"north"}"##,
        ),
        (
            "",
            "2 unknown eni-0a1b2c3d4e5f60718 2001:db8::7 2001:db8:1234:5678:9abc:def0:1234:5678 0 0 58 123456789 12345678901 1712345600123 1712345658500 REJECT OK",
            r##"{"version":"1.1","host":"aws-flowlogs","short_message":"eni-0a1b2c3d4e5f60718 REJECT IPV6-ICMP 2001:db8::7:0 -> 2001:db8:1234:5678:9abc:def0:1234:5678:0","timestamp":1712345600.25,"_aws_log_group":"/vpc/flow","_aws_log_stream":"eni-1-all","_aws_owner":"123456789010","_aws_kinesis_stream":"flows","_flow_version":2,"_account_id":"unknown","_interface_id":"eni-0a1b2c3d4e5f60718","_src_addr":"2001:db8::7","_dst_addr":"2001:db8:1234:5678:9abc:def0:1234:5678","_src_port":0,"_dst_port":0,"_protocol_number":58,"_protocol":"IPV6-ICMP","_packets":123456789,"_bytes":12345678901,"_flow_start":1712345600,"_flow_end":1712345658,"_action":"REJECT","_log_status":"OK","_capture_window_duration_seconds":58,"_aws_source":"true","_site":"north"}"##,
        ),
        (
            "",
            "2 123456789010 eni-0a1b2c3d - - - - - - - 1712345600 1712345658 - NODATA",
            r##"{"version":"1.1","host":"aws-flowlogs","short_message":"eni-0a1b2c3d - IP -:0 -> -:0","timestamp":1712345600.25,"_aws_log_group":"/vpc/flow","_aws_log_stream":"eni-1-all","_aws_owner":"123456789010","_aws_kinesis_stream":"flows","_flow_version":2,"_account_id":"123456789010","_interface_id":"eni-0a1b2c3d","_src_addr":"-","_dst_addr":"-","_src_port":0,"_dst_port":0,"_protocol_number":0,"_protocol":"IP","_packets":0,"_bytes":0,"_flow_start":1712345600,"_flow_end":1712345658,"_action":"-","_log_status":"NODATA","_capture_window_duration_seconds":58,"_aws_source":"true","_site":"north"}"##,
        ),
        (
            "",
            "2 123456789010 eni-0a1b2c3d 10.0.3.7 203.0.113.9 0443 007 017 012 03480 1712345658 1712345600 ACCEPT OK",
            r##"{"version":"1.1","host":"aws-flowlogs","short_message":"eni-0a1b2c3d ACCEPT UDP 10.0.3.7:0443 -> 203.0.113.9:007","timestamp":1712345600.25,"_aws_log_group":"/vpc/flow","_aws_log_stream":"eni-1-all","_aws_owner":"123456789010","_aws_kinesis_stream":"flows","_flow_version":2,"_account_id":"123456789010","_interface_id":"eni-0a1b2c3d","_src_addr":"10.0.3.7","_dst_addr":"203.0.113.9","_src_port":443,"_dst_port":7,"_protocol_number":17,"_protocol":"UDP","_packets":12,"_bytes":3480,"_flow_start":1712345658,"_flow_end":1712345600,"_action":"ACCEPT","_log_status":"OK","_capture_window_duration_seconds":-58,"_aws_source":"true","_site":"north"}"##,
        ),
        (
            "",
            "2 123456789010 eni-\u{e9}\" 10.0.3.7 203.0.113.9 443 49152 200 18446744073709551615 9223372036854775807 1712345600 1712345600 ACCEPT O\\K",
            r##"{"version":"1.1","host":"aws-flowlogs","short_message":"eni-é\" ACCEPT UNKNOWN 10.0.3.7:443 -> 203.0.113.9:49152","timestamp":1712345600.25,"_aws_log_group":"/vpc/flow","_aws_log_stream":"eni-1-all","_aws_owner":"123456789010","_aws_kinesis_stream":"flows","_flow_version":2,"_account_id":"123456789010","_interface_id":"eni-é\"","_src_addr":"10.0.3.7","_dst_addr":"203.0.113.9","_src_port":443,"_dst_port":49152,"_protocol_number":200,"_protocol":"UNKNOWN","_bytes":9223372036854775807,"_flow_start":1712345600,"_flow_end":1712345600,"_action":"ACCEPT","_log_status":"O\\K","_capture_window_duration_seconds":0,"_aws_source":"true","_site":"north"}"##,
        ),
        (
            "",
            "2 1 e 1.1.1.1 2.2.2.2 - 1 1 1 1 1 2 A B",
            r##"{"version":"1.1","host":"aws-flowlogs","short_message":"e A ICMP 1.1.1.1:0 -> 2.2.2.2:1","timestamp":1712345600.25,"_aws_log_group":"/vpc/flow","_aws_log_stream":"eni-1-all","_aws_owner":"123456789010","_aws_kinesis_stream":"flows","_flow_version":2,"_account_id":"1","_interface_id":"e","_src_addr":"1.1.1.1","_dst_addr":"2.2.2.2","_src_port":0,"_dst_port":1,"_protocol_number":1,"_protocol":"ICMP","_packets":1,"_bytes":1,"_flow_start":1,"_flow_end":2,"_action":"A","_log_status":"B","_capture_window_duration_seconds":1,"_aws_source":"true","_site":"north"}"##,
        ),
        (
            "",
            "2 123456789010 eni-1 10.0.3.7 203.0.113.9 70000 49152 6 12 3480 1712345600 1712345658 ACCEPT OK",
            r##"error: field `srcport` at byte 42: expected a number up to 65535; is `flow_format` the format of this log group?"##,
        ),
        (
            "",
            "2 123456789010 eni-1 10.0.3.7 203.0.113.9 443 49152 256 12 3480 1712345600 1712345658 ACCEPT OK",
            r##"error: field `protocol` at byte 52: expected a number up to 255; is `flow_format` the format of this log group?"##,
        ),
        (
            "${srcaddr} ${dstaddr}",
            "10.0.0.1 10.0.0.2",
            r##"{"version":"1.1","host":"aws-flowlogs","short_message":"- - - 10.0.0.1:- -> 10.0.0.2:-","timestamp":1712345600.25,"_aws_log_group":"/vpc/flow","_aws_log_stream":"eni-1-all","_aws_owner":"123456789010","_aws_kinesis_stream":"flows","_src_addr":"10.0.0.1","_dst_addr":"10.0.0.2","_aws_source":"true","_site":"north"}"##,
        ),
        (
            "${log-status} ${vpc-id} ${tcp-flags} ${instance-tag} ${made-up} ${type} ${traffic-path} ${bytes}",
            "OK vpc-0123456789abcdef0 19 a%20b x IPv4 - -",
            r##"{"version":"1.1","host":"aws-flowlogs","short_message":"- - - -:- -> -:-","timestamp":1712345600.25,"_aws_log_group":"/vpc/flow","_aws_log_stream":"eni-1-all","_aws_owner":"123456789010","_aws_kinesis_stream":"flows","_log_status":"OK","_vpc_id":"vpc-0123456789abcdef0","_tcp_flags":19,"_instance_tag":"a b","_made_up":"x","_flow_type":"IPv4","_bytes":0,"_aws_source":"true","_site":"north"}"##,
        ),
        (
            "${dstport} ${ecs-task-definition-arn} ${region} ${end}",
            "- arn:aws:ecs:us-east-1:210987654321:task-definition/production-service-with-a-name:7 eu-west-1 -",
            r##"{"version":"1.1","host":"aws-flowlogs","short_message":"- - - -:- -> -:0","timestamp":1712345600.25,"_aws_log_group":"/vpc/flow","_aws_log_stream":"eni-1-all","_aws_owner":"123456789010","_aws_kinesis_stream":"flows","_dst_port":0,"_ecs_task_definition_arn":"arn:aws:ecs:us-east-1:210987654321:task-definition/production-service-with-a-name:7","_flow_region":"eu-west-1","_aws_source":"true","_site":"north"}"##,
        ),
    ];

    #[test]
    fn records_give_these_messages() {
        let fields = [("site".to_owned(), "north".to_owned())].into();
        let mut shaper = Shaper::new(&fields, None);
        let mut block = FieldBlock::new();
        let origin = Origin {
            log_group: b"/vpc/flow",
            log_stream: b"eni-1-all",
            owner: b"123456789010",
            stream: "flows",
        };
        shaper.origin(&origin, &mut block);
        let event = Event {
            origin: &block,
            timestamp: 1_712_345_600_250,
            id: None,
        };
        for (template, line, expected) in CASES {
            let format = match *template {
                "" => Format::v2(),
                template => Format::from_template(template).unwrap(),
            };
            let plan = FlowPlan::new(&format, false, &Names::default());
            let record = format.parse(line.as_bytes()).unwrap();
            // With the payload's text behind the line, and without.
            let payload = format!("{line}\"}},{{\"id\":\"39316106606966\"");
            for context in [payload.as_bytes(), line.as_bytes()] {
                let line = Line::within(context, line.len());
                let shaped = match shaper.flow(&event, &plan, &record, &line, &Index::empty()) {
                    Ok(message) => message.as_str().to_owned(),
                    Err(error) => format!("error: {error}"),
                };
                assert_eq!(shaped, *expected);
            }
        }
    }
}
