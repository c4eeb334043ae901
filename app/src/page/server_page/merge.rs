//! Brings shown HTML up to date without touching what the user works with: the focus, opened
//! `<details>` and typed text stay, because the elements stay.

use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, Node};

/// Attribute of `<details>`. It belongs to the user once the content is shown.
const OPEN: &str = "open";

/// Makes the children of `shown` those of `newer`, and takes nodes out of `newer` for that.
///
/// # Errors
/// Fails if the browser refuses a change. What was changed until then stays.
pub fn merge_children(shown: &Node, newer: &Node) -> Result<(), JsValue> {
    let (mut old, mut new) = (shown.first_child(), newer.first_child());
    loop {
        match (old.take(), new.take()) {
            (Some(current), Some(update)) => {
                new = update.next_sibling();
                if is_same_element(&current, &update) {
                    old = current.next_sibling();
                    merge_element(&current, &update)?;
                } else if is_among_following(&current, &update) {
                    shown.insert_before(&update, Some(&current))?;
                    old = Some(current);
                } else if is_among_following(&update, &current) {
                    old = current.next_sibling();
                    shown.remove_child(&current)?;
                    new = Some(update);
                } else {
                    old = current.next_sibling();
                    shown.replace_child(&update, &current)?;
                }
            }
            (None, Some(update)) => {
                new = update.next_sibling();
                shown.append_child(&update)?;
            }
            (Some(current), None) => {
                old = current.next_sibling();
                shown.remove_child(&current)?;
            }
            (None, None) => return Ok(()),
        }
    }
}

/// Whether `element` is among the siblings after `node`. Only an element is looked for: one
/// placeholder comment is like any other, so that a match would be about something else.
fn is_among_following(element: &Node, node: &Node) -> bool {
    element.node_type() == Node::ELEMENT_NODE
        && std::iter::successors(node.next_sibling(), Node::next_sibling)
            .any(|later| is_same_element(element, &later))
}

/// Whether `update` is a newer state of `current`, instead of something else in its place.
fn is_same_element(current: &Node, update: &Node) -> bool {
    match (current.dyn_ref::<Element>(), update.dyn_ref::<Element>()) {
        (Some(current), Some(update)) => {
            current.tag_name() == update.tag_name() && current.id() == update.id()
        }
        _ => current.is_equal_node(Some(update)),
    }
}

fn merge_element(current: &Node, update: &Node) -> Result<(), JsValue> {
    if current.is_equal_node(Some(update)) {
        return Ok(());
    }
    if let (Some(current), Some(update)) =
        (current.dyn_ref::<Element>(), update.dyn_ref::<Element>())
    {
        merge_attributes(current, update)?;
    }
    merge_children(current, update)
}

fn merge_attributes(current: &Element, update: &Element) -> Result<(), JsValue> {
    for name in attribute_names(update).filter(|name| name != OPEN) {
        if let Some(value) = update.get_attribute(&name)
            && current.get_attribute(&name).as_deref() != Some(&value)
        {
            current.set_attribute(&name, &value)?;
        }
    }
    let gone: Vec<_> = attribute_names(current)
        .filter(|name| name != OPEN && !update.has_attribute(name))
        .collect();
    gone.iter().try_for_each(|name| current.remove_attribute(name))
}

fn attribute_names(element: &Element) -> impl Iterator<Item = String> {
    element
        .get_attribute_names()
        .iter()
        .filter_map(|name| name.as_string())
        .collect::<Vec<_>>()
        .into_iter()
}
