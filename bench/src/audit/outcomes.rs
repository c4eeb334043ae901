//! Checks item outcomes against the channels' own records. A failure that is our
//! own fault is a terminal state too, so being finished is not enough.

use contract::{api::Task, state::TaskState};
use std::collections::{BTreeMap, HashMap, HashSet};
use testbed::api::{RecordedRequest, ServiceRecord};

/// Part of an SKU that the sandbox always answers with 500.
const ALWAYS_500_MARKER: &str = "-SBX-500ALWAYS";
const STATUS_REJECTED: u16 = 422;
/// Kind of the error with which the ledger records a rejection that has the status 200.
const GRAPHQL_REJECTED: &str = "rejected";

/// Outcomes that are allowed although the channel's answers don't explain them.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowedOutcomes {
    /// An item may lose five workers in a row, because the scenario kills many.
    pub poison: bool,
    /// The job was cancelled.
    pub cancelled: bool,
}

/// The channels' own records, by channel and SKU.
#[derive(Default)]
pub struct ChannelEvidence {
    /// Number of products created.
    created: HashMap<(String, String), usize>,
    rejected: HashSet<(String, String)>,
}

impl ChannelEvidence {
    pub fn from_ledger(ledger: &BTreeMap<String, ServiceRecord>) -> Self {
        let mut evidence = Self::default();
        for (channel, record) in ledger {
            for effect in record.effects.iter().filter(|effect| effect.created) {
                *evidence.created.entry((channel.clone(), effect.sku.clone())).or_default() += 1;
            }
            let is_refusal = |request: &&RecordedRequest| {
                request.status == Some(STATUS_REJECTED)
                    || request.error.as_deref() == Some(GRAPHQL_REJECTED)
            };
            let refused = record.requests.iter().filter(is_refusal);
            let skus = refused.filter_map(|request| request.sku.clone());
            evidence.rejected.extend(skus.map(|sku| (channel.clone(), sku)));
        }
        evidence
    }

    pub fn products_created(&self, task: &Task) -> usize {
        self.created.get(&channel_and_sku(task)).copied().unwrap_or_default()
    }

    /// Returns why this item's outcome is wrong; `None` if it is right.
    pub fn objection(&self, task: &Task, allowed: AllowedOutcomes) -> Option<&'static str> {
        let refused = self.rejected.contains(&channel_and_sku(task));
        match task.state {
            TaskState::Succeeded if refused => Some("succeeded, but its channel rejected it"),
            TaskState::Failed | TaskState::Rejected if self.products_created(task) > 0 => {
                Some("failed, but its product exists")
            }
            TaskState::Rejected => {
                (!refused).then_some("rejected, but its channel did not reject it")
            }
            TaskState::Failed => {
                let explained = match outcome_code(task) {
                    // A GraphQL API says it in an answer with the status 200.
                    "http_500" | "retry" => task.sku.contains(ALWAYS_500_MARKER),
                    "poison" => allowed.poison,
                    _ => false,
                };
                (!explained).then_some("failed without a reason that explains it")
            }
            TaskState::Cancelled if !allowed.cancelled => {
                Some("cancelled, but nobody asked for it")
            }
            TaskState::Cancelled if self.products_created(task) > 0 => {
                Some("cancelled, but its product exists")
            }
            TaskState::NeedsReview if is_repeat_safe(task) => {
                Some("needs review, but a repeated call is safe")
            }
            TaskState::NeedsReview if !is_unanswered(outcome_code(task)) => {
                Some("needs review, but its last call was answered")
            }
            _ => None,
        }
    }
}

fn channel_and_sku(task: &Task) -> (String, String) {
    (task.channel.clone().unwrap_or_default(), task.sku.clone())
}

fn outcome_code(task: &Task) -> &str {
    task.outcome.as_ref().map_or("", |outcome| &outcome.code)
}

/// Returns whether a repeated call is safe at the task's channel, so that its
/// outcome does not stay unknown.
fn is_repeat_safe(task: &Task) -> bool {
    let channel = task.channel.as_deref();
    sandbox::SAMPLE_CHANNELS
        .iter()
        .filter(|spec| channel == Some(spec.id))
        .any(sandbox::ChannelProfile::is_repeat_safe)
}

fn is_unanswered(code: &str) -> bool {
    matches!(code, "timeout" | "connection_dropped" | "unreachable") || code.starts_with("http_5")
}

