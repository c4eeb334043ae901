//! What an upload changed at the channels: by their own ledger, and by what the job says.

use contract::{
    api::Task,
    state::{Counts, Effect, TaskState},
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    iter::Sum,
};
use testbed::api::ServiceRecord;

/// Number of products of one channel by what an upload changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EffectCounts {
    pub created: usize,
    pub updated: usize,
    pub unchanged: usize,
    /// Products that are none of these: items without success, and in the ledger products
    /// that were created or changed more than once.
    pub other: usize,
}

impl EffectCounts {
    /// Counts the items of a channel by what they say.
    pub fn of_tasks(channel: &str, tasks: &[Task]) -> Self {
        let tasks = tasks.iter().filter(|task| task.channel.as_deref() == Some(channel));
        tasks.map(reported_effect).collect()
    }

    /// Counts the items of a job by its counters.
    pub fn of_job(counts: &Counts) -> Self {
        let count = |count: u32| count as usize;
        let (created, updated) = (count(counts.created), count(counts.updated));
        let unchanged = count(counts.unchanged);
        let other = count(counts.total).saturating_sub(created + updated + unchanged);
        Self { created, updated, unchanged, other }
    }

    pub fn table_header() -> String {
        let [ledger, reported] = [
            "ledger: created updated unchanged other",
            "reported: created updated unchanged other",
        ];
        format!("{:<24}{ledger:>44}{reported:>44}", "")
    }

    /// Returns a row of the table, with `reported` beside the ledger's counts.
    pub fn table_row(&self, reported: &Self, what: &str) -> String {
        let columns = |counts: &Self| {
            let Self { created, updated, unchanged, other } = counts;
            format!("{created:>8}{updated:>8}{unchanged:>8}{other:>8}")
        };
        format!("{what:<24}{:>44}{:>44}", columns(self), columns(reported))
    }
}

impl FromIterator<Option<Effect>> for EffectCounts {
    fn from_iter<I: IntoIterator<Item = Option<Effect>>>(effects: I) -> Self {
        let mut counts = Self::default();
        for effect in effects {
            *match effect {
                Some(Effect::Created) => &mut counts.created,
                Some(Effect::Updated) => &mut counts.updated,
                Some(Effect::Unchanged) => &mut counts.unchanged,
                None => &mut counts.other,
            } += 1;
        }
        counts
    }
}

impl Sum for EffectCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, counts| Self {
            created: sum.created + counts.created,
            updated: sum.updated + counts.updated,
            unchanged: sum.unchanged + counts.unchanged,
            other: sum.other + counts.other,
        })
    }
}

impl fmt::Display for EffectCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { created, updated, unchanged, other } = self;
        write!(f, "{created} created, {updated} updated, {unchanged} unchanged, {other} other")
    }
}

/// Effects that the channels recorded, by channel and SKU, in their order.
pub struct LedgerEffects(HashMap<(String, String), Vec<Effect>>);

impl LedgerEffects {
    /// Collects the effects after the first `before` of each channel.
    pub fn since(
        ledger: &BTreeMap<String, ServiceRecord>,
        before: &BTreeMap<String, usize>,
    ) -> Self {
        let mut effects: HashMap<_, Vec<_>> = HashMap::new();
        for (channel, record) in ledger {
            let seen = before.get(channel).copied().unwrap_or_default();
            for effect in record.effects.iter().skip(seen) {
                let what = if effect.created { Effect::Created } else { Effect::Updated };
                effects.entry((channel.clone(), effect.sku.clone())).or_default().push(what);
            }
        }
        Self(effects)
    }

    pub fn count(&self, channel: &str, skus: impl Iterator<Item = String>) -> EffectCounts {
        skus.map(|sku| self.single_effect(channel, &sku)).collect()
    }

    /// Returns the effect of a product; `None` if there were several. One without any is
    /// unchanged.
    fn single_effect(&self, channel: &str, sku: &str) -> Option<Effect> {
        match self.all_effects(channel, sku) {
            [] => Some(Effect::Unchanged),
            [effect] => Some(*effect),
            _ => None,
        }
    }

