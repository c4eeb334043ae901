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
    let UpstreamStatus { pause, limits, .. } = upstream;
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
        return cooldown_status(upstream, limit, &labels::time_of_day(until));
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

/// Returns the state during a cooldown of `limit`, and which calls wait for its end.
fn cooldown_status(
    upstream: &UpstreamStatus,
    limit: &UpstreamLimit,
    until: &str,
) -> (&'static str, String) {
    let UpstreamStatus { id, name, limits, errors, .. } = upstream;
    let is_only = limits.len() == 1;
    let limit_name = limit_name(limit);
    let calls = match limits.iter().all(|limit| limit.cooldown_until.is_some()) {
        true => "nobody calls it".to_owned(),
        false => format!("no calls of {limit_name}"),
    };
    // The list of the machines, which no item asks for, may have been refused, so that there is
    // no error to refer to.
    let where_to_look =
        if errors.is_empty() { "Check says" } else { "The last error or Check says" };
    let code = match limit.cooldown_reason {
        Some(CooldownReason::CredentialsRefused) => {
            let what = match is_only {
                true => {
                    format!(
                        "An admin has to correct them in {id}.toml, then send SIGHUP and check."
                    )
                }
                false => format!("An admin has to renew them. {where_to_look} how."),
            };
            let words = format!("Credentials refused: {calls} until {until}. {what}");
            return ("failed", words);
        }
        Some(CooldownReason::CertificateRefused) => {
            let what = match (is_only, errors.is_empty()) {
                (true, _) => format!("{where_to_look} what to do."),
                (false, false) => "The last error says what to do.".to_owned(),
                // A check passes the same limit, and would say only that it has to wait.
                (false, true) => "An admin has to see to it that this server trusts the \
                                  certificate that AWS, or a proxy on the way, sends."
                    .to_owned(),
            };
            let words = format!("Its certificate is refused: {calls} until {until}. {what}");
            return ("failed", words);
        }
        Some(CooldownReason::TooManyRequests) => " (429)",
        Some(CooldownReason::ServiceUnavailable) => " (503)",
        Some(CooldownReason::Throttled) => " (throttled)",
        // It said how much is left of its own limit, which was too little.
        None => "",
    };
    let words = match is_only {
        true => format!("{name} asked us to wait until {until}{code}"),
        false => {
            let service = if limit_name == "cloudwatch" { "CloudWatch" } else { "EC2" };
            format!("{service} asked us to wait with calls of {limit_name} until {until}{code}")
        }
    };
    ("needs_review", words)
}

/// Returns the name of a limit, such as `ec2.start` of `aws/ops/eu-central-1/ec2.start`.
fn limit_name(limit: &UpstreamLimit) -> &str {
    limit.id.rsplit('/').next().unwrap_or_default()
}

fn limit_line(limit: &UpstreamLimit, is_only: bool, is_paused: bool) -> LimitLine {
    // These are exact: a rounded number would be refused as too high, or change the pace.
    let allowed = limit.rate.to_string();
    let set = limit.reduced_rate.unwrap_or(limit.rate);
    let is_stopped = is_paused || limit.cooldown_until.is_some();
    let pace = match (limit.current_rate.filter(|_| !is_stopped), limit.reduced_rate) {
        (Some(now), Some(reduced)) => format!(
            "Sends at most {} requests per second: reduced to {reduced} by an admin; {allowed} are \
             allowed",
            two_decimals(now)
        ),
        // It stays below what is allowed, so that the service's own counting never refuses, and
        // is less for a while after the service refused nevertheless.
        (Some(now), None) if now > 0.9 * set => format!(
            "Sends at most {} requests per second, a little less than the {allowed} allowed",
            two_decimals(now)
        ),
        (Some(now), None) => format!(
            "Sends at most {} requests per second for now; {allowed} are allowed",
            two_decimals(now)
        ),
        (None, reduced) => {
            let reduced = reduced.map(|rate| format!(", reduced to {rate} by an admin"));
            let reduced = reduced.unwrap_or_default();
            let now = if is_stopped { "Sends no new requests for now; " } else { "" };
            format!("{now}{allowed} requests per second are allowed{reduced}")
        }
    };
    LimitLine {
        id: limit.id.clone(),
        name: if is_only { String::new() } else { limit_name(limit).to_owned() },
        pace,
        rate: set.to_string(),
        max_rate: allowed,
        is_reduced: limit.reduced_rate.is_some(),
    }
}

