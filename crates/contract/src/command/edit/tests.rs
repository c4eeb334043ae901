#![allow(clippy::unwrap_used)]
use super::*;
use crate::{
    catalogue::COMMANDS,
    product::{Price, Product},
};
use serde_json::json;

fn upload() -> ProductUpload {
    let product = Product::new("A-1", "A lamp", Price(1990));
    ProductUpload { channel: "acme".into(), product }
}

fn check(edited: &str) -> Result<CommandEdit, EditError> {
    let command = upload();
    let (queue, key) = (command.queue(), command.key());
    let body = serde_json::to_value(command).unwrap();
    let stored = StoredCommand {
        kind: ProductUpload::KIND,
        version: 1,
        queue: &queue,
        key: &key,
        body: &body,
    };
    check_edit(stored, edited)
}

/// Returns the body with other values at pointers.
fn edited(values: &[(&str, Value)]) -> String {
    let mut body = serde_json::to_value(upload()).unwrap();
    for (pointer, value) in values {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = value.clone();
    }
    serde_json::to_string_pretty(&body).unwrap()
}

#[test]
fn an_edit_says_what_it_changes() {
    assert_eq!(check(&edited(&[])).unwrap().changes, []);
    // A default that is written out is no change.
    assert_eq!(check(&edited(&[("/product/tags", json!([]))])).unwrap().changes, []);
    let edit = check(&edited(&[
        ("/product/title", json!("A short lamp")),
        ("/product/tags", json!(["new"])),
    ]));
    let edit = edit.unwrap();
    assert_eq!(edit.title.as_deref(), Some("A short lamp"));
    let change = |pointer: &str, before, after| ValueChange {
        pointer: pointer.into(),
        before,
        after: Some(after),
    };
    let expected = [
        change("/product/title", Some(json!("A lamp")), json!("A short lamp")),
        change("/product/tags", None, json!(["new"])),
    ];
    assert_eq!(edit.changes, expected);
    let command: ProductUpload = serde_json::from_str(&edit.body).unwrap();
    assert_eq!(command.product.title, "A short lamp");
}

#[test]
fn errors_name_the_place() {
    for (text, words) in [
        ("{", "Line 1, column 1: this is no JSON: EOF while parsing an object."),
        ("{}", "The message, line 1: missing field `channel`."),
        (
            &edited(&[]).replace("\"19.90\"", "\"x\""),
            "/product/price, line 4: the price is not a number",
        ),
        (&edited(&[("/product/title", json!(5))]), "/product/title, line "),
        (
            &edited(&[("/product/titel", json!("x"))]),
            "/product/titel: product.upload has no such field.",
        ),
        (
            &edited(&[("/product/images", json!([{ "url": "u", "size": 1 }]))]),
            "/product/images/0/size: product.upload has no such field.",
        ),
        (
            &edited(&[("/product/title", json!("x".repeat(301)))]),
            "/product/title: The title has 301 characters",
        ),
        (
            &edited(&[("/product/vendor", json!("a\u{0}"))]),
            "/product/vendor: The text has a control character (U+0000)",
        ),
        (&format!("{} x", edited(&[])), "this is no JSON: trailing characters"),
    ] {
        let error = check(text).unwrap_err().to_string();
        assert!(error.contains(words), "{error}\n{words}");
    }
}

#[test]
fn what_a_command_is_about_stays() {
    for (pointer, value) in [("/channel", "corner"), ("/product/sku", "A-2")] {
        let error = check(&edited(&[(pointer, json!(value))])).unwrap_err();
        assert!(
            matches!(&error, EditError::Identity { pointer: found, .. } if found == pointer),
            "{error:?}"
        );
        assert!(error.to_string().starts_with(&format!("{pointer}: this says what")), "{error}");
    }
    // Also where the stored body is unreadable, and says nothing.
    let stored =
        StoredCommand { kind: "ec2.stop", version: 1, queue: "q", key: "i-1", body: &json!({}) };
    let error = check_edit(stored, r#"{"instance_id":"i-2"}"#).unwrap_err();
    assert!(matches!(error, EditError::Identity { .. }), "{error:?}");
}

#[test]
fn every_command_of_the_catalogue_can_be_edited() {
    for event in COMMANDS {
        let (kind, version) = (event.kind, event.version);
        let stored = StoredCommand { kind, version, queue: "q", key: "k", body: &json!({}) };
        let error = check_edit(stored, "{").unwrap_err();
        assert!(matches!(error, EditError::Syntax { .. }), "{kind}: {error:?}");
    }
}

/// Checks that a command's key and queue depend on the fields of its identity, and on them
/// only.
fn check_identity_fields<C: Command>(body: &Value, other_fields: &[&str]) {
    let identity = |body: &Value| {
        let command: C = serde_json::from_value(body.clone()).unwrap();
        (command.key(), command.queue())
    };
    let changed = |pointer: &str| {
        let mut body = body.clone();
        let value = body.pointer_mut(pointer).unwrap();
        *value = match value.take() {
            Value::Number(_) => json!(77),
            _ if pointer == "/launch" => json!(uuid::Uuid::from_u128(77)),
            _ => json!("77"),
        };
        identity(&body)
    };
    for pointer in C::IDENTITY {
        assert_ne!(changed(pointer), identity(body), "{} {pointer}", C::KIND);
    }
    for pointer in other_fields {
        assert_eq!(changed(pointer), identity(body), "{} {pointer}", C::KIND);
    }
}

#[test]
fn key_and_queue_are_made_of_the_identity() {
    let product = json!({ "sku": "A-1", "title": "Lamp", "price": "1.00" });
    let upload = json!({ "channel": "acme", "product": product });
    check_identity_fields::<ProductUpload>(&upload, &["/product/title", "/product/price"]);
    let place = json!({ "account": "ops", "region": "eu-west-1", "name": "web" });
    let with = |fields: Value| {
        let mut body = place.clone();
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    let machine = with(json!({ "instance_id": "i-1" }));
    check_identity_fields::<Ec2Start>(&machine, &["/name"]);
    check_identity_fields::<Ec2Stop>(&machine, &["/name"]);
    check_identity_fields::<AlarmCreate>(&machine, &["/name"]);
    let launch = json!({ "launch": uuid::Uuid::nil(), "number": 1 });
    check_identity_fields::<NoopRun>(&launch, &[]);
    let launch = with(json!({
        "launch": uuid::Uuid::nil(), "number": 1, "template_id": "lt-1", "template_version": 1,
    }));
    check_identity_fields::<Ec2Launch>(&launch, &["/template_id", "/template_version", "/name"]);
}
