//! The message of an event, from the AsyncAPI document that the server serves: its example and its
//! queue. The document is generated from the types and checked in CI, so the page can't differ.

use serde_json::Value;
use std::sync::LazyLock;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../../../docs/asyncapi.json");
    // Without the document the pages lack examples; the tests check that it is one.
    serde_json::from_str(text).unwrap_or_default()
});

/// Returns the example of an event, as readable JSON.
pub fn example(kind: &str, version: u16) -> Option<String> {
    let message = &DOCUMENT["components"]["messages"][format!("{kind}.v{version}")];
    let payload = &message["examples"][0]["payload"];
    (!payload.is_null()).then(|| serde_json::to_string_pretty(payload).unwrap_or_default())
}

/// Returns where an event is sent, such as a queue or a routing key.
pub fn address(kind: &str) -> Option<&'static str> {
    DOCUMENT["channels"][kind]["address"].as_str()
}

/// Returns a text of the catalogue without the marks of its code spans.
pub fn plain(text: &str) -> String {
    text.replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{
        catalogue::{COMMANDS, fact_event},
        fact::FactKind,
    };

    #[test]
    fn every_command_and_fact_has_an_example_in_the_document() {
        let facts = FactKind::ALL.iter().map(|&kind| fact_event(kind));
        for event in COMMANDS.iter().copied().chain(facts) {
            let example = example(event.kind, event.version).unwrap_or_default();
            assert!(
                example.contains(&format!("\"{}.v{}\"", event.kind, event.version)),
                "{event:?}"
            );
        }
        for command in COMMANDS {
            assert!(address(command.kind).is_some(), "{}", command.kind);
        }
    }
}
