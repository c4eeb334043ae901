//! Header of a job: title, progress and actions.

use super::{
    JobPage,
    progress_bar::{BarSegments, ProgressBar},
    route_state::JobRoute,
};
use crate::{labels, live::LiveState};
use contract::{
    api::{Job, RetryState},
    state::{self, JobState, TaskState},
};
use leptos::prelude::*;
use std::time::Duration;

/// Current state of the job.
#[derive(Clone, Copy)]
pub struct LiveJob {
    pub page: RwSignal<JobPage>,
    pub job: Memo<Job>,
    /// Number of calls in progress.
    pub running: Memo<u32>,
}

impl LiveJob {
    pub fn from_page(page: RwSignal<JobPage>, live: LiveState) -> Self {
        let job =
            Memo::new(move |_| page.with(|page| live.current_job(&page.job, page.context.seq)));
        let running = Memo::new(move |_| {
            let progress = live.job_progress(job.read().id).map(|progress| progress.running);
            progress.unwrap_or_else(|| page.read().running_calls).min(job.read().counts.open)
        });
        Self { page, job, running }
    }

    fn is_running(self) -> bool {
        self.job.with(|job| job.state == JobState::Running)
    }
}

pub fn header(live_job: LiveJob, route: JobRoute) -> impl IntoView {
    let page = live_job.page.read_untracked();
    let (title, at) = (page.job.title.clone(), labels::timestamp(page.job.created_at));
    let who = page.context.email.clone();
    let parts = Signal::derive(move || {
        let counts = live_job.job.read().counts;
        [
            (TaskState::Succeeded.as_str(), counts.succeeded.saturating_sub(counts.unchanged)),
            (state::Effect::Unchanged.as_str(), counts.unchanged),
            (TaskState::Failed.as_str(), counts.failed),
            (TaskState::Rejected.as_str(), counts.rejected),
            (TaskState::NeedsReview.as_str(), counts.needs_review),
            (TaskState::Cancelled.as_str(), counts.cancelled),
            (TaskState::Running.as_str(), live_job.running.get()),
        ] as BarSegments
    });
    let total = Signal::derive(move || live_job.job.read().counts.total);
    view! {
        <h1>{title}</h1>
        <p class="meta">"Launched by " {who} " at " {at}</p>
        <p class="job-status">
            <strong data-testid="job-state" data-state=move || live_job.job.read().state.as_str()>
                {move || labels::job_status(&live_job.job.read())}
            </strong>
            " "
            <span data-testid="counts">{move || labels::job_progress(&live_job.job.read())}</span>
            " "
            <span class="meta" data-testid="time-left">{move || time_left(live_job)}</span>
        </p>
        {left_out(&page.job)}
        <ProgressBar parts=parts total=total/>
        {cooldowns(live_job)}
        {job_actions(live_job, route)}
    }
}

/// Says how many rows of the file were left out, with a link to them.
fn left_out(job: &Job) -> Option<AnyView> {
    let (count, id) = (job.left_out, job.id);
    (count > 0).then(|| {
        let words = format!(
            "{} of {} left out · ",
            labels::group_thousands(count.into()),
            labels::count_noun(job.file_rows.into(), "row"),
        );
        view! {
            <p class="meta" data-testid="left-out">
                {words}
                <a href=format!("/jobs/{id}/left-out.csv") rel="external" download="">
                    "Download with reasons"
                </a>
            </p>
        }
        .into_any()
    })
}

/// Returns the time left and what limits it, or an empty string if it is unknown.
fn time_left(live_job: LiveJob) -> String {
    let live = expect_context::<LiveState>();
    let job = live_job.job.read();
    if !live_job.is_running() || job.paused || job.cancel_requested {
        return String::new();
    }
    let progress = live.job_progress(job.id);
    let (eta, limit) = match progress {
        Some(progress) => (progress.status.eta(), progress.limited_by),
        None => {
            let page = live_job.page.read();
            (page.job.eta(), page.limited_by.clone())
        }
    };
    match (eta, limit) {
        (Some(eta), Some(by)) => format!("{} left, limited by {by}", labels::duration_range(eta)),
        (Some(eta), None) => format!("{} left", labels::duration_range(eta)),
        (None, _) => String::new(),
    }
}

