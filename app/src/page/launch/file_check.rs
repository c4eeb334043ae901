//! Has the server check a file as soon as one is chosen, and again when an answer changes.

use super::{
    file_report::FileReport,
    focus::{self, FocusTarget},
};
use leptos::{prelude::*, task::spawn_local};
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Element, FormData, Headers, HtmlFormElement, HtmlInputElement, HtmlSelectElement, RequestInit,
    Response,
};

/// Maximum file size that the server accepts, in bytes.
const MAX_FILE_BYTES: f64 = 32.0 * 1024.0 * 1024.0;

/// Fields that concern one file: the answers, and what they were rendered with.
const ANSWER_FIELDS: [&str; 10] = [
    "checked",
    "shown_map",
    "shown_sheet",
    "map",
    "decimal",
    "price",
    "drafts",
    "zero_price",
    "sheet",
    "encoding",
];

/// Field of the button by which chosen columns are forgotten.
pub const FORGET_COLUMNS: &str = "forget_columns";

/// Result of checking a file, before anything is launched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FileCheckResult {
    Parsed(Box<FileReport>),
    /// Why the file can't be read at all.
    Rejected(String),
}

/// State of the check of the chosen file.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckState {
    /// No file is chosen, or it was not checked yet.
    NoFile,
    Pending,
    /// The server did not answer.
    NoResponse,
    Finished(FileCheckResult),
}

impl CheckState {
    /// Returns what was read of the file, if it could be read.
    pub fn report(&self) -> Option<&FileReport> {
        match self {
            Self::Finished(FileCheckResult::Parsed(report)) => Some(report),
            _ => None,
        }
    }
}

/// Checks files and holds the latest result. Late responses to older requests are ignored.
#[derive(Clone, Copy)]
pub struct FileChecker {
    pub state: RwSignal<CheckState>,
    /// Whether an answer has changed since the check.
    pub is_rechecking: RwSignal<bool>,
    /// Whether the list of columns stays open, because a person is choosing in it.
    pub show_columns: StoredValue<bool>,
    /// Name of the checked file, if it has to be chosen again: the answers are for it.
    awaited_file: StoredValue<Option<String>>,
    request_number: StoredValue<u32>,
}

impl FileChecker {
    pub fn new(check: CheckState, awaited_file: Option<String>) -> Self {
        Self {
            state: RwSignal::new(check),
            is_rechecking: RwSignal::new(false),
            show_columns: StoredValue::new(false),
            awaited_file: StoredValue::new(awaited_file),
            request_number: StoredValue::new(0),
        }
    }

    /// Checks the file that is chosen in `input`. Answers about another file are not sent.
    pub fn check_file(self, input: &HtmlInputElement) {
        let number = self.next_request();
        let file = input.files().and_then(|files| files.get(0));
        let (Some(file), Some(form)) = (file, input.form()) else {
            self.state.set(CheckState::NoFile);
            return;
        };
        if file.size() > MAX_FILE_BYTES {
            let mib = (file.size() / 1024.0 / 1024.0).round() as u64;
            let words = format!("This file has {mib} MiB, and the limit is 32 MiB. Split it.");
            self.state.set(CheckState::Finished(FileCheckResult::Rejected(words)));
            return;
        }
        let awaited = self.awaited_file.try_update_value(Option::take).flatten();
        let is_awaited = awaited.is_some_and(|name| name == file.name());
        let body = form_data(&form, |_| is_awaited);
        self.show_columns.set_value(false);
        self.state.set(CheckState::Pending);
        self.request(number, body, FocusTarget::Question);
    }

    /// Checks the file again after the answer in `field` has changed.
    pub fn check_answers(self, form: &HtmlFormElement, field: &Element) {
        let name = field.get_attribute("name").unwrap_or_default();
        if !ANSWER_FIELDS.contains(&name.as_str()) {
            return;
        }
        let number = self.next_request();
        let is_sheet = name == "sheet";
        if name == "map" {
            self.show_columns.set_value(true);
            self.move_field_to(field);
        }
        // Another sheet is another file: the answers are not about it.
        let body = form_data(form, |field| !is_sheet || field == "sheet");
        if is_sheet {
            self.show_columns.set_value(false);
            self.state.set(CheckState::Pending);
        } else {
            self.is_rechecking.set(true);
        }
        self.request(number, body, FocusTarget::Field(field.id()));
    }

