//! Progress of a job or of a node of its chain, segmented by state.

use leptos::prelude::*;

/// Number of tasks by `data-state`, in the order of the bar. The background of the bar is the
/// waiting tasks.
pub type BarSegments = [(&'static str, u32); 7];

#[component]
pub fn ProgressBar(
    #[prop(into)] parts: Signal<BarSegments>,
    #[prop(into)] total: Signal<u32>,
) -> impl IntoView {
    let percent = move |count: u32| {
        // Integers, because formatting a float costs 10 kB of wasm.
        let parts = u64::from(count) * 10_000 / u64::from(total.get().max(1));
        format!("{}.{:02}", parts / 100, parts % 100)
    };
    let before = move |index: usize| parts.read()[..index].iter().map(|(_, count)| count).sum();
    let segments = parts.read_untracked().map(|(state, _)| state).into_iter().enumerate();
    let segments = segments.map(|(index, state)| {
        view! {
            <rect
                data-state=state
                x=move || percent(before(index))
                y="0"
                height="4"
                width=move || percent(parts.read()[index].1)
            ></rect>
        }
    });
    view! {
        <svg class="progress-bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
            {segments.collect_view()}
        </svg>
    }
}
