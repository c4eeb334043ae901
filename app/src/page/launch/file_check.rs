//! Has the server check a file as soon as one is chosen.

use contract::api::DryRun;
use leptos::{prelude::*, task::spawn_local};
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{FormData, Headers, HtmlInputElement, RequestInit, Response};

/// Maximum file size that the server accepts, in bytes.
const MAX_FILE_BYTES: f64 = 32.0 * 1024.0 * 1024.0;

/// Maximum number of bad rows that are listed. All of them are counted.
pub const MAX_LISTED_BAD_ROWS: usize = 10;

/// Result of checking a file, before anything is launched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FileCheckResult {
    /// What was read, with the first [`MAX_LISTED_BAD_ROWS`] bad rows.
    Parsed(DryRun),
    /// Why the file can't be read at all.
    Rejected(String),
}

impl FileCheckResult {
    pub fn from_dry_run(mut run: DryRun) -> Self {
        run.bad_rows.truncate(MAX_LISTED_BAD_ROWS);
        Self::Parsed(run)
    }
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
    pub const fn parsed_file(&self) -> Option<&DryRun> {
        match self {
            Self::Finished(FileCheckResult::Parsed(run)) => Some(run),
            _ => None,
        }
    }
}

/// Checks files and holds the latest result. Late responses to older requests are ignored.
#[derive(Clone, Copy)]
pub struct FileChecker {
    pub state: RwSignal<CheckState>,
    request_number: StoredValue<u32>,
}

impl FileChecker {
    pub fn new(check: CheckState) -> Self {
        Self { state: RwSignal::new(check), request_number: StoredValue::new(0) }
    }

    /// Checks the file that is chosen in `input`.
    pub fn check_file(self, input: &HtmlInputElement) {
        self.request_number.update_value(|number| *number += 1);
        let number = self.request_number.get_value();
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
        self.state.set(CheckState::Pending);
        spawn_local(async move {
            let answer = match request_check(&form).await {
                Ok(understood) => CheckState::Finished(understood),
                Err(_) => CheckState::NoResponse,
            };
            if self.request_number.try_get_value() == Some(number) {
                self.state.set(answer);
            }
        });
    }
}

async fn request_check(form: &web_sys::HtmlFormElement) -> Result<FileCheckResult, JsValue> {
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
