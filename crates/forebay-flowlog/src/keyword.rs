//! Fields whose values are words. AWS extends these sets; a word not known here is kept.

use std::fmt;

macro_rules! keywords {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident { $($(#[doc = $word_doc:literal])+ $variant:ident = $word:literal,)+ }
    )+) => {$(
        $(#[doc = $doc])+
        ///
        /// The words are matched exactly as AWS writes them.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum $name<'a> {
            $($(#[doc = $word_doc])+ $variant,)+
            /// A word that this crate does not know.
            Other(&'a str),
        }

        impl<'a> $name<'a> {
            /// The word as it stands in the log.
            #[inline]
            pub const fn as_str(&self) -> &'a str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }

            /// The word if it is one that this crate knows.
            #[inline]
            pub(crate) fn from_known(word: &[u8]) -> Option<Self> {
                $(if word == $word.as_bytes() {
                    return Some(Self::$variant);
                })+
                None
            }
        }

        impl<'a> From<&'a str> for $name<'a> {
            #[inline]
            fn from(word: &'a str) -> Self {
                Self::from_known(word.as_bytes()).unwrap_or(Self::Other(word))
            }
        }

        impl fmt::Display for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    )+};
}

keywords! {
    /// What the network did with the traffic: field `action`.
    Action {
        /// Accepted.
        Accept = "ACCEPT",
        /// Rejected by a security group or network ACL, or arrived after the connection was closed.
        Reject = "REJECT",
    }

    /// Status of a record: field `log-status`.
    LogStatus {
        /// Logged normally.
        Ok = "OK",
        /// No traffic in the window.
        NoData = "NODATA",
        /// Records of the window were lost, for lack of capacity or by an error inside AWS.
        SkipData = "SKIPDATA",
    }

    /// Kind of traffic: field `type`.
    TrafficType {
        /// IPv4.
        Ipv4 = "IPv4",
        /// IPv6.
        Ipv6 = "IPv6",
        /// Elastic Fabric Adapter.
        Efa = "EFA",
    }

    /// Direction seen from the interface: field `flow-direction`.
    FlowDirection {
        /// Into the interface.
        Ingress = "ingress",
        /// Out of the interface.
        Egress = "egress",
    }

    /// Kind of sublocation: field `sublocation-type`.
    SublocationType {
        /// Wavelength zone.
        Wavelength = "wavelength",
        /// Outpost.
        Outpost = "outpost",
        /// Local zone.
        LocalZone = "localzone",
    }

    /// Why traffic was rejected: field `reject-reason`.
    RejectReason {
        /// VPC Block Public Access.
        BlockPublicAccess = "BPA",
        /// Encryption controls.
        EncryptionControls = "EC",
    }

    /// Kind of interface: fields `interface-type` and `next-hop-interface-type`.
    InterfaceType {
        /// NAT gateway.
        NatGateway = "nat_gateway",
        /// Network Load Balancer.
        NetworkLoadBalancer = "network_load_balancer",
        /// Regional NAT gateway.
        RegionalNatGateway = "regional_nat_gateway",
        /// Transit gateway attachment.
        TransitGateway = "transit_gateway",
        /// VPC endpoint.
        VpcEndpoint = "vpc_endpoint",
    }

    /// Kind of resource: field `resource-type`.
    ResourceType {
        /// Transit gateway.
        TransitGateway = "TransitGateway",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_known_or_not() {
        assert_eq!(Action::from("REJECT"), Action::Reject);
        assert_eq!(LogStatus::from("SKIPDATA"), LogStatus::SkipData);
        assert_eq!(
            InterfaceType::from("gateway_load_balancer"),
            InterfaceType::Other("gateway_load_balancer")
        );
        for word in ["ACCEPT", "REJECT", "accept", "DROP", ""] {
            assert_eq!(Action::from(word).to_string(), word);
        }
        for word in [
            "nat_gateway",
            "network_load_balancer",
            "regional_nat_gateway",
            "transit_gateway",
            "vpc_endpoint",
        ] {
            assert!(
                !matches!(InterfaceType::from(word), InterfaceType::Other(_)),
                "{word}"
            );
            assert_eq!(InterfaceType::from(word).as_str(), word);
        }
    }
}
