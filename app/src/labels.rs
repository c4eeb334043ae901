//! Texts for states, facts, numbers and times, shared by server and browser.

use contract::{
    api::{
        Channel, CooldownReason, DurationRange, GridFilter, Job, Role, Task, UpstreamPause,
        WaitReason,
    },
    command::{AlarmCreate, Command, Ec2Launch, Ec2Start, Ec2Stop, ProductUpload},
    fact::{Fact, FactKind},
    product::Price,
    state::{Effect, JobKind, JobState, TaskState},
    timestamp::DateTime,
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

/// Returns a job's counters, such as `180 of 180 finished · 165 uploaded (100 created,
/// 40 updated, 25 unchanged) · 10 failed · 5 rejected`. Counters that are 0 are left out.
pub fn job_progress(job: &Job) -> String {
    let c = &job.counts;
    let words = |counts: &[(u32, &str)], separator| {
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let words =
            counts.map(|(count, word)| format!("{} {word}", group_thousands((*count).into())));
        words.collect::<Vec<_>>().join(separator)
    };
    let effects =
        words(&[(c.created, "created"), (c.updated, "updated"), (c.unchanged, "unchanged")], ", ");
    let succeeded = match effects.is_empty() {
        true => success_word(job.kind).to_owned(),
        false => format!("{} ({effects})", success_word(job.kind)),
    };
    let finished = format!("of {} finished", group_thousands(c.total.into()));
    let finished = format!("{} {finished}", group_thousands(c.finished().into()));
    let states = words(
        &[
            (c.succeeded, succeeded.as_str()),
            (c.failed, "failed"),
            (c.rejected, "rejected"),
            (c.cancelled, "cancelled"),
            (c.needs_review, needs_you(c.needs_review)),
        ],
        " · ",
    );
    if states.is_empty() { finished } else { format!("{finished} · {states}") }
}

/// Returns the word for the successful items of a job: an upload is uploaded, whether or not
/// it changed anything.
pub const fn success_word(kind: JobKind) -> &'static str {
    match kind {
        JobKind::ProductUploads => "uploaded",
        JobKind::Ec2Starts | JobKind::Ec2Stops | JobKind::Ec2Launches | JobKind::Noops => "done",
    }
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
            Some(WaitReason::Paused) => "paused by an admin",
            Some(WaitReason::LimiterUnavailable) => "waiting for the rate limiter",
            Some(WaitReason::Machine) if task.kind == Ec2Stop::KIND => "stopping",
            Some(WaitReason::Machine) => "starting",
            Some(WaitReason::KeyInUse) => "waiting for another",
            Some(WaitReason::Checking) => "sent, no answer, checking",
        },
        TaskState::Running => "running",
        TaskState::Succeeded => match task.effect {
            None => "done",
            Some(Effect::Created) => "created",
            Some(Effect::Updated) => "updated",
            Some(Effect::Unchanged) => "unchanged",
        },
        TaskState::Failed => "failed",
        TaskState::Rejected => "rejected",
        TaskState::Cancelled => "cancelled",
        TaskState::NeedsReview => "needs you",
    }
}

/// Returns the value of `data-state` for a task: its state, but `unchanged` for a success
/// that changed nothing, because green stands for a change that happened.
pub const fn task_state_attribute(task: &Task) -> &'static str {
    match (task.state, task.effect) {
        (TaskState::Succeeded, Some(Effect::Unchanged)) => Effect::Unchanged.as_str(),
        (state, _) => state.as_str(),
    }
}

/// Returns why the task is in its state, as far as known, and until when. It follows the
/// state, so that it doesn't say again who rejected a product.
pub fn task_reason(task: &Task) -> String {
    let waiting = task.waiting_for.as_ref();
    let said = waiting.and_then(|waiting| waiting.detail.clone());
    let said = said.or_else(|| task.outcome.as_ref().map(|outcome| outcome.message.clone()));
    let said = said.map(|said| match (task.state, said.split_once(" rejected it: ")) {
        (TaskState::Rejected, Some((_, why))) => sentence_case(why),
        _ => said,
    });
    let until =
        waiting.and_then(|waiting| waiting.until).map(|ms| format!("Until {}.", timestamp(ms)));
    match (said, until) {
        (Some(said), Some(until)) => format!("{said} {until}"),
        (said, until) => said.or(until).unwrap_or_default(),
    }
}

