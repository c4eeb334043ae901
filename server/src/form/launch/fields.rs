//! Fields of the launch form.

use crate::{problem::Problem, router::MAX_FORM_BYTES};
use axum::{
    RequestExt,
    body::Bytes,
    extract::{Multipart, Request, multipart::MultipartError},
    http::StatusCode,
};
use contract::text;
use ingress::request_body;

/// Maximum size of a field that is not a file, in bytes: that of the longest file
/// name with four bytes per character.
const MAX_FIELD_BYTES: usize = 4 * text::FILE_NAME.max_chars();

/// Contents of a launch form.
#[derive(Default)]
pub struct LaunchFields {
    pub idempotency_key: Option<String>,
    /// Name of the file; empty if none was chosen.
    pub file_name: String,
    pub file_bytes: Bytes,
    /// Ids of the ticked channels.
    pub channel_ids: Vec<String>,
    pub skip_bad: bool,
}

impl LaunchFields {
    /// Reads the form from a multipart body.
    ///
    /// # Errors
    /// 413 if the form is too large; another 4xx if it is invalid or did not arrive
    /// completely.
    pub async fn read(request: Request) -> Result<Self, Problem> {
        if request_body::exceeds(request.headers(), MAX_FORM_BYTES) {
            return Err(Problem::payload_too_large());
        }
        let form: Result<Multipart, _> = request.extract().await;
        let mut form = form.map_err(|error| {
            Problem::new(
                error.status(),
                "This is not the launch form. Reload the page and try again.",
            )
        })?;
        let (mut fields, mut use_sample) = (Self::default(), false);
        while let Some(field) = form.next_field().await.map_err(multipart_problem)? {
            let name = field.name().unwrap_or_default().to_owned();
            match name.as_str() {
                "file" => {
                    let file = field.file_name().unwrap_or_default().to_owned();
                    text::FILE_NAME.check(&file)?;
                    let bytes = field.bytes().await.map_err(multipart_problem)?;
                    // If no file was chosen, browsers send an empty one.
                    if !file.is_empty() || !bytes.is_empty() {
                        fields.file_name =
                            if file.is_empty() { "products.csv".into() } else { file };
                        fields.file_bytes = bytes;
                    }
                }
                "content" => {
                    let text = field.bytes().await.map_err(multipart_problem)?;
                    let bytes = hex::decode(&text).map_err(|_| {
                        let detail = "The file was not sent back completely. Choose it again.";
                        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
                    })?;
                    fields.file_bytes = bytes.into();
                }
                "key" | "name" | "channels" | "skip_bad" | "sample" => {
                    let value = field.text().await.map_err(multipart_problem)?;
                    if value.is_empty() {
                        continue;
                    }
                    if value.len() > MAX_FIELD_BYTES {
                        let detail =
                            format!("The field `{name}` has more than {MAX_FIELD_BYTES} bytes.");
                        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
                    }
                    match name.as_str() {
                        "key" => {
                            text::IDEMPOTENCY_KEY.check(&value)?;
                            fields.idempotency_key = Some(value);
                        }
                        "name" => {
                            text::FILE_NAME.check(&value)?;
                            fields.file_name = value;
                        }
                        "channels" => {
                            text::CHANNEL.check(&value)?;
                            fields.channel_ids.push(value);
                        }
                        "skip_bad" => fields.skip_bad = true,
                        _ => use_sample = true,
                    }
                }
                _ => {}
            }
        }
        Ok(if use_sample { fields.with_sample() } else { fields })
    }

    /// Replaces the file by the sample.
    pub fn with_sample(self) -> Self {
        Self {
            file_name: super::sample::FILE_NAME.into(),
            file_bytes: super::sample::csv().into(),
            ..self
        }
    }
}

#[allow(clippy::needless_pass_by_value)]
fn multipart_problem(error: MultipartError) -> Problem {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::payload_too_large(),
        status => Problem::new(status, "The form did not arrive completely. Try again."),
    }
}
