//! Page of one job: live results of every item.

mod details;
mod flow;
mod header;
#[cfg(feature = "ssr")]
mod history;
mod items;
#[cfg(feature = "ssr")]
mod lookup;
mod progress_bar;
mod route_state;
mod timeline;
#[cfg(feature = "ssr")]
mod waterfall;

use crate::{
    live::LiveState,
    page::{load_error::page_error, not_found::NotFound},
    page_context::PageContext,
    resource::resource_view,
    shell::{FlashAlert, PageShell},
    title::Title,
};
use contract::api::{self, Channel, Grid, GridFilter};
use header::LiveJob;
use leptos::{
    ev, leptos_dom::helpers::TimeoutHandle, prelude::*, server_fn::codec::Json, task::spawn_local,
};
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_query_map},
};
use route_state::{JobRoute, JobTab};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Number of rows that are part of the page; without scripts, number of rows per page.
const INITIAL_ROWS: u32 = 60;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobPage {
    context: PageContext,
    job: api::Job,
    /// Number of calls in progress.
    running_calls: u32,
    /// Name of the channel that takes longest, if the time left is known.
    limited_by: Option<String>,
    /// Channels of the job, in the order of its columns.
    channels: Vec<Channel>,
    grid: Grid,
}

/// Returns a job and its matching rows from `offset`, or `None` if the job does not exist or
/// belongs to someone else.
///
/// # Errors
/// Fails if nobody is signed in, the search text is too long, or the database fails.
#[server(input = Json)]
pub async fn load_job(
    id: String,
    filter: GridFilter,
    search_text: String,
    offset: u32,
) -> Result<Option<JobPage>, ServerFnError> {
    use crate::server::{RequestContext, request_context, server_error};
    use engine::store::{Error, GridQuery};
    let request = request_context()?;
    let context = PageContext::load(&request).await?;
    let RequestContext { engine, identity } = request;
    let Ok(id) = id.parse() else { return Ok(None) };
    let store = engine.store();
    let job = match store.jobs.job(identity.user, id).await {
        Ok(job) => job,
        Err(Error::NotFound) => return Ok(None),
        Err(error) => return Err(server_error(error)),
    };
    let known = engine.forecast().await.map_err(server_error)?;
    let find = |id: &String| known.channels.iter().find(|known| known.id == *id).cloned();
    let channels = job.channels.iter().filter_map(find).collect();
    let query = GridQuery { filter, search_text, offset, limit: INITIAL_ROWS };
    let mut grid = store.jobs.job_grid(identity.user, id, &query).await.map_err(server_error)?;
    engine.explain_pauses(grid.tasks_mut()).await.map_err(server_error)?;
    let forecasts = engine.job_forecasts(std::slice::from_ref(&job), identity.user).await;
    let forecast = forecasts.map_err(server_error)?.remove(&id).unwrap_or_default();
    Ok(Some(JobPage {
        context,
        job: job.with_eta(forecast.eta),
        running_calls: forecast.running,
        limited_by: forecast.limited_by,
        channels,
        grid,
    }))
}

/// All resources of the page are created here, so that server and browser number them
/// alike.
#[component]
pub fn Job() -> impl IntoView {
    let route = JobRoute::from_url();
    let page = Resource::new(
        move || route.job.get(),
        move |job| {
            let (filter, words) = (route.filter.get_untracked(), route.search.get_untracked());
            load_job(job, filter, words, route.offset.get_untracked())
        },
    );
    let timeline = timeline::timeline_resource(route);
    let flow = flow::flow_resource(route);
    let detail = details::task_resource(route);
    let show = move |page: Option<JobPage>| {
        let Some(page) = page else { return NotFound().into_any() };
        let job = page.job.id;
        let views = move || {
            let flow = view! { <flow::Flow flow=flow/> };
            let timeline = view! { <timeline::Timeline job=job timeline=timeline route=route/> };
            (flow.into_any(), timeline.into_any())
        };
        let aside = view! { <details::Details job=job detail=detail route=route/> };
        content(page, route, views, aside.into_any())
    };
    close_details_on_escape(route);
    resource_view(page, "Loading …", show, page_error)
}

