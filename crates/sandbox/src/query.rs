//! AWS's Query protocol: form-encoded parameters in, XML out.

use std::{collections::BTreeMap, fmt::Write};

use axum::http::StatusCode;
use quick_xml::escape::escape;

use crate::{answer::Answer, faults::Dice};

/// The parameters of one request.
pub struct Params(BTreeMap<String, String>);

impl Params {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn action(&self) -> &str {
        self.get("Action").unwrap_or_default()
    }

    /// The values of `InstanceId.1`, `InstanceId.2` and so on for `InstanceId`, in order.
    pub fn list(&self, name: &str) -> Vec<&str> {
        let numbered = self.0.iter().filter_map(|(key, value)| {
            let number = key.strip_prefix(name)?.strip_prefix('.')?.parse::<u32>().ok()?;
            Some((number, value.as_str()))
        });
        numbered.collect::<BTreeMap<_, _>>().into_values().collect()
    }

    /// Whether there is a parameter `name` or one below it.
    pub fn has_any(&self, name: &str) -> bool {
        self.0.keys().any(|key| key == name || key.starts_with(&format!("{name}.")))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Params {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// What AWS calls an error: a code that programs read and a message for people.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
}

impl Refusal {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub fn missing(parameter: &str) -> Self {
        let message = format!("The request must contain the parameter {parameter}");
        Self::bad("MissingParameter", message)
    }
}

/// An element that holds elements.
pub fn element(name: &str, inner: &str) -> String {
    format!("<{name}>{inner}</{name}>")
}

/// An element that holds text.
pub fn text(name: &str, value: &str) -> String {
    element(name, &escape(value))
}

/// A whole document; the root's attributes are dropped from its closing tag.
pub fn document(status: StatusCode, root: &str, namespace: Option<&str>, inner: &str) -> Answer {
    let mut body = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let namespace = namespace.map(|uri| format!(" xmlns=\"{uri}\"")).unwrap_or_default();
    let _ = write!(body, "<{root}{namespace}>{inner}</{root}>");
    Answer::xml(status, body)
}

/// An id in AWS's form, the same again for the same request of the same sandbox.
pub fn request_id(dice: &Dice, service: &str, number: usize) -> String {
    let at = number.to_string();
    let (high, low) = (dice.bits("id", service, &at, 0), dice.bits("id", service, &at, 1));
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
    fn a_list_is_ordered_by_number() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let params: Params =
            [pair("Id.10", "c"), pair("Id.2", "b"), pair("Id.1", "a"), pair("Ids.1", "x")]
                .into_iter()
                .collect();
        assert_eq!(params.list("Id"), ["a", "b", "c"]);
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(text("name", "a<b & c"), "<name>a&lt;b &amp; c</name>");
    }
}
