//! Browser features for notifications: the dot on the tab's icon, browser notifications
//! while no tab is visible, and the summary of missed notifications.

use super::{
    LiveState,
    toasts::{BackgroundNotifications, MissedSummary, load_missed_summary},
};
use contract::api::Notification;
use leptos::{prelude::*, task::spawn_local};
use std::{future::IntoFuture, time::Duration};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::NotificationPermission;

/// Minimum absence that counts as away, in milliseconds.
const MIN_AWAY_MS: i64 = 60_000;
/// Local storage key of what the user last saw: journal, `seq` and time.
const LAST_SEEN_STORAGE_KEY: &str = "meanwhile.last-seen";
/// The tab's icon with a dot, drawn before the end of its SVG.
const UNREAD_DOT: &str =
    "%3Ccircle cx='12.5' cy='3.5' r='3.5' fill='%23d93025' stroke='white' stroke-width='1'/%3E";
const SVG_END_TAG: &str = "%3C/svg%3E";

pub fn start(live: LiveState) {
    Effect::new(move |_| set_favicon_dot(live.unread_count() > 0));
    let opened = StoredValue::new(false);
    Effect::new(move |_| {
        if live.context.with(Option::is_some) && !opened.get_value() {
            opened.set_value(true);
            detect_permission(live);
            show_missed_on_open(live);
            track_visibility(live);
        }
    });
    let _ = set_interval_with_handle(
        move || {
            if !document().hidden() && !are_toasts_in_use() {
                live.toasts.tick();
            }
        },
        Duration::from_secs(1),
    );
}

/// Whether the user points at the toasts or has the focus in them.
fn are_toasts_in_use() -> bool {
    document().query_selector(".toasts:is(:hover, :focus-within)").ok().flatten().is_some()
}

fn set_favicon_dot(unread: bool) {
    let Ok(Some(icon)) = document().query_selector("link[rel=icon]") else { return };
    let Some(bare) = icon.get_attribute("href").map(|href| href.replace(UNREAD_DOT, "")) else {
        return;
    };
    let href = if unread {
        bare.replace(SVG_END_TAG, &format!("{UNREAD_DOT}{SVG_END_TAG}"))
    } else {
        bare
    };
    let _ = icon.set_attribute("href", &href);
}

/// Reads the permission, and registers the service worker if it is granted.
fn detect_permission(live: LiveState) {
    let able = js_sys::Reflect::has(&window(), &"Notification".into()).unwrap_or(false)
        && js_sys::Reflect::has(&window().navigator(), &"serviceWorker".into()).unwrap_or(false)
        && window().is_secure_context();
    let state = if !able {
        BackgroundNotifications::Unsupported
    } else {
        match web_sys::Notification::permission() {
            NotificationPermission::Granted => BackgroundNotifications::Granted,
            NotificationPermission::Denied => BackgroundNotifications::Denied,
            _ => BackgroundNotifications::NotRequested,
        }
    };
    if state == BackgroundNotifications::Granted {
        let registration = window().navigator().service_worker().register("/sw.js");
        spawn_local(async move {
            if let Err(error) = registration.into_future().await {
                leptos::logging::warn!("background notifications are off: {error:?}");
                live.toasts.background.set(BackgroundNotifications::Unsupported);
            }
        });
    }
    live.toasts.background.set(state);
}

/// Requests the permission to show notifications. Browsers require a click for it.
pub fn request_permission(live: LiveState) {
    let Ok(asked) = web_sys::Notification::request_permission() else { return };
    spawn_local(async move {
        let _ = asked.into_future().await;
        detect_permission(live);
    });
}

/// Posts a message to the service worker, which knows what other tabs have posted.
fn post_to_service_worker(live: LiveState, message: &serde_json::Value) {
    if live.toasts.background.get_untracked() != BackgroundNotifications::Granted {
        return;
    }
    let text = JsValue::from_str(&message.to_string());
    let Ok(ready) = window().navigator().service_worker().ready() else { return };
    spawn_local(async move {
        if let Ok(registration) = ready.into_future().await
            && let Some(worker) =
                registration.unchecked_into::<web_sys::ServiceWorkerRegistration>().active()
        {
            let _ = worker.post_message(&text);
        }
    });
}

pub fn show_notification(live: LiveState, notification: &Notification) {
    let Notification { seq, title, text, job, .. } = notification;
    let journal = journal_id(live);
    post_to_service_worker(
        live,
        &serde_json::json!({
            "kind": "notification", "journal": journal, "seq": seq, "title": title, "text": text, "job": job,
        }),
    );
    if !document().hidden() {
        record_seen(live, *seq);
    }
}

pub fn close_read_notifications(live: LiveState, up_to: i64) {
    post_to_service_worker(
        live,
        &serde_json::json!({ "kind": "notifications_read", "journal": journal_id(live), "up_to": up_to }),
    );
}

/// Returns the id of the journal that a `seq` belongs to.
fn journal_id(live: LiveState) -> String {
    live.context.with_untracked(|since| {
        since.as_ref().map(|since| format!("{}:{}", since.epoch, since.email)).unwrap_or_default()
    })
}

fn storage() -> Option<web_sys::Storage> {
    window().local_storage().ok().flatten()
}

/// Returns UTC milliseconds as an integer, which avoids the code for formatting floats.
fn now_ms() -> i64 {
    js_sys::Date::now() as i64
}

/// Returns the last `seq` that this browser showed to the user, and when.
fn last_seen(live: LiveState) -> Option<(i64, i64)> {
    let stored = storage()?.get_item(LAST_SEEN_STORAGE_KEY).ok()??;
    let mut parts = stored.rsplitn(3, ' ');
    let (at, seq) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (parts.next()? == journal_id(live)).then_some((seq, at))
}

/// Records that everything up to `seq` was visible.
fn record_seen(live: LiveState, seq: i64) {
    let seq = last_seen(live).map_or(seq, |(before, _)| before.max(seq));
    if let Some(storage) = storage() {
        let _ = storage
            .set_item(LAST_SEEN_STORAGE_KEY, &format!("{} {seq} {}", journal_id(live), now_ms()));
    }
}

/// Shows a summary of missed notifications when a page is opened.
fn show_missed_on_open(live: LiveState) {
    let (seq, unread) = live.context.with_untracked(|since| {
        since.as_ref().map_or((0, 0), |since| (since.seq, since.unread_count))
    });
    let before = last_seen(live);
    record_seen(live, seq);
    let away = before.is_none_or(|(_, at)| now_ms() - at > MIN_AWAY_MS);
    let last = before.map_or(0, |(seq, _)| seq);
    if unread == 0 || last >= seq || !away {
        return;
    }
    spawn_local(async move {
        if let Ok(missed) = load_missed_summary(last).await {
            live.toasts.set_missed(missed);
        }
    });
}

/// Records when a page was last visible.
fn track_visibility(live: LiveState) {
    let keep = move |_| {
        if document().hidden() {
            record_seen(live, 0);
        } else {
            let seq = live.last_seq();
            let away = last_seen(live).is_some_and(|(_, at)| now_ms() - at > MIN_AWAY_MS);
            let last = last_seen(live).map_or(0, |(seq, _)| seq);
            if away {
                let missed = live.toasts.take_after(last);
                live.toasts.set_missed(MissedSummary::from_notifications(&missed));
            }
            record_seen(live, seq);
        }
    };
    let seen = window_event_listener_untyped("visibilitychange", keep);
    let left = window_event_listener_untyped("pagehide", move |_| record_seen(live, 0));
    // The listeners live as long as the page.
    std::mem::forget((seen, left));
}
