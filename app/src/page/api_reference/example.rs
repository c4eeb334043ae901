//! Example requests with curl.

use serde_json::Value;

/// Id in the examples' paths.
const EXAMPLE_ID: &str = "01a228ae-f4a2-726f-8b6b-a7731c0c7210";

/// Returns a command that sends the operation's example.
pub fn curl(path: &str, method: &str, operation: &Value, origin: &str) -> String {
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
            lines.push(format!("-d '{}'", json["example"]));
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

    #[test]
    fn example_has_credential_body_and_address() {
        let operation = json!({
            "security": [{ "token": [] }, { "session": [] }],
            "requestBody": { "content": { "application/json": { "example": { "rate": 0.5 } } } },
        });
        let command = curl("/api/v1/channels/{id}/pace", "post", &operation, "https://mw.example");
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
}