    fn all_effects(&self, channel: &str, sku: &str) -> &[Effect] {
        self.0.get(&(channel.to_owned(), sku.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// Describes each item that says something else than the ledger.
    pub fn disagreements(&self, tasks: &[Task]) -> Vec<String> {
        let differing = tasks.iter().filter_map(|task| {
            let channel = task.channel.as_deref().unwrap_or_default();
            let recorded = self.single_effect(channel, &task.sku);
            let reported = reported_effect(task);
            let code = task.outcome.as_ref().map_or("no outcome", |outcome| &outcome.code);
            (recorded.is_none() || recorded != reported).then(|| {
                let all = self.all_effects(channel, &task.sku);
                format!("{}: {} ({code}), ledger {all:?}", task.key, task.state)
            })
        });
        differing.collect()
    }
}

/// Returns what an item says that it changed; `None` without success.
fn reported_effect(task: &Task) -> Option<Effect> {
    task.effect.filter(|_| task.state == TaskState::Succeeded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::outcomes::sample_task;
    use testbed::api::ledger::RecordedEffect;

    fn effect(sku: &str, created: bool) -> RecordedEffect {
        RecordedEffect { sku: sku.into(), created, updated: !created, ..Default::default() }
    }

    /// The effects after the first one.
    fn effects(effects: Vec<RecordedEffect>) -> LedgerEffects {
        let record = ServiceRecord { requests: Vec::new(), effects };
        let ledger = BTreeMap::from([("acme".to_owned(), record)]);
        LedgerEffects::since(&ledger, &BTreeMap::from([("acme".to_owned(), 1)]))
    }

    fn task(sku: &str, effect: Effect) -> Task {
        Task { effect: Some(effect), ..sample_task("acme", sku, TaskState::Succeeded, "done") }
    }

    #[test]
    fn effects_before_the_upload_and_those_of_other_channels_don_t_count() {
        let effects = effects(vec![effect("A", true), effect("A", false), effect("B", true)]);
        let skus = || ["A", "B", "C"].map(str::to_owned).into_iter();
        let counts = EffectCounts { created: 1, updated: 1, unchanged: 1, other: 0 };
        assert_eq!(effects.count("acme", skus()), counts);
        let counts = EffectCounts { unchanged: 3, ..EffectCounts::default() };
        assert_eq!(effects.count("corner", skus()), counts);
    }

    #[test]
    fn a_product_that_was_created_twice_is_no_creation() {
        let effects = effects(vec![effect("A", true), effect("B", true), effect("B", true)]);
        let counts = effects.count("acme", ["B".to_owned()].into_iter());
        assert_eq!(counts, EffectCounts { other: 1, ..EffectCounts::default() });
        assert_eq!(effects.disagreements(&[task("B", Effect::Created)]).len(), 1);
    }

    #[test]
    fn items_that_say_something_else_than_the_ledger_disagree() {
        let effects = effects(vec![effect("A", true), effect("B", true), effect("C", false)]);
        let right =
            [task("A", Effect::Unchanged), task("B", Effect::Created), task("C", Effect::Updated)];
        assert_eq!(effects.disagreements(&right), Vec::<String>::new());
        let failed = sample_task("acme", "B", TaskState::Failed, "http_500");
        let wrong = [task("A", Effect::Updated), task("B", Effect::Unchanged), failed];
        assert_eq!(effects.disagreements(&wrong).len(), 3);
        let reported = EffectCounts::of_tasks("acme", &wrong);
        assert_eq!(reported, EffectCounts { updated: 1, unchanged: 1, other: 1, ..reported });
        assert_eq!(EffectCounts::of_tasks("corner", &wrong), EffectCounts::default());
    }
    #[test]
    fn a_job_tells_what_the_sum_of_its_channels_is() {
        let acme = EffectCounts { created: 3, updated: 1, unchanged: 0, other: 1 };
        let corner = EffectCounts { created: 1, updated: 0, unchanged: 4, other: 0 };
        let job = Counts { total: 10, created: 4, updated: 1, unchanged: 4, ..Counts::default() };
        assert_eq!([acme, corner].into_iter().sum::<EffectCounts>(), EffectCounts::of_job(&job));
    }
}
