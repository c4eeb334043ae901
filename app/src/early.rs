//! What was typed, ticked or chosen before the scripts were there. No listener
//! heard of it, and hydration may set a field back to what the server sent.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlInputElement};

enum Entered {
    Ticked(bool),
    Chosen,
    Typed(String),
}

impl Entered {
    /// `None`: the field is as the server sent it.
    fn of(field: &HtmlInputElement) -> Option<Self> {
        match field.type_().as_str() {
            "hidden" => None,
            "checkbox" | "radio" => {
                let on = field.checked();
                (on != field.default_checked()).then_some(Self::Ticked(on))
            }
            "file" => {
                let chosen = field.files().is_some_and(|files| files.length() > 0);
                chosen.then_some(Self::Chosen)
            }
            _ => {
                let words = field.value();
                (words != field.default_value()).then_some(Self::Typed(words))
            }
        }
    }
}

/// Fields that someone was quicker with than the scripts.
pub struct Early(Vec<(HtmlInputElement, Entered)>);

impl Early {
    /// To be called before hydration.
    pub fn find() -> Self {
        let fields = document().get_elements_by_tag_name("input");
        let of = |at| {
            let field: HtmlInputElement = fields.item(at)?.dyn_into().ok()?;
            let entered = Entered::of(&field)?;
            Some((field, entered))
        };
        Self((0..fields.length()).filter_map(of).collect())
    }

    /// Enters it once more, now that it is heard.
    pub fn tell(self) {
        for (field, entered) in self.0 {
            match entered {
                Entered::Ticked(on) => field.set_checked(on),
                Entered::Chosen => {}
                Entered::Typed(words) => field.set_value(&words),
            }
            for kind in ["input", "change"] {
                if let Ok(event) = Event::new(kind) {
                    let _ = field.dispatch_event(&event);
                }
            }
        }
    }
}