/// Returns the label of a filter of a job of that kind.
pub const fn filter_name(filter: GridFilter, kind: JobKind) -> &'static str {
    match filter {
        GridFilter::All => "All",
        GridFilter::Failed => "Failed",
        GridFilter::Rejected => "Rejected",
        GridFilter::Running => "Running",
        GridFilter::Waiting => "Waiting",
        GridFilter::NeedsReview => "Needs you",
        GridFilter::Succeeded => match kind {
            JobKind::ProductUploads => "Uploaded",
            JobKind::Ec2Starts | JobKind::Ec2Stops | JobKind::Ec2Launches | JobKind::Noops => {
                "Done"
            }
        },
        GridFilter::Unchanged => "Unchanged",
        GridFilter::Cancelled => "Cancelled",
    }
}

/// Returns the name of a kind of task.
pub fn task_kind(kind: &str) -> String {
    match kind {
        ProductUpload::KIND => "upload".into(),
        Ec2Start::KIND => "start".into(),
        Ec2Stop::KIND => "stop".into(),
        Ec2Launch::KIND => "launch".into(),
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
            format!(
                "Cancel requested. Calls in progress still finish, and what was sent without an \
                 answer is checked.{}",
                many("cancelled")
            )
        }
        (FactKind::JobReopened, _) => format!("Started again.{}", many("queued")),
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

/// Formats an estimated duration, such as `about 4 to 6 min`. The ends are rounded away
/// from each other, so that the range stays true.
pub fn duration_range(range: DurationRange) -> String {
    let (min_s, max_s) = (range.min_ms.max(0) / 1000, (range.max_ms.max(0) + 999) / 1000);
    // Size of a step in seconds, and of the unit that is shown.
    let (step, unit, name) = match max_s {
        0..=1 => return "about a second".into(),
        2..=20 => (1, 1, "s"),
        21..=120 => (5, 1, "s"),
        121..=5_400 => (60, 60, "min"),
        _ => return hour_range(min_s, max_s),
    };
    let (min, max) = (min_s / step * step / unit, (max_s + step - 1) / step * step / unit);
    match min {
        0 => format!("less than {max} {name}"),
        min if min == max => format!("about {max} {name}"),
        min => format!("about {min} to {max} {name}"),
    }
}

/// Formats a range of more than an hour and a half, in steps of ten minutes.
fn hour_range(min_s: i64, max_s: i64) -> String {
    let format = |min: i64| match (min / 60, min % 60) {
        (0, min) => format!("{min} min"),
        (h, 0) => format!("{h} h"),
        (h, min) => format!("{h} h {min} min"),
    };
    let (min, max) = (min_s / 600 * 10, (max_s + 599) / 600 * 10);
    format!("about {} to {}", format(min), format(max))
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

/// Formats a price with thousands separators, such as `1,299.00`.
pub fn price(price: Price) -> String {
    format!("{}.{:02}", group_thousands(price.0 / 100), price.0 % 100)
}

/// Joins words, such as `a, b and c`.
pub fn enumerate(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

/// Returns the first lines of a number of rows, such as `lines 2, 5, 9 and 3 more`.
pub fn line_numbers(lines: &[u64], count: u64) -> String {
    let mut numbers: Vec<_> = lines.iter().map(ToString::to_string).collect();
    let more = count.saturating_sub(lines.len() as u64);
    if more > 0 {
        numbers.push(format!("{} more", group_thousands(more)));
    }
    format!("{} {}", pluralize(numbers.len() as u64, "line"), enumerate(&numbers))
}

/// Returns the words with a capital letter at the beginning.
pub fn sentence_case(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Formats the number of notes about a file, of which `listed` are listed, such as
/// `100 of 2,345 notes`.
pub fn note_count(listed: u64, total: u64) -> String {
    match total > listed {
        true => format!("{} of {}", group_thousands(listed), count_noun(total, "note")),
        false => count_noun(listed, "note"),
    }
}

/// Returns a channel's rate and queue, or its cooldown or pause, at `now` in UTC milliseconds.
pub fn channel_rate(channel: &Channel, now: i64) -> String {
    if let Some(pause) = channel.pause.as_ref().filter(|pause| pause.until > now) {
        return format!("paused by {} until {}", pause.by, date_and_minute(pause.until));
    }
    let rate = rate(channel.reduced_rate.unwrap_or(channel.rate));
    match channel.cooldown_until.filter(|until| *until > now) {
        Some(until) => format!("paused until {}", time_of_day(until)),
        None if channel.waiting > 0 => {
            format!("{rate} per second, {} ahead", count_noun(channel.waiting.into(), "item"))
        }
        None => format!("{rate} per second, no queue"),
    }
}

/// Formats a rate, such as `2`, `1.6` or `0.25`.
pub fn rate(rate: f64) -> String {
    let text = if rate < 1.0 { format!("{rate:.2}") } else { format!("{rate:.1}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Returns until when a channel is paused or in cooldown, and who or what caused it.
pub fn channel_cooldown(channel: &Channel) -> Option<String> {
    if let Some(pause) = &channel.pause {
        let UpstreamPause { until, by, note } = pause;
        let gap = if note.is_empty() { "" } else { ": " };
        let until = date_and_minute(*until);
        return Some(format!("{} is paused by {by} until {until}{gap}{note}", channel.name));
    }
    let until = time_of_day(channel.cooldown_until?);
    let name = &channel.name;
    let by = match channel.cooldown_reason {
        None => "",
        Some(CooldownReason::TooManyRequests) => " (429)",
        Some(CooldownReason::ServiceUnavailable) => " (503)",
        Some(CooldownReason::Throttled) => " (throttled)",
        Some(CooldownReason::CredentialsRefused) => {
            return Some(format!("Paused until {until}: {name} refused the credentials"));
        }
        Some(CooldownReason::CertificateRefused) => {
            return Some(format!("Paused until {until}: {name}'s certificate is refused"));
        }
    };
    Some(format!("Paused by {name} until {until}{by}"))
}

/// Returns the name of a kind of job.
pub const fn job_kind_name(kind: JobKind) -> &'static str {
    match kind {
        JobKind::ProductUploads => "Uploads",
        JobKind::Ec2Starts => "Machine starts",
        JobKind::Ec2Stops => "Machine stops",
        JobKind::Ec2Launches => "Machine launches",
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

/// Formats the day of UTC milliseconds as `24 Nov 2026`.
pub fn day(ms: i64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let date = date(ms);
    let part = |index| date.split('-').nth(index).unwrap_or_default();
    let month = part(1).parse::<usize>().ok().and_then(|month| MONTHS.get(month.wrapping_sub(1)));
    format!(
        "{} {} {}",
        part(2).trim_start_matches('0'),
        month.copied().unwrap_or_default(),
        part(0)
    )
}

/// Formats UTC milliseconds as `2026-11-24 02:38 UTC`.
pub fn date_and_minute(ms: i64) -> String {
    let at: String = timestamp(ms).chars().take(16).collect();
    at + " UTC"
}

/// Returns how long ago a time was, such as `5 min ago`.
#[cfg(feature = "ssr")]
pub fn time_ago(at: i64, now: i64) -> String {
    match (now - at).max(0) / 60_000 {
        0 => "just now".into(),
        min @ 1..60 => format!("{min} min ago"),
        min @ 60..1_440 => format!("{} h ago", min / 60),
        min => format!("{} ago", count_noun((min / 1_440).unsigned_abs(), "day")),
    }
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
    let DateTime { year, month, day, hour, minute, second, .. } = DateTime::at(ms);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use contract::{
        JobId,
        api::{Job, Task},
        state::{Counts, JobKind, JobState},
    };

    fn job(kind: JobKind, counts: Counts) -> Job {
        Job {
            id: "00000000-0000-0000-0000-000000000000".parse::<JobId>().unwrap(),
            kind,
            title: "lamps.csv".into(),
            state: JobState::PartlyFailed,
            paused: false,
            cancel_requested: false,
            counts,
            channels: Vec::new(),
            file_rows: 0,
            left_out: 0,
            created_at: 0,
            finished_at: None,
            eta_ms: None,
            eta_min_ms: None,
            eta_max_ms: None,
        }
    }

    #[test]
    fn a_reason_does_not_say_again_who_rejected_a_product() {
        let task = |state: &str| -> Task {
            serde_json::from_value(serde_json::json!({
                "id": "00000000-0000-0000-0000-000000000000",
                "job": "00000000-0000-0000-0000-000000000000",
                "kind": "product.upload", "key": "acme/A-1", "row": 0, "title": "Lamp",
                "sku": "A-1", "state": state, "attempt": 1, "updated_at": 0,
                "outcome": { "code": "rejected", "message": "Acme rejected it: the title is long." },
            }))
            .unwrap()
        };
        assert_eq!(super::task_reason(&task("rejected")), "The title is long.");
        assert_eq!(super::task_reason(&task("failed")), "Acme rejected it: the title is long.");
    }

    #[test]
    fn progress_tells_finished_from_uploaded() {
        let counts = Counts {
            total: 1_180,
            succeeded: 1_165,
            created: 1_100,
            updated: 40,
            unchanged: 25,
            failed: 10,
            rejected: 5,
            ..Counts::default()
        };
        assert_eq!(
            super::job_progress(&job(JobKind::ProductUploads, counts)),
            "1,180 of 1,180 finished · 1,165 uploaded (1,100 created, 40 updated, 25 unchanged) \
             · 10 failed · 5 rejected"
        );
        let counts =
            Counts { total: 4, open: 1, succeeded: 2, needs_review: 1, ..Counts::default() };
        let words = "3 of 4 finished · 2 done · 1 needs you";
        assert_eq!(super::job_progress(&job(JobKind::Ec2Starts, counts)), words);
        let counts = Counts { total: 4, open: 4, ..Counts::default() };
        assert_eq!(super::job_progress(&job(JobKind::ProductUploads, counts)), "0 of 4 finished");
    }

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
    fn estimates_are_ranges_in_a_fitting_unit() {
        for (min_ms, max_ms, words) in [
            (0, 900, "about a second"),
            (400, 2_500, "less than 3 s"),
            (6_800, 8_900, "about 6 to 9 s"),
            (10_000, 10_000, "about 10 s"),
            (67_000, 78_000, "about 65 to 80 s"),
            (244_000, 353_000, "about 4 to 6 min"),
            (3_000_000, 3_600_000, "about 50 to 60 min"),
            (5_000_000, 7_100_000, "about 1 h 20 min to 2 h"),
        ] {
            let range = contract::api::DurationRange { min_ms, max_ms };
            assert_eq!(super::duration_range(range), words);
        }
        for (number, words) in [(1, "1 row"), (0, "0 rows"), (1_234_005, "1,234,005 rows")] {
            assert_eq!(super::count_noun(number, "row"), words);
        }
        for (listed, total, words) in
            [(3, 3, "3 notes"), (1, 1, "1 note"), (100, 2_345, "100 of 2,345 notes")]
        {
            assert_eq!(super::note_count(listed, total), words);
        }
    }

    #[test]
    fn prices_lines_and_lists_are_written_out() {
        let prices = [4205, 129_900, 100_000_000].map(contract::product::Price);
        assert_eq!(prices.map(super::price), ["42.05", "1,299.00", "1,000,000.00"]);
        for (lines, count, words) in [
            (&[7][..], 1, "line 7"),
            (&[2, 5, 9], 3, "lines 2, 5 and 9"),
            (&[2, 5], 1_002, "lines 2, 5 and 1,000 more"),
        ] {
            assert_eq!(super::line_numbers(lines, count), words);
        }
        assert_eq!(super::enumerate(&[]), "");
        assert_eq!(super::sentence_case("unit of the weight"), "Unit of the weight");
        assert_eq!(super::day(1_795_487_628_823), "24 Nov 2026");
        assert_eq!(super::day(0), "1 Jan 1970");
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
            reduced_rate: None,
            pause: None,
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
        channel.reduced_rate = Some(0.25);
        let words = "0.25 per second, 1,500 items ahead";
        assert_eq!(super::channel_rate(&channel, 1_795_487_628_000), words);
        let until = 1_795_487_628_000;
        channel.pause =
            Some(contract::api::UpstreamPause { until, by: "a@b.c".into(), note: "sale".into() });
        assert_eq!(super::channel_rate(&channel, 0), "paused by a@b.c until 2026-11-24 02:33 UTC");
        let words = "Bazaar is paused by a@b.c until 2026-11-24 02:33 UTC: sale";
        assert_eq!(super::channel_cooldown(&channel).as_deref(), Some(words));
        let times = [(0, "just now"), (61, "1 min ago"), (7_300, "2 h ago"), (90_000, "1 day ago")];
        for (seconds, words) in times {
            assert_eq!(super::time_ago(0, seconds * 1_000), words);
        }
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
