//! Mistakes in channel files: each is found with its line, its key and what to do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use channels::{
    Channel, Mistake,
    settings::{ProcessSecrets, SecretSource},
};
use std::{io, path::Path};

/// A file without mistakes, whose lines the tests replace.
const RIGHT: &str = r#"name = "My shop"
base_url = "https://{{ settings.shop }}.example/api"

[settings]
shop = "my-shop"
token = { env = "TOKEN" }

[auth]
type = "bearer"
token = "{{ settings.token }}"

[pace]
rate = 2
concurrency = 4
latency = 1.5
left = "headers['x-left'] | float"
refill = "2"

[product]
exists = "found"
reference = "found.id"

[[step]]
name = "find"
request = "GET products"
query = { sku = "{{ product.sku }}" }
save = { found = "answer.items | first | default(none)" }

[[step]]
name = "create"
when = "not found"
effect = "create"
request = "POST products"
json = """
{
  "sku": {{ product.sku }},
  "title": {{ product.title }}
}
"""

[[step]]
name = "update"
when = "found"
effect = "update"
request = "PUT products/{{ found.id }}"
json = "{{ product.content }}"

[[on]]
step = "create"
when = "status == 409"
then = "found"

[[on]]
when = "status == 422"
then = "rejected"
reason = "{{ answer.reason }}"

[check]
request = "GET shop"
says = "{{ answer.name }}"
"#;

struct TestSecrets;

