//! Keyboard shortcuts. They can be turned off, because speech input types single
//! letters (WCAG 2.1.4).

use crate::live::LiveState;
use leptos::{ev, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, HtmlInputElement, KeyboardEvent};

/// Maximum time between the two keys of a sequence, in milliseconds.
const SEQUENCE_TIMEOUT_MS: f64 = 1_500.0;
const DISABLED_STORAGE_KEY: &str = "meanwhile.shortcuts-off";

/// Listens for shortcuts until the page is closed.
pub fn listen_for_shortcuts(live: LiveState) {
    Effect::new(move |_| {
        let pair = StoredValue::new(f64::NEG_INFINITY);
        let keys =
            window_event_listener(ev::keydown, move |event| handle_keydown(live, pair, &event));
        if let Some(field) = find_element("#shortcuts-off")
            .and_then(|field| field.dyn_into::<HtmlInputElement>().ok())
        {
            field.set_checked(are_disabled());
        }
        let off = window_event_listener(ev::change, |event| {
            let field = event.target().and_then(|field| field.dyn_into::<HtmlInputElement>().ok());
            if let Some(field) = field.filter(|field| field.id() == "shortcuts-off") {
                set_disabled(field.checked());
            }
        });
        std::mem::forget((keys, off));
    });
}

fn set_disabled(off: bool) {
    if let Some(storage) = storage() {
        let _ = if off {
            storage.set_item(DISABLED_STORAGE_KEY, "1")
        } else {
            storage.remove_item(DISABLED_STORAGE_KEY)
        };
    }
}

fn are_disabled() -> bool {
    storage().and_then(|storage| storage.get_item(DISABLED_STORAGE_KEY).ok().flatten()).is_some()
}

fn storage() -> Option<web_sys::Storage> {
    window().local_storage().ok().flatten()
}

fn handle_keydown(live: LiveState, pair: StoredValue<f64>, event: &KeyboardEvent) {
    let with = event.ctrl_key() || event.meta_key() || event.alt_key();
    if with || event.default_prevented() || is_typing(event) {
        return;
    }
    let key = event.key();
    if key == "Escape" {
        // Whatever is on top closes first: the browser closes a popover, the job page an open item.
        if find_element(":popover-open, .details").is_none() {
            live.toasts.dismiss_newest();
        }
        return;
    }
    if are_disabled() {
        return;
    }
    let second = event.time_stamp() - pair.get_value() < SEQUENCE_TIMEOUT_MS;
    pair.set_value(f64::NEG_INFINITY);
    let done = match key.as_str() {
        "g" => {
            pair.set_value(event.time_stamp());
            false
        }
        "/" => focus_search(),
        "?" => click_element("[popovertarget=help]"),
        letter if second && letter.len() == 1 && letter.as_bytes()[0].is_ascii_lowercase() => {
            click_element(&format!(".nav-rail [data-shortcut={letter}]"))
        }
        _ => false,
    };
    if done {
        event.prevent_default();
    }
}

fn is_typing(event: &KeyboardEvent) -> bool {
    const FIELDS: &str =
        "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]";
    let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
    target.is_some_and(|target| target.closest(FIELDS).ok().flatten().is_some())
}

/// Focuses the search field, or opens the search page if the top bar has no room for the field.
fn focus_search() -> bool {
    let Some(field) = find_element("main [name=q], #site-search") else { return false };
    if field.offset_width() == 0 {
        return click_element(".top-bar a[href='/search']");
    }
    field.focus().is_ok()
}

fn click_element(selector: &str) -> bool {
    let found = find_element(selector);
    if let Some(found) = &found {
        found.click();
    }
    found.is_some()
}

/// Returns `None` if nothing matches or the browser does not support the selector.
fn find_element(selector: &str) -> Option<HtmlElement> {
    document().query_selector(selector).ok()??.dyn_into().ok()
}
