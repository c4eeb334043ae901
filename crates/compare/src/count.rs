//! Counts what came of some launches, by the ledger of the services alone.

use crate::batch::{Batch, Item};
use sandbox::{Effect, ServiceRecord, Snapshot};
use std::collections::HashSet;

/// What the ledger says about some launches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Items that have to be done.
    pub items: u32,
    /// Time of the first effect of each item that has one, UTC ms, in this order.
    pub effects_at: Vec<u64>,
    /// Further effects of the same items: a second product with the same SKU, for example.
    pub duplicates: u32,
    /// Requests that the services refused because they came too fast: over the rate, or before
    /// a `Retry-After` was over.
    pub over_limit: u32,
    /// Requests without a response that still run.
    pub in_flight: u32,
    /// Requests of all kinds.
    pub requests: u32,
}

impl Counts {
    /// Counts the effects of `batches` and all requests in a ledger.
    #[must_use]
    pub fn new(ledger: &Snapshot, batches: &[Batch]) -> Self {
        let items: HashSet<Item> = batches.iter().flat_map(Batch::items).collect();
        let mut done = HashSet::new();
        let mut counts = Self { items: number(items.len()), ..Self::default() };
        for (service, record) in ledger {
            for effect in record.effects.iter().filter(|effect| effect.created) {
                let item = (*service, effect.sku.to_string());
                if items.contains(&item) {
                    counts.add_effect(effect, done.insert(item));
                }
            }
            counts.add_requests(record);
        }
        counts.effects_at.sort_unstable();
        counts
    }

    fn add_effect(&mut self, effect: &Effect, is_first: bool) {
        match is_first {
            true => self.effects_at.push(effect.at_ms),
            false => self.duplicates += 1,
        }
    }

    fn add_requests(&mut self, ServiceRecord { requests, .. }: &ServiceRecord) {
        self.requests += number(requests.len());
        for request in requests {
            self.over_limit += u32::from(request.over_limit || request.during_cooldown);
            self.in_flight += u32::from(request.status.is_none() && !request.connection_dropped);
        }
    }

    /// Returns the number of items that have their effect.
    #[must_use]
    pub fn done(&self) -> u32 {
        number(self.effects_at.len())
    }

    /// Returns the number of items without an effect.
    #[must_use]
    pub fn missing(&self) -> u32 {
        self.items - self.done()
    }

    /// Returns the time of the last item's effect, UTC ms; `None` if an item is missing.
    #[must_use]
    pub fn done_at(&self) -> Option<u64> {
        self.effects_at.last().copied().filter(|_| self.missing() == 0)
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{CHANNEL, CLOUDWATCH, EC2};
    use sandbox::Request;

    /// Returns the batch of one person with two products: four items.
    fn batch() -> Vec<Batch> {
        Batch::for_people(1, 2)
    }

    fn effect(at_ms: u64, sku: &str) -> Effect {
        Effect {
            at_ms,
            key: None,
            sku: sku.into(),
            created: true,
            updated: false,
            action: "POST".into(),
        }
    }

    fn request(status: Option<u16>) -> Request {
        Request {
            at_ms: 1,
            key: None,
            sku: None,
            status,
            error: None,
            cost: None,
            over_limit: false,
            during_cooldown: false,
            cooldown_age_ms: None,
            connection_dropped: false,
            traceparent: None,
            action: "POST".into(),
        }
    }

    fn ledger(effects: Vec<(&'static str, Effect)>, requests: Vec<Request>) -> Snapshot {
        let mut ledger = Snapshot::new();
        for service in [CHANNEL, EC2, CLOUDWATCH] {
            let of_service = effects.iter().filter(|(of, _)| *of == service);
            let effects = of_service.map(|(_, effect)| effect.clone()).collect();
            ledger.insert(service, ServiceRecord { requests: Vec::new(), effects });
        }
        ledger.entry(CHANNEL).and_modify(|record| record.requests = requests);
        ledger
    }

    fn complete() -> Vec<(&'static str, Effect)> {
        let machine = &batch()[0].machine;
        vec![
            (CHANNEL, effect(30, "LAMP-1-01")),
            (CHANNEL, effect(50, "LAMP-1-02")),
            (EC2, effect(10, machine)),
            (CLOUDWATCH, effect(40, machine)),
        ]
    }

    #[test]
    fn everything_is_done_at_the_last_effect() {
        let counts = Counts::new(&ledger(complete(), Vec::new()), &batch());
        assert_eq!(
            (counts.items, counts.done(), counts.missing(), counts.duplicates),
            (4, 4, 0, 0)
        );
        assert_eq!(counts.effects_at, [10, 30, 40, 50]);
        assert_eq!(counts.done_at(), Some(50));
    }

    #[test]
    fn an_item_without_an_effect_is_missing() {
        for lost in 0..complete().len() {
            let mut effects = complete();
            effects.remove(lost);
            let counts = Counts::new(&ledger(effects, Vec::new()), &batch());
            assert_eq!((counts.missing(), counts.done_at()), (1, None), "{lost}");
        }
        let counts = Counts::new(&Snapshot::new(), &batch());
        assert_eq!((counts.missing(), counts.done()), (4, 0));
    }

    #[test]
    fn a_second_product_with_the_same_sku_is_a_duplicate_and_replaces_no_missing_one() {
        let mut effects = complete();
        effects.remove(1);
        effects.push((CHANNEL, effect(60, "LAMP-1-01")));
        effects.push((CHANNEL, effect(70, "LAMP-1-01")));
        let counts = Counts::new(&ledger(effects, Vec::new()), &batch());
        assert_eq!((counts.missing(), counts.duplicates), (1, 2));
    }

    #[test]
    fn what_changed_nothing_and_what_others_launched_does_not_count() {
        let mut effects = complete();
        let unchanged = Effect { created: false, ..effect(60, &batch()[0].machine) };
        effects.push((EC2, unchanged));
        effects.push((CHANNEL, effect(60, "CHAIR-1")));
        let counts = Counts::new(&ledger(effects, Vec::new()), &batch());
        assert_eq!((counts.done(), counts.duplicates, counts.done_at()), (4, 0, Some(50)));
    }

    #[test]
    fn requests_over_a_limit_are_those_that_the_ledger_marks() {
        let over = Request { over_limit: true, ..request(Some(429)) };
        let cooldown = Request { during_cooldown: true, ..request(Some(429)) };
        let both = Request { over_limit: true, during_cooldown: true, ..request(Some(429)) };
        let dropped = Request { connection_dropped: true, ..request(None) };
        let requests = vec![over, cooldown, both, dropped, request(Some(201)), request(None)];
        let counts = Counts::new(&ledger(Vec::new(), requests), &batch());
        assert_eq!((counts.over_limit, counts.requests, counts.in_flight), (3, 6, 1));
    }
}
