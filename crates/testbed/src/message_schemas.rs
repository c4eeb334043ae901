//! The schemas of all messages, as `docs/asyncapi.json` publishes them.

use anyhow::{Context, bail};
use jsonschema::Validator;
use serde_json::{Value, json};
use std::{collections::HashMap, sync::LazyLock};

const DOCUMENT: &str = include_str!("../../../docs/asyncapi.json");

/// Validators of all messages, by their name, such as `task.succeeded.v1`.
pub struct MessageSchemas(HashMap<String, Validator>);

impl MessageSchemas {
    /// Returns the schemas of the published document.
    pub fn published() -> &'static Self {
        static PUBLISHED: LazyLock<MessageSchemas> = LazyLock::new(|| {
            MessageSchemas::of_document(DOCUMENT)
                .unwrap_or_else(|error| panic!("docs/asyncapi.json: {error:#}"))
        });
        &PUBLISHED
    }

    fn of_document(text: &str) -> anyhow::Result<Self> {
        let document: Value = serde_json::from_str(text)?;
        let messages = document["components"]["messages"].as_object().context("no messages")?;
        let mut validators = HashMap::new();
        for (name, message) in messages {
            // Payloads refer to the schemas by their place in the document.
            let schema = json!({
                "$schema": "http://json-schema.org/draft-07/schema#",
                "allOf": [message["payload"]],
                "components": { "schemas": document["components"]["schemas"] },
            });
            let validator = jsonschema::validator_for(&schema)
                .with_context(|| format!("the schema of {name}"))?;
            validators.insert(name.clone(), validator);
        }
        Ok(Self(validators))
    }

    /// Checks the payload of a message.
    ///
    /// # Errors
    /// The document has no such message, or the payload does not follow its schema.
    pub fn check(&self, name: &str, payload: &Value) -> anyhow::Result<()> {
        let Some(validator) = self.0.get(name) else {
            bail!("docs/asyncapi.json has no message {name}");
        };
        let Some(error) = validator.iter_errors(payload).next() else { return Ok(()) };
        bail!("{name} does not follow its schema at {}: {error}; {payload}", error.instance_path())
    }

    /// Checks a message of RabbitMQ: a CloudEvent, or a batch of them. Returns the names of the
    /// events.
    ///
    /// # Errors
    /// It is no JSON, or one of the events does not follow the schema of its type.
    pub fn check_events(&self, bytes: &[u8]) -> anyhow::Result<Vec<String>> {
        let events = match serde_json::from_slice(bytes)? {
            Value::Array(events) => events,
            event => vec![event],
        };
        events
            .iter()
            .map(|event| {
                let name = event["type"].as_str().context("an event without type")?;
                self.check(name, event)?;
                Ok(name.to_owned())
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_message_with_a_missing_or_wrong_field_is_refused() {
        let schemas = MessageSchemas::published();
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let messages = document["components"]["messages"].as_object().unwrap();
        let mut checked = 0;
        for (name, message) in messages.iter().filter(|(name, _)| name.ends_with(".v1")) {
            let example = &message["examples"][0]["payload"];
            schemas.check(name, example).unwrap();
            for (path, value) in [
                ("/type", json!("task.other.v1")),
                ("/atms", json!("yesterday")),
                ("/data", json!(7)),
            ] {
                let mut wrong = example.clone();
                *wrong.pointer_mut(path).unwrap() = value;
                schemas.check(name, &wrong).unwrap_err();
            }
            let mut missing = example.clone();
            missing.as_object_mut().unwrap().remove("subject");
            schemas.check(name, &missing).unwrap_err();
            checked += 1;
        }
        assert!(checked > 15, "{checked}");
        schemas.check("server_frame", &json!({"type": "ping", "seq": 7})).unwrap();
        schemas.check("server_frame", &json!({"type": "ping"})).unwrap_err();
        schemas.check("server_frame", &json!({"type": "pang", "seq": 7})).unwrap_err();
        schemas.check("task.unknown.v1", &json!({})).unwrap_err();
    }
}
