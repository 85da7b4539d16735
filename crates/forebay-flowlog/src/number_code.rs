//! Fields whose values are small numbers that stand for something. Numbers not known here are kept.

use std::fmt;

/// Path that egress traffic takes: field `traffic-path`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TrafficPath(u32);

impl TrafficPath {
    /// The path with this code.
    pub const fn new(code: u32) -> Self {
        Self(code)
    }

    /// The code in the log, 1 to 8 today.
    pub const fn code(self) -> u32 {
        self.0
    }

    /// What the code stands for, after the AWS page "Flow log records"; `None` for a code that this crate does not
    /// know.
    pub const fn description(self) -> Option<&'static str> {
        Some(match self.0 {
            1 => "another resource in the same VPC",
            2 => "internet gateway or gateway VPC endpoint",
            3 => "virtual private gateway",
            4 => "VPC peering within the region",
            5 => "VPC peering to another region",
            6 => "local gateway",
            7 => "gateway VPC endpoint",
            8 => "internet gateway",
            _ => return None,
        })
    }
}

impl fmt::Display for TrafficPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Encryption in transit: field `encryption-status`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EncryptionStatus(u8);

impl EncryptionStatus {
    /// The status with this code.
    pub const fn new(code: u8) -> Self {
        Self(code)
    }

    /// The code in the log, 0 to 3 today.
    pub const fn code(self) -> u8 {
        self.0
    }

    /// What the code stands for, after the AWS page "Enforce VPC encryption in transit"; `None` for a code that this
    /// crate does not know.
    pub const fn description(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "not encrypted",
            1 => "encrypted by the Nitro system",
            2 => "encrypted by the application",
            3 => "encrypted by the Nitro system and the application",
            _ => return None,
        })
    }
}

impl fmt::Display for EncryptionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes_are_described_and_others_kept() {
        assert!((1..=8).all(|code| TrafficPath::new(code).description().is_some()));
        for code in [0, 9, u32::MAX] {
            assert_eq!(TrafficPath::new(code).description(), None);
            assert_eq!(TrafficPath::new(code).code(), code);
        }
        assert!((0..=3).all(|code| EncryptionStatus::new(code).description().is_some()));
        assert_eq!(EncryptionStatus::new(4).description(), None);
        assert_eq!(EncryptionStatus::new(4).to_string(), "4");
    }
}
