//! Journal of a job as sentences, newest first.

use super::route_state::{JobRoute, JobTab};
use crate::{
    labels,
    live::LiveState,
    page::{load_error::section_error, server_page::server_html},
    resource::{ServerResource, resource_view},
};
use contract::{JobId, fact::Fact};
use leptos::{prelude::*, server_fn::codec::Json};
use serde::{Deserialize, Serialize};

/// Number of facts on one page of the timeline.
const TIMELINE_PAGE_FACTS: usize = 100;

/// Facts of a job, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelinePage {
    seq: i64,
    facts: Vec<Fact>,
    /// Whether there are older facts.
    has_more: bool,
    /// Where the time went, as HTML; empty on older pages.
    waterfall: String,
}

/// Returns the journal of a job before the `seq` `before`, or its end.
///
/// # Errors
/// Fails if nobody is signed in, with status 404 if `id` is not an id, or if the database
/// fails.
#[server(input = Json)]
pub async fn load_timeline(id: String, before: Option<i64>) -> Result<TimelinePage, ServerFnError> {
    use super::{lookup::parse_job_id, waterfall};
    use crate::server::{RequestContext, request_context, server_error};
    let request = request_context()?;
    let RequestContext { engine, identity } = &request;
    let store = engine.store();
    let seq = store.journal.journal_head(identity.user).await.map_err(server_error)?;
    let id = parse_job_id(&id)?;
    let one_more = i64::try_from(TIMELINE_PAGE_FACTS).unwrap_or(i64::MAX - 1) + 1;
    let waterfall = match before {
        None => waterfall::waterfall(&request, id).await?.to_html(),
        Some(_) => String::new(),
    };
    let before = before.unwrap_or(i64::MAX);
    let journal = store.journal.job_journal_before(identity.user, id, before, one_more).await;
    let mut facts = journal.map_err(server_error)?;
    let has_more = facts.len() > TIMELINE_PAGE_FACTS;
    facts.truncate(TIMELINE_PAGE_FACTS);
    Ok(TimelinePage { seq, facts, has_more, waterfall })
}

/// Creates the resource of the timeline. It is empty while another tab is shown.
pub fn timeline_resource(route: JobRoute) -> ServerResource<Option<TimelinePage>> {
    let live = expect_context::<LiveState>();
    let is_shown = move || route.view.get() == JobTab::Timeline;
    Resource::new(
        move || is_shown().then(|| (route.job.get(), route.before.get(), live.resync_count.get())),
        async |shown| match shown {
            Some((job, before, _)) => load_timeline(job, before).await.map(Some),
            None => Ok(None),
        },
    )
}

#[component]
pub fn Timeline(
    job: JobId,
    timeline: ServerResource<Option<TimelinePage>>,
    route: JobRoute,
) -> impl IntoView {
    let show = move |page: Option<_>| {
        page.map_or_else(|| ().into_any(), |page| content(job, page, route).into_any())
    };
    resource_view(timeline, "Loading …", show, section_error)
}

fn content(job: JobId, page: TimelinePage, route: JobRoute) -> impl IntoView {
    let live = expect_context::<LiveState>();
    let TimelinePage { seq, facts, has_more: more, waterfall } = page;
    // The page was read after `seq`, so it may have newer facts, which are not to appear twice.
    let seq = facts.first().map_or(seq, |newest| seq.max(newest.seq));
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
        {server_html(waterfall)}
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
        |task| Some(labels::task_state_attribute(task)),
    );
    view! {
        <li data-state=state data-job-fact=task.is_none().then_some("")>
            <time>{labels::timestamp(fact.at)}</time>
            " "
            {labels::fact_sentence(fact)}
        </li>
    }
}
