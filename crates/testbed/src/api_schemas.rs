//! The operations of the API with the schemas of their answers, as `docs/openapi.json` publishes
//! them.

use anyhow::{Context, bail, ensure};
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

const DOCUMENT: &str = include_str!("../../../docs/openapi.json");
/// Path of everything that the document describes.
const PREFIX: &str = "/api/v1/";

/// Answer of the server to one request.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedAnswer<'a> {
    pub method: &'a str,
    /// Path without parameters.
    pub path: &'a str,
    pub status: u16,
    /// `Content-Type`; empty if it is missing.
    pub media_type: &'a str,
    pub body: &'a [u8],
}

/// What the API says about itself.
pub struct ApiSchemas {
    /// Methods by path, then status codes with media type and schema.
    operations: BTreeMap<String, BTreeMap<String, Statuses>>,
    problem: Validator,
}

/// Media type and schema by status code; `None` where the answer has no body.
type Statuses = HashMap<u16, Option<(String, Validator)>>;

impl ApiSchemas {
    /// Returns what the published document says.
    pub fn published() -> &'static Self {
        static PUBLISHED: LazyLock<ApiSchemas> = LazyLock::new(|| {
            ApiSchemas::of_document(DOCUMENT)
                .unwrap_or_else(|error| panic!("docs/openapi.json: {error:#}"))
        });
        &PUBLISHED
    }

    fn of_document(text: &str) -> anyhow::Result<Self> {
        let mut document: Value = serde_json::from_str(text)?;
        let schemas = document["components"]["schemas"].as_object_mut().context("no schemas")?;
        schemas.values_mut().for_each(close);
        let mut operations = BTreeMap::new();
        for (path, methods) in document["paths"].as_object().context("no paths")? {
            let mut by_method = BTreeMap::new();
            for (method, operation) in methods.as_object().context("no methods")? {
                let answers =
                    statuses(&document, operation).with_context(|| format!("{method} {path}"))?;
                by_method.insert(method.to_uppercase(), answers);
            }
            operations.insert(path.clone(), by_method);
        }
        let problem = validator(&document, &json!({ "$ref": "#/components/schemas/Problem" }))?;
        Ok(Self { operations, problem })
    }

    /// Returns the methods of each path.
    pub fn methods(&self) -> BTreeMap<String, Vec<String>> {
        let methods = |(path, methods): (&String, &BTreeMap<String, Statuses>)| {
            (path.clone(), methods.keys().cloned().collect())
        };
        self.operations.iter().map(methods).collect()
    }

    /// Returns the path of the document that a request with this path is about.
    fn template(&self, path: &str) -> Option<&str> {
        let matches = |template: &&String| {
            let parts = template.split('/').zip(path.split('/'));
            template.split('/').count() == path.split('/').count()
                && parts.into_iter().all(|(known, part)| known == part || known == "{id}")
        };
        let found = self.operations.keys().filter(matches);
        found.min_by_key(|template| template.contains("{id}")).map(String::as_str)
    }

    /// Checks an answer to a request, unless it is not one of the API.
    ///
    /// # Errors
    /// The document has no such status code or media type, or the body does not follow its schema.
    pub fn check(&self, answer: &ReceivedAnswer) -> anyhow::Result<()> {
        if !answer.path.starts_with(PREFIX) || answer.method == "HEAD" {
            return Ok(());
        }
        self.check_answer(answer).with_context(|| {
            let body = String::from_utf8_lossy(answer.body);
            let ReceivedAnswer { method, path, status, media_type, .. } = answer;
            format!("{method} {path}: {status} {media_type} {body}")
        })
    }

    fn check_answer(&self, answer: &ReceivedAnswer) -> anyhow::Result<()> {
        let methods = self.template(answer.path).and_then(|path| self.operations.get(path));
        let operation = methods.and_then(|methods| methods.get(answer.method));
        let Some(operation) = operation else {
            // Some problems come before the router.
            let expected = if methods.is_some() { 405 } else { 404 };
            let early = [400, 401, 403, 413, 421, 429, 503];
            let is_expected = answer.status == expected || early.contains(&answer.status);
            ensure!(is_expected, "the document has no such operation: {expected} expected");
            return check_body(Some(("application/problem+json", &self.problem)), answer);
        };
        let documented = operation.get(&answer.status).context("no such status is documented")?;
        check_body(documented.as_ref().map(|(media, schema)| (media.as_str(), schema)), answer)
    }
}

