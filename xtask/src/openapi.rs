//! Generates `docs/openapi.json` from the table of operations in `contract::operation`, as an
//! [OpenAPI 3.1](https://spec.openapis.org/oas/v3.1.1.html) document.

use anyhow::{Context, ensure};
use contract::{
    api::Problem,
    operation::{
        API_PREFIX, Access, Answer, Body, Operation, Parameter, ParameterType, operations,
    },
};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::{fs, path::Path};

const FILE: &str = "docs/openapi.json";
const DESCRIPTION: &str = "\
The API of Meanwhile for programs: launching jobs, following and controlling them. Times are RFC 3339 \
texts in UTC with milliseconds. Errors are problem details (RFC 9457), whose `detail` says what happened \
and what to do. Readers must ignore fields that they don't know. Unknown query parameters and fields of a \
request are refused. What happens is also sent live on the WebSocket `/ws`; see `/asyncapi.json`.";
/// Media types of files with products. The server looks at the content only.
const FILE_TYPES: [&str; 4] = [
    "text/csv",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/gzip",
    "application/octet-stream",
];

/// Writes the document; with `check`, fails if it differs instead.
pub fn run(root: &Path, check: bool) -> anyhow::Result<()> {
    let text = render()?;
    let path = root.join(FILE);
    if check {
        let current = fs::read_to_string(&path).unwrap_or_default();
        ensure!(current == text, "{FILE} is out of date: run `cargo xtask openapi`");
        println!("{FILE} is up to date: {} operations", operations().count());
        return Ok(());
    }
    fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))
}

fn render() -> anyhow::Result<String> {
    let mut schemas = Schemas::new();
    let mut paths: Map<String, Value> = Map::new();
    let mut tags: Vec<Value> = Vec::new();
    let mut statuses = Vec::new();
    for operation in operations() {
        let tag = json!({ "name": operation.group });
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        statuses.extend(operation.problems());
        let object = operation_object(operation, &mut schemas)?;
        let path = paths.entry(format!("{API_PREFIX}{}", operation.path)).or_insert(json!({}));
        path[operation.method] = object;
    }
    let problem = schemas.answers.subschema_for::<Problem>().to_value();
    let responses: Map<_, _> = statuses
        .into_iter()
        .map(|status| (problem_name(status), problem_object(status, &problem)))
        .collect();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Meanwhile",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API token of the account page. It acts as its user.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "meanwhile_session",
                    "description": "The cookie of a sign-in.",
                },
            },
            "responses": responses,
            "schemas": schemas.into_definitions()?,
        },
    });
    clean_descriptions(&mut document)?;
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    Ok(text)
}

/// Removes the links of rustdoc from all descriptions, most of which are doc comments.
///
/// # Errors
/// A description has words that only programmers in Rust know.
fn clean_descriptions(value: &mut Value) -> anyhow::Result<()> {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == "description" => {
                        *text = without_rustdoc_links(text);
                        let is_rust = ["::", "`None`", "`Some"].iter().any(|it| text.contains(it));
                        ensure!(!is_rust, "this description is about the code in Rust: {text}");
                    }
                    _ => clean_descriptions(field)?,
                }
            }
        }
        Value::Array(items) => items.iter_mut().try_for_each(clean_descriptions)?,
        _ => {}
    }
    Ok(())
}

/// Returns the text with ``[`Name`]`` and ``[`name`](path)`` as code. Links to the web stay.
fn without_rustdoc_links(text: &str) -> String {
    let mut cleaned = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("[`") {
        let Some((name, after)) = link.split_once("`]") else { break };
        let target = after.strip_prefix('(').and_then(|target| target.split_once(')'));
        let is_to_web = target.is_some_and(|(target, _)| target.contains("://"));
        let (open, close) = if is_to_web { ("[`", "`]") } else { ("`", "`") };
        cleaned.extend([before, open, name, close]);
        rest = target.filter(|_| !is_to_web).map_or(after, |(_, end)| end);
    }
    cleaned + rest
}

/// The schemas of requests, in which fields with a default may be missing, and those of answers.
struct Schemas {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self {
            requests: settings.clone().for_deserialize().into_generator(),
            answers: settings.for_serialize().into_generator(),
        }
    }

    /// Returns the schemas of all types.
    ///
    /// # Errors
    /// A type has other fields in requests than in answers.
    fn into_definitions(mut self) -> anyhow::Result<Map<String, Value>> {
        let mut all = self.answers.take_definitions(true);
        for (name, schema) in self.requests.take_definitions(true) {
            let other = all.insert(name.clone(), schema.clone());
            let is_same = other.is_none_or(|other| other == schema);
            ensure!(is_same, "{name} is another schema in requests than in answers");
        }
        Ok(all)
    }
}

