//! Texts for states, facts, numbers and times, shared by server and browser.

use contract::{
    api::{Channel, CooldownReason, GridFilter, Job, Role, Task, WaitReason},
    command::{AlarmCreate, Command, Ec2Start, ProductUpload},
    fact::{Fact, FactKind},
    state::{JobKind, JobState, TaskState},
};

/// Returns a job's state for people. A requested pause or cancel that is not complete is
/// shown as such.
pub fn job_status(job: &Job) -> &'static str {
    match job.state {
        JobState::Running if job.cancel_requested => "Cancelling",
        JobState::Running if job.paused => "Paused",
        state => job_state_name(state),
    }
}

/// Returns a job's counters as one sentence.
pub fn job_progress(job: &Job) -> String {
    let c = &job.counts;
    let mut words = format!(
        "{} of {} done",
        group_thousands(c.finished().into()),
        group_thousands(c.total.into())
    );
    for (count, word) in [
        (c.failed, "failed"),
        (c.cancelled, "cancelled"),
        (c.needs_review, needs_you(c.needs_review)),
    ] {
        if count > 0 {
            words.push_str(&format!(", {} {word}", group_thousands(count.into())));
        }
    }
    words
}

/// Returns the verb that follows a number of items that need review.
pub const fn needs_you(count: u32) -> &'static str {
    if count == 1 { "needs you" } else { "need you" }
}

/// Returns a task's state in a word or two.
pub fn task_status(task: &Task) -> &'static str {
    match task.state {
        TaskState::Queued => match task.waiting_for.as_ref().map(|waiting| waiting.reason) {
            None => "waiting",
            Some(WaitReason::Retry) => "will be retried",
            Some(WaitReason::RateLimit) => "waiting its turn",
            Some(WaitReason::Cooldown) => "paused by the service",
            Some(WaitReason::LimiterUnavailable) => "waiting for the rate limiter",
            Some(WaitReason::Machine) => "starting",
            Some(WaitReason::Lock) => "waiting for another",
            Some(WaitReason::Checking) => "sent, no answer, checking",
        },
        TaskState::Running => "running",
        TaskState::Succeeded => "done",
        TaskState::Failed => "failed",
        TaskState::Cancelled => "cancelled",
        TaskState::NeedsReview => "needs you",
    }
}

/// Returns why the task is in its state, as far as known, and until when.
pub fn task_reason(task: &Task) -> String {
    let waiting = task.waiting_for.as_ref();
    let said = waiting.and_then(|waiting| waiting.detail.clone());
    let said = said.or_else(|| task.outcome.as_ref().map(|outcome| outcome.message.clone()));
    let until =
        waiting.and_then(|waiting| waiting.until).map(|ms| format!("Until {}.", timestamp(ms)));
    match (said, until) {
        (Some(said), Some(until)) => format!("{said} {until}"),
        (said, until) => said.or(until).unwrap_or_default(),
    }
}

/// Returns the label of a filter.
pub const fn filter_name(filter: GridFilter) -> &'static str {
    match filter {
        GridFilter::All => "All",
        GridFilter::Failed => "Failed",
        GridFilter::Running => "Running",
        GridFilter::Waiting => "Waiting",
        GridFilter::NeedsReview => "Needs you",
        GridFilter::Succeeded => "Done",
        GridFilter::Cancelled => "Cancelled",
    }
}

/// Returns the name of a kind of task.
pub fn task_kind(kind: &str) -> String {
    match kind {
        ProductUpload::KIND => "upload".into(),
        Ec2Start::KIND => "start".into(),
        AlarmCreate::KIND => "alarm".into(),
        other => other.into(),
    }
}

/// Returns what a task concerns, such as `A-1 on bazaar`.
pub fn task_subject(task: &Task) -> String {
    match &task.channel {
        Some(channel) => format!("{} on {channel}", task.sku),
        None => format!("{}, {}", task.sku, task_kind(&task.kind)),
    }
}

