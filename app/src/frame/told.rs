//! What one is told on the page itself: toasts, and what was missed.

use crate::live::Live;
use contract::api::Notification;
use leptos::prelude::*;

/// The newest of what was told, until read or dismissed.
#[component]
pub fn Toasts() -> impl IntoView {
    let told = expect_context::<Live>().told;
    let toast = move |it: Notification| {
        let seq = it.seq;
        let label = format!("Dismiss: {}", it.title);
        view! {
            <div class="toast" data-testid="toast" data-kind=it.kind>
                <a href=format!("/jobs/{}", it.job)>{it.title}</a>
                <span>{it.text}</span>
                <button class="quiet" on:click=move |_| told.dismiss(seq) aria-label=label>
                    <super::Icon drawing="M4 4l8 8M12 4l-8 8"/>
                </button>
            </div>
        }
    };
    view! {
        <section class="toasts" aria-live="polite" aria-relevant="additions" aria-label="Just told">
            <Show when=move || { told.more() > 0 }>
                <p class="toast">
                    <a href="/inbox">{move || format!("{} more in the inbox", told.more())}</a>
                </p>
            </Show>
            <For each=move || told.shown() key=|it| it.seq children=toast/>
        </section>
    }
    .into_any()
}

/// "While you were away: 2 jobs finished, 1 needs you."
#[component]
pub fn Missed() -> impl IntoView {
    let away = expect_context::<Live>().told.away;
    view! {
        <div role="status">
            {move || {
                away.get()
                    .map(|missed| {
                        view! {
                            <p class="away" data-testid="away">
                                <span>{missed.words()}</span>
                                <a href="/inbox">"Open the inbox"</a>
                                <button
                                    class="quiet"
                                    on:click=move |_| away.set(None)
                                    aria-label="Dismiss"
                                >
                                    <super::Icon drawing="M4 4l8 8M12 4l-8 8"/>
                                </button>
                            </p>
                        }
                    })
            }}
        </div>
    }
    .into_any()
}