fn operation_object(operation: &Operation, schemas: &mut Schemas) -> anyhow::Result<Value> {
    let mut parameters = Vec::new();
    if operation.has_id() {
        let schema = match operation.path.starts_with("/channels") {
            true => json!({ "type": "string", "minLength": 1 }),
            false => json!({ "type": "string", "format": "uuid" }),
        };
        parameters.push(json!({ "name": "id", "in": "path", "required": true, "schema": schema }));
    }
    parameters
        .extend(operation.parameters.iter().map(|parameter| parameter_object(parameter, schemas)));
    let mut responses = Map::new();
    for answer in operation.answers {
        responses.insert(answer.status.to_string(), answer_object(answer, schemas));
    }
    for status in operation.problems() {
        let reference = format!("#/components/responses/{}", problem_name(status));
        responses.insert(status.to_string(), json!({ "$ref": reference }));
    }
    let mut object = json!({
        "operationId": operation.id,
        "tags": [operation.group],
        "summary": operation.summary,
    });
    let description = [access_sentence(operation), operation.description].join(" ");
    if !description.trim().is_empty() {
        object["description"] = description.trim().into();
    }
    object["security"] = match operation.access {
        Access::Public => json!([]),
        Access::User | Access::Admin => json!([{ "token": [] }, { "session": [] }]),
        Access::Session => json!([{ "session": [] }]),
    };
    if !parameters.is_empty() {
        object["parameters"] = parameters.into();
    }
    if let Some(body) = operation.body {
        object["requestBody"] = body_object(body, schemas).context(operation.id)?;
    }
    object["responses"] = responses.into();
    Ok(object)
}

fn access_sentence(operation: &Operation) -> &'static str {
    match operation.access {
        Access::Admin => {
            "For admins, whose token needs the scope `admin`; to others the path does not exist."
        }
        // A read token may revoke itself, as the description of that operation says.
        Access::User if operation.method == "post" => "A token needs the scope `launch`.",
        Access::Public | Access::User | Access::Session => "",
    }
}

fn parameter_object(parameter: &Parameter, schemas: &mut Schemas) -> Value {
    let schema = match parameter.kind {
        // An empty parameter of a query counts as missing.
        ParameterType::Text(max) if parameter.place == "query" => {
            json!({ "type": "string", "maxLength": max })
        }
        ParameterType::Text(max) => json!({ "type": "string", "minLength": 1, "maxLength": max }),
        ParameterType::Integer(min, max) => {
            json!({ "type": "integer", "minimum": min, "maximum": max })
        }
        ParameterType::Boolean => json!({ "type": "boolean" }),
        ParameterType::Words(schema_of) => schema_of(&mut schemas.requests).to_value(),
    };
    json!({
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "schema": schema,
    })
}

fn body_object(body: Body, schemas: &mut Schemas) -> anyhow::Result<Value> {
    let content = match body {
        Body::Json(schema_of, example) => {
            let example: Value = serde_json::from_str(example)?;
            let schema = schema_of(&mut schemas.requests);
            json!({ "application/json": { "schema": schema, "example": example } })
        }
        Body::File => FILE_TYPES.iter().map(|kind| ((*kind).to_owned(), json!({}))).collect(),
    };
    Ok(json!({ "required": true, "content": content }))
}

fn answer_object(answer: &Answer, schemas: &mut Schemas) -> Value {
    let mut object = json!({ "description": answer.description });
    if let Some((name, description)) = answer.header {
        let header = json!({
            "description": description, "required": true, "schema": { "type": "string" },
        });
        object["headers"] = json!({ name: header });
    }
    if let Some(schema_of) = answer.schema {
        let schema = schema_of(&mut schemas.answers);
        object["content"] = json!({ "application/json": { "schema": schema } });
    }
    object
}

fn problem_name(status: u16) -> String {
    format!("Problem{status}")
}

fn problem_object(status: u16, problem: &Value) -> Value {
    let description = match status {
        400 => "A parameter or header is unknown, given twice, or has a value that is not allowed.",
        401 => "Nobody is signed in, or the token is unknown or was revoked.",
        403 => "The request came from another site, or an API token can't do this.",
        404 => "There is no such thing, or it is not for this user.",
        408 => "The body did not arrive in time.",
        409 => "The state of the thing does not allow this.",
        413 => "The body is too large.",
        415 => "The body has to be `application/json`.",
        421 => "The Host header is not a name of this server.",
        422 => "The content is not allowed; `detail` says what to change.",
        429 => {
            "Too many requests, wrong passwords, or open items. Try again after `Retry-After` seconds."
        }
        502 => "AWS refused the request.",
        503 => {
            "Something that is needed can't be reached now. Try again after `Retry-After` seconds."
        }
        _ => "A problem.",
    };
    let mut object = json!({
        "description": description,
        "content": { "application/problem+json": { "schema": problem } },
    });
    if matches!(status, 429 | 503) {
        let header = json!({
            "description": "Seconds to wait.",
            "required": true,
            "schema": { "type": "integer", "minimum": 1 },
        });
        object["headers"] = json!({ "Retry-After": header });
    }
    object
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn links_of_rustdoc_become_code_and_those_to_the_web_stay() {
        for (text, cleaned) in [
            ("see [`BadRow`].", "see `BadRow`."),
            ("with [`parameter`](Self::parameter) set", "with `parameter` set"),
            ("[`a`](https://example.com) of [`b`]", "[`a`](https://example.com) of `b`"),
            ("[RFC](https://example.com) `x` [`", "[RFC](https://example.com) `x` [`"),
        ] {
            assert_eq!(without_rustdoc_links(text), cleaned);
        }
    }

    #[test]
    fn a_description_in_the_words_of_rust_is_refused() {
        for (words, is_allowed) in [
            ("`null` without one", true),
            ("`None` without one", false),
            ("see the table in `engine::store`", false),
        ] {
            let mut document = json!({ "paths": [{ "description": words }] });
            assert_eq!(clean_descriptions(&mut document).is_ok(), is_allowed, "{words}");
        }
    }
}
