//! AWS's Query protocol: form-encoded parameters in, XML out.

use std::{collections::BTreeMap, fmt::Write};

use axum::http::StatusCode;
use quick_xml::escape::escape;

use crate::{faults::SeededRng, response::ServiceResponse};

/// Parameters of one request.
pub struct QueryParams(BTreeMap<String, String>);

impl QueryParams {
    /// Returns the value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns the action, or an empty text if it is missing.
    pub fn action(&self) -> &str {
        self.get("Action").unwrap_or_default()
    }

    /// Returns the values of `InstanceId.1`, `InstanceId.2` and so on for `InstanceId`, in order.
    pub fn list(&self, name: &str) -> Vec<&str> {
        let numbered = self.0.iter().filter_map(|(key, value)| {
            let number = key.strip_prefix(name)?.strip_prefix('.')?.parse::<u32>().ok()?;
            Some((number, value.as_str()))
        });
        numbered.collect::<BTreeMap<_, _>>().into_values().collect()
    }

    /// Whether there is a parameter `name` or one whose name starts with `name` and a dot.
    pub fn has_any(&self, name: &str) -> bool {
        self.0.keys().any(|key| key == name || key.starts_with(&format!("{name}.")))
    }

    /// Returns the names and values of all parameters.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for QueryParams {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// An error of AWS: a code for programs and a message for people.
#[derive(Debug, PartialEq, Eq)]
pub struct AwsError {
    /// HTTP status.
    pub status: StatusCode,
    /// Code for programs, such as `MissingParameter`.
    pub code: &'static str,
    /// Message for people.
    pub message: String,
}

impl AwsError {
    /// Returns an error with any status.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// Returns an error with status 400.
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// Returns the error of a request without a required parameter.
    pub fn missing_parameter(parameter: &str) -> Self {
        let message = format!("The request must contain the parameter {parameter}");
        Self::bad_request("MissingParameter", message)
    }
}

/// Returns an XML element around elements.
pub fn element(name: &str, inner: &str) -> String {
    format!("<{name}>{inner}</{name}>")
}

/// Returns an XML element around text, which is escaped.
pub fn text_element(name: &str, value: &str) -> String {
    element(name, &escape(value))
}

/// Returns an XML document.
pub fn xml_document(
    status: StatusCode,
    root: &str,
    namespace: Option<&str>,
    inner: &str,
) -> ServiceResponse {
    let mut body = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let namespace = namespace.map(|uri| format!(" xmlns=\"{uri}\"")).unwrap_or_default();
    let _ = write!(body, "<{root}{namespace}>{inner}</{root}>");
    ServiceResponse::xml(status, body)
}

/// Returns an id in AWS's format, the same for the same request, seed and service.
pub fn request_id(rng: &SeededRng, service: &str, number: usize) -> String {
    let subject = number.to_string();
    let (high, low) =
        (rng.random_bits("id", service, &subject, 0), rng.random_bits("id", service, &subject, 1));
    let hex = format!("{high:016x}{low:016x}");
    let mut id = String::with_capacity(36);
    for (index, digit) in hex.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            id.push('-');
        }
        id.push(digit);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_is_ordered_by_number() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let params: QueryParams =
            [pair("Id.10", "c"), pair("Id.2", "b"), pair("Id.1", "a"), pair("Ids.1", "x")]
                .into_iter()
                .collect();
        assert_eq!(params.list("Id"), ["a", "b", "c"]);
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(text_element("name", "a<b & c"), "<name>a&lt;b &amp; c</name>");
    }
}
