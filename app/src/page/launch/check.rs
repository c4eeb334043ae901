//! Asks the server what it understands of a file, as soon as one is chosen.

use crate::data::launch::{Counts, Understood};
use leptos::{prelude::*, task::spawn_local};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{FormData, Headers, HtmlInputElement, RequestInit, Response};

/// The largest file that the server takes, bytes.
const MAX_BYTES: f64 = 32.0 * 1024.0 * 1024.0;

/// What is known of the file that is chosen.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// None is chosen, or nobody could look at it yet.
    Nothing,
    Asking,
    /// The server did not answer.
    Unanswered,
    Known(Understood),
}

impl Check {
    pub const fn read(&self) -> Option<&Counts> {
        match self {
            Self::Known(Understood::Read(counts, _)) => Some(counts),
            _ => None,
        }
    }
}

/// The latest answer; older ones that come late are not heard.
#[derive(Clone, Copy)]
pub struct Checking {
    pub check: RwSignal<Check>,
    number: StoredValue<u32>,
}

impl Checking {
    pub fn new(check: Check) -> Self {
        Self { check: RwSignal::new(check), number: StoredValue::new(0) }
    }

    /// Looks at the file that `input` holds now.
    pub fn look(self, input: &HtmlInputElement) {
        self.number.update_value(|number| *number += 1);
        let number = self.number.get_value();
        let file = input.files().and_then(|files| files.get(0));
        let (Some(file), Some(form)) = (file, input.form()) else {
            self.check.set(Check::Nothing);
            return;
        };
        if file.size() > MAX_BYTES {
            let mib = (file.size() / 1024.0 / 1024.0).round() as u64;
            let words = format!("This file has {mib} MiB; a file may have up to 32. Split it.");
            self.check.set(Check::Known(Understood::Refused(words)));
            return;
        }
        self.check.set(Check::Asking);
        spawn_local(async move {
            let answer = match ask(&form).await {
                Ok(understood) => Check::Known(understood),
                Err(_) => Check::Unanswered,
            };
            if self.number.try_get_value() == Some(number) {
                self.check.set(answer);
            }
        });
    }
}

async fn ask(form: &web_sys::HtmlFormElement) -> Result<Understood, JsValue> {
    let (request, headers) = (RequestInit::new(), Headers::new()?);
    headers.set("Accept", "application/json")?;
    request.set_method("POST");
    request.set_headers(&headers);
    request.set_body(&FormData::new_with_form(form)?.into());
    let sent = window().fetch_with_str_and_init("/launch/check", &request);
    let response: Response = JsFuture::from(sent).await?.dyn_into()?;
    let text = JsFuture::from(response.text()?).await?.as_string().unwrap_or_default();
    serde_json::from_str(&text).map_err(|error| error.to_string().into())
}
