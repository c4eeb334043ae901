//! The grid by keyboard: arrows go from cell to cell, also to rows that are
//! not drawn yet. Enter opens, since a cell is a link.

use super::window::Window;
use leptos::{ev, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::{Element, EventTarget};

/// Place and column, each from 0.
pub type Spot = (u32, usize);

pub fn pressed(window: Window, event: &ev::KeyboardEvent) {
    let Some((place, column)) = spot(event.target()) else { return };
    let plain = !event.alt_key() && !event.meta_key() && !event.shift_key();
    let (Some(last), Some(end)) =
        (window.matching_now().checked_sub(1), window.width.checked_sub(1))
    else {
        return;
    };
    let page = window.rows_seen().saturating_sub(1).max(1);
    let to = match (event.key().as_str(), event.ctrl_key()) {
        _ if !plain => return,
        ("ArrowUp", false) => (place.saturating_sub(1), column),
        ("ArrowDown", false) => ((place + 1).min(last), column),
        ("ArrowLeft", false) => (place, column.saturating_sub(1)),
        ("ArrowRight", false) => (place, (column + 1).min(end)),
        ("PageUp", false) => (place.saturating_sub(page), column),
        ("PageDown", false) => ((place + page).min(last), column),
        ("Home", false) => (place, 0),
        ("End", false) => (place, end),
        ("Home", true) => (0, column),
        ("End", true) => (last, column),
        _ => return,
    };
    event.prevent_default();
    window.go(to);
}

pub fn focused(window: Window, event: &ev::FocusEvent) {
    if let Some(at) = spot(event.target()) {
        window.current.set(Some(at));
        window.told.set(element(event.target()).and_then(|a| a.get_attribute("aria-label")));
    }
}

/// The cell that an event is about.
fn spot(target: Option<EventTarget>) -> Option<Spot> {
    let cell = element(target)?.closest("[aria-colindex]").ok()??;
    let row = cell.closest("[aria-rowindex]").ok()??;
    let place: u32 = row.get_attribute("aria-rowindex")?.parse().ok()?;
    let column: usize = cell.get_attribute("aria-colindex")?.parse().ok()?;
    Some((place.checked_sub(2)?, column.checked_sub(2)?))
}

fn element(target: Option<EventTarget>) -> Option<Element> {
    target?.dyn_into().ok()
}
