//! How far a job or a node of its chain is, segmented by state.

use contract::state::TaskState;
use leptos::prelude::*;

/// Tasks by state, in the order of the bar; what waits is the bar's ground.
pub type Parts = [(TaskState, u32); 5];

#[component]
pub fn Bar(#[prop(into)] parts: Signal<Parts>, #[prop(into)] total: Signal<u32>) -> impl IntoView {
    let percent = move |count: u32| {
        // In whole numbers: writing a float is 10 kB of wasm.
        let parts = u64::from(count) * 10_000 / u64::from(total.get().max(1));
        format!("{}.{:02}", parts / 100, parts % 100)
    };
    let before = move |place: usize| parts.read()[..place].iter().map(|(_, count)| count).sum();
    let segments = parts.read_untracked().map(|(state, _)| state).into_iter().enumerate();
    let segments = segments.map(|(place, state)| {
        view! {
            <rect
                class=state.as_str()
                x=move || percent(before(place))
                y="0"
                height="4"
                width=move || percent(parts.read()[place].1)
            ></rect>
        }
    });
    view! {
        <svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
            {segments.collect_view()}
        </svg>
    }
}
