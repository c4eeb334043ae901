//! States in words, the same on server and browser.

use contract::{
    api::{Job, Task, WaitReason},
    state::{JobState, TaskState},
};

/// A job's state as people say it; truthful about what is only asked for.
pub fn job(job: &Job) -> &'static str {
    match job.state {
        JobState::Running if job.cancel_requested => "Cancelling",
        JobState::Running if job.paused => "Paused",
        JobState::Running => "Running",
        JobState::Succeeded => "Succeeded",
        JobState::PartlyFailed => "Partly failed",
        JobState::Failed => "Failed",
        JobState::Cancelled => "Cancelled",
    }
}

/// A job's counters in one sentence.
pub fn counts(job: &Job) -> String {
    let c = &job.counts;
    let mut words = format!("{} of {} done", c.done(), c.total);
    for (count, word) in
        [(c.failed, "failed"), (c.cancelled, "cancelled"), (c.needs_person, "need you")]
    {
        if count > 0 {
            words.push_str(&format!(", {count} {word}"));
        }
    }
    words
}

/// A task's state in a word or two.
pub fn task(task: &Task) -> &'static str {
    match task.state {
        TaskState::Queued => match task.waiting_for.as_ref().map(|waiting| waiting.reason) {
            None => "waiting",
            Some(WaitReason::Retry) => "will be retried",
            Some(WaitReason::Pace) => "waiting its turn",
            Some(WaitReason::Closed) => "paused by the service",
            Some(WaitReason::Machine) => "starting",
            Some(WaitReason::Lock) => "waiting for another",
            Some(WaitReason::Checking) => "sent, no answer, checking",
        },
        TaskState::Running => "running",
        TaskState::Succeeded => "done",
        TaskState::Failed => "failed",
        TaskState::Cancelled => "cancelled",
        TaskState::NeedsPerson => "needs you",
    }
}

/// A sign that reads without colour.
pub fn sign(task: &Task) -> &'static str {
    match task.state {
        TaskState::Queued => "·",
        TaskState::Running => "▸",
        TaskState::Succeeded => "✓",
        TaskState::Failed => "✕",
        TaskState::Cancelled => "–",
        TaskState::NeedsPerson => "?",
    }
}

/// Why the task is in its state, as far as anyone said.
pub fn reason(task: &Task) -> String {
    let said = task.waiting_for.as_ref().and_then(|waiting| waiting.detail.clone());
    said.or_else(|| task.outcome.as_ref().map(|outcome| outcome.message.clone()))
        .unwrap_or_default()
}

/// UTC ms as `2026-11-24 02:38:05 UTC`.
pub fn time(ms: i64) -> String {
    let days = ms.div_euclid(86_400_000);
    let second = ms.rem_euclid(86_400_000) / 1000;
    // Days to a date: http://howardhinnant.github.io/date_algorithms.html#civil_from_days
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02} UTC", second % 60)
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_dates() {
        for (ms, words) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_827_696_789, "2000-02-29 12:34:56 UTC"),
            (1_795_487_628_823, "2026-11-24 02:33:48 UTC"),
        ] {
            assert_eq!(super::time(ms), words);
        }
    }
}
