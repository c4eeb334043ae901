//! Journal of a job as sentences, newest first.

use super::route_state::{JobRoute, JobTab};
use crate::{
    labels,
    live::LiveState,
    page::load_error::section_error,
    page_data::job::{self, TIMELINE_PAGE_FACTS},
    resource::PageResource,
};
use contract::{JobId, fact::Fact};
use leptos::prelude::*;

#[component]
pub fn Timeline(
    job: JobId,
    timeline: PageResource<Option<job::TimelinePage>>,
    route: JobRoute,
) -> impl IntoView {
    let show = move |page: Option<_>| {
        page.map_or_else(|| ().into_any(), |page| content(job, page, route).into_any())
    };
    timeline.view("Loading …", show, section_error)
}

fn content(job: JobId, page: job::TimelinePage, route: JobRoute) -> impl IntoView {
    let live = expect_context::<LiveState>();
    let job::TimelinePage { seq, facts, has_more: more } = page;
    let end = facts.last().map_or(0, |fact| fact.seq);
    // New facts replace the oldest ones, so that the list stays short. The link to
    // older facts starts where the list ends.
    let shown = Memo::new(move |_| {
        let mut shown = match route.before.get() {
            None => live.facts_after(job, seq, TIMELINE_PAGE_FACTS),
            Some(_) => Vec::new(),
        };
        shown.extend(facts.iter().take(TIMELINE_PAGE_FACTS - shown.len()).cloned());
        shown
    });
    let last = Memo::new(move |_| shown.read().last().map_or(0, |fact| fact.seq));
    let newest = route.tab_url(JobTab::Timeline);
    let older = format!("{newest}&before=");
    view! {
        <ol class="timeline" data-testid="timeline">
            <For each=move || shown.get() key=|fact| fact.seq children=|fact| fact_item(&fact)/>
        </ol>
        <nav class="pages" aria-label="Pages of the timeline">
            <a href=newest hidden=move || route.before.get().is_none()>"Newest"</a>
            " "
            <a href=move || format!("{older}{}", last.get()) hidden=move || !more && last.get() <= end>
                "Older"
            </a>
        </nav>
    }
}

fn fact_item(fact: &Fact) -> impl IntoView + use<> {
    let task = fact.data.task.as_ref();
    let state = task.map_or_else(
        || fact.data.job.as_ref().map(|job| job.state.as_str()),
        |task| Some(task.state.as_str()),
    );
    view! {
        <li data-state=state data-job-fact=task.is_none().then_some("")>
            <time>{labels::timestamp(fact.at)}</time>
            " "
            {labels::fact_sentence(fact)}
        </li>
    }
}
