//! The journal of a job in words, newest first.

use super::asked::{Asked, View};
use crate::{
    data::job::{self, FACTS},
    live::Live,
    load::Loaded,
    page::problem::problem,
    words,
};
use contract::{JobId, fact::Fact};
use leptos::prelude::*;

#[component]
pub fn Timeline(
    job: JobId,
    timeline: Loaded<Option<job::Timeline>>,
    asked: Asked,
) -> impl IntoView {
    let show = move |page: Option<_>| {
        page.map_or_else(|| ().into_any(), |page| content(job, page, asked).into_any())
    };
    timeline.view("Reading …", show, problem)
}

fn content(job: JobId, page: job::Timeline, asked: Asked) -> impl IntoView {
    let live = expect_context::<Live>();
    let job::Timeline { seq, facts, more } = page;
    let end = facts.last().map_or(0, |fact| fact.seq);
    // Older facts make room for new ones, so that the list stays short; the
    // way to them begins where it ends.
    let shown = Memo::new(move |_| {
        let mut shown = match asked.before.get() {
            None => live.news(job, seq, FACTS),
            Some(_) => Vec::new(),
        };
        shown.extend(facts.iter().take(FACTS - shown.len()).cloned());
        shown
    });
    let last = Memo::new(move |_| shown.read().last().map_or(0, |fact| fact.seq));
    let newest = asked.tab(View::Timeline);
    let older = format!("{newest}&before=");
    view! {
        <ol class="timeline" data-testid="timeline">
            <For each=move || shown.get() key=|fact| fact.seq children=|fact| moment(&fact)/>
        </ol>
        <nav class="pages" aria-label="Of the timeline">
            <a href=newest hidden=move || asked.before.get().is_none()>"Newest"</a>
            " "
            <a href=move || format!("{older}{}", last.get()) hidden=move || !more && last.get() <= end>
                "Older"
            </a>
        </nav>
    }
}

fn moment(fact: &Fact) -> impl IntoView + use<> {
    let task = fact.data.task.as_ref();
    let state = task.map_or_else(
        || fact.data.job.as_ref().map(|job| job.state.as_str()),
        |task| Some(task.state.as_str()),
    );
    view! {
        <li data-state=state data-job=task.is_none().then_some("")>
            <time>{words::time(fact.at)}</time>
            " "
            {words::fact(fact)}
        </li>
    }
}