impl SecretSource for TestSecrets {
    fn env(&self, name: &str) -> Option<String> {
        match name {
            "TOKEN" => Some("t0p-s3cret-token\n".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn file(&self, _path: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn load(text: &str) -> Result<Channel, Vec<Mistake>> {
    Channel::load("channels/my-shop.toml", text, &TestSecrets, &[]).map_err(|mistakes| mistakes.0)
}

/// Returns the only mistake of the right file after a replacement.
fn mistake(from: &str, to: &str) -> Mistake {
    assert!(RIGHT.contains(from), "{from}");
    let text = RIGHT.replacen(from, to, 1);
    let mut mistakes = load(&text).expect_err(to);
    assert_eq!(mistakes.len(), 1, "{to}: {mistakes:?}");
    mistakes.remove(0)
}

#[test]
fn a_right_file_is_loaded() {
    let channel = load(RIGHT).unwrap();
    assert_eq!((channel.id.as_str(), channel.name.as_str()), ("my-shop", "My shop"));
    assert_eq!(channel.base_url, "https://my-shop.example/api");
    assert_eq!(channel.steps.len(), 3);
    assert_eq!(channel.saved_names, ["found"]);
}

#[test]
fn each_mistake_is_found_with_its_line_its_key_and_what_to_do() {
    let cases = [
        // The text of the file.
        ("name = \"My shop\"", "name = \"My shop", 1, "", "invalid basic string"),
        ("rate = 2", "rat = 2", 13, "", "unknown field `rat`, expected one of `rate`"),
        ("rate = 2", "rate = \"fast\"", 13, "", "invalid type: string \"fast\", expected f64"),
        ("latency = 1.5\n", "", 12, "", "missing field `latency`"),
        ("then = \"found\"", "then = \"fond\"", 51, "", "unknown variant `fond`, expected one of"),
        ("effect = \"create\"", "effect = \"make\"", 32, "", "unknown variant `make`"),
        // Values.
        ("name = \"My shop\"", "name = \" \"", 1, "name", "1 to 40 characters"),
        ("rate = 2", "rate = 0", 13, "pace.rate", "0.001 to 10000"),
        ("concurrency = 4", "concurrency = 0", 14, "pace.concurrency", "1 to 1000"),
        ("latency = 1.5", "latency = 900", 15, "pace.latency", "expected duration of one request"),
        ("refill = \"2\"\n", "", 16, "pace", "`left` and `refill` stand together"),
        // The URL.
        ("https://", "ftp://", 2, "base_url", "expected a URL such as https://"),
        ("https://", "https://u:p@", 2, "base_url", "use [auth]"),
        (".example/api", ".example/api?a=b", 2, "base_url", "no query"),
        ("https://", "http://", 8, "auth", "use https://"),
        ("{{ settings.shop }}", "{{ product.sku }}", 2, "base_url", "only `settings`"),
        // Settings and secrets.
        ("env = \"TOKEN\"", "env = \"NOPE\"", 6, "settings.token", "NOPE is not set: set it"),
        ("env = \"TOKEN\"", "env = \"EMPTY\"", 6, "settings.token", "EMPTY is empty"),
        ("env = \"TOKEN\"", "file = \"/nope\"", 6, "settings.token", "can't be read"),
        ("env = \"TOKEN\"", "vault = \"x\"", 6, "settings.token", "expected { env = "),
        ("shop = \"my-shop\"", "shop = [1]", 5, "settings.shop", "a setting is a text"),
        ("{{ settings.token }}", "{{ settings.tokn }}", 10, "auth.token", "no `tokn`: add it"),
        ("{{ answer.reason }}", "{{ settings.token }}", 56, "on 2: reason", "is a secret"),
        ("{{ settings.shop }}", "{{ settings.token }}", 2, "base_url", "people see this URL"),
        // Authentication.
        ("\"{{ settings.token }}\"", "\"abc\"", 10, "auth.token", "doesn't belong into the file"),
        (
            "type = \"bearer\"",
            "type = \"basic\"\nuser = \"u\"\npassword = \"{{ settings.token }}\"",
            12,
            "auth.token",
            "this type of [auth] has no `token`",
        ),
        ("token = \"{{ settings.token }}\"\n", "", 8, "auth", "needs `token`"),
        // Steps.
        (
            "name = \"find\"",
            "name = \"find it\"",
            24,
            "step.name",
            "letters, digits and underscores",
        ),
        ("name = \"update\"", "name = \"create\"", 42, "step.name", "two steps `create`"),
        ("\"GET products\"", "\"products\"", 25, "step find: request", "a method and a path"),
        ("\"GET products\"", "\"FETCH products\"", 25, "step find: request", "GET, HEAD, POST"),
        (
            "\"GET products\"",
            "\"GET /products\"",
            25,
            "step find: request",
            "relative to `base_url`",
        ),
        ("\"GET products\"", "\"GET ../x\"", 25, "step find: request", "stays below"),
        ("\"GET products\"", "\"GET products?a=b\"", 25, "step find: request", "use `query"),
        ("effect = \"create\"\n", "", 29, "step create: effect", "may change something"),
        // A JSON template of several lines.
        (
            "when = \"found\"",
            "define.list = \"\"\"\n[\n  {% for x in nope %}{{ x }}{% endfor %}\n]\"\"\"",
            45,
            "step update: define.list",
            "there is no `nope`",
        ),
        (
            "when = \"found\"",
            "for_each = \"[{{ product.sku }}]\"",
            43,
            "step update: for_each",
            "a JSON template into `define`",
        ),
        ("when = \"found\"", "when = \"item\"", 43, "step update: when", "no value here"),
        (
            "when = \"found\"",
            "define.list = \"[{{ item }}]\"",
            43,
            "step update: define.list",
            "no value here",
        ),
        (
            "\"GET products\"",
            "\"GET products\"\neffect = \"create\"",
            26,
            "step find: effect",
            "changes nothing",
        ),
        (
            "\"GET products\"",
            "\"GET products\"\njson = \"{}\"",
            25,
            "step find: request",
            "no body",
        ),
        (
            "json = \"{{ product.content }}\"",
            "variables = \"{}\"",
            46,
            "step update: variables",
            "belong to `graphql`",
        ),
        (
            "save = {",
            "key_header = \"Key\"\nsave = {",
            27,
            "step find: key_header",
            "needs no idempotency key",
        ),
        ("save = {", "save = { status = \"1\",", 27, "save.status", "choose another"),
        // Templates and expressions.
        (
            "{{ product.title }}",
            "{{ product.titel }}",
            37,
            "step create: json",
            "a product has no `titel`; it has barcode",
        ),
        (
            "{{ product.title }}",
            "{{ produkt.title }}",
            37,
            "step create: json",
            "there is no `produkt`; there are",
        ),
        (
            "{{ product.title }}",
            "{{ product.title | nope }}",
            37,
            "step create: json",
            "there is no filter `nope`; there are abs",
        ),
        ("{{ product.title }}", "{{ product.title", 38, "step create: json", "syntax error"),
        (
            "when = \"not found\"",
            "when = \"not found and\"",
            31,
            "step create: when",
            "syntax error",
        ),
        (
            "when = \"not found\"",
            "when = \"{{ not found }}\"",
            31,
            "step create: when",
            "without braces",
        ),
        (
            "when = \"not found\"",
            "define = { wanted = '{{ product.titel }}' }\nwhen = \"not found\"",
            31,
            "step create: define.wanted",
            "a product has no `titel`",
        ),
        (
            "when = \"not found\"",
            "define = { status = '1' }",
            31,
            "define.status",
            "choose another",
        ),
        // Rules.
        (
            "step = \"create\"",
            "step = \"creat\"",
            49,
            "on 1: step",
            "there are find, create, update",
        ),
        ("reason = \"{{ answer.reason }}\"\n", "", 55, "on 2: then", "say why"),
        ("then = \"found\"", "then = \"found\"\nwait = \"5\"", 52, "on 1: wait", "leave it out"),
        // The check.
        ("\"GET shop\"", "\"DELETE shop\"", 59, "check.request", "only reads"),
    ];
    for (from, to, line, key, message) in cases {
        let found = mistake(from, to);
        assert!(found.message.contains(message), "{to}: {found}");
        assert_eq!((found.line, found.key.as_str()), (line, key), "{to}: {found}");
        assert!(found.to_string().starts_with("channels/my-shop.toml:"), "{found}");
    }
    assert!(cases.len() >= 30);
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once_in_their_order() {
    let text = RIGHT
        .replace("concurrency = 4", "concurrency = 0")
        .replace("product.title", "product.titel")
        .replace("found.id }}", "fund.id }}");
    let lines: Vec<_> = load(&text).unwrap_err().iter().map(|mistake| mistake.line).collect();
    assert_eq!(lines, [14, 37, 45]);
}

#[test]
fn the_name_of_the_file_is_the_id() {
    for path in ["My Shop.toml", "shop_1.toml", "-shop.toml", "ec2.toml", ".toml"] {
        let mistakes = Channel::load(path, RIGHT, &TestSecrets, &[]).expect_err(path);
        assert_eq!(mistakes.0.len(), 1, "{path}");
    }
}

#[test]
fn secrets_are_in_no_text() {
    let channel = load(RIGHT).unwrap();
    assert!(!format!("{channel:?}").contains("t0p-s3cret"));
    assert_eq!(channel.settings.redact("said t0p-s3cret-token."), "said [secret].");
    // A mistake elsewhere repeats no line of the file that could have one.
    let plain =
        RIGHT.replace("{ env = \"TOKEN\" }", "\"t0p-s3cret-token\"").replace("rate = 2", "rat = 2");
    let told = load(&plain).unwrap_err().iter().map(ToString::to_string).collect::<String>();
    assert!(!told.contains("t0p-s3cret"), "{told}");
    assert!(ProcessSecrets.env("SURELY_NOT_SET_ANYWHERE").is_none());
}
