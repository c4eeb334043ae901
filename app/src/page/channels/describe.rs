//! Upstreams and the audit log in words, on the server.

use super::panel::{LimitLine, Line, UpstreamPanel};
use crate::labels;
use contract::api::{
    CooldownReason, UpstreamError, UpstreamLimit, UpstreamQueueEntry, UpstreamStatus,
};

/// Returns the panel of an upstream at `now`, UTC ms.
pub fn panel(upstream: &UpstreamStatus, now: i64) -> UpstreamPanel {
    let UpstreamStatus { id, name, pause, limits, queue, other_open, errors, last_check } =
        upstream;
    let (state, status) = status(upstream);
    let is_only = limits.len() == 1;
    UpstreamPanel {
        id: id.clone(),
        name: name.clone(),
        state: state.to_owned(),
        status,
        is_paused: pause.is_some(),
        limits: limits.iter().map(|limit| limit_line(limit, is_only, pause.is_some())).collect(),
        queue_summary: queue_summary(queue, *other_open),
        queue: queue.iter().map(queue_line).collect(),
        errors: errors.iter().map(|error| error_line(error, now)).collect(),
        last_check: last_check.as_ref().map(|check| {
            let said = match check.ok {
                true => format!("It answered: {}", check.says),
                false => format!("It can't be used: {}", check.says),
            };
            format!("Checked {}. {said}", labels::time_ago(check.at, now))
        }),
    }
}

/// Returns the value of `data-state`, and the state in words.
fn status(upstream: &UpstreamStatus) -> (&'static str, String) {
    let UpstreamStatus { id, name, pause, limits, .. } = upstream;
    let cooldown = limits.iter().filter_map(|limit| Some((limit.cooldown_until?, limit)));
    let cooldown = cooldown.max_by_key(|(until, _)| *until);
    let in_flight: u32 = limits.iter().map(|limit| limit.in_flight).sum();
    if let Some(pause) = pause {
        let until = labels::date_and_minute(pause.until);
        let gap = if pause.note.is_empty() { "" } else { ": " };
        let words = format!("Paused until {until} by {}{gap}{}", pause.by, pause.note);
        let running = match in_flight {
            0 => String::new(),
            calls => format!(" · {} in flight", labels::count_noun(calls.into(), "call")),
        };
        return ("needs_review", format!("{words}{running}"));
    }
    if let Some((until, limit)) = cooldown {
        let until = labels::time_of_day(until);
        let code = match limit.cooldown_reason {
            Some(CooldownReason::CredentialsRefused) => {
                let what = match limits.as_slice() {
                    [_] => format!(
                        "An admin has to correct them in {id}.toml, then send SIGHUP and check."
                    ),
                    _ => "An admin has to renew them; the last error says how.".to_owned(),
                };
                let words = format!("Credentials refused: nobody calls it until {until}. {what}");
                return ("failed", words);
            }
            Some(CooldownReason::CertificateRefused) => {
                let words = format!(
                    "Its certificate is refused: it is tried again at {until}. The last error says \
                     what to do."
                );
                return ("failed", words);
            }
            Some(CooldownReason::TooManyRequests) => " (429)",
            Some(CooldownReason::ServiceUnavailable) => " (503)",
            Some(CooldownReason::Throttled) => " (throttled)",
            // It said how much is left of its own limit, which was too little.
            None => "",
        };
        return ("needs_review", format!("{name} asked us to wait until {until}{code}"));
    }
    if limits.iter().any(|limit| limit.current_rate.is_none()) {
        return ("failed", "The rate limiter can't be reached, so nobody calls it.".into());
    }
    match in_flight {
        0 => ("free", "Free".into()),
        calls => {
            ("running", format!("Busy: {} in flight", labels::count_noun(calls.into(), "call")))
        }
    }
}

fn limit_line(limit: &UpstreamLimit, is_only: bool, is_paused: bool) -> LimitLine {
    let set = limit.reduced_rate.unwrap_or(limit.rate);
    let reduced = match limit.reduced_rate {
        Some(rate) => format!(", and {} since an admin reduced it", labels::rate(rate)),
        None => String::new(),
    };
    let allowed = labels::rate(limit.rate);
    let pace = match limit.current_rate {
        _ if is_paused || limit.cooldown_until.is_some() => {
            format!("Nothing is sent now; {allowed} requests per second are allowed{reduced}")
        }
        // A little less than is allowed, so that the service's own counting never refuses.
        Some(now) => {
            let now = labels::rate(now);
            format!("{now} requests per second at most; {allowed} are allowed{reduced}")
        }
        None => format!("{allowed} requests per second are allowed{reduced}"),
    };
    LimitLine {
        id: limit.id.clone(),
        name: match is_only {
            true => String::new(),
            // Such as `ec2.start` of `aws/ops/eu-central-1/ec2.start`.
            false => limit.id.rsplit('/').next().unwrap_or_default().to_owned(),
        },
        pace,
        rate: labels::rate(set),
        max_rate: labels::rate(limit.rate),
        is_reduced: limit.reduced_rate.is_some(),
    }
}

fn queue_summary(queue: &[UpstreamQueueEntry], other_open: u32) -> String {
    let listed: u32 = queue.iter().map(|entry| entry.open).sum();
    let items = |count: u32| labels::count_noun(count.into(), "item");
    match (listed, other_open) {
        (0, 0) => "Nothing waits.".into(),
        (0, others) => format!("{} of others open.", items(others)),
        (listed, 0) => format!("{} open.", items(listed)),
        (listed, others) => {
            let others = labels::group_thousands(others.into());
            format!("{} open, and {others} of other jobs.", items(listed))
        }
    }
}

