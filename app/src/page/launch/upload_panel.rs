//! Data of the upload panel: the channels, and the file of a form that launched nothing.

use super::file_check::FileCheckResult;
use contract::api::{Channel, ChannelPace, Estimate};
use serde::{Deserialize, Serialize};

/// Number of products in the sample.
pub const SAMPLE_PRODUCTS: u64 = 150;

/// Channel that can be selected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelChoice {
    pub channel: Channel,
    /// How fast the channel would take the file's products, if that is known.
    pub pace: Option<ChannelPace>,
    pub ticked: bool,
}

/// File that was sent to be checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckedFile {
    pub name: String,
    pub result: FileCheckResult,
    /// Whether the form contains the file; a larger one has to be chosen again.
    pub is_embedded: bool,
}

/// Initial state of the upload panel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UploadPanel {
    /// A new idempotency key for the next launch.
    pub idempotency_key: String,
    pub choices: Vec<ChannelChoice>,
    pub checked_file: Option<CheckedFile>,
    /// Error of the previous form.
    pub problem: Option<String>,
    /// Time in UTC milliseconds.
    pub now_ms: i64,
}

impl UploadPanel {
    /// Estimates how long `products` take on the channels with the ids in `ticked`.
    pub fn estimate(&self, products: u64, ticked: &[String]) -> Option<Estimate> {
        let chosen = self.choices.iter().filter(|choice| ticked.contains(&choice.channel.id));
        Estimate::for_channels(chosen.map(|choice| choice.pace.as_ref()), products, self.now_ms)
    }

    /// Returns the panel with the channels' current state. In the response to a form it
    /// continues with what was submitted.
    ///
    /// # Errors
    /// Fails if the database does.
    #[cfg(feature = "ssr")]
    pub async fn load(
        engine: &engine::Engine,
        user: contract::UserId,
    ) -> Result<Self, engine::store::Error> {
        let submitted = leptos::prelude::use_context::<SubmittedForm>();
        let ticked = submitted.as_ref().map(|form| form.ticked.clone());
        let mut paces = engine.channel_paces(Some(user)).await?;
        let choices = engine.channel_statuses().await?.into_iter().map(|channel| ChannelChoice {
            pace: paces.remove(&channel.id),
            ticked: ticked.as_ref().is_none_or(|ticked| ticked.contains(&channel.id)),
            channel,
        });
        let (idempotency_key, checked_file, problem) = match submitted {
            Some(form) => (form.idempotency_key, form.checked_file, form.problem),
            None => (engine::engine::new_idempotency_key(), None, None),
        };
        Ok(Self {
            idempotency_key,
            choices: choices.collect(),
            checked_file,
            problem,
            now_ms: engine.store().database.now_ms(),
        })
    }
}

/// State of a submitted form, for the page that responds to it.
#[cfg(feature = "ssr")]
#[derive(Clone, Debug)]
pub struct SubmittedForm {
    pub idempotency_key: String,
    /// Ids of the selected channels.
    pub ticked: Vec<String>,
    pub checked_file: Option<CheckedFile>,
    /// Content of the file in hexadecimal, if it is embedded in the form.
    pub file_hex: String,
    pub problem: Option<String>,
}

/// Returns the content of the embedded file, in hexadecimal. It is not part of [`CheckedFile`]:
/// the form already contains it when the browser hydrates the page, so the browser gets an
/// empty string here.
pub fn embedded_file_hex() -> String {
    #[cfg(feature = "ssr")]
    if let Some(form) = leptos::prelude::use_context::<SubmittedForm>() {
        return form.file_hex;
    }
    String::new()
}
