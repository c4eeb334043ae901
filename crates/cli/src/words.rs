//! Sentences for people.

use crate::error::Refusal;
use contract::{
    api::{Job, Task},
    feed::{BadRow, Question},
    state::{Counts, JobState, TaskState},
};

/// Maximum number of bad rows that are listed.
const MAX_BAD_ROWS: usize = 20;

/// Returns a number with its noun, such as `1 item` or `2 items`.
pub fn count(number: impl Into<u64>, noun: &str) -> String {
    match number.into() {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

/// Returns a job's state for people. A requested pause or cancel that is not complete is shown
/// as such.
pub fn job_state(job: &Job) -> &'static str {
    match job.state {
        JobState::Running if job.cancel_requested => "cancelling",
        JobState::Running if job.paused => "paused",
        JobState::Running => "running",
        JobState::Succeeded => "succeeded",
        JobState::PartlyFailed => "partly failed",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
    }
}

/// Returns a task's state for people.
pub fn task_state(state: TaskState) -> &'static str {
    match state {
        TaskState::NeedsReview => "needs review",
        state => state.as_str(),
    }
}

/// Returns what a task is about, such as `A-1 on bazaar`.
pub fn task_subject(task: &Task) -> String {
    match &task.channel {
        Some(channel) => format!("{} on {channel}", task.sku),
        None => format!("{}, {}", task.sku, task.kind),
    }
}

/// Returns why a task is in its state, as far as that is known.
pub fn task_reason(task: &Task) -> &str {
    task.outcome.as_ref().map(|outcome| outcome.message.as_str()).unwrap_or_default()
}

/// Returns the counters that are not 0, such as `61 succeeded (50 created, 11 updated),
/// 2 rejected, 87 left`.
pub fn counts(counts: &Counts) -> String {
    let mut words = Vec::new();
    if counts.succeeded > 0 {
        words.push(format!("{} succeeded{}", counts.succeeded, effects(counts)));
    }
    words.extend(unsuccessful(counts));
    if counts.open > 0 || words.is_empty() {
        words.push(format!("{} left", counts.open));
    }
    words.join(", ")
}

/// Returns what the successes changed, in parentheses after a blank; empty if it is not known.
fn effects(counts: &Counts) -> String {
    let effects =
        [(counts.created, "created"), (counts.updated, "updated"), (counts.unchanged, "unchanged")];
    let effects: Vec<_> = effects.into_iter().filter_map(number_and_word).collect();
    if effects.is_empty() { String::new() } else { format!(" ({})", effects.join(", ")) }
}

fn unsuccessful(counts: &Counts) -> Vec<String> {
    let needs_review = if counts.needs_review == 1 { "needs review" } else { "need review" };
    let states = [
        (counts.failed, "failed"),
        (counts.rejected, "rejected"),
        (counts.cancelled, "cancelled"),
        (counts.needs_review, needs_review),
    ];
    states.into_iter().filter_map(number_and_word).collect()
}

fn number_and_word((number, word): (u32, &str)) -> Option<String> {
    (number > 0).then(|| format!("{number} {word}"))
}

/// Returns how a job ended, in a sentence or two.
pub fn job_end(job: &Job) -> String {
    let counts = &job.counts;
    let mut others = unsuccessful(counts).join(", ");
    if !others.is_empty() {
        others.insert_str(0, "; ");
    }
    let succeeded = match counts.succeeded == counts.total {
        true => format!("All {} succeeded", count(counts.total, "item")),
        false => format!("{} of {} succeeded", counts.succeeded, count(counts.total, "item")),
    };
    let begin = match job.state {
        JobState::Cancelled => "The job was cancelled. ",
        JobState::Running | JobState::Succeeded | JobState::PartlyFailed | JobState::Failed => "",
    };
    let left_out = match job.left_out {
        0 => String::new(),
        rows => format!(
            " {} of the file {} left out: meanwhile failures {} --left-out",
            count(rows, "row"),
            if rows == 1 { "was" } else { "were" },
            job.id
        ),
    };
    let see = match unsuccessful(counts).is_empty() {
        true => String::new(),
        false => format!(" See why: meanwhile failures {}", job.id),
    };
    format!("{begin}{succeeded}{}{others}.{see}{left_out}", effects(counts))
}

/// Returns a remaining time, such as `about 40 s` or `about 3 min`.
pub fn remaining(ms: i64) -> String {
    match (ms / 1000).max(1) {
        seconds if seconds < 100 => format!("about {seconds} s"),
        seconds if seconds < 100 * 60 => format!("about {} min", (seconds + 30) / 60),
        seconds => format!("about {} h", (seconds + 1800) / 3600),
    }
}

/// Returns a row of a file and why it can't be uploaded.
pub fn bad_row(row: &BadRow) -> String {
    let column = row.column.as_ref().map(|column| format!(", {column}")).unwrap_or_default();
    format!("line {}{column}: {}", row.line, row.reason)
}

