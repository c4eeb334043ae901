//! Words for a JSON body that can't be read. Those of serde are for programmers in Rust.

use crate::problem::Problem;
use app::labels;
use axum::extract::rejection::JsonRejection;

const DATA_PREFIX: &str = "Failed to deserialize the JSON body into the target type: ";
const SYNTAX_PREFIX: &str = "Failed to parse the request body as JSON: ";

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let text = rejection.body_text();
        let detail = match &rejection {
            JsonRejection::JsonDataError(_) => {
                data_error(text.strip_prefix(DATA_PREFIX).unwrap_or(&text))
            }
            JsonRejection::JsonSyntaxError(_) => {
                let what = text.strip_prefix(SYNTAX_PREFIX).unwrap_or(&text);
                format!("The body is not valid JSON: {what}.")
            }
            JsonRejection::MissingJsonContentType(_) => {
                "The body has to be JSON, with the header `Content-Type: application/json`.".into()
            }
            _ => format!("{}.", text.trim_end_matches('.')),
        };
        Self::new(rejection.status(), detail)
    }
}

/// Returns an error of serde as a sentence: which field, and what is expected. Its text is
/// `path: message at line 1 column 2`, without the path for the body itself.
fn data_error(text: &str) -> String {
    let text = text.rfind(" at line ").map_or(text, |end| &text[..end]);
    let (path, message) = match text.split_once(": ") {
        Some((path, message)) if !path.contains(' ') => (Some(path), message),
        _ => (None, text),
    };
    let quoted = |name: &str| format!("`{name}`");
    let subject = path.map_or_else(|| "The body".to_owned(), quoted);
    if let Some(field) = message.strip_prefix("missing field ") {
        let of = path.map(|path| format!(" of `{path}`")).unwrap_or_default();
        return format!("The field {field}{of} is missing.");
    }
    if let Some(field) = message.strip_prefix("duplicate field ") {
        return format!("The field {field} is given twice.");
    }
    let expected = message.split_once(", expected ");
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let field = path.map_or_else(|| rest.split(", ").next().unwrap_or(rest).to_owned(), quoted);
        let known = expected.map(|(_, known)| format!(" Known: {}.", names(known)));
        return format!("There is no field {field}.{}", known.unwrap_or_default());
    }
    match expected.map(|(found, allowed)| (found.split_once([':', ' ']), found, allowed)) {
        Some((_, found, allowed)) if found.starts_with("unknown variant ") => {
            let value = found.trim_start_matches("unknown variant ").trim_matches('`');
            format!("{subject} is {value:?}; allowed: {}.", names(allowed))
        }
        Some((Some(("invalid", rest)), _, allowed)) if rest.starts_with(['t', 'v']) => {
            let found = rest.split_once(": ").map_or(rest, |(_, found)| found);
            format!("{subject} has to be {}, but is {}.", type_words(allowed), value_words(found))
        }
        _ if path.is_some() => format!("{subject}: {}.", message.trim_end_matches('.')),
        _ => format!("{}.", labels::sentence_case(message.trim_end_matches('.'))),
    }
}

/// Returns names that serde lists, as ``one of `a`, `b` `` or `` `a` or `b` ``, without its marks.
fn names(listed: &str) -> String {
    listed.trim_start_matches("one of ").replace(" or ", ", ").replace('`', "")
}

/// Returns the words for what serde expects.
fn type_words(expected: &str) -> &str {
    match expected {
        "f32" | "f64" => "a number",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "a string" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => other,
    }
}

/// Returns the words for what serde found.
fn value_words(found: &str) -> String {
    let number = ["integer ", "floating point "].iter().find_map(|kind| found.strip_prefix(kind));
    match (found, number) {
        (_, Some(number)) => format!("the number {}", number.trim_matches('`')),
        ("map", _) => "an object".into(),
        ("sequence", _) => "a list".into(),
        _ if found.starts_with("string ") => found.replacen("string", "the text", 1),
        _ if found.starts_with("boolean ") => found.replace("boolean ", "").replace('`', ""),
        _ => found.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::JsonBody;
    use axum::{body::Body, extract::FromRequest, http::Request};
    use contract::api::{NewToken, PaceRequest, PauseRequest, RetryRequest, StartInstances};
    use serde::de::DeserializeOwned;

    async fn detail<T: DeserializeOwned>(body: &'static str) -> String {
        let request = Request::post("/").header("content-type", "application/json");
        let request = request.body(Body::from(body)).unwrap();
        JsonBody::<T>::from_request(request, &()).await.err().unwrap().detail
    }

    #[tokio::test]
    async fn a_refused_body_names_the_field_and_what_is_expected() {
        let pace = "There is no field `rat`. Known: rate, limit.";
        assert_eq!(detail::<PaceRequest>(r#"{"rat":1}"#).await, pace);
        let pace = "`rate` has to be a number, but is the text \"fast\".";
        assert_eq!(detail::<PaceRequest>(r#"{"rate":"fast"}"#).await, pace);
        let pace = "`limit` has to be a text, but is the number 7.";
        assert_eq!(detail::<PaceRequest>(r#"{"rate":1,"limit":7}"#).await, pace);
        let twice = "The field `rate` is given twice.";
        assert_eq!(detail::<PaceRequest>(r#"{"rate":1,"rate":2}"#).await, twice);
        assert_eq!(detail::<PauseRequest>("{}").await, "The field `until` is missing.");
        let until = "`until`: a time has to be written like 2026-11-29T17:06:48.123Z.";
        assert_eq!(detail::<PauseRequest>(r#"{"until":"soon"}"#).await, until);
        let list = "`instance_ids` has to be a list, but is the text \"i-1\".";
        assert_eq!(detail::<StartInstances>(r#"{"instance_ids":"i-1"}"#).await, list);
        let item = "`instance_ids[1]` has to be a text, but is true.";
        assert_eq!(detail::<StartInstances>(r#"{"instance_ids":["a",true]}"#).await, item);
        let scope = detail::<NewToken>(r#"{"name":"a","password":"b","scope":"all"}"#).await;
        assert_eq!(scope, "`scope` is \"all\"; allowed: read, launch, admin.");
        let body = "The body has to be an object, but is a list.";
        assert_eq!(detail::<RetryRequest>("[]").await, body);
        let syntax = detail::<PaceRequest>(r#"{"rate":}"#).await;
        assert!(syntax.starts_with("The body is not valid JSON: "), "{syntax}");
        assert!(syntax.ends_with("line 1 column 9."), "{syntax}");
    }

    #[tokio::test]
    async fn a_body_of_another_type_says_which_header_is_needed() {
        let request = Request::post("/").body(Body::from("{}")).unwrap();
        let problem = JsonBody::<PaceRequest>::from_request(request, &()).await.err().unwrap();
        assert_eq!(problem.status.as_u16(), 415);
        assert!(problem.detail.contains("Content-Type: application/json"), "{}", problem.detail);
    }
}
