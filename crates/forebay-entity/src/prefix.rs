//! Address ranges in CIDR form.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::Error;

/// An address range: a network address and the number of its fixed leading bits.
///
/// EC2 delegates `/28` ranges of IPv4 and `/80` ranges of IPv6 to an interface ("Assigning prefixes
/// to network interfaces", Amazon EC2 User Guide). Bits behind the length are cleared, so two
/// spellings of one range are equal.
///
/// ```
/// use forebay_entity::Prefix;
///
/// let range: Prefix = "10.0.1.16/28".parse()?;
/// assert!(range.contains("10.0.1.31".parse()?));
/// assert!(!range.contains("10.0.1.32".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Prefix {
    network: IpAddr,
    length: u8,
}

impl Prefix {
    /// The range that holds `address` and fixes its first `length` bits.
    ///
    /// # Errors
    /// [`Error::Prefix`] when `length` is above 32 for IPv4 or 128 for IPv6.
    pub fn new(address: IpAddr, length: u8) -> Result<Self, Error> {
        let network = match address {
            IpAddr::V4(address) if length <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) if length <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
            _ => {
                return Err(Error::Prefix {
                    text: format!("{address}/{length}"),
                });
            }
        };
        Ok(Self { network, length })
    }

    /// First address of the range.
    #[must_use]
    pub fn network(&self) -> IpAddr {
        self.network
    }

    /// Number of fixed leading bits.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether `address` is of the same family and inside the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let last =
                    first.to_bits() | u32::MAX.checked_shr(u32::from(self.length)).unwrap_or(0);
                (first.to_bits()..=last).contains(&address.to_bits())
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let last =
                    first.to_bits() | u128::MAX.checked_shr(u32::from(self.length)).unwrap_or(0);
                (first.to_bits()..=last).contains(&address.to_bits())
            }
            _ => false,
        }
    }

    /// First and last address as numbers, when the range is one of IPv4.
    pub(crate) fn bounds_v4(&self) -> Option<(u32, u32)> {
        let IpAddr::V4(first) = self.network else {
            return None;
        };
        let first = first.to_bits();
        Some((
            first,
            first | u32::MAX.checked_shr(u32::from(self.length)).unwrap_or(0),
        ))
    }

    /// First and last address as numbers, when the range is one of IPv6.
    pub(crate) fn bounds_v6(&self) -> Option<(u128, u128)> {
        let IpAddr::V6(first) = self.network else {
            return None;
        };
        let first = first.to_bits();
        Some((
            first,
            first | u128::MAX.checked_shr(u32::from(self.length)).unwrap_or(0),
        ))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.network, self.length)
    }
}

impl FromStr for Prefix {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = || Error::Prefix {
            text: text.to_owned(),
        };
        let (address, length) = text.split_once('/').ok_or_else(refuse)?;
        let address = address.parse().map_err(|_| refuse())?;
        let length = length.parse().map_err(|_| refuse())?;
        Self::new(address, length).map_err(|_| refuse())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_bits_are_cleared() {
        let check = |text: &str, expected: &str| {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), expected);
        };
        check("10.0.1.17/28", "10.0.1.16/28");
        check("255.255.255.255/0", "0.0.0.0/0");
        check("10.0.0.1/32", "10.0.0.1/32");
        check("2600:1f18:1:2:3:4:5:6/80", "2600:1f18:1:2:3::/80");
        check("ffff::1/0", "::/0");
    }

    #[test]
    fn text_that_is_no_range_is_refused_with_the_text() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/-1",
            "ten/8",
            "10.0.0.0/8/9",
        ] {
            assert_eq!(
                text.parse::<Prefix>(),
                Err(Error::Prefix {
                    text: text.to_owned()
                })
            );
        }
    }

    #[test]
    fn the_whole_space_has_its_last_address() {
        let all: Prefix = "0.0.0.0/0".parse().unwrap();
        assert_eq!(all.bounds_v4(), Some((0, u32::MAX)));
        let all: Prefix = "::/0".parse().unwrap();
        assert_eq!(all.bounds_v6(), Some((0, u128::MAX)));
    }
}
