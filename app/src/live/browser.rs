//! What the browser itself shows of what was told: the mark on the tab's
//! icon, notices while no tab is seen, and what was missed meanwhile.

use super::{Live, told::Background};
use contract::api::Notification;
use leptos::{prelude::*, task::spawn_local};
use std::{future::IntoFuture, time::Duration};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::NotificationPermission;

/// Whoever comes back sooner was not away, ms.
const AWAY_MS: i64 = 60_000;
/// Where a browser keeps what its user saw last: who, `seq`, and when.
const SEEN: &str = "meanwhile.seen";
/// The tab's icon with a dot, drawn before the end of its SVG.
const DOT: &str =
    "%3Ccircle cx='12.5' cy='3.5' r='3.5' fill='%23d93025' stroke='white' stroke-width='1'/%3E";
const END: &str = "%3C/svg%3E";

pub fn start(live: Live) {
    Effect::new(move |_| mark(live.unread() > 0));
    let opened = StoredValue::new(false);
    Effect::new(move |_| {
        if live.since.with(Option::is_some) && !opened.get_value() {
            opened.set_value(true);
            look(live);
            come_back(live);
            watch(live);
        }
    });
    let _ = set_interval_with_handle(
        move || {
            if !document().hidden() && !held() {
                live.told.tick();
            }
        },
        Duration::from_secs(1),
    );
}

/// Someone points at the toasts, or is in them.
fn held() -> bool {
    document().query_selector(".toasts:is(:hover, :focus-within)").ok().flatten().is_some()
}

fn mark(unread: bool) {
    let Ok(Some(icon)) = document().query_selector("link[rel=icon]") else { return };
    let Some(bare) = icon.get_attribute("href").map(|href| href.replace(DOT, "")) else { return };
    let href = if unread { bare.replace(END, &format!("{DOT}{END}")) } else { bare };
    let _ = icon.set_attribute("href", &href);
}

/// Sees what the browser allows; the worker is there once it does.
fn look(live: Live) {
    let able = js_sys::Reflect::has(&window(), &"Notification".into()).unwrap_or(false)
        && js_sys::Reflect::has(&window().navigator(), &"serviceWorker".into()).unwrap_or(false)
        && window().is_secure_context();
    let state = if !able {
        Background::Unsupported
    } else {
        match web_sys::Notification::permission() {
            NotificationPermission::Granted => Background::On,
            NotificationPermission::Denied => Background::Denied,
            _ => Background::Unasked,
        }
    };
    if state == Background::On {
        let there = window().navigator().service_worker().register("/sw.js");
        spawn_local(async move {
            if let Err(error) = there.into_future().await {
                leptos::logging::warn!("notices in the background are off: {error:?}");
                live.told.background.set(Background::Unsupported);
            }
        });
    }
    live.told.background.set(state);
}

/// Asks for the right to show notices: from a button alone.
pub fn ask(live: Live) {
    let Ok(asked) = web_sys::Notification::request_permission() else { return };
    spawn_local(async move {
        let _ = asked.into_future().await;
        look(live);
    });
}

/// Hands `news` to the worker, which knows what other tabs handed it.
fn hand(live: Live, news: &serde_json::Value) {
    if live.told.background.get_untracked() != Background::On {
        return;
    }
    let text = JsValue::from_str(&news.to_string());
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

pub fn told(live: Live, told: &Notification) {
    let Notification { seq, title, text, job, .. } = told;
    let who = who(live);
    hand(
        live,
        &serde_json::json!({
            "kind": "told", "who": who, "seq": seq, "title": title, "text": text, "job": job,
        }),
    );
    if !document().hidden() {
        saw(live, *seq);
    }
}

pub fn read(live: Live, up_to: i64) {
    hand(live, &serde_json::json!({ "kind": "read", "who": who(live), "up_to": up_to }));
}

/// The journal that a `seq` belongs to.
fn who(live: Live) -> String {
    live.since.with_untracked(|since| {
        since.as_ref().map(|since| format!("{}:{}", since.epoch, since.email)).unwrap_or_default()
    })
}

fn storage() -> Option<web_sys::Storage> {
    window().local_storage().ok().flatten()
}

/// UTC ms, without the code that writes and reads floats.
fn now_ms() -> i64 {
    js_sys::Date::now() as i64
}

/// The last `seq` that this browser showed to whoever looks, and when.
fn seen(live: Live) -> Option<(i64, i64)> {
    let kept = storage()?.get_item(SEEN).ok()??;
    let mut parts = kept.rsplitn(3, ' ');
    let (at, seq) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (parts.next()? == who(live)).then_some((seq, at))
}

/// All up to `seq` was on a screen.
fn saw(live: Live, seq: i64) {
    let seq = seen(live).map_or(seq, |(before, _)| before.max(seq));
    if let Some(storage) = storage() {
        let _ = storage.set_item(SEEN, &format!("{} {seq} {}", who(live), now_ms()));
    }
}

/// A page was opened: tells of what nobody saw.
fn come_back(live: Live) {
    let (seq, unread) = live
        .since
        .with_untracked(|since| since.as_ref().map_or((0, 0), |since| (since.seq, since.unread)));
    let before = seen(live);
    saw(live, seq);
    let away = before.is_none_or(|(_, at)| now_ms() - at > AWAY_MS);
    let last = before.map_or(0, |(seq, _)| seq);
    if unread == 0 || last >= seq || !away {
        return;
    }
    spawn_local(async move {
        if let Ok(page) = crate::data::inbox::ask_inbox().read().await {
            let missed = page.inbox.items.into_iter();
            live.told
                .miss(&missed.filter(|told| !told.read && told.seq > last).collect::<Vec<_>>());
        }
    });
}

/// Keeps when a page was last on the screen.
fn watch(live: Live) {
    let keep = move |_| {
        if document().hidden() {
            saw(live, 0);
        } else {
            let seq = live.seq();
            let away = seen(live).is_some_and(|(_, at)| now_ms() - at > AWAY_MS);
            let last = seen(live).map_or(0, |(seq, _)| seq);
            if away {
                live.told.miss(&live.told.take_behind(last));
            }
            saw(live, seq);
        }
    };
    let seen = window_event_listener_untyped("visibilitychange", keep);
    let left = window_event_listener_untyped("pagehide", move |_| saw(live, 0));
    // They live as long as the page.
    std::mem::forget((seen, left));
}
