//! One job in a line, live.

use crate::words;
use contract::{JobId, api::Job};
use leptos::prelude::*;

/// The job of that id among `jobs`, as it is now.
#[component]
pub fn JobLine(id: JobId, jobs: Memo<Vec<Job>>) -> impl IntoView {
    let find = move |jobs: &Vec<Job>| jobs.iter().find(|job| job.id == id).cloned();
    // A line that is about to leave its list keeps what it had.
    let now = Memo::new(move |before: Option<&Option<Job>>| {
        jobs.with(find).or_else(|| before.cloned().flatten())
    });
    let of = move |read: fn(&Job) -> String| move || now.with(|job| job.as_ref().map(read));
    // What never changes.
    let once = |read: fn(&Job) -> String| now.with_untracked(|job| job.as_ref().map(read));
    let title = once(|job| job.title.clone());
    let at = once(|job| words::minute(job.created_at));
    let state = of(|job| job.state.to_string());
    let done = of(|job| job.counts.done().to_string());
    let total = of(|job| job.counts.total.to_string());
    let left = of(|job| match job.eta_ms {
        Some(ms) if job.counts.open > 0 => format!(", {} left", words::roughly(ms)),
        _ => String::new(),
    });
    view! {
        <a class="line job" href=format!("/jobs/{id}") data-state=state>
            <strong>{title}</strong>
            <span class="state">{of(|job| words::job(job).into())}</span>
            <span class="doing">
                <progress value=done max=total aria-hidden="true"></progress>
                <span>{of(words::counts)}{left}</span>
            </span>
            <small>{at}</small>
        </a>
    }
}
