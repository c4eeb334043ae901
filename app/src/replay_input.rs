//! Replays input that was typed, ticked or chosen before hydration. No listener received it,
//! and hydration may reset a field to the value that the server sent.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{
    Element, Event, EventInit, HtmlInputElement, HtmlSelectElement, HtmlTextAreaElement,
};

enum FieldChange {
    Checked(bool),
    FilesChosen,
    Typed(String),
}

impl FieldChange {
    /// Returns `None` if the field is as the server sent it.
    fn detect(field: &HtmlInputElement) -> Option<Self> {
        match field.type_().as_str() {
            "hidden" => None,
            "checkbox" | "radio" => {
                let on = field.checked();
                (on != field.default_checked()).then_some(Self::Checked(on))
            }
            "file" => {
                let chosen = field.files().is_some_and(|files| files.length() > 0);
                chosen.then_some(Self::FilesChosen)
            }
            _ => {
                let words = field.value();
                (words != field.default_value()).then_some(Self::Typed(words))
            }
        }
    }
}

/// Fields that were changed before hydration. Hydration keeps what is chosen in a select, of
/// which only the event is missing.
pub struct EarlyInputs {
    inputs: Vec<(HtmlInputElement, FieldChange)>,
    /// Text areas, with what was typed.
    areas: Vec<(HtmlTextAreaElement, String)>,
    selects: Vec<HtmlSelectElement>,
}

impl EarlyInputs {
    /// Collects the changed fields. Call it before hydration.
    pub fn collect() -> Self {
        let fields = document().get_elements_by_tag_name("input");
        let of = |at| {
            let field: HtmlInputElement = fields.item(at)?.dyn_into().ok()?;
            let entered = FieldChange::detect(&field)?;
            Some((field, entered))
        };
        let areas = document().get_elements_by_tag_name("textarea");
        let typed = |at| {
            let area: HtmlTextAreaElement = areas.item(at)?.dyn_into().ok()?;
            let words = area.value();
            let is_changed = area.default_value().is_ok_and(|sent| sent != words);
            is_changed.then_some((area, words))
        };
        let selects = document().get_elements_by_tag_name("select");
        let changed = |at| {
            let select: HtmlSelectElement = selects.item(at)?.dyn_into().ok()?;
            is_changed(&select).then_some(select)
        };
        Self {
            inputs: (0..fields.length()).filter_map(of).collect(),
            areas: (0..areas.length()).filter_map(typed).collect(),
            selects: (0..selects.length()).filter_map(changed).collect(),
        }
    }

    /// Restores the values and dispatches their events. Call it after hydration.
    pub fn replay(self) {
        for (field, entered) in self.inputs {
            match entered {
                FieldChange::Checked(on) => field.set_checked(on),
                FieldChange::FilesChosen => {}
                FieldChange::Typed(words) => field.set_value(&words),
            }
            dispatch(&field, "input");
            dispatch(&field, "change");
        }
        for (area, words) in self.areas {
            area.set_value(&words);
            dispatch(&area, "input");
            dispatch(&area, "change");
        }
        for select in self.selects {
            dispatch(&select, "change");
        }
    }
}

/// Returns whether another option is chosen than the one that the server marked.
fn is_changed(select: &HtmlSelectElement) -> bool {
    let is_marked = |option: Element| option.has_attribute("selected");
    let options = select.get_elements_by_tag_name("option");
    let has_mark = (0..options.length()).filter_map(|at| options.item(at)).any(is_marked);
    has_mark && !select.selected_options().item(0).is_some_and(is_marked)
}

/// Dispatches an event as the browser does: it also reaches listeners of elements around it.
fn dispatch(field: &Element, kind: &str) {
    let init = EventInit::new();
    init.set_bubbles(true);
    if let Ok(event) = Event::new_with_event_init_dict(kind, &init) {
        let _ = field.dispatch_event(&event);
    }
}