/// Lists the job's channels that are in cooldown or paused, and until when.
fn cooldowns(live_job: LiveJob) -> impl IntoView {
    let live = expect_context::<LiveState>();
    // No message announces the end of a cooldown, so a timer does.
    let ended_at = RwSignal::new(0);
    let active = Memo::new(move |_| {
        if !live_job.is_running() {
            return Vec::new();
        }
        let page = live_job.page.read();
        let channels = page.channels.iter().map(|channel| live.current_channel(channel));
        channels
            .filter_map(|channel| {
                let pause_end = channel.pause.as_ref().map(|pause| pause.until);
                let until = channel.cooldown_until.max(pause_end)?;
                Some((until, labels::channel_cooldown(&channel)?))
            })
            .filter(|(until, _)| *until > ended_at.get())
            .collect::<Vec<_>>()
    });
    Effect::new(move |_| {
        let Some(next) = active.read().iter().map(|(until, _)| *until).min() else { return };
        #[allow(clippy::cast_precision_loss)]
        let wait = (next as f64 - js_sys::Date::now()).clamp(0.0, 86_400_000.0);
        let timer = set_timeout_with_handle(
            move || {
                let _ = ended_at.try_set(next);
            },
            Duration::from_secs_f64(wait / 1000.0),
        );
        on_cleanup(move || {
            if let Ok(timer) = timer {
                timer.clear();
            }
        });
    });
    view! {
        <ul class="cooldowns" aria-live="polite">
            {move || {
                active
                    .get()
                    .into_iter()
                    .map(|(_, words)| view! { <li class="warning" data-testid="cooldown">{words}</li> })
                    .collect_view()
            }}
        </ul>
    }
}

fn job_actions(live_job: LiveJob, route: JobRoute) -> impl IntoView {
    let id = live_job.page.read_untracked().job.id;
    let channels = live_job.page.read_untracked().channels.clone();
    let action = move |what: &str| format!("/jobs/{id}/{what}");
    let failed = move || live_job.job.read().counts.failed;
    let exported = move || failed() + live_job.job.read().counts.rejected;
    let cancelled = move || match live_job.job.read().state {
        JobState::Cancelled => live_job.job.read().counts.cancelled,
        _ => 0,
    };
    let stays = move || live_job.is_running() && !live_job.job.read().cancel_requested;
    let paused = move || live_job.job.read().paused;
    let shown =
        move || view! { <input type="hidden" name="shown" value=move || route.return_query()/> };
    let which = (channels.len() > 1).then(|| {
        let choices = channels
            .iter()
            .map(|channel| {
                view! {
                    <option value=channel.id.clone()>{format!("on {}", channel.name)}</option>
                }
            })
            .collect_view();
        view! {
            <select name="channel" aria-label="Channel to retry">
                <option value="">"on all channels"</option>
                {choices}
            </select>
        }
    });
    let file = (!channels.is_empty()).then(|| {
        view! {
            <a
                class="button"
                data-testid="failed-csv"
                href=format!("/jobs/{id}/failed.csv")
                rel="external"
                download=""
                hidden=move || exported() == 0
            >
                {move || format!("Export ({})", labels::group_thousands(exported().into()))}
            </a>
        }
    });
    view! {
        <div class="buttons">
            <form method="post" action=action("pause") hidden=move || !stays() || paused()>
                {shown()}
                <button>"Pause"</button>
            </form>
            <form method="post" action=action("resume") hidden=move || !stays() || !paused()>
                {shown()}
                <button class="primary">"Resume"</button>
            </form>
            <details class="confirm-popover" hidden=move || !stays()>
                <summary class="button">"Cancel"</summary>
                <form method="post" action=action("cancel")>
                    <p>
                        "Items that wait are cancelled. Calls in progress still finish, what was sent \
                        without an answer is checked, and finished items stay as they are."
                    </p>
                    {shown()}
                    <button class="danger">"Cancel this job"</button>
                </form>
            </details>
            <form
                class="buttons"
                method="post"
                action=action("retry")
                hidden=move || failed() == 0 || live_job.job.read().cancel_requested && live_job.is_running()
            >
                {shown()}
                <button>{move || format!("Retry ({})", labels::group_thousands(failed().into()))}</button>
                {which}
            </form>
            <form method="post" action=action("retry") hidden=move || cancelled() == 0>
                <input type="hidden" name="state" value=RetryState::Cancelled.as_str()/>
                {shown()}
                <button>
                    {move || {
                        let items = labels::count_noun(cancelled().into(), "cancelled item");
                        format!("Launch {items} again")
                    }}
                </button>
            </form>
            {file}
        </div>
    }
}