/// Runs `then` a second after a signal that `when` reads has changed, and at most once
/// a second while changes continue.
fn throttle_effect(when: impl Fn() + 'static, then: impl Fn() + Clone + 'static) {
    let timer = StoredValue::new(None::<TimeoutHandle>);
    Effect::new(move |before: Option<()>| {
        when();
        if before.is_some() && timer.get_value().is_none() {
            let then = then.clone();
            let due = move || {
                timer.set_value(None);
                then();
            };
            timer.set_value(set_timeout_with_handle(due, Duration::from_secs(1)).ok());
        }
    });
    on_cleanup(move || {
        if let Some(Some(timer)) = timer.try_get_value() {
            timer.clear();
        }
    });
}

/// Returns the id of the element that opens the details of a task.
fn cell_id(task: &str) -> String {
    format!("cell-{task}")
}

/// Closes the details on Escape, and returns the focus to where they were opened.
fn close_details_on_escape(route: JobRoute) {
    let navigate = use_navigate();
    Effect::new(move |_| {
        let navigate = navigate.clone();
        let keys = window_event_listener(ev::keydown, move |event| {
            if event.key() == "Escape" && route.task.get_untracked().is_some() {
                let options = NavigateOptions { scroll: false, ..NavigateOptions::default() };
                navigate(&untrack(move || route.url_without_details()), options);
            }
        });
        on_cleanup(move || keys.remove());
    });
    Effect::new(move |before: Option<Option<String>>| {
        let now = route.task.get();
        if let (Some(Some(before)), None) = (before, &now)
            && let Some(cell) = document().get_element_by_id(&cell_id(&before))
        {
            use wasm_bindgen::JsCast;
            if let Some(cell) = cell.dyn_ref::<web_sys::HtmlElement>() {
                let _ = cell.focus();
            }
        }
        now
    });
}

/// Loads the job again when the facts received don't determine its state. The page's
/// elements stay, and with them focus and scroll position.
fn refresh_on_resync(page: RwSignal<JobPage>, live: LiveState) {
    let number = StoredValue::new(0_u32);
    Effect::watch(
        move || live.resync_count.get(),
        move |&count, _, _| {
            number.set_value(count);
            let id = page.with_untracked(|page| page.job.id.to_string());
            spawn_local(async move {
                let read = load_job(id, GridFilter::All, String::new(), 0).await;
                if number.try_get_value() != Some(count) {
                    return;
                }
                match read {
                    Ok(Some(read)) => {
                        live.start_from_page(&read.context);
                        page.set(read);
                    }
                    Ok(None) => {}
                    Err(error) => leptos::logging::warn!("the job could not be reloaded: {error}"),
                }
            });
        },
        false,
    );
}

/// Loads the job again when a pause of one of its channels begins or ends, because its items say
/// so.
fn refresh_on_pauses(page: RwSignal<JobPage>, live: LiveState) {
    let paused = Memo::new(move |_| {
        let page = page.read();
        let channels = page.channels.iter().map(|channel| live.current_channel(channel));
        channels.map(|channel| channel.pause.is_some()).collect::<Vec<_>>()
    });
    Effect::watch(
        move || paused.get(),
        move |_, _, _| live.resync_count.update(|count| *count += 1),
        false,
    );
}

fn content(
    page: JobPage,
    route: JobRoute,
    views: impl FnOnce() -> (AnyView, AnyView),
    details: AnyView,
) -> AnyView {
    let live = expect_context::<LiveState>();
    let (context, title, grid) = (page.context.clone(), page.job.title.clone(), page.grid.clone());
    let page = RwSignal::new(page);
    let live_job = LiveJob::from_page(page, live);
    refresh_on_resync(page, live);
    refresh_on_pauses(page, live);
    let query = use_query_map();
    let accepted = move || query.read().get("accepted").is_some();
    let tabs = JobTab::ALL
        .map(|view| {
            let current = move || (route.view.get() == view).then_some("page");
            view! {
                <a href=move || route.tab_url(view) data-noscroll="" aria-current=current>
                    {view.label()}
                </a>
            }
        })
        .into_iter()
        .collect_view();
    let items = view! {
        // Hidden rather than removed, so that the scroll position stays.
        <div hidden=move || route.view.get() != JobTab::Items>
            <items::Items live_job=live_job route=route first=grid/>
        </div>
    };
    let (flow, timeline) = views();
    view! {
        <Title text=title/>
        <PageShell context=context>
            <FlashAlert/>
            <Show when=accepted>
                <p class="success">"Accepted. You can leave this page; we'll notify you."</p>
            </Show>
            {header::header(live_job, route).into_any()}
            <nav class="tabs" aria-label="Views of this job">{tabs}</nav>
            {items.into_any()}
            {flow}
            {timeline}
            {details}
        </PageShell>
    }
    .into_any()
}