/// Returns a fact as a sentence.
pub fn fact_sentence(fact: &Fact) -> String {
    let many = |words: &str| match fact.data.count {
        Some(1) => format!(" 1 item {words}."),
        Some(count) => format!(" {count} items {words}."),
        None => String::new(),
    };
    if let Some(what) = &fact.data.task {
        let caused = if fact.kind == FactKind::TaskCreated { "next step, " } else { "" };
        let said = task_reason(what);
        let gap = if said.is_empty() { "" } else { ". " };
        return format!("{}: {caused}{}{gap}{said}", task_subject(what), task_status(what));
    }
    match (fact.kind, &fact.data.job) {
        (FactKind::JobAccepted, Some(job)) => {
            format!("Accepted, {}.", count_noun(job.counts.total.into(), "item"))
        }
        (FactKind::JobPaused, _) => "Paused. Calls in progress still finish.".into(),
        (FactKind::JobResumed, _) => "Resumed.".into(),
        (FactKind::JobCancelling, _) => {
            format!("Cancel requested. Calls in progress still finish.{}", many("cancelled"))
        }
        (FactKind::JobReopened, _) => format!("Retry requested.{}", many("queued again")),
        (FactKind::JobFinished, Some(done)) => {
            format!("{}. {}.", job_status(done), job_progress(done))
        }
        (other, _) => other.as_str().replace('.', " "),
    }
}

/// Formats milliseconds as `0.4 s`, `12 s` or `2 min 5 s`.
pub fn duration(ms: i64) -> String {
    let ms = ms.max(0);
    match ms / 1000 {
        0..10 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        s @ 10..60 => format!("{s} s"),
        s => format!("{} min {} s", s / 60, s % 60),
    }
}

/// Formats an estimated duration, in milliseconds, rounded up.
pub fn approximate_duration(ms: i64) -> String {
    let s = (ms.max(0) + 999) / 1000;
    match s {
        0..2 => "about a second".into(),
        2..60 => format!("about {s} s"),
        60..600 => {
            let s = (s + 4) / 5 * 5;
            let rest = if s % 60 == 0 { String::new() } else { format!(" {} s", s % 60) };
            format!("about {} min{rest}", s / 60)
        }
        _ => match (s + 59) / 60 {
            min @ 0..60 => format!("about {min} min"),
            min => format!("about {} h {} min", min / 60, min % 60),
        },
    }
}

/// Formats a number with thousands separators, such as `10,000`.
pub fn group_thousands(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", group_thousands(number / 1000), number % 1000),
    }
}

/// Returns the singular or plural of a noun, depending on the number.
pub fn pluralize(number: u64, noun: &str) -> String {
    if number == 1 { noun.into() } else { format!("{noun}s") }
}

/// Formats a number and its noun, such as `1 row` or `10,000 rows`.
pub fn count_noun(number: u64, one: &str) -> String {
    format!("{} {}", group_thousands(number), pluralize(number, one))
}

/// Returns a channel's rate and queue, or its cooldown, at `now` in UTC milliseconds.
pub fn channel_rate(channel: &Channel, now: i64) -> String {
    match channel.cooldown_until.filter(|until| *until > now) {
        Some(until) => format!("paused until {}", time_of_day(until)),
        None if channel.waiting > 0 => {
            format!(
                "{} per second, {} ahead",
                channel.rate,
                count_noun(channel.waiting.into(), "item")
            )
        }
        None => format!("{} per second, no queue", channel.rate),
    }
}

/// Returns until when a channel is in cooldown, and the status that caused it.
pub fn channel_cooldown(channel: &Channel) -> Option<String> {
    let until = time_of_day(channel.cooldown_until?);
    let by = channel.cooldown_reason.map(|reason| match reason {
        CooldownReason::TooManyRequests => "429",
        CooldownReason::ServiceUnavailable => "503",
        CooldownReason::Throttled => "throttled",
    });
    let by = by.map(|by| format!(" ({by})")).unwrap_or_default();
    Some(format!("Paused by {} until {until}{by}", channel.name))
}

