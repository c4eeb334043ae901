//! How items may end: what their channel's own answers explain, and no other
//! way. Work that failed by our own fault has come to an end, too.

use crate::api::Record;
use contract::{api::Task, state::TaskState};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What the sandbox answers 500 to for ever.
const ALWAYS: &str = "-SBX-500ALWAYS";
const REFUSED: u16 = 422;

/// What may happen besides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowed {
    /// So many workers are killed that one item may meet five of them.
    pub poison: bool,
    /// Someone asked for it.
    pub cancelled: bool,
}

/// What the channels themselves say, by channel and SKU.
#[derive(Default)]
pub struct Witness {
    /// New products.
    made: HashMap<(String, String), usize>,
    refused: HashSet<(String, String)>,
}

impl Witness {
    pub fn of(ledger: &BTreeMap<String, Record>) -> Self {
        let mut witness = Self::default();
        for (channel, record) in ledger {
            for effect in record.effects.iter().filter(|effect| effect.created) {
                *witness.made.entry((channel.clone(), effect.sku.clone())).or_default() += 1;
            }
            let refused = record.requests.iter().filter(|r| r.status == Some(REFUSED));
            let skus = refused.filter_map(|request| request.sku.clone());
            witness.refused.extend(skus.map(|sku| (channel.clone(), sku)));
        }
        witness
    }

    pub fn made(&self, task: &Task) -> usize {
        self.made.get(&thing(task)).copied().unwrap_or_default()
    }

    /// Why this item must not have ended as it did; `None` where it may.
    pub fn objects(&self, task: &Task, allowed: Allowed) -> Option<&'static str> {
        let refused = self.refused.contains(&thing(task));
        match task.state {
            TaskState::Succeeded if refused => Some("refused for good, and told as done"),
            TaskState::Failed if self.made(task) > 0 => Some("failed, and its product is there"),
            TaskState::Failed => {
                let explained = match code(task) {
                    "rejected" => refused,
                    "http_500" => task.sku.contains(ALWAYS),
                    "poison" => allowed.poison,
                    _ => false,
                };
                (!explained).then_some("failed, and its channel did not refuse it")
            }
            TaskState::Cancelled if !allowed.cancelled => Some("cancelled, and nobody asked"),
            TaskState::NeedsPerson if can_tell(task) => Some("needs a person where a call can ask"),
            TaskState::NeedsPerson if !unanswered(code(task)) => {
                Some("needs a person, and its last call was answered")
            }
            _ => None,
        }
    }
}

fn thing(task: &Task) -> (String, String) {
    (task.channel.clone().unwrap_or_default(), task.sku.clone())
}

fn code(task: &Task) -> &str {
    task.outcome.as_ref().map_or("", |outcome| &outcome.code)
}

/// Whether a repeated call is safe at its channel, so that nobody is unsure
/// for ever.
fn can_tell(task: &Task) -> bool {
    let channel = task.channel.as_deref();
    sandbox::channels()
        .iter()
        .filter(|spec| channel == Some(spec.id))
        .any(|spec| spec.idempotency_keys || spec.refuses_duplicate_skus)
}

fn unanswered(code: &str) -> bool {
    matches!(code, "timeout" | "dropped" | "unreachable") || code.starts_with("http_5")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Request, ledger::Effect};
    use contract::{JobId, TaskId, api::Outcome};
    use uuid::Uuid;

    fn task(channel: &str, sku: &str, state: TaskState, code: &str) -> Task {
        let outcome = Outcome { code: code.into(), message: String::new(), reference: None };
        Task {
            id: TaskId(Uuid::nil()),
            job: JobId(Uuid::nil()),
            kind: "product.upload".into(),
            key: format!("{channel}/{sku}"),
            row: 0,
            title: "Lamp".into(),
            channel: Some(channel.into()),
            sku: sku.into(),
            state,
            attempt: 1,
            unsure: false,
            cause: None,
            outcome: Some(outcome),
            waiting_for: None,
            updated_at: 0,
        }
    }

    /// Corner made M, and refused R.
    fn witness() -> Witness {
        let request = |sku: &str, status| Request {
            sku: Some(sku.into()),
            status: Some(status),
            ..Request::default()
        };
        let requests = vec![request("M", 201), request("R", 422)];
        let effects = vec![Effect { sku: "M".into(), created: true, ..Effect::default() }];
        Witness::of(&BTreeMap::from([("corner".to_owned(), Record { requests, effects })]))
    }

    #[test]
    fn an_item_ends_as_its_channel_says() {
        use TaskState::{Cancelled, Failed, NeedsPerson, Succeeded};
        let witness = witness();
        for (sku, state, code, fine) in [
            ("M", Succeeded, "created", true),
            ("R", Succeeded, "created", false),
            ("R", Failed, "rejected", true),
            ("R", Failed, "http_500", false),
            ("M", Failed, "rejected", false),
            ("X", Failed, "rejected", false),
            ("X", Failed, "http_500", false),
            ("X", Failed, "poison", false),
            ("X", Failed, "panic", false),
            ("X", Failed, "timeout", false),
            ("X-SBX-500ALWAYS-0", Failed, "http_500", true),
            ("X-SBX-500ALWAYS-0", Failed, "panic", false),
            ("X", Cancelled, "cancelled", false),
            ("X", NeedsPerson, "timeout", true),
            ("X", NeedsPerson, "rejected", false),
        ] {
            let item = task("corner", sku, state, code);
            let objection = witness.objects(&item, Allowed::default());
            assert_eq!(objection.is_none(), fine, "{sku} {state} {code}: {objection:?}");
        }
    }

    #[test]
    fn only_a_channel_that_can_not_be_asked_leaves_an_item_to_a_person() {
        let witness = witness();
        for (channel, fine) in [("acme", false), ("bazaar", false), ("corner", true)] {
            let item = task(channel, "X", TaskState::NeedsPerson, "timeout");
            assert_eq!(witness.objects(&item, Allowed::default()).is_none(), fine, "{channel}");
        }
    }

    #[test]
    fn what_is_allowed_besides_is_no_fault() {
        let allowed = Allowed { poison: true, cancelled: true };
        for (state, code) in [(TaskState::Failed, "poison"), (TaskState::Cancelled, "cancelled")] {
            assert_eq!(witness().objects(&task("corner", "X", state, code), allowed), None);
        }
    }
}
