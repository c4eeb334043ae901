//! Permission for browser notifications: the button that requests it, and its current state.

use crate::live::{LiveState, toasts::BackgroundNotifications};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// Button that requests the permission. It does nothing without scripts.
#[component]
fn RequestPermissionButton(label: &'static str) -> impl IntoView {
    let live = expect_context::<LiveState>();
    let request = move |_| {
        #[cfg(feature = "hydrate")]
        crate::live::browser_notifications::request_permission(live);
        let _ = live;
    };
    view! { <button type="button" on:click=request>{label}</button> }
}

/// Offer that is shown right after a launch, if the permission was never requested.
#[component]
pub fn NotificationOffer() -> impl IntoView {
    let live = expect_context::<LiveState>();
    let query = use_query_map();
    let open = Memo::new(move |_| {
        live.toasts.background.get() == BackgroundNotifications::NotRequested
            && query.read().get("accepted").is_some()
    });
    view! {
        <Show when=move || open.get()>
            <p class="notification-offer">
                <RequestPermissionButton label="Notify me in the background too"/>
            </p>
        </Show>
    }
    .into_any()
}

/// Whether this browser shows notifications, and how to change that.
#[component]
pub fn NotificationSettings() -> impl IntoView {
    let live = expect_context::<LiveState>();
    let state = live.toasts.background;
    view! {
        <section
            class="panel notification-settings"
            aria-labelledby="notification-settings"
            hidden=move || state.get() == BackgroundNotifications::Unknown
        >
            <h2 id="notification-settings">"Browser notifications"</h2>
            <p data-testid="notification-settings">{move || state.get().description()}</p>
            <Show when=move || state.get() == BackgroundNotifications::NotRequested>
                <RequestPermissionButton label="Notify me when a job ends"/>
            </Show>
        </section>
    }
    .into_any()
}
