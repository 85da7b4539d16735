use std::fmt;
use std::str::FromStr;

use crate::error::FieldNameError;
use crate::number::Limit;

macro_rules! fields {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal $column_name:literal, $since:literal, $kind:expr;)+) => {
        /// A published field of VPC flow logs (versions 2 to 5 and 7 to 11) or Transit Gateway flow logs (version 6).
        ///
        /// Names, versions and types follow the AWS pages "Flow log records" and "AWS Transit Gateway Flow Logs".
        /// A field that AWS adds later is not an error: a [`Format`](crate::Format) keeps it as
        /// [`Column::Other`](crate::Column::Other) under its own name.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[repr(u8)]
        pub enum Field {
            $($(#[doc = $doc])+ $variant,)+
        }

        const TABLE: &[Row] = &[
            $(Row { field: Field::$variant, name: $name, column_name: $column_name, since: $since, kind: $kind },)+
        ];
    };
}

impl Field {
    /// How many fields are published.
    pub const COUNT: usize = TABLE.len();

    /// All fields: those of VPC flow logs in the order AWS lists them, then those of Transit Gateway flow logs only.
    pub fn all() -> impl ExactSizeIterator<Item = Self> + DoubleEndedIterator + Clone {
        TABLE.iter().map(|row| row.field)
    }

    /// The name AWS documents, with hyphens: `pkt-src-aws-service`.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The name with underscores, as in Parquet columns: `pkt_src_aws_service`.
    pub const fn column_name(self) -> &'static str {
        self.row().column_name
    }

    /// The record version that introduced the field; 6 stands for Transit Gateway flow logs.
    pub const fn since(self) -> u8 {
        self.row().since
    }

    /// How a value of this field is written.
    pub const fn value_type(self) -> ValueType {
        match self.row().kind {
            Kind::Text => ValueType::Text,
            Kind::Tag => ValueType::Tag,
            Kind::Address => ValueType::Address,
            Kind::Number(_) => ValueType::Number,
            Kind::Time => ValueType::Timestamp,
        }
    }

    /// The largest number this field can hold, for numbers and timestamps.
    pub const fn max_value(self) -> Option<u64> {
        match self.row().kind {
            Kind::Number(max) => Some(max.number),
            Kind::Time => Some(u64::MAX),
            _ => None,
        }
    }

    /// As [`Field::max_value`], without limit where there is none.
    #[inline(always)]
    pub(crate) fn limit(self) -> &'static Limit {
        match &self.row().kind {
            Kind::Number(max) => max,
            _ => const { &UNLIMITED },
        }
    }

    /// Finds a field by name: hyphens or underscores, any case, with or without `${...}` and quotes.
    pub fn from_name(name: &str) -> Option<Self> {
        let bare = bare_name(name);
        TABLE
            .iter()
            .find(|row| same_name(row.name, bare))
            .map(|row| row.field)
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    const fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Field {
    type Err = FieldNameError;

    /// Like [`Field::from_name`], with an error that names what was not found.
    fn from_str(name: &str) -> Result<Self, FieldNameError> {
        Self::from_name(name).ok_or_else(|| FieldNameError::new(name))
    }
}

/// How the values of a field are written in a line.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ValueType {
    /// Text, often an identifier or a word from an open set.
    Text,
    /// Percent-encoded UTF-8 (version 11 tags).
    Tag,
    /// IPv4 or IPv6 address.
    Address,
    /// Unsigned decimal number.
    Number,
    /// Unix time, seconds as a rule.
    Timestamp,
}

struct Row {
    field: Field,
    name: &'static str,
    column_name: &'static str,
    since: u8,
    kind: Kind,
}

enum Kind {
    Text,
    Tag,
    Address,
    Number(Limit),
    Time,
}

/// Strips blanks, quotes and the `${...}` of a template from a name.
pub(crate) fn bare_name(name: &str) -> &str {
    let quotes: &[char] = &['"', '\'', '`'];
    let name = name.trim().trim_matches(quotes);
    let Some(inner) = name.trim_start_matches('$').strip_prefix('{') else {
        return name;
    };
    // Terraform writes `$${name}`, hence more than one dollar sign; a lone `{name}` is left as it is.
    match inner.strip_suffix('}') {
        Some(inner) if name.starts_with('$') => inner.trim(),
        _ => name,
    }
}

