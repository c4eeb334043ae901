//! Filters and search of the grid. They are links and a form, so that the URL holds their
//! state and they work without scripts.

use crate::icons::state_icon;
use crate::{
    labels,
    page::job::{header::LiveJob, route_state::JobRoute},
};
use contract::{api::GridFilter, state::TaskState};
use leptos::{ev, html, leptos_dom::helpers::debounce, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use std::time::Duration;

/// Time without typing after which the search runs.
const SEARCH_DEBOUNCE: Duration = Duration::from_millis(250);

pub fn controls(live_job: LiveJob, route: JobRoute) -> impl IntoView {
    let filters =
        GridFilter::ALL.iter().map(|&filter| filter_link(live_job, route, filter)).collect_view();
    view! {
        <div class="controls">
            <nav class="filters" aria-label="Show items">{filters}</nav>
            {search_form(route)}
        </div>
    }
}

fn filter_link(live_job: LiveJob, route: JobRoute, filter: GridFilter) -> impl IntoView {
    let state = filter_state(filter);
    let count = move || {
        let counts = live_job.job.read().counts;
        match filter {
            GridFilter::All => counts.total,
            GridFilter::Failed => counts.failed,
            GridFilter::Rejected => counts.rejected,
            GridFilter::Running => live_job.running.get(),
            GridFilter::Waiting => counts.open.saturating_sub(live_job.running.get()),
            GridFilter::NeedsReview => counts.needs_review,
            GridFilter::Succeeded => counts.succeeded,
            GridFilter::Unchanged => counts.unchanged,
            GridFilter::Cancelled => counts.cancelled,
        }
    };
    let drawing = state.map(|state| {
        view! {
            <svg class="state-icon" viewBox="0 0 16 16" aria-hidden="true">
                <path d=state_icon(state)></path>
            </svg>
        }
    });
    let href = move || route.rows_url(filter, &route.search.get(), 0);
    view! {
        <a
            href=href
            data-noscroll=""
            data-testid=format!("show-{filter}")
            data-state=match filter {
                GridFilter::Unchanged => Some(filter.as_str()),
                _ => state.map(TaskState::as_str),
            }
            aria-current=move || (route.filter.get() == filter).then_some("true")
            class:is-empty=move || count() == 0
        >
            {drawing}
            {move || labels::filter_name(filter, live_job.job.read().kind)}
            " "
            <b>{move || labels::group_thousands(count().into())}</b>
        </a>
    }
}

const fn filter_state(filter: GridFilter) -> Option<TaskState> {
    match filter {
        GridFilter::All => None,
        GridFilter::Failed => Some(TaskState::Failed),
        GridFilter::Rejected => Some(TaskState::Rejected),
        GridFilter::Running => Some(TaskState::Running),
        GridFilter::Waiting => Some(TaskState::Queued),
        GridFilter::NeedsReview => Some(TaskState::NeedsReview),
        GridFilter::Succeeded | GridFilter::Unchanged => Some(TaskState::Succeeded),
        GridFilter::Cancelled => Some(TaskState::Cancelled),
    }
}

fn search_form(route: JobRoute) -> impl IntoView {
    let field = NodeRef::<html::Input>::new();
    let navigate = use_navigate();
    // Last search text that this field submitted.
    let sought = StoredValue::new(route.search.get_untracked());
    let seek = move || {
        let Some(field) = field.get_untracked() else { return };
        let words = field.value().trim().to_owned();
        if words != route.search.get_untracked() {
            let to = untrack(|| route.rows_url(route.filter.get(), &words, 0));
            sought.set_value(words);
            let options =
                NavigateOptions { scroll: false, replace: true, ..NavigateOptions::default() };
            navigate(&to, options);
        }
    };
    // Going back puts the search text of that URL into the field, but text typed
    // in the meantime is not overwritten.
    Effect::new(move |_| {
        let words = route.search.get();
        if let Some(field) = field.get()
            && sought.with_value(|sought| *sought != words)
        {
            field.set_value(&words);
            sought.set_value(words);
        }
    });
    let at_once = seek.clone();
    let mut typed = debounce(SEARCH_DEBOUNCE, move |()| seek());
    view! {
        <form
            class="search"
            method="get"
            action=move || format!("/jobs/{}", route.job.get())
            autocomplete="off"
            role="search"
            on:submit=move |event: ev::SubmitEvent| {
                event.prevent_default();
                at_once();
            }
        >
            <input type="hidden" name="show" value=move || route.filter.get().as_str()/>
            <input
                id="search-items"
                type="search"
                name="q"
                aria-label="Search items"
                data-testid="item-search"
                placeholder="SKU or title"
                value=route.search.get_untracked()
                node_ref=field
                on:input=move |_| typed(())
            />
            <button class="no-script">"Search"</button>
        </form>
    }
}
