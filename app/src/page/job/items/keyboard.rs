//! Keyboard navigation of the grid: arrow keys move from cell to cell, also to rows that are
//! not drawn yet. Enter opens a cell, because it is a link.

use super::window::GridWindow;
use leptos::{ev, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::{Element, EventTarget};

/// Row and column, each from 0.
pub type CellPosition = (u32, usize);

pub fn handle_keydown(window: GridWindow, event: &ev::KeyboardEvent) {
    let Some((row_index, column)) = cell_position(event.target()) else { return };
    let plain = !event.alt_key() && !event.meta_key() && !event.shift_key();
    let (Some(last), Some(end)) =
        (window.matching_untracked().checked_sub(1), window.column_count.checked_sub(1))
    else {
        return;
    };
    let page = window.visible_row_count().saturating_sub(1).max(1);
    let to = match (event.key().as_str(), event.ctrl_key()) {
        _ if !plain => return,
        ("ArrowUp", false) => (row_index.saturating_sub(1), column),
        ("ArrowDown", false) => ((row_index + 1).min(last), column),
        ("ArrowLeft", false) => (row_index, column.saturating_sub(1)),
        ("ArrowRight", false) => (row_index, (column + 1).min(end)),
        ("PageUp", false) => (row_index.saturating_sub(page), column),
        ("PageDown", false) => ((row_index + page).min(last), column),
        ("Home", false) => (row_index, 0),
        ("End", false) => (row_index, end),
        ("Home", true) => (0, column),
        ("End", true) => (last, column),
        _ => return,
    };
    event.prevent_default();
    window.focus_cell(to);
}

pub fn handle_focus(window: GridWindow, event: &ev::FocusEvent) {
    if let Some(at) = cell_position(event.target()) {
        window.focused_cell.set(Some(at));
        window
            .announcement
            .set(element(event.target()).and_then(|a| a.get_attribute("aria-label")));
    }
}

/// Returns the position of the cell that an event occurred in.
fn cell_position(target: Option<EventTarget>) -> Option<CellPosition> {
    let cell = element(target)?.closest("[aria-colindex]").ok()??;
    let row = cell.closest("[aria-rowindex]").ok()??;
    let row_index: u32 = row.get_attribute("aria-rowindex")?.parse().ok()?;
    let column: usize = cell.get_attribute("aria-colindex")?.parse().ok()?;
    Some((row_index.checked_sub(2)?, column.checked_sub(2)?))
}

fn element(target: Option<EventTarget>) -> Option<Element> {
    target?.dyn_into().ok()
}
