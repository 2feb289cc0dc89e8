//! Jitter. Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).

use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Between three quarters of `period` and all of it (RFC 4271 10).
    pub(crate) fn jitter(&mut self, period: Duration) -> Duration {
        let parts = 48 + u32::try_from(self.next() % 17).unwrap_or(0);
        period.saturating_mul(parts) / 64
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
