use std::time::Duration;

use tokio::time::Instant;

use crate::error::ErrorKind;

/// Delays that grow with each failure, spread over their whole range ("full jitter").
///
/// Pure: times come in as arguments and random numbers from the seed, so a test can name the delays in advance.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    failures: u32,
    last_failure: Option<Instant>,
    random: Random,
}

impl Backoff {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            failures: 0,
            last_failure: None,
            random: Random::new(seed),
        }
    }

    /// The delay before the next try: between a tenth of the base and the current ceiling.
    ///
    /// The floor keeps unlucky draws from becoming a hot loop.
    pub(crate) fn failed(&mut self, now: Instant, kind: ErrorKind) -> Duration {
        let (base, cap) = pace(kind);
        let ceiling = base.saturating_mul(1 << self.failures.min(16)).min(cap);
        self.failures = self.failures.saturating_add(1);
        self.last_failure = Some(now);
        let floor = base / 10;
        floor + ceiling.saturating_sub(floor).mul_f64(self.random.unit())
    }

    /// Takes note of a success. Only a minute without failure starts the delays over: a service that throttles every
    /// other call is throttling.
    pub(crate) fn succeeded(&mut self, now: Instant) {
        if self
            .last_failure
            .is_some_and(|last| now.duration_since(last) >= CALM)
        {
            self.failures = 0;
            self.last_failure = None;
        }
    }
}

const CALM: Duration = Duration::from_secs(60);

/// Base and cap of the delay after a failure.
fn pace(kind: ErrorKind) -> (Duration, Duration) {
    let millis = |base, cap| (Duration::from_millis(base), Duration::from_millis(cap));
    match kind {
        ErrorKind::Throttled => millis(200, 10_000),
        ErrorKind::Busy => millis(1_500, 30_000),
        ErrorKind::Unavailable | ErrorKind::Unknown | ErrorKind::Expired => millis(100, 20_000),
        ErrorKind::Credentials => millis(5_000, 60_000),
        _ => millis(60_000, 60_000),
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
    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits are exactly what a float keeps"
    )]
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn delays_stay_between_floor_and_ceiling() {
        for seed in 0..200 {
            let mut backoff = Backoff::new(seed);
            for failure in 0..40_u32 {
                let ceiling =
                    Duration::from_millis(200 << failure.min(10)).min(Duration::from_secs(10));
                let delay = backoff.failed(Instant::now(), ErrorKind::Throttled);
                assert!(
                    delay >= Duration::from_millis(20) && delay <= ceiling,
                    "{delay:?} at {failure}"
                );
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_seed_gives_the_same_delays() {
        let delays = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..8)
                .map(|_| backoff.failed(Instant::now(), ErrorKind::Unavailable))
                .collect::<Vec<_>>()
        };
        assert_eq!(delays(7), delays(7));
        assert_ne!(delays(7), delays(8));
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_calm_minute_starts_over() {
        let mut backoff = Backoff::new(1);
        for _ in 0..10 {
            backoff.failed(Instant::now(), ErrorKind::Throttled);
        }
        backoff.succeeded(Instant::now() + Duration::from_secs(59));
        assert_eq!(backoff.failures, 10);
        backoff.succeeded(Instant::now() + Duration::from_secs(60));
        assert_eq!(backoff.failures, 0);
    }
}