fn queue_line(entry: &UpstreamQueueEntry) -> Line {
    let open = labels::count_noun(entry.open.into(), "item");
    let owner = if entry.is_own { String::new() } else { format!(" · {}", entry.owner) };
    let paused = if entry.paused { " · job paused" } else { "" };
    Line {
        text: entry.title.clone(),
        detail: format!("{open}{owner}{paused}"),
        href: entry.is_own.then(|| format!("/jobs/{}", entry.job)),
    }
}

fn error_line(error: &UpstreamError, now: i64) -> Line {
    let times = match error.count {
        1 => String::new(),
        count => format!(" · {} times lately", labels::group_thousands(count.into())),
    };
    Line {
        text: error.message.clone(),
        detail: format!("{}{times}", labels::time_ago(error.last_at, now)),
        href: error.last_item.map(|(job, task)| format!("/jobs/{job}?task={task}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use contract::{
        JobId, TaskId,
        api::{UpstreamCheck, UpstreamPause},
        state::JobKind,
    };
    /// 2026-11-24 02:33:48 UTC.
    const NOW: i64 = 1_795_487_628_000;
    const MINUTE: i64 = 60_000;
    const ID: &str = "01a227d1-cde9-7560-8cab-06c048fbf04e";

    fn limit() -> UpstreamLimit {
        UpstreamLimit {
            id: "acme".into(),
            rate: 2.0,
            reduced_rate: None,
            current_rate: Some(1.94),
            in_flight: 0,
            cooldown_until: None,
            cooldown_reason: None,
        }
    }

    fn upstream(limit: UpstreamLimit) -> UpstreamStatus {
        UpstreamStatus {
            id: "acme".into(),
            name: "Acme".into(),
            pause: None,
            limits: vec![limit],
            queue: Vec::new(),
            other_open: 0,
            errors: Vec::new(),
            last_check: None,
        }
    }

    #[test]
    fn state_is_said_in_words() {
        let cooldown = |reason| UpstreamLimit {
            cooldown_until: Some(NOW + MINUTE),
            cooldown_reason: reason,
            ..limit()
        };
        for (limit, state, words) in [
            (limit(), "free", "Free"),
            (UpstreamLimit { in_flight: 17, ..limit() }, "running", "Busy: 17 calls in flight"),
            (
                cooldown(Some(CooldownReason::TooManyRequests)),
                "needs_review",
                "Acme asked us to wait until 02:34:48 UTC (429)",
            ),
            (cooldown(None), "needs_review", "Acme asked us to wait until 02:34:48 UTC"),
            (
                cooldown(Some(CooldownReason::CredentialsRefused)),
                "failed",
                "Credentials refused: nobody calls it until 02:34:48 UTC. An admin has to correct \
                 them in acme.toml, then send SIGHUP and check.",
            ),
            (
                UpstreamLimit { current_rate: None, ..limit() },
                "failed",
                "The rate limiter can't be reached, so nobody calls it.",
            ),
        ] {
            assert_eq!(status(&upstream(limit)), (state, words.to_owned()));
        }
        let pause = UpstreamPause { until: NOW, by: "a@b.c".into(), note: "price review".into() };
        let limit = UpstreamLimit { in_flight: 1, ..cooldown(None) };
        let paused = UpstreamStatus { pause: Some(pause), ..upstream(limit) };
        let words = "Paused until 2026-11-24 02:33 UTC by a@b.c: price review · 1 call in flight";
        assert_eq!(status(&paused), ("needs_review", words.to_owned()));
    }

    #[test]
    fn pace_queue_errors_and_check_are_said_in_words() {
        let (job, task): (JobId, TaskId) = (ID.parse().unwrap(), ID.parse().unwrap());
        let entry = |title: &str, is_own, open| UpstreamQueueEntry {
            job,
            kind: JobKind::ProductUploads,
            title: title.into(),
            owner: "bob@example.com".into(),
            is_own,
            paused: !is_own,
            open,
        };
        let error = UpstreamError {
            message: "It answered 500.".into(),
            count: 3,
            last_at: NOW - 5 * MINUTE,
            last_item: Some((job, task)),
        };
        let reduced =
            UpstreamLimit { reduced_rate: Some(1.5), current_rate: Some(1.455), ..limit() };
        let shown = panel(
            &UpstreamStatus {
                queue: vec![entry("lamps.csv", true, 1), entry("chairs.csv", false, 1_200)],
                other_open: 20,
                errors: vec![error],
                last_check: Some(UpstreamCheck { ok: true, says: "My shop".into(), at: NOW }),
                ..upstream(reduced)
            },
            NOW,
        );
        let pace =
            "1.5 requests per second at most; 2 are allowed, and 1.5 since an admin reduced it";
        assert_eq!(shown.limits[0].pace, pace);
        let pace = |is_paused| limit_line(&limit(), true, is_paused).pace;
        assert_eq!(pace(false), "1.9 requests per second at most; 2 are allowed");
        assert_eq!(pace(true), "Nothing is sent now; 2 requests per second are allowed");
        assert_eq!(shown.queue_summary, "1,201 items open, and 20 of other jobs.");
        assert_eq!(shown.queue[0].detail, "1 item");
        assert_eq!(shown.queue[0].href, Some(format!("/jobs/{job}")));
        assert_eq!(shown.queue[1].detail, "1,200 items · bob@example.com · job paused");
        assert_eq!(shown.queue[1].href, None);
        assert_eq!(shown.errors[0].detail, "5 min ago · 3 times lately");
        assert_eq!(shown.errors[0].href, Some(format!("/jobs/{job}?task={task}")));
        assert_eq!(shown.last_check.as_deref(), Some("Checked just now. It answered: My shop"));
    }
}
