//! Times of the API, for people.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// Returns a time of the API, which is a number of milliseconds since 1970 or a text as in
/// [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339), such as `2026-11-29 18:02:11` in UTC.
/// What is neither is returned as it is.
pub fn for_people(at: &impl Serialize) -> String {
    let value = serde_json::to_value(at).unwrap_or_default();
    let parsed = match &value {
        Value::Number(ms) => ms.as_i64().and_then(|ms| Timestamp::from_millisecond(ms).ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    match (parsed, value) {
        (Some(at), _) => at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        (None, Value::String(text)) => text,
        (None, Value::Null) => "never".into(),
        (None, other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::for_people;

    #[test]
    fn numbers_and_texts_are_the_same_time() {
        assert_eq!(for_people(&1_795_487_628_823_i64), "2026-11-24 02:33:48");
        assert_eq!(for_people(&"2026-11-24T02:33:48.823Z"), "2026-11-24 02:33:48");
        assert_eq!(for_people(&"2026-11-24T04:33:48+02:00"), "2026-11-24 02:33:48");
        assert_eq!(for_people(&None::<i64>), "never");
        assert_eq!(for_people(&"soon"), "soon");
    }
}
