//! What a job is, how far it is, and what can be done about it.

use super::{
    asked::Asked,
    bar::{Bar, Parts},
};
use crate::{data::job::JobPage, live::Live, words};
use contract::{
    api::Job,
    state::{JobState, TaskState},
};
use leptos::prelude::*;
use std::time::Duration;

/// The job as it is now.
#[derive(Clone, Copy)]
pub struct Now {
    pub page: RwSignal<JobPage>,
    pub job: Memo<Job>,
    /// Calls under way.
    pub running: Memo<u32>,
}

impl Now {
    pub fn of(page: RwSignal<JobPage>, live: Live) -> Self {
        let job = Memo::new(move |_| page.with(|page| live.job(&page.job, page.since.seq)));
        let running = Memo::new(move |_| {
            let heard = live.progress(job.read().id).map(|progress| progress.running);
            heard.unwrap_or_else(|| page.read().running).min(job.read().counts.open)
        });
        Self { page, job, running }
    }

    fn runs(self) -> bool {
        self.job.with(|job| job.state == JobState::Running)
    }
}

pub fn header(now: Now, asked: Asked) -> impl IntoView {
    let page = now.page.read_untracked();
    let (title, at) = (page.job.title.clone(), words::time(page.job.created_at));
    let who = page.since.email.clone();
    let parts = Signal::derive(move || {
        let counts = now.job.read().counts;
        [
            (TaskState::Succeeded, counts.succeeded),
            (TaskState::Failed, counts.failed),
            (TaskState::NeedsPerson, counts.needs_person),
            (TaskState::Cancelled, counts.cancelled),
            (TaskState::Running, now.running.get()),
        ] as Parts
    });
    let total = Signal::derive(move || now.job.read().counts.total);
    view! {
        <h1>{title}</h1>
        <p class="facts">"Launched by " {who} " at " {at}</p>
        <p class="progress">
            <strong data-testid="job-state" data-state=move || now.job.read().state.as_str()>
                {move || words::job(&now.job.read())}
            </strong>
            " "
            <span data-testid="counts">{move || words::counts(&now.job.read())}</span>
            " "
            <span class="facts" data-testid="left">{move || left(now)}</span>
        </p>
        <Bar parts=parts total=total/>
        {closed(now)}
        {buttons(now, asked)}
    }
}

/// The time left with its reason; nothing where it can't be told.
fn left(now: Now) -> String {
    let live = expect_context::<Live>();
    let job = now.job.read();
    if !now.runs() || job.paused || job.cancel_requested {
        return String::new();
    }
    let heard = live.progress(job.id);
    let eta = heard.as_ref().map_or_else(|| now.page.read().job.eta_ms, |told| told.status.eta_ms);
    let limit = heard.map_or_else(|| now.page.read().limited_by.clone(), |told| told.limited_by);
    match (eta, limit) {
        (Some(ms), Some(by)) => format!("{} left, limited by {by}", words::roughly(ms)),
        (Some(ms), None) => format!("{} left", words::roughly(ms)),
        (None, _) => String::new(),
    }
}

/// Which of the job's channels asked for a break, and until when.
fn closed(now: Now) -> impl IntoView {
    let live = expect_context::<Live>();
    // A break is over by itself: nobody sends word of that.
    let over = RwSignal::new(0);
    let breaks = Memo::new(move |_| {
        if !now.runs() {
            return Vec::new();
        }
        let page = now.page.read();
        let channels = page.channels.iter().map(|channel| live.channel(channel));
        channels
            .filter_map(|channel| Some((channel.closed_until?, words::pause(&channel)?)))
            .filter(|(until, _)| *until > over.get())
            .collect::<Vec<_>>()
    });
    Effect::new(move |_| {
        let Some(next) = breaks.read().iter().map(|(until, _)| *until).min() else { return };
        #[allow(clippy::cast_precision_loss)]
        let wait = (next as f64 - js_sys::Date::now()).clamp(0.0, 86_400_000.0);
        let timer = set_timeout_with_handle(
            move || {
                let _ = over.try_set(next);
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
        <ul class="breaks" aria-live="polite">
            {move || {
                breaks
                    .get()
                    .into_iter()
                    .map(|(_, words)| view! { <li data-testid="break">{words}</li> })
                    .collect_view()
            }}
        </ul>
    }
}

fn buttons(now: Now, asked: Asked) -> impl IntoView {
    let id = now.page.read_untracked().job.id;
    let channels = now.page.read_untracked().channels.clone();
    let action = move |what: &str| format!("/jobs/{id}/{what}");
    let failed = move || now.job.read().counts.failed;
    let stays = move || now.runs() && !now.job.read().cancel_requested;
    let paused = move || now.job.read().paused;
    let shown = move || view! { <input type="hidden" name="shown" value=move || asked.shown()/> };
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
                hidden=move || failed() == 0
            >
                "Download failed rows"
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
                <button class="main">"Resume"</button>
            </form>
            <details class="confirm" hidden=move || !stays()>
                <summary class="button">"Cancel"</summary>
                <form method="post" action=action("cancel")>
                    <p>
                        "What waits is not done any more. Calls under way still finish, and \
                        what is done stays done."
                    </p>
                    {shown()}
                    <button class="danger">"Cancel this job"</button>
                </form>
            </details>
            <form
                class="buttons"
                method="post"
                action=action("retry")
                hidden=move || failed() == 0 || now.job.read().cancel_requested && now.runs()
            >
                {shown()}
                <button>{move || format!("Retry failed ({})", words::thousands(failed().into()))}</button>
                {which}
            </form>
            {file}
        </div>
    }
}
