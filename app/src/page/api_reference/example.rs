//! Example requests with curl.

use serde_json::Value;

/// Id in the examples' paths.
const EXAMPLE_ID: &str = "01a228ae-f4a2-726f-8b6b-a7731c0c7210";

/// Returns a command that sends the operation's example. Its `until` becomes `later`: the document's
/// time has passed.
pub fn curl(path: &str, method: &str, operation: &Value, origin: &str, later: &str) -> String {
    let id = if path.contains("/channels/") { "acme" } else { EXAMPLE_ID };
    let query = if path.ends_with("/product-uploads") { "?channels=acme,bazaar" } else { "" };
    let url = format!("{origin}{}{query}", path.replace("{id}", id));
    let mut lines = vec!["curl".to_owned()];
    if operation["security"].as_array().is_some_and(|all| !all.is_empty()) {
        let is_for_tokens = operation["security"][0]["token"].is_array();
        let credential = match is_for_tokens {
            true => "-H \"Authorization: Bearer $TOKEN\"".to_owned(),
            false => format!("-b cookies -H 'Origin: {origin}'"),
        };
        lines.push(credential);
    } else {
        lines.push("-c cookies".into());
    }
    if method == "delete" {
        lines.push("-X DELETE".into());
    }
    let body = operation["requestBody"]["content"].as_object();
    match body.map(|content| content.get("application/json")) {
        Some(Some(json)) => {
            lines.push("-H 'Content-Type: application/json'".into());
            let mut example = json["example"].clone();
            if let Some(until) = example.get_mut("until") {
                *until = later.into();
            }
            lines.push(format!("-d '{example}'"));
        }
        Some(None) => lines.push("--data-binary @products.csv".into()),
        None if method == "post" => lines.push("-X POST".into()),
        None => {}
    }
    lines.push(format!("'{url}'"));
    lines.join(" \\\n  ")
}

#[cfg(test)]
mod tests {
    use super::curl;
    use serde_json::json;

    const ORIGIN: &str = "https://mw.example";
    const LATER: &str = "2027-01-01T12:00:00.000Z";

    #[test]
    fn example_has_credential_body_and_address() {
        let operation = json!({
            "security": [{ "token": [] }, { "session": [] }],
            "requestBody": { "content": { "application/json": { "example": { "rate": 0.5 } } } },
        });
        let command = curl("/api/v1/channels/{id}/pace", "post", &operation, ORIGIN, LATER);
        let lines: Vec<_> = command.split(" \\\n  ").collect();
        assert_eq!(
            lines,
            [
                "curl",
                "-H \"Authorization: Bearer $TOKEN\"",
                "-H 'Content-Type: application/json'",
                "-d '{\"rate\":0.5}'",
                "'https://mw.example/api/v1/channels/acme/pace'",
            ]
        );
    }
    #[test]
    fn a_time_that_has_to_be_ahead_is_ahead() {
        let body = json!({ "example": { "until": "2001-01-01T00:00:00Z", "note": "sale" } });
        let operation = json!({ "requestBody": { "content": { "application/json": body } } });
        let command = curl("/api/v1/channels/{id}/pause", "post", &operation, ORIGIN, LATER);
        assert!(command.contains(LATER) && !command.contains("2001"), "{command}");
    }

    #[test]
    fn what_needs_a_session_sends_the_cookie() {
        let document = &super::super::DOCUMENT;
        let sign_out = &document["paths"]["/api/v1/session"]["delete"];
        let command = curl("/api/v1/session", "delete", sign_out, ORIGIN, LATER);
        assert!(command.contains("-b cookies") && !command.contains("Bearer"), "{command}");
    }
}
