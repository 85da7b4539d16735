//! The protocol names that the plugin published, spelled as there: dashboards filter on them.

use forebay_gelf::Literal;

/// The plugin's name of an IP protocol number; `UNKNOWN` where it has none.
pub(super) fn protocol_name(number: u8) -> &'static [u8] {
    spaced_name(number).as_bytes().trim_ascii()
}

/// The same with a blank on either side.
#[inline]
pub(super) fn spaced_name(number: u8) -> &'static Literal {
    &NAMES[usize::from(number)]
}

static NAMES: [Literal; 256] = {
    let mut names = [Literal::new(" UNKNOWN "); 256];
    let mut index = 0;
    while index < TABLE.len() {
        names[TABLE[index].0 as usize] = Literal::new(TABLE[index].1);
        index += 1;
    }
    names
};

#[rustfmt::skip]
const TABLE: &[(u8, &str)] = &[
    (0, " IP "), (1, " ICMP "), (2, " IGMP "), (3, " GGP "), (4, " IP-ENCAP "), (5, " ST2 "), (6, " TCP "), (7, " CBT "), (8, " EGP "),
    (9, " IGP "), (10, " BBN-RCC-MON "), (11, " NVP-II "), (12, " PUP "), (13, " ARGUS "), (14, " EMCON "), (15, " XNET "),
    (16, " CHAOS "), (17, " UDP "), (18, " MUX "), (19, " DCN-MEAS "), (20, " HMP "), (21, " PRM "), (22, " XNS-IDP "),
    (23, " TRUNK-1 "), (24, " TRUNK-2 "), (25, " LEAF-1 "), (26, " LEAF-2 "), (27, " RDP "), (28, " IRTP "), (29, " ISO-TP4 "),
    (30, " NETBLT "), (31, " MFE-NSP "), (32, " MERIT-INP "), (33, " SEP "), (34, " 3PC "), (35, " IDPR "), (36, " XTP "),
    (37, " DDP "), (38, " IDPR-CMTP "), (39, " TP++ "), (40, " IL "), (41, " IPV6 "), (42, " SDRP "), (43, " IPV6-ROUTE "),
    (44, " IPV6-FRAG "), (45, " IDRP "), (46, " RSVP "), (47, " GRE "), (48, " MHRP "), (49, " BNA "), (50, " ESP "), (51, " AH "),
    (52, " I-NLSP "), (53, " SWIPE "), (54, " NARP "), (55, " MOBILE "), (56, " TLSP "), (57, " SKIP "), (58, " IPV6-ICMP "),
    (59, " IPV6-NONXT "), (60, " IPV6-OPTS "), (62, " CFTP "), (64, " SAT-EXPAK "), (65, " KRYPTOLAN "), (66, " RVD "),
    (67, " IPPC "), (69, " SAT-MON "), (70, " VISA "), (71, " IPCV "), (72, " CPNX "), (73, " CPHB "), (74, " WSN "), (75, " PVP "),
    (76, " BR-SAT-MON "), (77, " SUN-ND "), (78, " WB-MON "), (79, " WB-EXPAK "), (80, " ISO-IP "), (81, " VMTP "),
    (82, " SECURE-VMTP "), (83, " VINES "), (84, " TTP "), (85, " NSFNET-IGP "), (86, " DGP "), (87, " TCF "), (88, " EIGRP "),
    (89, " OSPFIGP "), (90, " Sprite-RPC "), (91, " LARP "), (92, " MTP "), (93, " AX.25 "), (94, " IPIP "), (95, " MICP "),
    (96, " SCC-SP "), (97, " ETHERIP "), (98, " ENCAP "), (100, " GMTP "), (101, " IFMP "), (102, " PNNI "), (103, " PIM "),
    (104, " ARIS "), (105, " SCPS "), (106, " QNX "), (107, " A/N "), (108, " IPComp "), (109, " SNP "), (110, " Compaq-Peer "),
    (111, " IPX-in-IP "), (112, " VRRP "), (113, " PGM "), (115, " 2TP "), (116, " DDX "), (117, " IATP "), (118, " ST "),
    (119, " SRP "), (120, " UTI "), (121, " SMP "), (122, " SM "), (123, " PTP "), (124, " ISIS "), (125, " FIRE "), (126, " CRTP "),
    (127, " CRUDP "), (128, " SSCOPMCE "), (129, " IPLT "), (130, " SPS "), (131, " PIPE "), (132, " SCTP "), (133, " FC "),
    (136, " UDPLite "), (137, " MPLS-in-IP "), (138, " manet "), (139, " HIP "), (140, " Shim6 "), (141, " WESP "), (142, " ROHC "),
    (254, " DIVERT "),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spelling_is_the_plugins() {
        assert_eq!(
            [0, 6, 17].map(protocol_name),
            [b"IP".as_slice(), b"TCP", b"UDP"]
        );
        assert_eq!(
            [115, 90, 254].map(protocol_name),
            [b"2TP".as_slice(), b"Sprite-RPC", b"DIVERT"]
        );
    }

    #[test]
    fn numbers_without_a_name_are_unknown() {
        for number in [61, 63, 68, 99, 114, 134, 135, 143, 200, 253, 255] {
            assert_eq!(protocol_name(number), b"UNKNOWN", "{number}");
        }
        assert_eq!(
            (0..=255)
                .filter(|&number| protocol_name(number) == b"UNKNOWN")
                .count(),
            119
        );
    }
}
