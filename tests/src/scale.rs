/// Picks the size of a test by `FOREBAY_TIER`: `ci` (the default), `nightly` or `release`.
///
/// # Panics
/// With the three names, if the variable says something else.
pub fn scale<T>(ci: T, nightly: T, release: T) -> T {
    match std::env::var("FOREBAY_TIER").as_deref() {
        Err(_) | Ok("" | "ci") => ci,
        Ok("nightly") => nightly,
        Ok("release") => release,
        Ok(other) => panic!("FOREBAY_TIER is `{other}`; it must be ci, nightly or release"),
    }
}

/// Random choices of a test, from a seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The same seed makes the same choices.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)).checked_rem(end).unwrap_or(0)
    }

    /// A number in the range.
    pub fn between(&mut self, range: std::ops::RangeInclusive<u64>) -> u64 {
        range.start() + self.below(range.end().saturating_sub(*range.start()).saturating_add(1))
    }
}
