//! Where the focus is after a file was checked, so that its questions can be answered with the
//! keyboard alone.

use leptos::prelude::document;
use wasm_bindgen::JsCast;
use web_sys::{Element, FocusOptions, HtmlElement};

/// Fields of the questions without which nothing can be launched.
const OPEN_QUESTION_FIELDS: &str = ".open-question select, .open-question input";

/// Element that has the focus after a check.
#[derive(Debug)]
pub enum FocusTarget {
    /// The first question, if there is one.
    Question,
    /// The first question, or the line above the columns.
    QuestionOrColumns,
    /// The field with this id, which has it already unless it was rendered again.
    Field(String),
}

/// Gives the focus to the target. Whoever has moved on to another field stays there.
pub fn after_check(target: &FocusTarget) {
    let active = document().active_element();
    if active.is_some_and(|active| !is_body(&active) && !is_file_field(&active)) {
        return;
    }
    let question = document().query_selector(OPEN_QUESTION_FIELDS).ok().flatten();
    let find = |id: &str| document().get_element_by_id(id);
    match target {
        FocusTarget::Question => focus(question, false),
        FocusTarget::QuestionOrColumns => focus(question.or_else(|| find("columns")), false),
        FocusTarget::Field(id) => focus(find(id).or(question), true),
    }
}

fn is_body(element: &Element) -> bool {
    element.tag_name() == "BODY"
}

fn is_file_field(element: &Element) -> bool {
    element.get_attribute("type").as_deref() == Some("file")
}

fn focus(element: Option<Element>, prevent_scroll: bool) {
    if let Some(element) = element.and_then(|element| element.dyn_into::<HtmlElement>().ok()) {
        let options = FocusOptions::new();
        options.set_prevent_scroll(prevent_scroll);
        let _ = element.focus_with_options(&options);
    }
}
