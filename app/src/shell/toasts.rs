//! Notifications on the page: toasts, and a banner for missed notifications.

use crate::live::LiveState;
use contract::api::Notification;
use leptos::prelude::*;

/// The newest notifications, until they are read, dismissed or timed out.
#[component]
pub fn Toasts() -> impl IntoView {
    let toasts = expect_context::<LiveState>().toasts;
    let toast = move |it: Notification| {
        let seq = it.seq;
        let label = format!("Dismiss: {}", it.title);
        view! {
            <div class="toast" data-testid="toast" data-kind=it.kind.as_str()>
                <a href=format!("/jobs/{}", it.job)>{it.title}</a>
                <span>{it.text}</span>
                <button class="icon-button" on:click=move |_| toasts.dismiss(seq) aria-label=label>
                    <super::Icon drawing="M4 4l8 8M12 4l-8 8"/>
                </button>
            </div>
        }
    };
    view! {
        <section class="toasts" aria-live="polite" aria-relevant="additions" aria-label="New notifications">
            <Show when=move || { toasts.hidden_count() > 0 }>
                <p class="toast">
                    <a href="/inbox">{move || format!("{} more in the inbox", toasts.hidden_count())}</a>
                </p>
            </Show>
            <For each=move || toasts.visible() key=|it| it.seq children=toast/>
        </section>
    }
    .into_any()
}

/// Banner such as "While you were away: 2 jobs finished, 1 needs you."
#[component]
pub fn MissedBanner() -> impl IntoView {
    let missed_signal = expect_context::<LiveState>().toasts.missed;
    view! {
        <div role="status">
            {move || {
                missed_signal.get()
                    .map(|missed| {
                        view! {
                            <p class="missed-banner" data-testid="missed-banner">
                                <span>{missed.sentence()}</span>
                                <a href="/inbox">"Open the inbox"</a>
                                <button
                                    class="icon-button"
                                    on:click=move |_| missed_signal.set(None)
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
