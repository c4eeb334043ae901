//! Reference of the API, which the server renders from `docs/openapi.json`. It has no scripts, and
//! nothing from another server.

mod example;
mod markdown;
mod schema;

use crate::title::Title;
use contract::timestamp;
use leptos::prelude::*;
use leptos_meta::provide_meta_context;
use serde_json::{Map, Value};
use std::{
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

/// Origin of the server, as the browser reached it.
#[derive(Clone, Debug)]
pub struct ApiOrigin(pub String);

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap_or_default()
});

/// Renders the whole page.
pub fn document() -> impl IntoView {
    provide_meta_context();
    let origin = use_context::<ApiOrigin>().map_or_else(String::new, |origin| origin.0);
    crate::html_document((), content(&DOCUMENT, &origin))
}

fn content(document: &Value, origin: &str) -> AnyView {
    let groups = document["tags"].as_array().into_iter().flatten();
    let groups: Vec<_> = groups.filter_map(|group| group["name"].as_str()).collect();
    let links = groups
        .iter()
        .map(|group| view! { <li><a href=format!("#{}", anchor(group))>{(*group).to_owned()}</a></li> })
        .collect_view();
    let sections = groups.iter().map(|group| group_section(document, group, origin)).collect_view();
    view! {
        <Title text="API reference"/>
        <main class="api-reference">
            <p><a href="/account">"Back to your account"</a></p>
            <h1>"API reference"</h1>
            <p>{description_of(&document["info"])}</p>
            <p>
                "Send an API token as " <code>"Authorization: Bearer mw_…"</code>
                ". Tools read the same as " <a href="/openapi.json">"openapi.json"</a> "."
            </p>
            <ul class="api-groups">
                {links}
                <li><a href="#types">"Types"</a></li>
            </ul>
            {sections}
            {schema::type_section(&document["components"]["schemas"])}
        </main>
    }
    .into_any()
}

/// The operations of a group, in the order of the document.
fn group_section(document: &Value, group: &str, origin: &str) -> AnyView {
    let operations = document["paths"]
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flatten();
            methods.map(move |(method, operation)| (path, method, operation))
        })
        .filter(|(_, _, operation)| operation["tags"][0] == group)
        .map(|(path, method, operation)| operation_view(document, path, method, operation, origin))
        .collect_view();
    view! {
        <section aria-labelledby=anchor(group)>
            <h2 id=anchor(group)>{group.to_owned()}</h2>
            {operations}
        </section>
    }
    .into_any()
}

fn operation_view(
    document: &Value,
    path: &str,
    method: &str,
    operation: &Value,
    origin: &str,
) -> AnyView {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let parameters: Vec<_> = parameters.map(parameter_line).collect();
    let body = &operation["requestBody"]["content"];
    let body_type = body["application/json"]["schema"].is_object().then(|| {
        view! { <p>"Body: " {schema::type_name(&body["application/json"]["schema"])}</p> }
    });
    let none = Map::new();
    let answers = operation["responses"].as_object().unwrap_or(&none).iter();
    let answers =
        answers.map(|(status, answer)| answer_line(document, status, answer)).collect_view();
    let description = operation["description"].is_string();
    view! {
        <article class="panel api-operation">
            <h3 id=text_of(&operation["operationId"])>{text_of(&operation["summary"])}</h3>
            <p><code>{method.to_uppercase()} " " {path.to_owned()}</code></p>
            {description.then(|| view! { <p>{description_of(operation)}</p> })}
            {(!parameters.is_empty()).then(|| view! { <ul class="api-lines">{parameters}</ul> })}
            {body_type}
            <pre class="api-example" tabindex="0">{example::curl(path, method, operation, origin, &in_an_hour())}</pre>
            <details>
                <summary>"Answers"</summary>
                <ul class="api-lines">{answers}</ul>
            </details>
        </article>
    }
    .into_any()
}

fn parameter_line(parameter: &Value) -> AnyView {
    let place = match parameter["in"].as_str() {
        Some("header") => "header, ",
        Some("path") => "in the path, ",
        _ => "",
    };
    view! {
        <li>
            <code>{text_of(&parameter["name"])}</code> " "
            <small>{place} {schema::type_name(&parameter["schema"])}</small> " "
            {description_of(parameter)}
        </li>
    }
    .into_any()
}

fn answer_line(document: &Value, status: &str, answer: &Value) -> AnyView {
    let pointer = answer["$ref"].as_str().map(|reference| reference.trim_start_matches('#'));
    let answer = pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(answer);
    let schema = &answer["content"]["application/json"]["schema"];
    view! {
        <li>
            <code>{status.to_owned()}</code> " " {description_of(answer)} " "
            {schema.is_object().then(|| schema::type_name(schema))}
        </li>
    }
    .into_any()
}

/// Renders the description of a part of the document.
fn description_of(part: &Value) -> AnyView {
    markdown::inline(part["description"].as_str().unwrap_or_default())
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Returns the start of the minute in an hour, for examples of a time that has to be ahead.
fn in_an_hour() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let minute = i64::try_from(now.as_secs() / 60 + 60).unwrap_or_default();
    timestamp::format(minute * 60_000)
}

/// Returns the id of a heading.
fn anchor(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}
