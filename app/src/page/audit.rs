//! Entries of the audit log as sentences.

use crate::labels;
use contract::{
    api::{AuditAction, AuditEntry, UpstreamStatus},
    timestamp,
};
use serde_json::Value;

/// Returns an entry of the audit log as a sentence. `upstreams` provides the names of channels.
pub fn sentence(entry: &AuditEntry, upstreams: &[UpstreamStatus], now: i64) -> String {
    let AuditEntry { at, actor_email, note, .. } = entry;
    let what = what(entry, upstreams);
    let gap = if note.is_empty() { "" } else { ": " };
    format!("{actor_email} {what}{gap}{note} · {}", labels::time_ago(*at, now))
}

/// Returns what was done, as the end of a sentence that begins with the person.
pub fn what(entry: &AuditEntry, upstreams: &[UpstreamStatus]) -> String {
    let AuditEntry { action, subject, before, after, .. } = entry;
    let name = upstreams.iter().find(|upstream| upstream.id == *subject);
    let name = name.map_or(subject.as_str(), |upstream| upstream.name.as_str());
    let text = |value: &Option<Value>| {
        value.as_ref().and_then(Value::as_str).unwrap_or("unknown").to_owned()
    };
    match action {
        AuditAction::UpstreamPaused => {
            let until =
                after.as_ref().and_then(|at| timestamp::deserialize(at).ok()).unwrap_or_default();
            format!("paused {name} until {}", labels::date_and_minute(until))
        }
        AuditAction::UpstreamResumed => format!("resumed {name}"),
        AuditAction::UpstreamPaceChanged => pace_change(name, before.as_ref(), after.as_ref()),
        AuditAction::UpstreamChecked => {
            let said = after.clone().unwrap_or_default();
            let says = said["says"].as_str().unwrap_or_default();
            match said["ok"].as_bool() {
                Some(true) => format!("checked {name}, which answered: {says}"),
                _ => format!("checked {name}, which can't be used: {says}"),
            }
        }
        AuditAction::JobLaunched => format!("launched {}", job(after.as_ref())),
        AuditAction::JobCancelled => format!("cancelled {}", job(after.as_ref())),
        AuditAction::JobPaused => format!("paused {}", job(after.as_ref())),
        AuditAction::JobResumed => format!("resumed {}", job(after.as_ref())),
        AuditAction::JobRetried => format!("retried {}", job(after.as_ref())),
        AuditAction::CommandEdited => {
            format!("edited {} of an item", changed_values(after.as_ref()))
        }
        AuditAction::CommandReplayed => {
            format!("had failed items run again: {}", job(after.as_ref()))
        }
        AuditAction::TaskResolved => match text(after).as_str() {
            "succeeded" => "said that an item is done".into(),
            _ => "had an item done again".into(),
        },
        AuditAction::UserInvited => format!("invited {subject} as {}", text(after)),
        AuditAction::InvitationRevoked => format!("revoked the invitation of {subject}"),
        AuditAction::PasswordResetCreated => format!("created a password link for {subject}"),
        AuditAction::RoleChanged => {
            format!("changed {subject} from {} to {}", text(before), text(after))
        }
        AuditAction::UserDisabled => format!("disabled {subject}"),
        AuditAction::UserEnabled => format!("enabled {subject}"),
        AuditAction::PasswordChanged => "changed their password".into(),
        AuditAction::TokenCreated => format!("created the API token {subject}"),
        AuditAction::TokenRevoked => format!("revoked the API token {subject}"),
    }
}

fn pace_change(name: &str, before: Option<&Value>, after: Option<&Value>) -> String {
    let rate = |value: Option<&Value>| value.and_then(Value::as_f64);
    match (rate(before), rate(after)) {
        (_, None) => format!("set {name} back to the configured pace"),
        (None, Some(rate)) => format!("slowed {name} down to {rate} requests per second"),
        (Some(before), Some(rate)) => {
            format!("changed {name} from {before} to {rate} requests per second")
        }
    }
}

/// Returns the pointers of the values that were changed.
fn changed_values(after: Option<&Value>) -> String {
    let names = after.and_then(Value::as_object).map(|values| values.keys().cloned().collect());
    match names.unwrap_or_default() {
        names if Vec::is_empty(&names) => "the data".into(),
        names => labels::enumerate(&names),
    }
}

/// Returns a job with its number of items.
fn job(value: Option<&Value>) -> String {
    let Some(value) = value else { return "a job".into() };
    let items = labels::count_noun(value["items"].as_u64().unwrap_or_default(), "item");
    format!("{} ({items})", value["title"].as_str().unwrap_or("a job"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    /// 2026-11-24 02:33:48 UTC.
    const NOW: i64 = 1_795_487_628_000;
    const MINUTE: i64 = 60_000;
    const ID: &str = "01a227d1-cde9-7560-8cab-06c048fbf04e";

    fn acme() -> UpstreamStatus {
        UpstreamStatus {
            id: "acme".into(),
            name: "Acme".into(),
            pause: None,
            limits: Vec::new(),
            queue: Vec::new(),
            other_open: 0,
            errors: Vec::new(),
            last_check: None,
        }
    }

    #[test]
    fn audit_entries_are_sentences() {
        let entry = |action, before: Option<Value>, after: Option<Value>, note: &str| AuditEntry {
            id: Default::default(),
            at: NOW - 3 * MINUTE,
            actor: ID.parse().unwrap(),
            actor_email: "ada@example.com".into(),
            action,
            subject: "acme".into(),
            before,
            after,
            note: note.into(),
        };
        let launched = json!({ "kind": "product_uploads", "title": "lamps.csv", "items": 150 });
        let replayed = json!({ "title": "lamps.csv", "items": 2 });
        let checked = json!({ "ok": false, "says": "No answer." });
        for (entry, words) in [
            (
                entry(
                    AuditAction::UpstreamPaused,
                    None,
                    Some(timestamp::format(NOW).into()),
                    "price review",
                ),
                "paused Acme until 2026-11-24 02:33 UTC: price review",
            ),
            (entry(AuditAction::UpstreamResumed, Some(NOW.into()), None, ""), "resumed Acme"),
            (
                entry(AuditAction::UpstreamPaceChanged, Some(2.into()), Some(1.into()), ""),
                "changed Acme from 2 to 1 requests per second",
            ),
            (
                entry(AuditAction::UpstreamPaceChanged, Some(1.into()), None, ""),
                "set Acme back to the configured pace",
            ),
            (
                entry(AuditAction::UpstreamChecked, None, Some(checked), ""),
                "checked Acme, which can't be used: No answer.",
            ),
            (
                entry(AuditAction::JobLaunched, None, Some(launched), ""),
                "launched lamps.csv (150 items)",
            ),
            (
                entry(AuditAction::RoleChanged, Some("user".into()), Some("admin".into()), ""),
                "changed acme from user to admin",
            ),
            (
                entry(
                    AuditAction::CommandEdited,
                    Some(json!({ "/product/title": "Long" })),
                    Some(json!({ "/product/title": "Short" })),
                    "",
                ),
                "edited /product/title of an item",
            ),
            (
                entry(AuditAction::CommandReplayed, None, Some(replayed), ""),
                "had failed items run again: lamps.csv (2 items)",
            ),
            (
                entry(AuditAction::TaskResolved, None, Some("retry".into()), ""),
                "had an item done again",
            ),
        ] {
            let sentence = sentence(&entry, &[acme()], NOW);
            assert_eq!(sentence, format!("ada@example.com {words} · 3 min ago"));
        }
    }
}
