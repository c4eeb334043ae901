//! States in words, the same on server and browser.

use contract::{
    api::{Channel, Filter, Job, Role, Task, WaitReason},
    fact::{Fact, FactKind},
    state::{JobKind, JobState, TaskState},
};

/// A job's state as people say it; truthful about what is only asked for.
pub fn job(job: &Job) -> &'static str {
    match job.state {
        JobState::Running if job.cancel_requested => "Cancelling",
        JobState::Running if job.paused => "Paused",
        state => job_state(state),
    }
}

/// A job's counters in one sentence.
pub fn counts(job: &Job) -> String {
    let c = &job.counts;
    let mut words = format!("{} of {} done", thousands(c.done().into()), thousands(c.total.into()));
    for (count, word) in
        [(c.failed, "failed"), (c.cancelled, "cancelled"), (c.needs_person, "need you")]
    {
        if count > 0 {
            words.push_str(&format!(", {} {word}", thousands(count.into())));
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
            Some(WaitReason::Gate) => "waiting for the pace keeper",
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

/// Why the task is in its state, as far as anyone said, and until when.
pub fn reason(task: &Task) -> String {
    let waiting = task.waiting_for.as_ref();
    let said = waiting.and_then(|waiting| waiting.detail.clone());
    let said = said.or_else(|| task.outcome.as_ref().map(|outcome| outcome.message.clone()));
    let until = waiting.and_then(|waiting| waiting.until).map(|ms| format!("Until {}.", time(ms)));
    match (said, until) {
        (Some(said), Some(until)) => format!("{said} {until}"),
        (said, until) => said.or(until).unwrap_or_default(),
    }
}

/// A filter as its choice is called.
pub const fn filter(filter: Filter) -> &'static str {
    match filter {
        Filter::All => "All",
        Filter::Failed => "Failed",
        Filter::Running => "Running",
        Filter::Waiting => "Waiting",
        Filter::NeedsPerson => "Needs you",
        Filter::Succeeded => "Done",
        Filter::Cancelled => "Cancelled",
    }
}

/// A kind of task, for people.
pub fn kind(kind: &str) -> String {
    match kind {
        "product.upload" => "upload".into(),
        "ec2.start" => "start".into(),
        "alarm.create" => "alarm".into(),
        other => other.into(),
    }
}

/// What a task is about, such as `A-1 on bazaar`.
pub fn about(task: &Task) -> String {
    match &task.channel {
        Some(channel) => format!("{} on {channel}", task.sku),
        None => format!("{}, {}", task.sku, kind(&task.kind)),
    }
}

/// A fact in a sentence.
pub fn fact(fact: &Fact) -> String {
    let many = |words: &str| match fact.data.count {
        Some(1) => format!(" 1 item {words}."),
        Some(count) => format!(" {count} items {words}."),
        None => String::new(),
    };
    if let Some(what) = &fact.data.task {
        let caused = if fact.kind == FactKind::TaskCreated { "next step, " } else { "" };
        let said = reason(what);
        let gap = if said.is_empty() { "" } else { ". " };
        return format!("{}: {caused}{}{gap}{said}", about(what), task(what));
    }
    match (fact.kind, &fact.data.job) {
        (FactKind::JobAccepted, Some(job)) => format!("Accepted, {} items.", job.counts.total),
        (FactKind::JobPaused, _) => "Paused. Calls under way still finish.".into(),
        (FactKind::JobResumed, _) => "Resumed.".into(),
        (FactKind::JobCancelling, _) => {
            format!("Cancel asked for. Calls under way still finish.{}", many("cancelled"))
        }
        (FactKind::JobReopened, _) => format!("Retry asked for.{}", many("queued again")),
        (FactKind::JobFinished, Some(done)) => format!("{}. {}.", job(done), counts(done)),
        (other, _) => other.as_str().replace('.', " "),
    }
}

/// ms as `0.4 s`, `12 s` or `2 min 5 s`.
pub fn duration(ms: i64) -> String {
    let ms = ms.max(0);
    match ms / 1000 {
        0..10 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        s @ 10..60 => format!("{s} s"),
        s => format!("{} min {} s", s / 60, s % 60),
    }
}

/// A time that nobody can know to the second, ms.
pub fn roughly(ms: i64) -> String {
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

/// A number with its thousands apart, such as `10,000`.
pub fn thousands(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1000), number % 1000),
    }
}