/// Returns the first bad rows of a file, of which there are `total`, and how many more there are,
/// as indented lines.
pub fn bad_rows(rows: &[BadRow], total: u64) -> Vec<String> {
    let listed = rows.iter().take(MAX_BAD_ROWS).map(|row| format!("  {}", bad_row(row)));
    let mut lines: Vec<_> = listed.collect();
    let others = total.saturating_sub(lines.len() as u64);
    if others > 0 {
        lines.push(format!("  and {others} more"));
    }
    lines
}

/// Returns a question about a file and the options that answer it, as indented lines.
pub fn question(question: &Question) -> Vec<String> {
    let option = question.parameter.replace('_', "-");
    let answers = question.answers.iter();
    let answers =
        answers.map(|answer| format!("    --{option} {}  {}", answer.value, answer.label));
    let mut lines = vec![format!("  {}", question.text)];
    lines.extend(answers);
    if question.answers.is_empty() {
        lines.push(format!("    --{option} field:column, such as --{option} price:VK"));
    }
    lines
}

/// Returns why the server refused a request, with the bad rows of a file and the questions that
/// it leaves open.
pub fn refusal(refusal: &Refusal) -> String {
    let Some(problem) = &refusal.problem else {
        return format!("The server answers with status {}.", refusal.status);
    };
    let mut lines = vec![problem.detail.clone()];
    let all = problem.bad_row_count.unwrap_or(problem.bad_rows.len() as u64);
    lines.extend(bad_rows(&problem.bad_rows, all));
    lines.extend(problem.questions.iter().flat_map(question));
    if !problem.bad_rows.is_empty() {
        lines.push("  To leave bad rows out: --skip-bad".into());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(state: JobState, counts: Counts) -> Job {
        serde_json::from_value(serde_json::json!({
            "id": "01a20b3c-4d5e-7f60-8a1b-2c3d4e5f6011", "kind": "product_uploads",
            "title": "lamps.csv", "state": state, "paused": false, "cancel_requested": false,
            "created_at": 0, "total": counts.total, "open": counts.open,
            "succeeded": counts.succeeded, "failed": counts.failed, "rejected": counts.rejected,
            "cancelled": counts.cancelled, "needs_review": counts.needs_review,
            "created": counts.created, "updated": counts.updated, "unchanged": counts.unchanged,
        }))
        .unwrap()
    }

    #[test]
    fn end_is_told_in_one_sentence_and_says_where_to_look() {
        let all = Counts { total: 3, succeeded: 3, created: 2, updated: 1, ..Counts::default() };
        let ended = job_end(&job(JobState::Succeeded, all));
        assert_eq!(ended, "All 3 items succeeded (2 created, 1 updated).");
        let some = Counts { total: 4, succeeded: 1, failed: 2, needs_review: 1, ..all };
        let some = Counts { created: 1, updated: 0, ..some };
        let id = "01a20b3c-4d5e-7f60-8a1b-2c3d4e5f6011";
        assert_eq!(
            job_end(&job(JobState::PartlyFailed, some)),
            format!(
                "1 of 4 items succeeded (1 created); 2 failed, 1 needs review. See why: \
                 meanwhile failures {id}"
            )
        );
        let none = Counts { total: 2, cancelled: 2, ..Counts::default() };
        let cancelled = job_end(&Job { left_out: 1, ..job(JobState::Cancelled, none) });
        assert!(cancelled.starts_with("The job was cancelled. 0 of 2 items succeeded; 2 cancel"));
        assert!(
            cancelled.ends_with(
                "1 row of the file was left out: meanwhile failures \
            01a20b3c-4d5e-7f60-8a1b-2c3d4e5f6011 --left-out"
            ),
            "{cancelled}"
        );
    }

    #[test]
    fn counters_of_zero_are_left_out() {
        let running = Counts { total: 9, open: 6, succeeded: 2, rejected: 1, ..Counts::default() };
        assert_eq!(counts(&running), "2 succeeded, 1 rejected, 6 left");
        assert_eq!(counts(&Counts { total: 9, open: 9, ..Counts::default() }), "9 left");
    }

    #[test]
    fn question_names_the_options_that_answer_it() {
        let body = serde_json::json!({
            "type": "about:blank", "title": "Unprocessable Entity", "status": 422,
            "detail": "One question is open.",
            "bad_rows": [{ "line": 3, "column": "price", "reason": "the price is missing" }],
            "bad_row_count": 3,
            "questions": [{
                "kind": "zero_price", "count": 1, "lines": [2],
                "text": "1 product costs nothing. Send it?", "parameter": "zero_price",
                "answers": [{ "value": "send", "label": "Send it" }],
            }],
        });
        let text = refusal(&Refusal::new(422, body));
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "One question is open.",
                "  line 3, price: the price is missing",
                "  and 2 more",
                "  1 product costs nothing. Send it?",
                "    --zero-price send  Send it",
                "  To leave bad rows out: --skip-bad",
            ]
        );
        assert_eq!(
            refusal(&Refusal::new(502, serde_json::Value::Null)),
            "The server answers with status 502."
        );
    }
}