/// Returns an item with the outcome `code`.
#[cfg(test)]
pub fn sample_task(channel: &str, sku: &str, state: TaskState, code: &str) -> Task {
    use contract::{
        JobId, TaskId,
        api::Outcome,
        command::{Command, ProductUpload},
    };
    use uuid::Uuid;

    let outcome = Outcome { code: code.into(), message: String::new(), reference: None };
    Task {
        id: TaskId(Uuid::nil()),
        job: JobId(Uuid::nil()),
        kind: ProductUpload::KIND.into(),
        key: format!("{channel}/{sku}"),
        row: 0,
        title: "Lamp".into(),
        channel: Some(channel.into()),
        sku: sku.into(),
        state,
        effect: None,
        attempt: 1,
        outcome_unknown: false,
        cause: None,
        outcome: Some(outcome),
        waiting_for: None,
        updated_at: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testbed::api::ledger::RecordedEffect;

    #[test]
    fn a_rejection_may_come_with_the_status_200() {
        let rejection = RecordedRequest {
            sku: Some("R".into()),
            status: Some(200),
            error: Some("rejected".into()),
            ..RecordedRequest::default()
        };
        let record = ServiceRecord { requests: vec![rejection], effects: Vec::new() };
        let evidence =
            ChannelEvidence::from_ledger(&BTreeMap::from([("depot".to_owned(), record)]));
        let rejected = sample_task("depot", "R", TaskState::Rejected, "rejected");
        assert_eq!(evidence.objection(&rejected, AllowedOutcomes::default()), None);
    }

    /// Evidence that Corner created M and rejected R.
    fn evidence() -> ChannelEvidence {
        let request = |sku: &str, status| RecordedRequest {
            sku: Some(sku.into()),
            status: Some(status),
            ..RecordedRequest::default()
        };
        let requests = vec![request("M", 201), request("R", 422)];
        let effects =
            vec![RecordedEffect { sku: "M".into(), created: true, ..RecordedEffect::default() }];
        ChannelEvidence::from_ledger(&BTreeMap::from([(
            "corner".to_owned(),
            ServiceRecord { requests, effects },
        )]))
    }

    #[test]
    fn outcomes_must_match_what_the_channel_answered() {
        use TaskState::{Cancelled, Failed, NeedsReview, Rejected, Succeeded};
        let evidence = evidence();
        for (sku, state, code, fine) in [
            ("M", Succeeded, "created", true),
            ("R", Succeeded, "created", false),
            ("R", Rejected, "rejected", true),
            ("R", Failed, "http_500", false),
            ("M", Rejected, "rejected", false),
            ("X", Rejected, "rejected", false),
            ("X", Failed, "http_500", false),
            ("X", Failed, "poison", false),
            ("X", Failed, "panic", false),
            ("X", Failed, "timeout", false),
            ("X-SBX-500ALWAYS-0", Failed, "http_500", true),
            ("X-SBX-500ALWAYS-0", Failed, "panic", false),
            ("X", Cancelled, "cancelled", false),
            ("X", NeedsReview, "timeout", true),
            ("X", NeedsReview, "rejected", false),
        ] {
            let item = sample_task("corner", sku, state, code);
            let objection = evidence.objection(&item, AllowedOutcomes::default());
            assert_eq!(objection.is_none(), fine, "{sku} {state} {code}: {objection:?}");
        }
    }

    #[test]
    fn needs_review_only_where_repeats_are_unsafe() {
        let evidence = evidence();
        for (channel, fine) in
            [("acme", false), ("bazaar", false), ("corner", true), ("depot", false)]
        {
            let item = sample_task(channel, "X", TaskState::NeedsReview, "timeout");
            assert_eq!(
                evidence.objection(&item, AllowedOutcomes::default()).is_none(),
                fine,
                "{channel}"
            );
        }
    }

    #[test]
    fn allowed_outcomes_raise_no_objection() {
        let allowed = AllowedOutcomes { poison: true, cancelled: true };
        for (state, code) in [(TaskState::Failed, "poison"), (TaskState::Cancelled, "cancelled")] {
            assert_eq!(
                evidence().objection(&sample_task("corner", "X", state, code), allowed),
                None
            );
        }
    }

    #[test]
    fn a_cancelled_item_has_no_product() {
        let allowed = AllowedOutcomes { cancelled: true, ..AllowedOutcomes::default() };
        let cancelled = sample_task("corner", "M", TaskState::Cancelled, "cancelled");
        assert_eq!(
            evidence().objection(&cancelled, allowed),
            Some("cancelled, but its product exists")
        );
    }
}