/// A noun as it goes with a number.
pub fn noun(number: u64, noun: &str) -> String {
    if number == 1 { noun.into() } else { format!("{noun}s") }
}

/// Such as `1 row` or `10,000 rows`.
pub fn many(number: u64, one: &str) -> String {
    format!("{} {}", thousands(number), noun(number, one))
}

/// How a channel gets on at `now`, UTC ms.
pub fn pace(channel: &Channel, now: i64) -> String {
    match channel.closed_until.filter(|until| *until > now) {
        Some(until) => format!("closed until {}", clock(until)),
        None if channel.waiting > 0 => {
            format!("{} a second, {} before", channel.rate, many(channel.waiting.into(), "item"))
        }
        None => format!("{} a second, free now", channel.rate),
    }
}

/// That a channel asked for a break, until when, and what it answered.
pub fn pause(channel: &Channel) -> Option<String> {
    let until = clock(channel.closed_until?);
    let by = channel.closed_by.as_deref().map(|by| by.strip_prefix("http_").unwrap_or(by));
    let by = by.map(|by| format!(" ({by})")).unwrap_or_default();
    Some(format!("Paused by {} until {until}{by}", channel.name))
}

/// A kind of job, for people.
pub const fn job_kind(kind: JobKind) -> &'static str {
    match kind {
        JobKind::ProductUploads => "Uploads",
        JobKind::Ec2Starts => "Machine starts",
        JobKind::Noops => "No-ops",
    }
}

/// A state of jobs as a choice of a list is called.
pub const fn job_state(state: JobState) -> &'static str {
    match state {
        JobState::Running => "Running",
        JobState::Succeeded => "Succeeded",
        JobState::PartlyFailed => "Partly failed",
        JobState::Failed => "Failed",
        JobState::Cancelled => "Cancelled",
    }
}

/// A machine's state as EC2 names it, for people.
pub fn machine(state: &str) -> &str {
    match state {
        "pending" => "starting",
        other => other,
    }
}

/// UTC ms as `14:32:10 UTC`.
pub fn clock(ms: i64) -> String {
    time(ms).chars().skip(11).collect()
}

/// UTC ms as `2026-11-24`.
pub fn day(ms: i64) -> String {
    time(ms).chars().take(10).collect()
}

/// UTC ms as `2026-11-24 02:38 UTC`.
pub fn minute(ms: i64) -> String {
    let at: String = time(ms).chars().take(16).collect();
    at + " UTC"
}

/// A role as people say it.
pub const fn role(role: Role) -> &'static str {
    match role {
        Role::User => "User",
        Role::Admin => "Admin",
    }
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
    fn durations_are_short() {
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
    fn estimates_are_no_more_exact_than_they_can_be() {
        for (ms, words) in [
            (0, "about a second"),
            (3_400, "about 4 s"),
            (102_000, "about 1 min 45 s"),
            (119_000, "about 2 min"),
            (720_000, "about 12 min"),
            (6_500_000, "about 1 h 49 min"),
        ] {
            assert_eq!(super::roughly(ms), words);
        }
        for (number, words) in [(1, "1 row"), (0, "0 rows"), (1_234_005, "1,234,005 rows")] {
            assert_eq!(super::many(number, "row"), words);
        }
    }

    #[test]
    fn a_channel_tells_its_pace_its_queue_or_until_when_it_is_closed() {
        let mut channel = contract::api::Channel {
            id: "bazaar".into(),
            name: "Bazaar".into(),
            rate: 1.6,
            pace: 1.5,
            closed_until: Some(1_795_487_628_000),
            closed_by: Some("http_503".into()),
            in_flight: 0,
            waiting: 0,
            sandbox: true,
        };
        assert_eq!(super::pace(&channel, 0), "closed until 02:33:48 UTC");
        let words = "Paused by Bazaar until 02:33:48 UTC (503)";
        assert_eq!(super::pause(&channel).as_deref(), Some(words));
        assert_eq!(super::pace(&channel, 1_795_487_628_000), "1.6 a second, free now");
        channel.waiting = 1_500;
        let words = "1.6 a second, 1,500 items before";
        assert_eq!(super::pace(&channel, 1_795_487_628_000), words);
    }

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
