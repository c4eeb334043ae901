//! Replays input that was typed, ticked or chosen before hydration. No listener received it,
//! and hydration may reset a field to the value that the server sent.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlInputElement};

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

/// Fields that were changed before hydration.
pub struct EarlyInputs(Vec<(HtmlInputElement, FieldChange)>);

impl EarlyInputs {
    /// Collects the changed fields. Call it before hydration.
    pub fn collect() -> Self {
        let fields = document().get_elements_by_tag_name("input");
        let of = |at| {
            let field: HtmlInputElement = fields.item(at)?.dyn_into().ok()?;
            let entered = FieldChange::detect(&field)?;
            Some((field, entered))
        };
        Self((0..fields.length()).filter_map(of).collect())
    }

    /// Restores the values and dispatches their events. Call it after hydration.
    pub fn replay(self) {
        for (field, entered) in self.0 {
            match entered {
                FieldChange::Checked(on) => field.set_checked(on),
                FieldChange::FilesChosen => {}
                FieldChange::Typed(words) => field.set_value(&words),
            }
            for kind in ["input", "change"] {
                if let Ok(event) = Event::new(kind) {
                    let _ = field.dispatch_event(&event);
                }
            }
        }
    }
}
