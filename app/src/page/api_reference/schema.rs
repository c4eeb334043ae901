//! Types of the API as lists of fields.

use super::description_of;
use leptos::prelude::*;
use serde_json::Value;

/// Returns the name of a type, with a link if it has one.
pub fn type_name(schema: &Value) -> AnyView {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or(reference).to_owned();
        return view! { <a href=format!("#type-{name}")>{name.clone()}</a> }.into_any();
    }
    for choices in ["anyOf", "oneOf", "allOf"] {
        if let Some(choices) = schema[choices].as_array() {
            let mut names = Vec::new();
            for (index, choice) in choices.iter().enumerate() {
                names.push(view! { {if index > 0 { " or " } else { "" }} {type_name(choice)} });
            }
            return names.into_any();
        }
    }
    if schema["items"].is_object() {
        return view! { "list of " {type_name(&schema["items"])} }.into_any();
    }
    let word = |kind: &Value| match (kind.as_str().unwrap_or("any JSON"), &schema["format"]) {
        ("string", Value::String(format)) if format == "date-time" => "time".to_owned(),
        ("string", Value::String(format)) if format == "uuid" => "id".to_owned(),
        ("string", _) => "text".to_owned(),
        (kind, _) => kind.to_owned(),
    };
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(word).collect::<Vec<_>>().join(" or ").into_any(),
        kind => word(kind).into_any(),
    }
}

/// All types, by name.
pub fn type_section(schemas: &Value) -> AnyView {
    let types = schemas.as_object().into_iter().flatten();
    let types = types.map(|(name, schema)| one_type(name, schema)).collect_view();
    view! {
        <section aria-labelledby="types">
            <h2 id="types">"Types"</h2>
            {types}
        </section>
    }
    .into_any()
}

fn one_type(name: &str, schema: &Value) -> AnyView {
    let required: Vec<_> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let fields = schema["properties"].as_object().into_iter().flatten();
    let fields = fields
        .map(|(field, schema)| {
            let optional = if required.contains(&field.as_str()) { "" } else { ", may be missing" };
            view! {
                <li>
                    <code>{field.clone()}</code> " "
                    <small>{type_name(schema)} {optional}</small> " "
                    {description_of(schema)}
                </li>
            }
        })
        .collect_view();
    let words = schema["oneOf"].as_array().into_iter().flatten();
    let words = words
        .filter_map(|word| {
            let value = word["const"].as_str()?.to_owned();
            Some(view! { <li><code>{value}</code> " " {description_of(word)}</li> })
        })
        .collect_view();
    view! {
        <article class="panel api-operation">
            <h3 id=format!("type-{name}")>{name.to_owned()}</h3>
            <p>{description_of(schema)}</p>
            <ul class="api-lines">{fields} {words}</ul>
        </article>
    }
    .into_any()
}
