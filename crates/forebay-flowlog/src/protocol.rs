use std::fmt;

/// An IANA protocol number: field `protocol`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Protocol(u8);

impl Protocol {
    /// ICMP for IPv4, 1.
    pub const ICMP: Self = Self(1);
    /// TCP, 6.
    pub const TCP: Self = Self(6);
    /// UDP, 17.
    pub const UDP: Self = Self(17);
    /// ICMP for IPv6, 58.
    pub const ICMP_V6: Self = Self(58);

    /// The protocol with this number.
    #[inline]
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// The number.
    #[inline]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The keyword in the IANA registry "Protocol Numbers", such as `TCP`; `None` for numbers that are unassigned
    /// (148 to 252), experimental (253, 254), or assigned without a keyword (61, 63, 68, 99, 114).
    ///
    /// The registry's remark "(deprecated)" is left out.
    pub const fn keyword(self) -> Option<&'static str> {
        let keyword = KEYWORDS[self.0 as usize];
        if keyword.is_empty() {
            None
        } else {
            Some(keyword)
        }
    }
}

impl fmt::Display for Protocol {
    /// Prints the keyword or, where there is none, the number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.keyword() {
            Some(keyword) => f.pad(keyword),
            None => self.0.fmt(f),
        }
    }
}

impl From<u8> for Protocol {
    fn from(number: u8) -> Self {
        Self(number)
    }
}

/// Generated from `testdata/iana-protocol-numbers.csv`; empty where the registry has no keyword.
#[rustfmt::skip]
const KEYWORDS: [&str; 256] = [
    "HOPOPT", "ICMP", "IGMP", "GGP", "IPv4", "ST", "TCP", "CBT", "EGP", "IGP", "BBN-RCC-MON", "NVP-II",
    "PUP", "ARGUS", "EMCON", "XNET", "CHAOS", "UDP", "MUX", "DCN-MEAS", "HMP", "PRM", "XNS-IDP", "TRUNK-1",
    "TRUNK-2", "LEAF-1", "LEAF-2", "RDP", "IRTP", "ISO-TP4", "NETBLT", "MFE-NSP", "MERIT-INP", "DCCP",
    "3PC", "IDPR", "XTP", "DDP", "IDPR-CMTP", "TP++", "IL", "IPv6", "SDRP", "IPv6-Route", "IPv6-Frag",
    "IDRP", "RSVP", "GRE", "DSR", "BNA", "ESP", "AH", "I-NLSP", "SWIPE", "NARP", "Min-IPv4", "TLSP", "SKIP",
    "IPv6-ICMP", "IPv6-NoNxt", "IPv6-Opts", "", "CFTP", "", "SAT-EXPAK", "KRYPTOLAN", "RVD", "IPPC", "",
    "SAT-MON", "VISA", "IPCV", "CPNX", "CPHB", "WSN", "PVP", "BR-SAT-MON", "SUN-ND", "WB-MON", "WB-EXPAK",
    "ISO-IP", "VMTP", "SECURE-VMTP", "VINES", "IPTM", "NSFNET-IGP", "DGP", "TCF", "EIGRP", "OSPFIGP",
    "Sprite-RPC", "LARP", "MTP", "AX.25", "IPIP", "MICP", "SCC-SP", "ETHERIP", "ENCAP", "", "GMTP", "IFMP",
    "PNNI", "PIM", "ARIS", "SCPS", "QNX", "A/N", "IPComp", "SNP", "Compaq-Peer", "IPX-in-IP", "VRRP", "PGM",
    "", "L2TP", "DDX", "IATP", "STP", "SRP", "UTI", "SMP", "SM", "PTP", "ISIS over IPv4", "FIRE", "CRTP",
    "CRUDP", "SSCOPMCE", "IPLT", "SPS", "PIPE", "SCTP", "FC", "RSVP-E2E-IGNORE", "Mobility Header",
    "UDPLite", "MPLS-in-IP", "manet", "HIP", "Shim6", "WESP", "ROHC", "Ethernet", "AGGFRAG", "NSH", "Homa",
    "BIT-EMU", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "",
    "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "",
    "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "",
    "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "",
    "", "", "", "", "", "", "Reserved",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_those_of_the_registry() {
        let registry = include_str!("../testdata/iana-protocol-numbers.csv");
        let mut next = 0;
        for row in registry.lines().skip(1) {
            let (numbers, keyword) = row.split_once(',').unwrap();
            let keyword = keyword.trim_end_matches(" (deprecated)");
            let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
            let (first, last): (u16, u16) = (first.parse().unwrap(), last.parse().unwrap());
            assert_eq!(first, next, "the registry has no gaps");
            for number in first..=last {
                let protocol = Protocol::new(number.try_into().unwrap());
                assert_eq!(protocol.keyword().unwrap_or_default(), keyword, "{number}");
            }
            next = last + 1;
        }
        assert_eq!(next, 256);
    }

    #[test]
    fn a_protocol_prints_its_keyword_or_its_number() {
        let cases = [
            (6, "TCP"),
            (58, "IPv6-ICMP"),
            (13, "ARGUS"),
            (61, "61"),
            (147, "BIT-EMU"),
            (200, "200"),
            (255, "Reserved"),
        ];
        for (number, expected) in cases {
            assert_eq!(Protocol::new(number).to_string(), expected);
        }
    }
}