/// Whether two names are the same field: case and `_` for `-` make no difference.
pub(crate) fn same_name(left: &str, right: &str) -> bool {
    fn fold(byte: u8) -> u8 {
        if byte == b'_' {
            b'-'
        } else {
            byte.to_ascii_lowercase()
        }
    }
    left.len() == right.len()
        && left
            .bytes()
            .zip(right.bytes())
            .all(|(l, r)| fold(l) == fold(r))
}

const PORT: Kind = Kind::Number(Limit::new(u16::MAX as u64));
const OCTET: Kind = Kind::Number(Limit::new(u8::MAX as u64));
const SMALL: Kind = Kind::Number(Limit::new(u32::MAX as u64));
const COUNTER: Kind = Kind::Number(UNLIMITED);
const UNLIMITED: Limit = Limit::new(u64::MAX);

fields! {
    /// Record version: 2 for the default format, else the highest version among the chosen fields.
    Version = "version" "version", 2, SMALL;
    /// Account of the interface's owner: 12 digits, or `unknown` for interfaces made by a service.
    AccountId = "account-id" "account_id", 2, Kind::Text;
    /// Recorded network interface, `eni-...`; absent for a regional NAT gateway.
    InterfaceId = "interface-id" "interface_id", 2, Kind::Text;
    /// Source address; on the recorded side always the interface's primary private address.
    SrcAddr = "srcaddr" "srcaddr", 2, Kind::Address;
    /// Destination address, same rule.
    DstAddr = "dstaddr" "dstaddr", 2, Kind::Address;
    /// Source port, 0 for protocols without ports.
    SrcPort = "srcport" "srcport", 2, PORT;
    /// Destination port, 0 for protocols without ports.
    DstPort = "dstport" "dstport", 2, PORT;
    /// IANA protocol number.
    Protocol = "protocol" "protocol", 2, OCTET;
    /// Packets in the window.
    Packets = "packets" "packets", 2, COUNTER;
    /// Bytes in the window.
    Bytes = "bytes" "bytes", 2, COUNTER;
    /// Time of the first packet in the window.
    Start = "start" "start", 2, Kind::Time;
    /// Time of the last packet in the window.
    End = "end" "end", 2, Kind::Time;
    /// `ACCEPT` or `REJECT`.
    Action = "action" "action", 2, Kind::Text;
    /// `OK`, `NODATA` or `SKIPDATA`.
    LogStatus = "log-status" "log_status", 2, Kind::Text;
    /// VPC of the interface.
    VpcId = "vpc-id" "vpc_id", 3, Kind::Text;
    /// Subnet of the interface.
    SubnetId = "subnet-id" "subnet_id", 3, Kind::Text;
    /// Instance of the interface; absent for interfaces managed by a service.
    InstanceId = "instance-id" "instance_id", 3, Kind::Text;
    /// TCP flags, OR-ed over the window.
    TcpFlags = "tcp-flags" "tcp_flags", 3, OCTET;
    /// `IPv4`, `IPv6` or `EFA`.
    Type = "type" "type", 3, Kind::Text;
    /// Source address in the packet itself.
    PktSrcAddr = "pkt-srcaddr" "pkt_srcaddr", 3, Kind::Address;
    /// Destination address in the packet itself.
    PktDstAddr = "pkt-dstaddr" "pkt_dstaddr", 3, Kind::Address;
    /// Region of the interface.
    Region = "region" "region", 4, Kind::Text;
    /// Zone ID such as `use1-az1`.
    AzId = "az-id" "az_id", 4, Kind::Text;
    /// `wavelength`, `outpost` or `localzone`.
    SublocationType = "sublocation-type" "sublocation_type", 4, Kind::Text;
    /// ID of the sublocation.
    SublocationId = "sublocation-id" "sublocation_id", 4, Kind::Text;
    /// Service range that holds the packet's source address.
    PktSrcAwsService = "pkt-src-aws-service" "pkt_src_aws_service", 5, Kind::Text;
    /// Service range that holds the packet's destination address.
    PktDstAwsService = "pkt-dst-aws-service" "pkt_dst_aws_service", 5, Kind::Text;
    /// `ingress` or `egress`, seen from the interface.
    FlowDirection = "flow-direction" "flow_direction", 5, Kind::Text;
    /// Path of egress traffic.
    TrafficPath = "traffic-path" "traffic_path", 5, SMALL;
    /// ARN of the ECS cluster.
    EcsClusterArn = "ecs-cluster-arn" "ecs_cluster_arn", 7, Kind::Text;
    /// Name of the ECS cluster.
    EcsClusterName = "ecs-cluster-name" "ecs_cluster_name", 7, Kind::Text;
    /// ARN of the ECS container instance; tasks on EC2 only.
    EcsContainerInstanceArn = "ecs-container-instance-arn" "ecs_container_instance_arn", 7, Kind::Text;
    /// ID of the ECS container instance; tasks on EC2 only.
    EcsContainerInstanceId = "ecs-container-instance-id" "ecs_container_instance_id", 7, Kind::Text;
    /// Runtime ID of the first container.
    EcsContainerId = "ecs-container-id" "ecs_container_id", 7, Kind::Text;
    /// Runtime ID of the second container.
    EcsSecondContainerId = "ecs-second-container-id" "ecs_second_container_id", 7, Kind::Text;
    /// Name of the ECS service.
    EcsServiceName = "ecs-service-name" "ecs_service_name", 7, Kind::Text;
    /// ARN of the ECS task definition.
    EcsTaskDefinitionArn = "ecs-task-definition-arn" "ecs_task_definition_arn", 7, Kind::Text;
    /// ARN of the ECS task.
    EcsTaskArn = "ecs-task-arn" "ecs_task_arn", 7, Kind::Text;
    /// ID of the ECS task.
    EcsTaskId = "ecs-task-id" "ecs_task_id", 7, Kind::Text;
    /// Why the traffic was rejected: `BPA` or `EC`.
    RejectReason = "reject-reason" "reject_reason", 8, Kind::Text;
    /// Resource without an interface of its own, such as a regional NAT gateway.
    ResourceId = "resource-id" "resource_id", 9, Kind::Text;
    /// Encryption in transit, 0 to 3.
    EncryptionStatus = "encryption-status" "encryption_status", 10, OCTET;
    /// Value of the first chosen instance tag.
    InstanceTag = "instance-tag" "instance_tag", 11, Kind::Tag;
    /// Value of the second chosen instance tag.
    InstanceTag2 = "instance-tag-2" "instance_tag_2", 11, Kind::Tag;
    /// Value of the first chosen interface tag.
    InterfaceTag = "interface-tag" "interface_tag", 11, Kind::Tag;
    /// Value of the second chosen interface tag.
    InterfaceTag2 = "interface-tag-2" "interface_tag_2", 11, Kind::Tag;
    /// Value of the first chosen Auto Scaling group tag.
    AsgTag = "asg-tag" "asg_tag", 11, Kind::Tag;
    /// Value of the second chosen Auto Scaling group tag.
    AsgTag2 = "asg-tag-2" "asg_tag_2", 11, Kind::Tag;
    /// Kind of the recorded interface, an open set.
    InterfaceType = "interface-type" "interface_type", 11, Kind::Text;
    /// Interface that receives the packet next (egress) or sent it (ingress).
    NextHopInterfaceId = "next-hop-interface-id" "next_hop_interface_id", 11, Kind::Text;
    /// Subnet of the next hop.
    NextHopSubnetId = "next-hop-subnet-id" "next_hop_subnet_id", 11, Kind::Text;
    /// Zone ID of the next hop.
    NextHopAzId = "next-hop-az-id" "next_hop_az_id", 11, Kind::Text;
    /// VPC of the next hop.
    NextHopVpcId = "next-hop-vpc-id" "next_hop_vpc_id", 11, Kind::Text;
    /// Kind of the next hop's interface.
    NextHopInterfaceType = "next-hop-interface-type" "next_hop_interface_type", 11, Kind::Text;
    /// Always `TransitGateway`.
    ResourceType = "resource-type" "resource_type", 6, Kind::Text;
    /// Transit gateway.
    TgwId = "tgw-id" "tgw_id", 6, Kind::Text;
    /// Attachment that recorded the flow.
    TgwAttachmentId = "tgw-attachment-id" "tgw_attachment_id", 6, Kind::Text;
    /// Owner of the source VPC.
    TgwSrcVpcAccountId = "tgw-src-vpc-account-id" "tgw_src_vpc_account_id", 6, Kind::Text;
    /// Owner of the destination VPC.
    TgwDstVpcAccountId = "tgw-dst-vpc-account-id" "tgw_dst_vpc_account_id", 6, Kind::Text;
    /// Source VPC.
    TgwSrcVpcId = "tgw-src-vpc-id" "tgw_src_vpc_id", 6, Kind::Text;
    /// Destination VPC.
    TgwDstVpcId = "tgw-dst-vpc-id" "tgw_dst_vpc_id", 6, Kind::Text;
    /// Source subnet.
    TgwSrcSubnetId = "tgw-src-subnet-id" "tgw_src_subnet_id", 6, Kind::Text;
    /// Destination subnet.
    TgwDstSubnetId = "tgw-dst-subnet-id" "tgw_dst_subnet_id", 6, Kind::Text;
    /// Attachment interface on the source side.
    TgwSrcEni = "tgw-src-eni" "tgw_src_eni", 6, Kind::Text;
    /// Attachment interface on the destination side.
    TgwDstEni = "tgw-dst-eni" "tgw_dst_eni", 6, Kind::Text;
    /// Zone ID of the source.
    TgwSrcAzId = "tgw-src-az-id" "tgw_src_az_id", 6, Kind::Text;
    /// Zone ID of the destination.
    TgwDstAzId = "tgw-dst-az-id" "tgw_dst_az_id", 6, Kind::Text;
    /// The other attachment: egress or ingress side, depending on `flow-direction`.
    TgwPairAttachmentId = "tgw-pair-attachment-id" "tgw_pair_attachment_id", 6, Kind::Text;
    /// Packets lost because there was no route.
    PacketsLostNoRoute = "packets-lost-no-route" "packets_lost_no_route", 6, COUNTER;
    /// Packets lost in a blackhole route.
    PacketsLostBlackhole = "packets-lost-blackhole" "packets_lost_blackhole", 6, COUNTER;
    /// Packets lost because they exceeded the MTU.
    PacketsLostMtuExceeded = "packets-lost-mtu-exceeded" "packets_lost_mtu_exceeded", 6, COUNTER;
    /// Packets lost because their time to live ran out.
    PacketsLostTtlExpired = "packets-lost-ttl-expired" "packets_lost_ttl_expired", 6, COUNTER;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_where_their_field_points() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.field.index(), index, "{}", row.name);
            assert_eq!(row.field.column_name(), row.name.replace('-', "_"));
        }
    }

    #[test]
    fn every_version_adds_as_many_fields_as_aws_lists() {
        let upto = |version: u8| {
            Field::all()
                .filter(|field| field.since() <= version && field.since() != 6)
                .count()
        };
        let totals = [2, 3, 4, 5, 7, 8, 9, 10, 11].map(upto);
        assert_eq!(totals, [14, 21, 25, 29, 39, 40, 41, 42, 54]);
        assert_eq!(Field::all().filter(|field| field.since() == 6).count(), 18);
        assert_eq!(Field::COUNT, 72);
    }

    #[test]
    fn a_name_is_found_in_every_spelling() {
        for field in Field::all() {
            let name = field.name();
            for spelling in [
                name.to_owned(),
                name.replace('-', "_"),
                name.to_uppercase(),
                format!("${{{name}}}"),
                format!("$${{{}}}", name.replace('-', "_")),
                format!(" \"{name}\" "),
            ] {
                assert_eq!(spelling.parse(), Ok(field), "{spelling}");
            }
        }
    }

    #[test]
    fn a_wrong_name_is_not_found() {
        for name in [
            "",
            "-",
            "versions",
            "${version",
            "{version}",
            "src-addr",
            "protocol ${bytes}",
        ] {
            assert_eq!(Field::from_name(name), None, "{name}");
        }
        insta::assert_snapshot!("versions".parse::<Field>().unwrap_err(), @"no published flow-log field is named `versions`");
    }

    #[test]
    fn ranges_follow_the_type() {
        assert_eq!(Field::SrcPort.max_value(), Some(65_535));
        assert_eq!(Field::Protocol.max_value(), Some(255));
        assert_eq!(Field::Bytes.max_value(), Some(u64::MAX));
        assert_eq!(Field::End.max_value(), Some(u64::MAX));
        assert_eq!(Field::Region.max_value(), None);
        assert_eq!(Field::AsgTag2.value_type(), ValueType::Tag);
        assert_eq!(Field::PktDstAddr.value_type(), ValueType::Address);
    }
}