/// Returns the name of a kind of job.
pub const fn job_kind_name(kind: JobKind) -> &'static str {
    match kind {
        JobKind::ProductUploads => "Uploads",
        JobKind::Ec2Starts => "Machine starts",
        JobKind::Noops => "No-ops",
    }
}

/// Returns the name of a job state.
pub const fn job_state_name(state: JobState) -> &'static str {
    match state {
        JobState::Running => "Running",
        JobState::Succeeded => "Succeeded",
        JobState::PartlyFailed => "Partly failed",
        JobState::Failed => "Failed",
        JobState::Cancelled => "Cancelled",
    }
}

/// Returns the name of a machine's EC2 state.
pub fn machine_state(state: &str) -> &str {
    match state {
        "pending" => "starting",
        other => other,
    }
}

/// Formats UTC milliseconds as `14:32:10 UTC`.
pub fn time_of_day(ms: i64) -> String {
    timestamp(ms).chars().skip(11).collect()
}

/// Formats UTC milliseconds as `2026-11-24`.
pub fn date(ms: i64) -> String {
    timestamp(ms).chars().take(10).collect()
}

/// Formats UTC milliseconds as `2026-11-24 02:38 UTC`.
pub fn date_and_minute(ms: i64) -> String {
    let at: String = timestamp(ms).chars().take(16).collect();
    at + " UTC"
}

/// Returns the name of a role.
pub const fn role_name(role: Role) -> &'static str {
    match role {
        Role::User => "User",
        Role::Admin => "Admin",
    }
}

/// Formats UTC milliseconds as `2026-11-24 02:38:05 UTC`.
pub fn timestamp(ms: i64) -> String {
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
    fn durations_use_the_largest_fitting_unit() {
        for (ms, words) in [
            (-5, "0.0 s"),
            (450, "0.4 s"),
            (9_999, "9.9 s"),
            (59_999, "59 s"),
            (125_000, "2 min 5 s"),
        ] {
            assert_eq!(super::duration(ms), words);
        }
    }

    #[test]
    fn estimates_are_rounded_up() {
        for (ms, words) in [
            (0, "about a second"),
            (3_400, "about 4 s"),
            (102_000, "about 1 min 45 s"),
            (119_000, "about 2 min"),
            (720_000, "about 12 min"),
            (6_500_000, "about 1 h 49 min"),
        ] {
            assert_eq!(super::approximate_duration(ms), words);
        }
        for (number, words) in [(1, "1 row"), (0, "0 rows"), (1_234_005, "1,234,005 rows")] {
            assert_eq!(super::count_noun(number, "row"), words);
        }
    }

    #[test]
    fn channel_rate_shows_rate_queue_or_cooldown() {
        let mut channel = contract::api::Channel {
            id: "bazaar".into(),
            name: "Bazaar".into(),
            rate: 1.6,
            current_rate: 1.5,
            cooldown_until: Some(1_795_487_628_000),
            cooldown_reason: Some(contract::api::CooldownReason::ServiceUnavailable),
            in_flight: 0,
            waiting: 0,
            sandbox: true,
        };
        assert_eq!(super::channel_rate(&channel, 0), "paused until 02:33:48 UTC");
        let words = "Paused by Bazaar until 02:33:48 UTC (503)";
        assert_eq!(super::channel_cooldown(&channel).as_deref(), Some(words));
        assert_eq!(super::channel_rate(&channel, 1_795_487_628_000), "1.6 per second, no queue");
        channel.waiting = 1_500;
        let words = "1.6 per second, 1,500 items ahead";
        assert_eq!(super::channel_rate(&channel, 1_795_487_628_000), words);
    }

    #[test]
    fn timestamps_are_formatted_in_utc() {
        for (ms, words) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_827_696_789, "2000-02-29 12:34:56 UTC"),
            (1_795_487_628_823, "2026-11-24 02:33:48 UTC"),
        ] {
            assert_eq!(super::timestamp(ms), words);
        }
    }
}
