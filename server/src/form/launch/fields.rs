//! The fields of the launch form.

use crate::{body, problem::Problem, router::MAX_FORM};
use axum::{
    RequestExt,
    body::Bytes,
    extract::{Multipart, Request, multipart::MultipartError},
    http::StatusCode,
};
use contract::text;

/// Maximum size of a field that is not a file, in bytes: the longest name of a
/// file, each character of four bytes.
const LONGEST: usize = 4 * text::FILE_NAME.max_chars();

#[derive(Default)]
pub struct Fields {
    pub key: Option<String>,
    /// Of the file; empty where none was chosen.
    pub name: String,
    pub bytes: Bytes,
    /// Ids.
    pub channels: Vec<String>,
    pub skip_bad: bool,
}

impl Fields {
    /// # Errors
    /// 413 where the form is too large; 4xx where it is no form, or did not
    /// arrive whole.
    pub async fn read(request: Request) -> Result<Self, Problem> {
        if body::is_over(request.headers(), MAX_FORM) {
            return Err(Problem::too_large());
        }
        let form: Result<Multipart, _> = request.extract().await;
        let mut form = form.map_err(|error| {
            Problem::new(error.status(), "This is not a form of the launch page.")
        })?;
        let (mut fields, mut sample) = (Self::default(), false);
        while let Some(field) = form.next_field().await.map_err(broken)? {
            let name = field.name().unwrap_or_default().to_owned();
            match name.as_str() {
                "file" => {
                    let file = field.file_name().unwrap_or_default().to_owned();
                    text::FILE_NAME.check(&file)?;
                    let bytes = field.bytes().await.map_err(broken)?;
                    // A browser sends a file that was not chosen as an empty one.
                    if !file.is_empty() || !bytes.is_empty() {
                        fields.name = if file.is_empty() { "products.csv".into() } else { file };
                        fields.bytes = bytes;
                    }
                }
                "content" => {
                    let text = field.bytes().await.map_err(broken)?;
                    let bytes = hex::decode(&text).map_err(|_| {
                        let words = "The file was not carried along whole. Choose it again.";
                        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, words)
                    })?;
                    fields.bytes = bytes.into();
                }
                "key" | "name" | "channels" | "skip_bad" | "sample" => {
                    let value = field.text().await.map_err(broken)?;
                    if value.is_empty() {
                        continue;
                    }
                    if value.len() > LONGEST {
                        let words = format!("The field `{name}` has more than {LONGEST} bytes.");
                        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, words));
                    }
                    match name.as_str() {
                        "key" => {
                            text::IDEMPOTENCY_KEY.check(&value)?;
                            fields.key = Some(value);
                        }
                        "name" => {
                            text::FILE_NAME.check(&value)?;
                            fields.name = value;
                        }
                        "channels" => {
                            text::CHANNEL.check(&value)?;
                            fields.channels.push(value);
                        }
                        "skip_bad" => fields.skip_bad = true,
                        _ => sample = true,
                    }
                }
                _ => {}
            }
        }
        Ok(if sample { fields.with_sample() } else { fields })
    }

    /// The same with the sample for a file.
    pub fn with_sample(self) -> Self {
        Self { name: super::sample::NAME.into(), bytes: super::sample::csv().into(), ..self }
    }
}

#[allow(clippy::needless_pass_by_value)]
fn broken(error: MultipartError) -> Problem {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(),
        status => Problem::new(status, "The form did not arrive whole. Try again."),
    }
}