    /// Has the server forget the columns that the team chose, and checks the file without them.
    pub fn forget_columns(self, form: &HtmlFormElement) {
        let number = self.next_request();
        let body = form_data(form, |field| field != "map").and_then(|data| {
            data.append_with_str(FORGET_COLUMNS, "true")?;
            Ok(data)
        });
        self.show_columns.set_value(false);
        self.is_rechecking.set(true);
        self.request(number, body, FocusTarget::QuestionOrColumns);
    }

    /// Takes the field that was chosen for one column off the column that had it.
    fn move_field_to(self, select: &Element) {
        let Some(select) = select.dyn_ref::<HtmlSelectElement>() else { return };
        let value = select.value();
        let field = value.split(':').next().unwrap_or_default();
        if field.is_empty() || field == "not_read" || field == "image" || field == "option_value" {
            return;
        }
        let positions = self.state.with_untracked(|state| {
            let columns = state.report().and_then(|report| report.columns.as_ref());
            columns.map_or_else(Vec::new, |form| form.rows.iter().map(|row| row.position).collect())
        });
        for position in positions {
            let other = document().get_element_by_id(&format!("map-{position}"));
            let other = other.and_then(|other| other.dyn_into::<HtmlSelectElement>().ok());
            if let Some(other) = other
                && other.id() != select.id()
                && other.value().split(':').next() == Some(field)
            {
                other.set_selected_index(0);
            }
        }
    }

    fn next_request(self) -> u32 {
        self.request_number.update_value(|number| *number += 1);
        self.request_number.get_value()
    }

    /// Sends the form, shows the result and gives the focus to `target`.
    fn request(self, number: u32, body: Result<FormData, JsValue>, target: FocusTarget) {
        spawn_local(async move {
            let result = match body {
                Ok(body) => request_check(&body).await,
                Err(error) => Err(error),
            };
            if self.request_number.try_get_value() != Some(number) {
                return;
            }
            let state = match result {
                Ok(result) => CheckState::Finished(result),
                Err(_) => self.unanswered(),
            };
            // Fields whose values the server did not take are rendered again.
            let is_reset = state.report().is_some_and(|report| report.problem.is_some());
            let columns = state.report().and_then(|report| report.columns.as_ref());
            if columns.is_some_and(|form| form.is_question) {
                self.show_columns.set_value(true);
            }
            self.is_rechecking.set(false);
            let show = move || {
                self.state.set(state);
                request_animation_frame(move || focus::after_check(&target));
            };
            if is_reset {
                self.state.set(CheckState::Pending);
                request_animation_frame(show);
            } else {
                show();
            }
        });
    }

    /// Returns the state after a request without a response: the answers before it stay.
    fn unanswered(self) -> CheckState {
        let state = self.state.get_untracked();
        let CheckState::Finished(FileCheckResult::Parsed(mut report)) = state else {
            return CheckState::NoResponse;
        };
        report.problem =
            Some("The server did not answer, so this is without your last answer.".into());
        CheckState::Finished(FileCheckResult::Parsed(report))
    }
}

/// Returns the form's data with those of the [`ANSWER_FIELDS`] that `keeps` allows.
fn form_data(form: &HtmlFormElement, keeps: impl Fn(&str) -> bool) -> Result<FormData, JsValue> {
    let data = FormData::new_with_form(form)?;
    for field in ANSWER_FIELDS.into_iter().filter(|field| !keeps(field)) {
        data.delete(field);
    }
    Ok(data)
}

async fn request_check(body: &FormData) -> Result<FileCheckResult, JsValue> {
    let (request, headers) = (RequestInit::new(), Headers::new()?);
    headers.set("Accept", "application/json")?;
    request.set_method("POST");
    request.set_headers(&headers);
    request.set_body(body);
    let sent = window().fetch_with_str_and_init("/launch/check", &request);
    let response: Response = JsFuture::from(sent).await?.dyn_into()?;
    let text = JsFuture::from(response.text()?).await?.as_string().unwrap_or_default();
    serde_json::from_str(&text).map_err(|error| error.to_string().into())
}
