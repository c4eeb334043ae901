//! Faults that are repeatable by seed.

use std::time::Duration;

use sha2::{Digest, Sha256};

/// A fault of one request that the limit admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Respond 422 with a reason.
    Reject(&'static str),
    /// Respond 500 and store nothing.
    InternalError,
    /// Store the product, and drop the connection without a response.
    DropConnection,
    /// Respond with an unprovoked 429 that starts a cooldown of this time at speed 1.
    Cooldown(Duration),
}

const REJECT_PROBABILITY: f64 = 0.007;
const INTERNAL_ERROR_PROBABILITY: f64 = 0.015;
const DROP_PROBABILITY: f64 = 0.010;
const COOLDOWN_PROBABILITY: f64 = 0.003;

const TITLE_LIMIT: usize = 80;
const TITLE_TOO_LONG: &str = "Title is over 80 characters for this category";
const REJECT_REASONS: [&str; 4] = [
    "The brand needs approval in this category",
    "Price is below the lowest that this category allows",
    "A main image of at least 1000 pixels is missing",
    "A safety data sheet is needed for this product type",
];

/// Random numbers that depend on the seed and the arguments, not on the order of the calls.
pub struct SeededRng {
    seed: u64,
}

impl SeededRng {
    /// Returns the random numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Returns 64 random bits.
    pub fn random_bits(&self, purpose: &str, service: &str, subject: &str, nth: u32) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_le_bytes());
        hash.update(nth.to_le_bytes());
        for part in [purpose, service, subject] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let digest: [u8; 32] = hash.finalize().into();
        digest.iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte))
    }

    /// Returns a number from 0 up to, not including, 1.
    pub fn random_fraction(&self, purpose: &str, service: &str, subject: &str, nth: u32) -> f64 {
        const BITS: u32 = 53;
        let bits = self.random_bits(purpose, service, subject, nth) >> (u64::BITS - BITS);
        bits as f64 / (1_u64 << BITS) as f64
    }

    /// Returns the fault of the `nth` (from 0) request to create `sku`; a forced one even if faults
    /// are not `enabled`.
    pub fn fault(
        &self,
        enabled: bool,
        channel: &str,
        sku: &str,
        title: &str,
        nth: u32,
    ) -> Option<Fault> {
        let forced_fault = self.forced_fault(channel, sku, title, nth);
        if forced_fault.is_some() || !enabled {
            return forced_fault;
        }
        if self.random_fraction("reject", channel, sku, 0) < REJECT_PROBABILITY {
            return Some(Fault::Reject(self.reject_reason(channel, sku, title)));
        }
        let roll = self.random_fraction("fault", channel, sku, nth);
        if roll < INTERNAL_ERROR_PROBABILITY {
            Some(Fault::InternalError)
        } else if roll < INTERNAL_ERROR_PROBABILITY + DROP_PROBABILITY {
            Some(Fault::DropConnection)
        } else if roll < INTERNAL_ERROR_PROBABILITY + DROP_PROBABILITY + COOLDOWN_PROBABILITY {
            Some(Fault::Cooldown(self.cooldown_duration(channel, sku, nth)))
        } else {
            None
        }
    }

    fn forced_fault(&self, channel: &str, sku: &str, title: &str, nth: u32) -> Option<Fault> {
        let has = |mark: &str| sku.contains(mark);
        let is_too_long = || title.chars().count() > TITLE_LIMIT;
        if has("-SBX-REJECT") || (has("-SBX-SHORTTITLE") && is_too_long()) {
            Some(Fault::Reject(self.reject_reason(channel, sku, title)))
        } else if has("-SBX-500ALWAYS") || (nth == 0 && has("-SBX-500ONCE")) {
            Some(Fault::InternalError)
        } else if nth == 0 && has("-SBX-DROPONCE") {
            Some(Fault::DropConnection)
        } else if nth == 0 && has("-SBX-429ONCE") {
            Some(Fault::Cooldown(self.cooldown_duration(channel, sku, nth)))
        } else {
            None
        }
    }

    fn reject_reason(&self, channel: &str, sku: &str, title: &str) -> &'static str {
        if title.chars().count() > TITLE_LIMIT {
            return TITLE_TOO_LONG;
        }
        let choice = self.random_bits("reason", channel, sku, 0) as usize % REJECT_REASONS.len();
        REJECT_REASONS.get(choice).copied().unwrap_or(TITLE_TOO_LONG)
    }

    fn cooldown_duration(&self, channel: &str, sku: &str, nth: u32) -> Duration {
        Duration::from_secs(3 + self.random_bits("closure", channel, sku, nth) % 6)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn faults(seed: u64) -> Vec<Option<Fault>> {
        let rng = SeededRng::new(seed);
        (0..20_000).map(|n| rng.fault(true, "acme", &format!("SKU-{n}"), "Lamp", 0)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        assert_eq!(faults(1), faults(1));
        assert_ne!(faults(1), faults(2));
    }

    #[test]
    fn every_fault_occurs_with_its_probability() {
        let faults = faults(1);
        let share = |kind: fn(&Fault) -> bool| {
            faults.iter().flatten().filter(|fault| kind(fault)).count() as f64 / 20_000.0
        };
        let near = |share: f64, goal: f64| (share - goal).abs() < goal * 0.3;
        assert!(near(share(|f| matches!(f, Fault::InternalError)), 0.015));
        assert!(near(share(|f| matches!(f, Fault::DropConnection)), 0.010));
        assert!(near(share(|f| matches!(f, Fault::Reject(_))), 0.007));
        assert!(near(share(|f| matches!(f, Fault::Cooldown(_))), 0.003));
    }

    #[test]
    fn rejection_is_permanent_and_a_500_is_not() {
        let rng = SeededRng::new(1);
        let fault = |n: i32, nth| rng.fault(true, "corner", &format!("SKU-{n}"), "Lamp", nth);
        let rejected = (0..5_000).find(|n| matches!(fault(*n, 0), Some(Fault::Reject(_)))).unwrap();
        assert!((0..50).all(|nth| fault(rejected, nth) == fault(rejected, 0)));
        let failed = (0..5_000).find(|n| fault(*n, 0) == Some(Fault::InternalError)).unwrap();
        assert!((1..5).any(|nth| fault(failed, nth).is_none()));
    }

    #[test]
    fn marked_sku_forces_its_fault_with_faults_off() {
        let rng = SeededRng::new(9);
        let forced = |sku: &str, nth| rng.fault(false, "bazaar", sku, "Lamp", nth);
        assert_eq!(forced("A-SBX-500ONCE", 0), Some(Fault::InternalError));
        assert_eq!(forced("A-SBX-500ONCE", 1), None);
        assert_eq!(forced("A-SBX-500ALWAYS", 7), Some(Fault::InternalError));
        assert_eq!(forced("A-SBX-DROPONCE-XL", 0), Some(Fault::DropConnection));
        assert_eq!(forced("A-SBX-DROPONCE-XL", 1), None);
        assert!(matches!(forced("A-SBX-429ONCE", 0), Some(Fault::Cooldown(_))));
        assert_eq!(forced("A-SBX-429ONCE", 1), None);
        assert!(matches!(forced("A-SBX-REJECT", 5), Some(Fault::Reject(_))));
        assert_eq!(forced("A-SBX-SHORTTITLE", 0), None);
        let long = rng.fault(false, "bazaar", "A-SBX-SHORTTITLE", &"x".repeat(81), 0);
        assert_eq!(long, Some(Fault::Reject(TITLE_TOO_LONG)));
        assert_eq!(forced("A-1", 0), None);
    }

    #[test]
    fn only_a_long_title_is_rejected_for_its_length() {
        let rng = SeededRng::new(9);
        let reason = |title: &str| rng.fault(false, "acme", "A-SBX-REJECT", title, 0);
        assert_eq!(reason(&"x".repeat(81)), Some(Fault::Reject(TITLE_TOO_LONG)));
        assert_ne!(reason(&"x".repeat(80)), Some(Fault::Reject(TITLE_TOO_LONG)));
    }
}
