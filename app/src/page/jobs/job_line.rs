//! One line of a list of jobs, updated live.

use crate::labels;
use contract::{JobId, api::Job};
use leptos::prelude::*;

/// Line of the job with that id in `jobs`, in its current state.
#[component]
pub fn JobLine(id: JobId, jobs: Memo<Vec<Job>>) -> impl IntoView {
    let find = move |jobs: &Vec<Job>| jobs.iter().find(|job| job.id == id).cloned();
    // A line that is about to leave its list keeps its last content.
    let now = Memo::new(move |before: Option<&Option<Job>>| {
        jobs.with(find).or_else(|| before.cloned().flatten())
    });
    let of = move |read: fn(&Job) -> String| move || now.with(|job| job.as_ref().map(read));
    // These fields never change.
    let once = |read: fn(&Job) -> String| now.with_untracked(|job| job.as_ref().map(read));
    let title = once(|job| job.title.clone());
    let at = once(|job| labels::date_and_minute(job.created_at));
    let state = of(|job| job.state.to_string());
    let done = of(|job| job.counts.finished().to_string());
    let total = of(|job| job.counts.total.to_string());
    let left = of(|job| match job.eta() {
        Some(eta) if job.counts.open > 0 => format!(", {} left", labels::duration_range(eta)),
        _ => String::new(),
    });
    view! {
        <a class="list-item job-line" href=format!("/jobs/{id}") data-state=state>
            <strong>{title}</strong>
            <span class="state">{of(|job| labels::job_status(job).into())}</span>
            <span class="job-progress">
                <progress value=done max=total aria-hidden="true"></progress>
                <span>{of(labels::job_progress)}{left}</span>
            </span>
            <small>{at}</small>
        </a>
    }
}
