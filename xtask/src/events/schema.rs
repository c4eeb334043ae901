//! JSON Schemas as tables for people.

use serde_json::{Map, Value};
use std::fmt::Write;

/// The fields of an object's schema; shapes that it refers to are linked.
pub fn table(schema: &Value) -> String {
    let required: Vec<_> = strings(&schema["required"]);
    let mut rows = String::from("| field | type | | |\n| --- | --- | --- | --- |\n");
    for (name, field) in schema["properties"].as_object().unwrap_or(&Map::new()) {
        let must = if required.contains(&name.as_str()) { "required" } else { "" };
        let says = says(field);
        let _ = writeln!(rows, "| `{name}` | {} | {must} | {says} |", kind(field));
    }
    rows
}

/// Shapes that a schema refers to, by name.
pub fn shapes(schema: &Value) -> Map<String, Value> {
    schema["$defs"].as_object().cloned().unwrap_or_default()
}

/// What a schema's doc comment says, in one line.
pub fn says(schema: &Value) -> String {
    let said = schema["description"].as_str().unwrap_or_default();
    let plain = said.replace("[`", "`").replace("`]", "`");
    plain.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// Words that a text is one of, with what each means; `None`: any other shape.
pub fn words(schema: &Value) -> Option<Vec<(String, String)>> {
    if let Some(all) = schema["enum"].as_array() {
        return Some(all.iter().map(|word| (text(word), String::new())).collect());
    }
    let mut words = Vec::new();
    for one in schema["oneOf"].as_array()? {
        match (&one["const"], one["enum"].as_array()) {
            (Value::String(word), _) => words.push((word.clone(), says(one))),
            (_, Some(all)) => words.extend(all.iter().map(|word| (text(word), says(one)))),
            _ => return None,
        }
    }
    Some(words)
}

/// Such as `text`, `list of [Variant](#variant)`, `integer or null`.
fn kind(schema: &Value) -> String {
    if let Some(shape) = schema["$ref"].as_str() {
        let name = shape.rsplit('/').next().unwrap_or(shape);
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    if schema["items"].is_object() {
        return format!("list of {}", kind(&schema["items"]));
    }
    let names = match &schema["type"] {
        Value::Array(types) => types.iter().map(text).collect(),
        Value::String(one) => vec![one.clone()],
        _ => vec!["any JSON".into()],
    };
    let names = names.iter().map(|name| if name == "string" { "text" } else { name });
    names.collect::<Vec<_>>().join(" or ")
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
