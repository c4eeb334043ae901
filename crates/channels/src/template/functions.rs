//! Functions and filters that minijinja does not have.

use minijinja::{Error, ErrorKind, Value};
use serde_json::Value as Json;

/// Whether `stored` lacks something that `wanted` has. Members that only `stored` has don't
/// count, and neither do `none` members of `wanted`; a number equals the same number as a
/// text, because services return prices as they like.
pub fn differs(stored: &Value, wanted: &Value) -> bool {
    let json = |value: &Value| serde_json::to_value(value).unwrap_or_default();
    is_different(&json(stored), &json(wanted))
}

fn is_different(stored: &Json, wanted: &Json) -> bool {
    match (stored, wanted) {
        (_, Json::Null) => false,
        (Json::Object(stored), Json::Object(wanted)) => wanted
            .iter()
            .any(|(name, wanted)| is_different(stored.get(name).unwrap_or(&Json::Null), wanted)),
        (Json::Array(stored), Json::Array(wanted)) => {
            stored.len() != wanted.len()
                || stored.iter().zip(wanted).any(|(stored, wanted)| is_different(stored, wanted))
        }
        (Json::Number(a), Json::Number(b)) => {
            a != b && !is_same_number(&a.to_string(), &b.to_string())
        }
        (Json::Number(number), Json::String(text)) | (Json::String(text), Json::Number(number)) => {
            !is_same_number(&number.to_string(), text)
        }
        _ => stored != wanted,
    }
}

/// Whether both texts are the same decimal number, exactly.
fn is_same_number(a: &str, b: &str) -> bool {
    let normal = |text: &str| -> Option<String> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        let is_decimal = !whole.is_empty() && digits(whole) && digits(part);
        is_decimal.then(|| format!("{whole}.{}", part.trim_end_matches('0')))
    };
    normal(a).is_some_and(|a| normal(b) == Some(a))
}

/// Returns a price such as `42.99` in hundredths: `4299`.
pub fn minor_units(price: &Value) -> Result<u64, Error> {
    let parsed = price.as_str().and_then(|text| text.parse::<contract::product::Price>().ok());
    parsed.map(|price| price.0).ok_or_else(|| {
        Error::new(ErrorKind::InvalidOperation, "minor_units needs a price, such as 42.99")
    })
}

/// Returns a text as part of a URL: lower-case letters, digits and single hyphens.
pub fn slug(text: &Value) -> Result<String, Error> {
    let Some(text) = text.as_str() else {
        return Err(Error::new(ErrorKind::InvalidOperation, "slug needs a text"));
    };
    let mut slug = String::with_capacity(text.len());
    for character in text.chars().flat_map(char::to_lowercase) {
        match character {
            _ if character.is_alphanumeric() => slug.push(character),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    Ok(slug.trim_end_matches('-').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn stored_differs_from_wanted_only_where_wanted_says_something() {
        for (stored, wanted, expected) in [
            (json!({"a": 1, "b": 2}), json!({"a": 1}), false),
            (json!({"a": 1}), json!({"a": 1, "b": null}), false),
            (json!({"a": 1}), json!({"a": 1, "b": 2}), true),
            (json!({"price": 42.9}), json!({"price": "42.90"}), false),
            (json!({"price": "42.90"}), json!({"price": 42.91}), true),
            (json!({"weight": 5}), json!({"weight": 5.0}), false),
            (json!({"sku": "10"}), json!({"sku": "10.0"}), true),
            (json!([1, 2]), json!([1]), true),
            (json!(null), json!({"a": 1}), true),
            (json!({"a": [{"b": 1, "c": 3}]}), json!({"a": [{"b": 1}]}), false),
        ] {
            assert_eq!(is_different(&stored, &wanted), expected, "{stored} {wanted}");
        }
    }

    #[test]
    fn texts_become_parts_of_urls() {
        for (text, expected) in [
            ("7\" Shakra  Bracelet!", "7-shakra-bracelet"),
            ("  Ärmel / blau ", "ärmel-blau"),
            ("--", ""),
        ] {
            assert_eq!(slug(&Value::from(text)).as_deref().ok(), Some(expected));
        }
    }
}
