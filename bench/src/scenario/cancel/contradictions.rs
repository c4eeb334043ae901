//! Items that say something else than the ledger of their channel.

use crate::audit::outcomes::{AllowedOutcomes, ChannelEvidence};
use contract::{
    api::Task,
    state::{Effect, TaskState},
};
use std::fmt;

/// What is wrong with an item at a channel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contradiction {
    channel: String,
    kind: &'static str,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.channel, self.kind)
    }
}

/// Returns what is wrong with an item of a cancelled upload. An item that needs review says
/// nothing that could be wrong.
pub fn contradiction(task: &Task, evidence: &ChannelEvidence) -> Option<Contradiction> {
    let allowed = AllowedOutcomes { cancelled: true, ..AllowedOutcomes::default() };
    let kind = match (evidence.products_created(task), task.state) {
        (2.., _) => Some("more than one product exists"),
        (0, TaskState::Succeeded) => Some("succeeded, but its product does not exist"),
        (_, TaskState::Queued | TaskState::Running) => Some("open, but its job has ended"),
        (_, TaskState::NeedsReview) => None,
        _ => evidence.objection(task, allowed),
    };
    let channel = task.channel.clone().unwrap_or_default();
    kind.map(|kind| Contradiction { channel, kind })
}

/// Describes an item that says another effect than the creation of its product, which no
/// other upload contains.
pub fn misreported_effect(task: &Task, evidence: &ChannelEvidence) -> Option<String> {
    let is_created = evidence.products_created(task) == 1;
    let is_misreported =
        is_created && task.state == TaskState::Succeeded && task.effect != Some(Effect::Created);
    is_misreported.then(|| format!("{}: {:?}", task.key, task.effect))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::outcomes::sample_task;
    use std::collections::BTreeMap;
    use testbed::api::{ServiceRecord, ledger::RecordedEffect};

    /// Evidence that Corner has one product M and two products T.
    fn evidence() -> ChannelEvidence {
        let effects = ["M", "T", "T"].map(|sku| RecordedEffect {
            sku: sku.into(),
            created: true,
            ..RecordedEffect::default()
        });
        let record = ServiceRecord { requests: Vec::new(), effects: effects.into() };
        ChannelEvidence::from_ledger(&BTreeMap::from([("corner".to_owned(), record)]))
    }

    #[test]
    fn items_must_say_what_the_ledger_says() {
        use TaskState::{Cancelled, Failed, NeedsReview, Running, Succeeded};
        for (sku, state, fine) in [
            ("M", Succeeded, true),
            ("M", Cancelled, false),
            ("M", NeedsReview, true),
            ("M", Failed, false),
            ("X", Succeeded, false),
            ("X", Cancelled, true),
            ("X", NeedsReview, true),
            ("X", Failed, false),
            ("X", Running, false),
            ("T", Succeeded, false),
            ("T", NeedsReview, false),
        ] {
            let found = contradiction(&sample_task("corner", sku, state, "code"), &evidence());
            assert_eq!(found.is_none(), fine, "{sku} {state}: {found:?}");
        }
        let elsewhere = sample_task("acme", "M", Cancelled, "cancelled");
        assert_eq!(contradiction(&elsewhere, &evidence()), None);
    }

    #[test]
    fn a_created_product_is_told_as_created() {
        let succeeded = |sku, effect| {
            let task = sample_task("corner", sku, TaskState::Succeeded, "done");
            misreported_effect(&Task { effect, ..task }, &evidence())
        };
        assert_eq!(succeeded("M", Some(Effect::Created)), None);
        assert!(succeeded("M", Some(Effect::Unchanged)).is_some());
        assert!(succeeded("M", None).is_some());
        let cancelled = sample_task("corner", "X", TaskState::Cancelled, "cancelled");
        assert_eq!(misreported_effect(&cancelled, &evidence()), None);
    }
}
