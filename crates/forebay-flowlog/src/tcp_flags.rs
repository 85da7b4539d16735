use std::fmt;

/// TCP flags of a flow, OR-ed over the window: field `tcp-flags`.
///
/// VPC flow logs report FIN, SYN, RST and SYN-ACK only; a flow of packets with only ACK or PSH has no flags at all.
/// Transit Gateway flow logs report PSH, ACK and URG as well.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct TcpFlags(u8);

impl TcpFlags {
    /// FIN, 1.
    pub const FIN: Self = Self(1);
    /// SYN, 2.
    pub const SYN: Self = Self(2);
    /// RST, 4.
    pub const RST: Self = Self(4);
    /// PSH, 8.
    pub const PSH: Self = Self(8);
    /// ACK, 16.
    pub const ACK: Self = Self(16);
    /// URG, 32.
    pub const URG: Self = Self(32);
    /// ECE, 64. AWS documents that it is never reported.
    pub const ECE: Self = Self(64);
    /// CWR, 128. AWS documents that it is never reported.
    pub const CWR: Self = Self(128);

    /// The flags with these bits, as in the TCP header.
    pub const fn new(bits: u8) -> Self {
        Self(bits)
    }

    /// The bits, as in the TCP header.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether no flag is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `flags` are set.
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// The names of the flags that are set, lowest bit first.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        NAMES
            .iter()
            .enumerate()
            .filter(move |(bit, _)| self.0 & (1 << bit) != 0)
            .map(|(_, name)| *name)
    }
}

impl std::ops::BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for TcpFlags {
    /// Prints the names with `|` between them: `SYN|ACK`. Nothing where no flag is set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.names().enumerate() {
            if index > 0 {
                f.write_str("|")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_print_their_names() {
        let cases = [
            (0, ""),
            (1, "FIN"),
            (3, "FIN|SYN"),
            (18, "SYN|ACK"),
            (19, "FIN|SYN|ACK"),
            (4, "RST"),
            (255, "FIN|SYN|RST|PSH|ACK|URG|ECE|CWR"),
        ];
        for (bits, expected) in cases {
            assert_eq!(TcpFlags::new(bits).to_string(), expected, "{bits}");
        }
    }

    #[test]
    fn flags_combine() {
        let reply = TcpFlags::SYN | TcpFlags::ACK;
        assert_eq!(reply.bits(), 18);
        assert!(reply.contains(TcpFlags::SYN) && !reply.contains(TcpFlags::SYN | TcpFlags::FIN));
        assert!(TcpFlags::default().is_empty() && !reply.is_empty());
    }
}