/// Formats a rate that was computed, such as `1.94` or `38.8`.
fn two_decimals(rate: f64) -> String {
    format!("{rate:.2}").trim_end_matches('0').trim_end_matches('.').to_owned()
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
            "Sends at most 1.46 requests per second: reduced to 1.5 by an admin; 2 are allowed";
        assert_eq!(shown.limits[0].pace, pace);
        let pace = |limit: UpstreamLimit, is_paused| limit_line(&limit, true, is_paused).pace;
        let words = "Sends at most 1.94 requests per second, a little less than the 2 allowed";
        assert_eq!(pace(limit(), false), words);
        let slowed = UpstreamLimit { current_rate: Some(0.97), ..limit() };
        let words = "Sends at most 0.97 requests per second for now; 2 are allowed";
        assert_eq!(pace(slowed, false), words);
        let words = "Sends no new requests for now; 2 requests per second are allowed";
        assert_eq!(pace(limit(), true), words);
        let unreachable = UpstreamLimit { current_rate: None, reduced_rate: Some(1.25), ..limit() };
        let words = "2 requests per second are allowed, reduced to 1.25 by an admin";
        assert_eq!(pace(unreachable, false), words);
        assert_eq!(shown.queue_summary, "1,201 items open, and 20 of other jobs.");
        assert_eq!(shown.queue[0].detail, "1 item");
        assert_eq!(shown.queue[0].href, Some(format!("/jobs/{job}")));
        assert_eq!(shown.queue[1].detail, "1,200 items · bob@example.com · job paused");
        assert_eq!(shown.queue[1].href, None);
        assert_eq!(shown.errors[0].detail, "5 min ago · 3 times lately");
        assert_eq!(shown.errors[0].href, Some(format!("/jobs/{job}?task={task}")));
        assert_eq!(shown.last_check.as_deref(), Some("Checked just now. It answered: My shop"));
    }
    #[test]
    fn fields_of_the_pace_have_exact_numbers() {
        let limit = UpstreamLimit { rate: 2.75, reduced_rate: Some(1.25), ..limit() };
        let line = limit_line(&limit, true, false);
        assert_eq!((line.rate.as_str(), line.max_rate.as_str()), ("1.25", "2.75"));
        let unchanged = UpstreamLimit { reduced_rate: None, ..limit };
        assert_eq!(limit_line(&unchanged, true, false).rate, "2.75");
    }

    #[test]
    fn a_cooldown_of_one_of_several_limits_names_it_and_where_to_look() {
        let until = Some(NOW + MINUTE);
        let machines = |reason, errors, others| {
            let limit = |action: &str, cooldown_until| UpstreamLimit {
                id: format!("aws/ops/eu-central-1/{action}"),
                cooldown_until,
                cooldown_reason: reason,
                ..limit()
            };
            status(&UpstreamStatus {
                id: "aws.ops.eu-central-1".into(),
                name: "Machines of ops in eu-central-1".into(),
                limits: vec![limit("ec2.describe", until), limit("ec2.start", others)],
                errors,
                ..upstream(limit("ec2.stop", None))
            })
            .1
        };
        let error = UpstreamError {
            message: "AWS refused.".into(),
            count: 1,
            last_at: NOW,
            last_item: None,
        };
        let refused = Some(CooldownReason::CredentialsRefused);
        assert_eq!(
            machines(refused, Vec::new(), None),
            "Credentials refused: no calls of ec2.describe until 02:34:48 UTC. An admin has to \
             renew them. Check says how."
        );
        assert_eq!(
            machines(refused, vec![error.clone()], until),
            "Credentials refused: nobody calls it until 02:34:48 UTC. An admin has to renew them. \
             The last error or Check says how."
        );
        let refused = Some(CooldownReason::CertificateRefused);
        assert_eq!(
            machines(refused, vec![error], None),
            "Its certificate is refused: no calls of ec2.describe until 02:34:48 UTC. The last \
             error says what to do."
        );
        let words = machines(refused, Vec::new(), None);
        assert!(
            words.ends_with(
                "An admin has to see to it that this server trusts the \
                                 certificate that AWS, or a proxy on the way, sends."
            ),
            "{words}"
        );
        assert_eq!(
            machines(Some(CooldownReason::Throttled), Vec::new(), None),
            "EC2 asked us to wait with calls of ec2.describe until 02:34:48 UTC (throttled)"
        );
    }
}
