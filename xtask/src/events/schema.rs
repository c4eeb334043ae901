//! Renders JSON Schemas as Markdown tables.

use serde_json::{Map, Value};
use std::fmt::Write;

/// Returns a table of an object's fields, with links to the types that it
/// references.
pub fn field_table(schema: &Value) -> String {
    let required: Vec<_> = string_items(&schema["required"]);
    let mut rows = String::from("| field | type | | |\n| --- | --- | --- | --- |\n");
    for (name, field) in schema["properties"].as_object().unwrap_or(&Map::new()) {
        let required_mark = if required.contains(&name.as_str()) { "required" } else { "" };
        let description = description(field);
        let _ =
            writeln!(rows, "| `{name}` | {} | {required_mark} | {description} |", type_name(field));
    }
    rows
}

/// Returns the types that a schema references, by name.
pub fn definitions(schema: &Value) -> Map<String, Value> {
    schema["$defs"].as_object().cloned().unwrap_or_default()
}

/// Returns a schema's description, which is its doc comment, in one line.
pub fn description(schema: &Value) -> String {
    let description = schema["description"].as_str().unwrap_or_default();
    let plain = description.replace("[`", "`").replace("`]", "`");
    plain.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// Returns the values of a string enum, each with its description, or `None` for
/// any other type.
pub fn enum_values(schema: &Value) -> Option<Vec<(String, String)>> {
    if let Some(values) = schema["enum"].as_array() {
        return Some(values.iter().map(|value| (text_of(value), String::new())).collect());
    }
    let mut described = Vec::new();
    for variant in schema["oneOf"].as_array()? {
        match (&variant["const"], variant["enum"].as_array()) {
            (Value::String(value), _) => described.push((value.clone(), description(variant))),
            (_, Some(values)) => {
                described.extend(values.iter().map(|value| (text_of(value), description(variant))));
            }
            _ => return None,
        }
    }
    Some(described)
}

/// Returns a type's name, such as `text`, `list of [Variant](#variant)` or
/// `integer or null`.
fn type_name(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        return choices.iter().map(type_name).collect::<Vec<_>>().join(" or ");
    }
    if schema["items"].is_object() {
        return format!("list of {}", type_name(&schema["items"]));
    }
    if schema["format"] == "date-time" {
        let is_optional = schema["type"].is_array();
        return if is_optional { "time or null" } else { "time" }.into();
    }
    let names = match &schema["type"] {
        Value::Array(types) => types.iter().map(text_of).collect(),
        Value::String(one) => vec![one.clone()],
        _ => vec!["any JSON".into()],
    };
    let names = names.iter().map(|name| if name == "string" { "text" } else { name });
    names.collect::<Vec<_>>().join(" or ")
}

fn string_items(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
