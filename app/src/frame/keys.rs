//! Keys for those who don't reach for the mouse. They can be turned off, for
//! speech input types single letters (WCAG 2.1.4).

use crate::live::Live;
use leptos::{ev, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, HtmlInputElement, KeyboardEvent};

/// The second key of a pair comes within this time, ms.
const PAIR_MS: f64 = 1_500.0;
const OFF: &str = "meanwhile.keys-off";

/// Listens as long as the page lives.
pub fn listen(live: Live) {
    Effect::new(move |_| {
        let pair = StoredValue::new(f64::NEG_INFINITY);
        let keys = window_event_listener(ev::keydown, move |event| heard(live, pair, &event));
        if let Some(field) =
            find("#keys-off").and_then(|field| field.dyn_into::<HtmlInputElement>().ok())
        {
            field.set_checked(are_off());
        }
        let off = window_event_listener(ev::change, |event| {
            let field = event.target().and_then(|field| field.dyn_into::<HtmlInputElement>().ok());
            if let Some(field) = field.filter(|field| field.id() == "keys-off") {
                turn_off(field.checked());
            }
        });
        std::mem::forget((keys, off));
    });
}

fn turn_off(off: bool) {
    if let Some(storage) = storage() {
        let _ = if off { storage.set_item(OFF, "1") } else { storage.remove_item(OFF) };
    }
}

fn are_off() -> bool {
    storage().and_then(|storage| storage.get_item(OFF).ok().flatten()).is_some()
}

fn storage() -> Option<web_sys::Storage> {
    window().local_storage().ok().flatten()
}

fn heard(live: Live, pair: StoredValue<f64>, event: &KeyboardEvent) {
    let with = event.ctrl_key() || event.meta_key() || event.alt_key();
    if with || event.default_prevented() || is_typing(event) {
        return;
    }
    let key = event.key();
    if key == "Escape" {
        // What lies above closes first: a popover by itself, an open item by its page.
        if find(":popover-open, .details").is_none() {
            live.told.dismiss_newest();
        }
        return;
    }
    if are_off() {
        return;
    }
    let second = event.time_stamp() - pair.get_value() < PAIR_MS;
    pair.set_value(f64::NEG_INFINITY);
    let done = match key.as_str() {
        "g" => {
            pair.set_value(event.time_stamp());
            false
        }
        "/" => search(),
        "?" => press("[popovertarget=help]"),
        letter if second && letter.len() == 1 && letter.as_bytes()[0].is_ascii_lowercase() => {
            press(&format!(".rail [data-key={letter}]"))
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

/// Where the bar's field has no room, the page of its own has one.
fn search() -> bool {
    let Some(field) = find("main [name=q], #find") else { return false };
    if field.offset_width() == 0 {
        return press(".top a[href='/search']");
    }
    field.focus().is_ok()
}

fn press(selector: &str) -> bool {
    let found = find(selector);
    if let Some(found) = &found {
        found.click();
    }
    found.is_some()
}

/// `None` too where the browser does not know the selector.
fn find(selector: &str) -> Option<HtmlElement> {
    document().query_selector(selector).ok()??.dyn_into().ok()
}
