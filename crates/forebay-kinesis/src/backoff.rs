use std::time::Duration;

/// Delays that grow with each failure, spread over their whole range ("full jitter").
///
/// Pure: the random numbers come from the seed, so a test can name the delays in advance.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
    random: Random,
}

impl Backoff {
    pub(crate) fn new(base: Duration, cap: Duration, seed: u64) -> Self {
        Self {
            base,
            cap,
            failures: 0,
            random: Random::new(seed),
        }
    }

    /// The delay before the next try: between a tenth of the base and the current ceiling.
    ///
    /// The floor keeps unlucky draws from becoming a hot loop.
    pub(crate) fn next(&mut self) -> Duration {
        let ceiling = self
            .base
            .saturating_mul(1_u32.checked_shl(self.failures.min(20)).unwrap_or(u32::MAX))
            .min(self.cap);
        self.failures = self.failures.saturating_add(1);
        let floor = self.base / 10;
        floor + ceiling.saturating_sub(floor).mul_f64(self.random.unit())
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A small generator (SplitMix64) for spreading delays; not for secrets.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0.0..1.0`.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exactly what a float keeps")]
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_stay_between_floor_and_ceiling() {
        let base = Duration::from_millis(200);
        let cap = Duration::from_secs(10);
        for seed in 0..200 {
            let mut backoff = Backoff::new(base, cap, seed);
            for failure in 0..40_u32 {
                let ceiling = base.saturating_mul(1 << failure.min(16)).min(cap);
                let delay = backoff.next();
                assert!(delay >= base / 10 && delay <= ceiling, "{delay:?} at {failure}");
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_delays() {
        let delays = |seed| {
            let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(20), seed);
            (0..8).map(|_| backoff.next()).collect::<Vec<_>>()
        };
        assert_eq!(delays(7), delays(7));
        assert_ne!(delays(7), delays(8));
    }

    #[test]
    fn a_reset_starts_over() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(20), 1);
        for _ in 0..10 {
            backoff.next();
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(100));
    }
}
