//! Fields of the launch form.

mod answers;

use crate::{problem::Problem, router::MAX_FORM_BYTES};
use answers::Answers;
use axum::{
    RequestExt,
    body::{Body, Bytes},
    extract::{
        Multipart, Request,
        multipart::{Field, MultipartError},
    },
    http::StatusCode,
};
use contract::{feed::ReadOptions, text};
use futures_util::{StreamExt, stream};
use ingress::request_body;

/// Maximum size of a field that is not a file, in bytes: that of the longest file
/// name with four bytes per character.
const MAX_FIELD_BYTES: usize = 4 * text::FILE_NAME.max_chars();
/// Maximum size of the mapping that the form was rendered with, in bytes: 32 for each of 1,000
/// columns.
const MAX_MAPPING_BYTES: usize = 32_000;

/// Bytes of a form that are awaited before it is parsed: more than the longest first boundary,
/// which has 74 ([RFC 2046](https://www.rfc-editor.org/rfc/rfc2046#section-5.1.1)).
const FIRST_BYTES: usize = 128;

/// Waits for the first bytes of the body. multer 3.1 takes a complete form for an incomplete one
/// if its first boundary and its end arrive together, but after the parser has begun to wait.
async fn with_first_bytes(request: Request) -> Request {
    let (parts, body) = request.into_parts();
    let mut rest = body.into_data_stream();
    let (mut first, mut length) = (Vec::new(), 0);
    while length < FIRST_BYTES
        && let Some(chunk) = rest.next().await
    {
        length += chunk.as_ref().map_or(FIRST_BYTES, Bytes::len);
        first.push(chunk);
    }
    Request::from_parts(parts, Body::from_stream(stream::iter(first).chain(rest)))
}

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
    /// How the file is read, by the answers of the person.
    pub options: ReadOptions,
    /// Whether the columns that the team chose for such files are forgotten.
    pub forgets_columns: bool,
    /// Whether the person saw the result of the check, in which the options are shown.
    pub is_checked: bool,
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
        let request = with_first_bytes(request).await;
        let form: Result<Multipart, _> = request.extract().await;
        let mut form = form.map_err(|error| {
            Problem::new(
                error.status(),
                "This is not the launch form. Reload the page and try again.",
            )
        })?;
        let (mut fields, mut use_sample) = (Self::default(), false);
        let mut answers = Answers::default();
        while let Some(field) = form.next_field().await.map_err(multipart_problem)? {
            let name = field.name().unwrap_or_default().to_owned();
            match name.as_str() {
                "file" => fields.read_file(field).await?,
                "content" => {
                    let text = field.bytes().await.map_err(multipart_problem)?;
                    let bytes = hex::decode(&text).map_err(|_| {
                        let detail = "The file was not sent back completely. Choose it again.";
                        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
                    })?;
                    fields.file_bytes = bytes.into();
                }
                "key" | "name" | "channels" | "skip_bad" | "sample" | "forget_columns" => {
                    let value = read_text(&name, field, MAX_FIELD_BYTES).await?;
                    match name.as_str() {
                        _ if value.is_empty() => {}
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
                        "forget_columns" => fields.forgets_columns = true,
                        _ => use_sample = true,
                    }
                }
                name if Answers::FIELDS.contains(&name) => {
                    let is_mapping = name == "shown_map";
                    let limit = if is_mapping { MAX_MAPPING_BYTES } else { MAX_FIELD_BYTES };
                    answers.add(name, &read_text(name, field, limit).await?)?;
                }
                _ => {}
            }
        }
        (fields.options, fields.is_checked) = answers.finish();
        Ok(if use_sample { fields.with_sample() } else { fields })
    }

    async fn read_file(&mut self, field: Field<'_>) -> Result<(), Problem> {
        let name = field.file_name().unwrap_or_default().to_owned();
        text::FILE_NAME.check(&name)?;
        let bytes = field.bytes().await.map_err(multipart_problem)?;
        // If no file was chosen, browsers send an empty one.
        if !name.is_empty() || !bytes.is_empty() {
            self.file_name = if name.is_empty() { "products.csv".into() } else { name };
            self.file_bytes = bytes;
        }
        Ok(())
    }

    /// Replaces the file by the sample, which needs no answers.
    pub fn with_sample(self) -> Self {
        Self {
            file_name: super::sample::FILE_NAME.into(),
            file_bytes: super::sample::csv().into(),
            options: ReadOptions::default(),
            is_checked: true,
            ..self
        }
    }
}

async fn read_text(name: &str, field: Field<'_>, limit: usize) -> Result<String, Problem> {
    let value = field.text().await.map_err(multipart_problem)?;
    if value.len() > limit {
        let detail = format!("The field `{name}` has more than {limit} bytes.");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    Ok(value)
}

#[allow(clippy::needless_pass_by_value)]
fn multipart_problem(error: MultipartError) -> Problem {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::payload_too_large(),
        status => {
            tracing::info!(%error, "a form could not be read");
            Problem::new(status, "The form did not arrive completely. Try again.")
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::convert::Infallible;

    const FORM: &str = "--------WebKitBoundary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.csv\"\r\n\r\n\
                        sku,title,price\nA,Lamp,1\n\r\n--------WebKitBoundary\r\n\
                        Content-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--------WebKitBoundary--\r\n";

    #[tokio::test]
    async fn a_form_is_read_however_its_body_is_cut() {
        for cut in 0..FORM.len() {
            let parts = ["", &FORM[..cut], &FORM[cut..]].map(Bytes::from);
            let body = stream::iter(parts).then(async |part| {
                // The parser is polled before this part is there.
                tokio::task::yield_now().await;
                Ok::<_, Infallible>(part)
            });
            let request = Request::post("/launch/check")
                .header("content-type", "multipart/form-data; boundary=------WebKitBoundary")
                .body(Body::from_stream(body))
                .unwrap();
            let fields = LaunchFields::read(request).await.map_err(|problem| problem.detail);
            let fields = fields.unwrap_or_else(|detail| panic!("cut at {cut}: {detail}"));
            assert_eq!(fields.file_name, "f.csv", "cut at {cut}");
            assert_eq!(fields.idempotency_key.as_deref(), Some("k"), "cut at {cut}");
        }
    }
}
