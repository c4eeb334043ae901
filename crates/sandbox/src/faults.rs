//! What goes wrong, repeatably by seed.

use std::time::Duration;

use sha2::{Digest, Sha256};

/// What happens to one request that the limit let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 422 with a reason.
    Reject(&'static str),
    /// 500, nothing stored.
    Fail,
    /// Stored, and the connection dropped without an answer.
    Drop,
    /// 429 out of the blue, and the channel closed for this long at speed 1.
    Close(Duration),
}

const REJECTED: f64 = 0.007;
const FAILED: f64 = 0.015;
const DROPPED: f64 = 0.010;
const CLOSED: f64 = 0.003;

const TITLE_LIMIT: usize = 80;
const TITLE_TOO_LONG: &str = "Title is over 80 characters for this category";
const REASONS: [&str; 4] = [
    "The brand needs approval in this category",
    "Price is below the lowest that this category allows",
    "A main image of at least 1000 pixels is missing",
    "A safety data sheet is needed for this product type",
];

/// Numbers that depend on the seed and on what they are asked about, not on when.
pub struct Dice {
    seed: u64,
}

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    pub fn bits(&self, purpose: &str, service: &str, about: &str, nth: u32) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_le_bytes());
        hash.update(nth.to_le_bytes());
        for part in [purpose, service, about] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let digest: [u8; 32] = hash.finalize().into();
        digest.iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte))
    }

    /// From 0 up to, not including, 1.
    pub fn fraction(&self, purpose: &str, service: &str, about: &str, nth: u32) -> f64 {
        const BITS: u32 = 53;
        let bits = self.bits(purpose, service, about, nth) >> (u64::BITS - BITS);
        bits as f64 / (1_u64 << BITS) as f64
    }

    /// The fault of the `nth` (from 0) request to make `sku`; without `on` only a forced one.
    pub fn fault(
        &self,
        on: bool,
        channel: &str,
        sku: &str,
        title: &str,
        nth: u32,
    ) -> Option<Fault> {
        let forced = self.forced(channel, sku, title, nth);
        if forced.is_some() || !on {
            return forced;
        }
        if self.fraction("reject", channel, sku, 0) < REJECTED {
            return Some(Fault::Reject(self.reason(channel, sku, title)));
        }
        let roll = self.fraction("fault", channel, sku, nth);
        if roll < FAILED {
            Some(Fault::Fail)
        } else if roll < FAILED + DROPPED {
            Some(Fault::Drop)
        } else if roll < FAILED + DROPPED + CLOSED {
            Some(Fault::Close(self.closure(channel, sku, nth)))
        } else {
            None
        }
    }

    fn forced(&self, channel: &str, sku: &str, title: &str, nth: u32) -> Option<Fault> {
        let has = |mark: &str| sku.contains(mark);
        if has("-SBX-REJECT") {
            Some(Fault::Reject(self.reason(channel, sku, title)))
        } else if has("-SBX-500ALWAYS") || (nth == 0 && has("-SBX-500ONCE")) {
            Some(Fault::Fail)
        } else if nth == 0 && has("-SBX-DROPONCE") {
            Some(Fault::Drop)
        } else if nth == 0 && has("-SBX-429ONCE") {
            Some(Fault::Close(self.closure(channel, sku, nth)))
        } else {
            None
        }
    }

    fn reason(&self, channel: &str, sku: &str, title: &str) -> &'static str {
        if title.chars().count() > TITLE_LIMIT {
            return TITLE_TOO_LONG;
        }
        let choice = self.bits("reason", channel, sku, 0) as usize % REASONS.len();
        REASONS.get(choice).copied().unwrap_or(TITLE_TOO_LONG)
    }

    fn closure(&self, channel: &str, sku: &str, nth: u32) -> Duration {
        Duration::from_secs(3 + self.bits("closure", channel, sku, nth) % 6)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn faults(seed: u64) -> Vec<Option<Fault>> {
        let dice = Dice::new(seed);
        (0..20_000).map(|n| dice.fault(true, "acme", &format!("SKU-{n}"), "Lamp", 0)).collect()
    }

    #[test]
    fn a_seed_repeats_itself_and_differs_from_the_next() {
        assert_eq!(faults(1), faults(1));
        assert_ne!(faults(1), faults(2));
    }

    #[test]
    fn every_kind_comes_as_often_as_it_should() {
        let faults = faults(1);
        let share = |kind: fn(&Fault) -> bool| {
            faults.iter().flatten().filter(|fault| kind(fault)).count() as f64 / 20_000.0
        };
        let near = |share: f64, goal: f64| (share - goal).abs() < goal * 0.3;
        assert!(near(share(|f| matches!(f, Fault::Fail)), 0.015));
        assert!(near(share(|f| matches!(f, Fault::Drop)), 0.010));
        assert!(near(share(|f| matches!(f, Fault::Reject(_))), 0.007));
        assert!(near(share(|f| matches!(f, Fault::Close(_))), 0.003));
    }

    #[test]
    fn a_rejected_sku_stays_rejected_and_a_500_does_not_last() {
        let dice = Dice::new(1);
        let about = |n: i32, nth| dice.fault(true, "corner", &format!("SKU-{n}"), "Lamp", nth);
        let rejected = (0..5_000).find(|n| matches!(about(*n, 0), Some(Fault::Reject(_)))).unwrap();
        assert!((0..50).all(|nth| about(rejected, nth) == about(rejected, 0)));
        let failed = (0..5_000).find(|n| about(*n, 0) == Some(Fault::Fail)).unwrap();
        assert!((1..5).any(|nth| about(failed, nth).is_none()));
    }

    #[test]
    fn a_marked_sku_forces_its_fault_with_faults_off() {
        let dice = Dice::new(9);
        let forced = |sku: &str, nth| dice.fault(false, "bazaar", sku, "Lamp", nth);
        assert_eq!(forced("A-SBX-500ONCE", 0), Some(Fault::Fail));
        assert_eq!(forced("A-SBX-500ONCE", 1), None);
        assert_eq!(forced("A-SBX-500ALWAYS", 7), Some(Fault::Fail));
        assert_eq!(forced("A-SBX-DROPONCE-XL", 0), Some(Fault::Drop));
        assert_eq!(forced("A-SBX-DROPONCE-XL", 1), None);
        assert!(matches!(forced("A-SBX-429ONCE", 0), Some(Fault::Close(_))));
        assert_eq!(forced("A-SBX-429ONCE", 1), None);
        assert!(matches!(forced("A-SBX-REJECT", 5), Some(Fault::Reject(_))));
        assert_eq!(forced("A-1", 0), None);
    }

    #[test]
    fn only_a_long_title_is_rejected_for_its_length() {
        let dice = Dice::new(9);
        let reason = |title: &str| dice.fault(false, "acme", "A-SBX-REJECT", title, 0);
        assert_eq!(reason(&"x".repeat(81)), Some(Fault::Reject(TITLE_TOO_LONG)));
        assert_ne!(reason(&"x".repeat(80)), Some(Fault::Reject(TITLE_TOO_LONG)));
    }
}
