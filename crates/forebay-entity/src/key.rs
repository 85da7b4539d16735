//! What tells equal addresses apart, and how a tie is broken.

/// What a log record says about where it was written.
///
/// Private ranges overlap between VPCs and accounts, so an address alone may name several entities.
/// Each part is text as AWS writes it (`vpc-…`, `eni-…`, twelve digits); `None` when the record does
/// not have it. The interface is the one that recorded the traffic: it also lends its VPC and its account
/// when those are `None`, so a version 2 flow log, which has no `vpc-id`, is told apart as well.
#[expect(
    clippy::exhaustive_structs,
    reason = "callers build it per record; a new tie-breaker is a breaking change"
)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Scope<'a> {
    /// The VPC of the record (`vpc-id` of a flow log).
    pub vpc: Option<&'a str>,
    /// The interface that recorded the traffic (`interface-id` of a flow log).
    pub interface: Option<&'a str>,
    /// The account of that interface (`account-id` of a flow log).
    pub account: Option<&'a str>,
}

/// What to do with an address that names several entities.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum OnConflict {
    /// The entity on the recording interface; else the only one in its VPC; else the only one in its account.
    #[default]
    ByInterface,
    /// Only entities of the record's account; among several of them as with `ByInterface`.
    ByAccount,
    /// The entity of the source that was handed in first. Fit for a display, not for an audit.
    First,
    /// None: the lookup reports the ambiguity.
    Skip,
}

impl OnConflict {
    /// The name in a settings file: `by-interface`, `by-account`, `first` or `skip`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ByInterface => "by-interface",
            Self::ByAccount => "by-account",
            Self::First => "first",
            Self::Skip => "skip",
        }
    }

    /// The policy with that name in a settings file, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::ByInterface, Self::ByAccount, Self::First, Self::Skip]
            .into_iter()
            .find(|policy| policy.as_str() == name)
    }
}

/// What decided between several entities with one address.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TieBreak {
    /// The address is on the recording interface itself.
    Interface,
    /// One candidate is in the record's VPC.
    Vpc,
    /// One candidate is in the record's account.
    Account,
    /// The policy is [`OnConflict::First`].
    First,
}

/// An address as a number: `u32` for IPv4, `u128` for IPv6.
pub(crate) trait Bits: Copy + Ord {
    /// A well mixed number; the table uses its leading bits.
    fn mix(self) -> u64;
    /// The address behind this one, unless this is the last.
    fn next(self) -> Option<Self>;
}

impl Bits for u32 {
    fn mix(self) -> u64 {
        // Addresses of one subnet follow each other; a multiple of the golden ratio spreads such
        // neighbours evenly over the leading bits.
        u64::from(self).wrapping_mul(GOLDEN)
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Bits for u128 {
    fn mix(self) -> u64 {
        let (high, low) = ((self >> 64) as u64, self as u64);
        let folded = Self::from(low ^ high.rotate_left(32)).wrapping_mul(Self::from(GOLDEN));
        ((folded as u64) ^ ((folded >> 64) as u64)).wrapping_mul(GOLDEN)
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
