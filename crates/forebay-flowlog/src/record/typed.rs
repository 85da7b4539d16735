//! One accessor per field that has a type of its own, and for the texts asked for most. All others: [`Record::text`],
//! [`Record::number`], [`Record::address`], [`Record::tag`] with the field.

use std::net::IpAddr;

use super::Record;
use crate::error::FieldError;
use crate::field::Field;
use crate::keyword::{
    Action, FlowDirection, InterfaceType, LogStatus, RejectReason, ResourceType, SublocationType,
    TrafficType,
};
use crate::number_code::{EncryptionStatus, TrafficPath};
use crate::protocol::Protocol;
use crate::tcp_flags::TcpFlags;
use crate::timestamp::Timestamp;
use crate::window::Window;

/// What every typed accessor returns.
type Decoded<T> = Result<Option<T>, FieldError>;

/// Every accessor fails if the text of its column is no value of the field, and answers `Ok(None)` for `-` and for a
/// field that the format does not have.
#[expect(clippy::missing_errors_doc, reason = "said once for all, above")]
impl<'a> Record<'a> {
    /// Record version, `version`.
    #[inline]
    pub fn version(&self) -> Decoded<u32> {
        self.small(Field::Version)
    }

    /// Account of the interface's owner, `account-id`. Text, because leading zeros matter and `unknown` occurs.
    #[inline]
    pub fn account_id(&self) -> Decoded<&'a str> {
        self.text(Field::AccountId)
    }

    /// Recorded interface, `interface-id`.
    #[inline]
    pub fn interface_id(&self) -> Decoded<&'a str> {
        self.text(Field::InterfaceId)
    }

    /// Source address, `srcaddr`.
    #[inline]
    pub fn src_addr(&self) -> Decoded<IpAddr> {
        self.address(Field::SrcAddr)
    }

    /// Destination address, `dstaddr`.
    #[inline]
    pub fn dst_addr(&self) -> Decoded<IpAddr> {
        self.address(Field::DstAddr)
    }

    /// Source port, `srcport`.
    #[inline]
    pub fn src_port(&self) -> Decoded<u16> {
        self.small(Field::SrcPort)
    }

    /// Destination port, `dstport`.
    #[inline]
    pub fn dst_port(&self) -> Decoded<u16> {
        self.small(Field::DstPort)
    }

    /// IANA protocol number, `protocol`.
    #[inline]
    pub fn protocol(&self) -> Decoded<Protocol> {
        Ok(self.small(Field::Protocol)?.map(Protocol::new))
    }

    /// Packets in the window, `packets`.
    #[inline]
    pub fn packets(&self) -> Decoded<u64> {
        self.number(Field::Packets)
    }

    /// Bytes in the window, `bytes`.
    #[inline]
    pub fn bytes(&self) -> Decoded<u64> {
        self.number(Field::Bytes)
    }

    /// Time of the first packet, `start`.
    #[inline]
    pub fn start(&self) -> Decoded<Timestamp> {
        self.timestamp(Field::Start)
    }

    /// Time of the last packet, `end`.
    #[inline]
    pub fn end(&self) -> Decoded<Timestamp> {
        self.timestamp(Field::End)
    }

    /// `start` and `end` together, where both are given.
    #[inline]
    pub fn window(&self) -> Decoded<Window> {
        let (start, end) = (self.start()?, self.end()?);
        Ok(start.zip(end).map(|(start, end)| Window::new(start, end)))
    }

    /// What the network did with the traffic, `action`.
    #[inline]
    pub fn action(&self) -> Decoded<Action<'a>> {
        self.keyword(Field::Action, Action::from_known)
    }

    /// Status of the record, `log-status`. See also [`Record::kind`].
    #[inline]
    pub fn log_status(&self) -> Decoded<LogStatus<'a>> {
        self.keyword(Field::LogStatus, LogStatus::from_known)
    }

    /// VPC, `vpc-id`.
    #[inline]
    pub fn vpc_id(&self) -> Decoded<&'a str> {
        self.text(Field::VpcId)
    }

    /// Subnet, `subnet-id`.
    #[inline]
    pub fn subnet_id(&self) -> Decoded<&'a str> {
        self.text(Field::SubnetId)
    }

    /// Instance, `instance-id`.
    #[inline]
    pub fn instance_id(&self) -> Decoded<&'a str> {
        self.text(Field::InstanceId)
    }

    /// TCP flags OR-ed over the window, `tcp-flags`.
    #[inline]
    pub fn tcp_flags(&self) -> Decoded<TcpFlags> {
        Ok(self.small(Field::TcpFlags)?.map(TcpFlags::new))
    }

    /// Kind of traffic, `type`.
    #[inline]
    pub fn traffic_type(&self) -> Decoded<TrafficType<'a>> {
        self.keyword(Field::Type, TrafficType::from_known)
    }

    /// Source address in the packet, `pkt-srcaddr`.
    #[inline]
    pub fn pkt_src_addr(&self) -> Decoded<IpAddr> {
        self.address(Field::PktSrcAddr)
    }

    /// Destination address in the packet, `pkt-dstaddr`.
    #[inline]
    pub fn pkt_dst_addr(&self) -> Decoded<IpAddr> {
        self.address(Field::PktDstAddr)
    }

    /// Region, `region`.
    #[inline]
    pub fn region(&self) -> Decoded<&'a str> {
        self.text(Field::Region)
    }

    /// Kind of sublocation, `sublocation-type`.
    #[inline]
    pub fn sublocation_type(&self) -> Decoded<SublocationType<'a>> {
        Ok(self
            .text(Field::SublocationType)?
            .map(SublocationType::from))
    }

    /// Direction seen from the interface, `flow-direction`.
    #[inline]
    pub fn flow_direction(&self) -> Decoded<FlowDirection<'a>> {
        self.keyword(Field::FlowDirection, FlowDirection::from_known)
    }

    /// Path of egress traffic, `traffic-path`.
    #[inline]
    pub fn traffic_path(&self) -> Decoded<TrafficPath> {
        Ok(self.small(Field::TrafficPath)?.map(TrafficPath::new))
    }

    /// Why the traffic was rejected, `reject-reason`.
    #[inline]
    pub fn reject_reason(&self) -> Decoded<RejectReason<'a>> {
        self.keyword(Field::RejectReason, RejectReason::from_known)
    }

    /// Encryption in transit, `encryption-status`.
    #[inline]
    pub fn encryption_status(&self) -> Decoded<EncryptionStatus> {
        Ok(self
            .small(Field::EncryptionStatus)?
            .map(EncryptionStatus::new))
    }

    /// Kind of the recorded interface, `interface-type`.
    #[inline]
    pub fn interface_type(&self) -> Decoded<InterfaceType<'a>> {
        self.keyword(Field::InterfaceType, InterfaceType::from_known)
    }

    /// Kind of the next hop's interface, `next-hop-interface-type`.
    #[inline]
    pub fn next_hop_interface_type(&self) -> Decoded<InterfaceType<'a>> {
        Ok(self
            .text(Field::NextHopInterfaceType)?
            .map(InterfaceType::from))
    }

    /// Kind of the recorded resource in Transit Gateway flow logs, `resource-type`.
    #[inline]
    pub fn resource_type(&self) -> Decoded<ResourceType<'a>> {
        self.keyword(Field::ResourceType, ResourceType::from_known)
    }

    /// A word: a known one is told by its bytes, only an unknown one has to be UTF-8.
    #[inline(always)]
    fn keyword<T: From<&'a str>>(&self, field: Field, known: fn(&[u8]) -> Option<T>) -> Decoded<T> {
        match self.raw(field).and_then(known) {
            Some(word) => Ok(Some(word)),
            None => Ok(self.text(field)?.map(T::from)),
        }
    }

    /// A number whose range, checked by [`Record::number`], fits the wanted type.
    #[inline(always)]
    fn small<T: TryFrom<u64>>(&self, field: Field) -> Decoded<T> {
        Ok(self
            .number(field)?
            .and_then(|number| T::try_from(number).ok()))
    }
}