fn check_body(
    documented: Option<(&str, &Validator)>,
    answer: &ReceivedAnswer,
) -> anyhow::Result<()> {
    let Some((media_type, schema)) = documented else {
        ensure!(answer.body.is_empty(), "an answer without a body is documented");
        return Ok(());
    };
    ensure!(answer.media_type == media_type, "{media_type} is documented");
    let body: Value = serde_json::from_slice(answer.body)?;
    let Some(error) = schema.iter_errors(&body).next() else { return Ok(()) };
    bail!("it does not follow its schema at {}: {error}", error.instance_path())
}

fn statuses(document: &Value, operation: &Value) -> anyhow::Result<Statuses> {
    let mut statuses = HashMap::new();
    for (status, answer) in operation["responses"].as_object().context("no answers")? {
        let answer = match answer["$ref"].as_str() {
            Some(reference) => {
                let pointer = reference.trim_start_matches('#');
                document.pointer(pointer).with_context(|| format!("no {reference}"))?
            }
            None => answer,
        };
        let content = answer["content"].as_object().and_then(|content| content.iter().next());
        let schema = content
            .map(|(media, content)| {
                anyhow::Ok((media.clone(), validator(document, &content["schema"])?))
            })
            .transpose()?;
        statuses.insert(status.parse()?, schema);
    }
    Ok(statuses)
}

fn validator(document: &Value, schema: &Value) -> anyhow::Result<Validator> {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "allOf": [schema],
        "components": { "schemas": document["components"]["schemas"] },
    });
    let options = jsonschema::options().should_validate_formats(true);
    Ok(options.build(&schema)?)
}

/// Makes fields that a schema does not have an error. Published schemas allow them, so that a new
/// field breaks no reader; the server must not send what is not published.
fn close(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    let has_fields = |object: &Map<String, Value>| object.contains_key("properties");
    let of_variants = object.get("oneOf").and_then(Value::as_array);
    let variants_have_fields =
        of_variants.is_some_and(|all| all.iter().filter_map(Value::as_object).any(has_fields));
    if has_fields(object) || variants_have_fields {
        object.insert("unevaluatedProperties".into(), false.into());
    }
    if let Some(fields) = object.get_mut("properties").and_then(Value::as_object_mut) {
        fields.values_mut().for_each(close);
    }
    if let Some(items) = object.get_mut("items") {
        close(items);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(method: &str, path: &str, status: u16, body: &Value) -> anyhow::Result<()> {
        let is_problem = status >= 400;
        let media_type = if is_problem { "application/problem+json" } else { "application/json" };
        let body = serde_json::to_vec(body)?;
        let answer = ReceivedAnswer { method, path, status, media_type, body: &body };
        ApiSchemas::published().check(&answer)
    }

    #[test]
    fn answers_that_are_not_documented_are_refused() {
        let token = json!({
            "id": "00000000-0000-0000-0000-000000000000", "name": "nightly",
            "created_at": "2026-11-29T17:06:48.123Z", "last_used_at": null, "scope": "launch", "expires_at": null,
        });
        let tokens = |token: &Value| json!({ "items": [token], "next": null });
        let with = |field: &str, value: Value| {
            let mut token = token.clone();
            token[field] = value;
            tokens(&token)
        };
        check("GET", "/api/v1/tokens", 200, &tokens(&token)).unwrap();
        for wrong in [
            with("created_at", json!(1_795_487_628_823_i64)),
            with("created_at", json!("yesterday")),
            with("id", json!("7")),
            with("hash", json!("a field that is not published")),
            json!({ "items": [token] }),
        ] {
            check("GET", "/api/v1/tokens", 200, &wrong).unwrap_err();
        }
        let problem = |status: u16| json!({ "type": "about:blank", "title": "", "status": status, "detail": "" });
        check("GET", "/api/v1/tokens", 401, &problem(401)).unwrap();
        check("GET", "/api/v1/tokens", 500, &problem(500)).unwrap_err();
        check("GET", "/api/v1/tokens", 404, &problem(404)).unwrap_err();
        check("PUT", "/api/v1/tokens", 405, &problem(405)).unwrap();
        check("PUT", "/api/v1/tokens", 404, &problem(404)).unwrap_err();
        check("GET", "/api/v1/nowhere", 404, &problem(404)).unwrap();
        check("GET", "/api/v1/nowhere", 200, &tokens(&token)).unwrap_err();
        check("GET", "/jobs", 200, &json!(7)).unwrap();
    }

    #[test]
    fn examples_follow_their_schemas() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let mut checked = 0;
        for (path, methods) in document["paths"].as_object().unwrap() {
            for operation in methods.as_object().unwrap().values() {
                let content = &operation["requestBody"]["content"]["application/json"];
                if content["example"].is_null() {
                    continue;
                }
                let schema = validator(&document, &content["schema"]).unwrap();
                assert!(schema.is_valid(&content["example"]), "{path}: {content}");
                checked += 1;
            }
        }
        assert!(checked > 8, "{checked}");
    }
}
