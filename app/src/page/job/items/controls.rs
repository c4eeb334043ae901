//! Which rows are shown: links and a form, so that the address says it and
//! it works without scripts.

use crate::sign::sign;
use crate::{
    page::job::{asked::Asked, header::Now},
    words,
};
use contract::{api::Filter, state::TaskState};
use leptos::{ev, html, leptos_dom::helpers::debounce, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use std::time::Duration;

/// Typing is over after this.
const TYPED: Duration = Duration::from_millis(250);

pub fn controls(now: Now, asked: Asked) -> impl IntoView {
    let filters = Filter::ALL.iter().map(|&filter| choice(now, asked, filter)).collect_view();
    view! {
        <div class="controls">
            <nav class="filters" aria-label="Show items">{filters}</nav>
            {search(asked)}
        </div>
    }
}

fn choice(now: Now, asked: Asked, filter: Filter) -> impl IntoView {
    let state = state(filter);
    let count = move || {
        let counts = now.job.read().counts;
        match filter {
            Filter::All => counts.total,
            Filter::Failed => counts.failed,
            Filter::Running => now.running.get(),
            Filter::Waiting => counts.open.saturating_sub(now.running.get()),
            Filter::NeedsPerson => counts.needs_person,
            Filter::Succeeded => counts.succeeded,
            Filter::Cancelled => counts.cancelled,
        }
    };
    let drawing = state.map(|state| {
        view! {
            <svg class="sign" viewBox="0 0 16 16" aria-hidden="true">
                <path d=sign(state)></path>
            </svg>
        }
    });
    let href = move || asked.rows(filter, &asked.words.get(), 0);
    view! {
        <a
            href=href
            data-noscroll=""
            data-testid=format!("show-{filter}")
            data-state=state.map(TaskState::as_str)
            aria-current=move || (asked.filter.get() == filter).then_some("true")
            class:zero=move || count() == 0
        >
            {drawing}
            {words::filter(filter)}
            " "
            <b>{move || words::thousands(count().into())}</b>
        </a>
    }
}

const fn state(filter: Filter) -> Option<TaskState> {
    match filter {
        Filter::All => None,
        Filter::Failed => Some(TaskState::Failed),
        Filter::Running => Some(TaskState::Running),
        Filter::Waiting => Some(TaskState::Queued),
        Filter::NeedsPerson => Some(TaskState::NeedsPerson),
        Filter::Succeeded => Some(TaskState::Succeeded),
        Filter::Cancelled => Some(TaskState::Cancelled),
    }
}

fn search(asked: Asked) -> impl IntoView {
    let field = NodeRef::<html::Input>::new();
    let navigate = use_navigate();
    // What was last searched for from here.
    let sought = StoredValue::new(asked.words.get_untracked());
    let seek = move || {
        let Some(field) = field.get_untracked() else { return };
        let words = field.value().trim().to_owned();
        if words != asked.words.get_untracked() {
            let to = untrack(|| asked.rows(asked.filter.get(), &words, 0));
            sought.set_value(words);
            let options =
                NavigateOptions { scroll: false, replace: true, ..NavigateOptions::default() };
            navigate(&to, options);
        }
    };
    // Whoever goes back finds the words of that address in the field; who
    // typed on meanwhile is let alone.
    Effect::new(move |_| {
        let words = asked.words.get();
        if let Some(field) = field.get()
            && sought.with_value(|sought| *sought != words)
        {
            field.set_value(&words);
            sought.set_value(words);
        }
    });
    let at_once = seek.clone();
    let mut typed = debounce(TYPED, move |()| seek());
    view! {
        <form
            class="search"
            method="get"
            action=move || format!("/jobs/{}", asked.job.get())
            autocomplete="off"
            role="search"
            on:submit=move |event: ev::SubmitEvent| {
                event.prevent_default();
                at_once();
            }
        >
            <input type="hidden" name="show" value=move || asked.filter.get().as_str()/>
            <input
                id="search-items"
                type="search"
                name="q"
                aria-label="Search items"
                data-testid="search"
                placeholder="SKU or title"
                value=asked.words.get_untracked()
                node_ref=field
                on:input=move |_| typed(())
            />
            <button class="unscripted">"Search"</button>
        </form>
    }
}
