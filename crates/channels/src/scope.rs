//! The variables of one upload, which templates and expressions read.

use crate::{settings::Settings, template::to_value};
use contract::product::Product;
use minijinja::Value;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Names that are always there, besides those that steps save.
pub const BUILT_IN: &[&str] = &[
    "accepted_at",
    "answer",
    "headers",
    "index",
    "item",
    "key",
    "known",
    "outcome_unknown",
    "product",
    "reconciling",
    "settings",
    "status",
    "text",
    "token",
];

/// Members of `product`, with their values where the product has none.
static PRODUCT_DEFAULTS: &[(&str, &str)] = &[
    ("barcode", "null"),
    ("categories", "[]"),
    ("compare_at_price", "null"),
    ("currency", "null"),
    ("description", "null"),
    ("handle", "null"),
    ("image", "null"),
    ("images", "[]"),
    ("options", "[]"),
    ("price", "null"),
    ("product_type", "null"),
    ("sku", "null"),
    ("status", "\"active\""),
    ("stock", "null"),
    ("tags", "[]"),
    ("title", "null"),
    ("variants", "[]"),
    ("vendor", "null"),
    ("weight", "null"),
];
/// Members of a variant, with their values where it has none.
static VARIANT_DEFAULTS: &[(&str, &str)] = &[
    ("barcode", "null"),
    ("compare_at_price", "null"),
    ("image", "null"),
    ("option_values", "[]"),
    ("stock", "null"),
    ("weight", "null"),
];
/// Members of `product` that the scope computes.
const COMPUTED: &[&str] = &["all_variants", "content"];

/// Whether `product` has a member of this name.
pub fn is_product_member(name: &str) -> bool {
    COMPUTED.contains(&name) || PRODUCT_DEFAULTS.iter().any(|(member, _)| *member == name)
}

/// Returns the names of all members of `product`.
pub fn product_members() -> impl Iterator<Item = &'static str> {
    PRODUCT_DEFAULTS.iter().map(|(name, _)| *name).chain(COMPUTED.iter().copied())
}

/// The variables of one upload.
#[derive(Clone, Debug)]
pub struct Scope {
    variables: BTreeMap<String, Value>,
}

impl Scope {
    /// Creates the variables of the upload of `product`.
    ///
    /// `product` has every member, with `null` or an empty list where the file says nothing;
    /// `product.content` is the product as [`Product`] serialises it, and
    /// `product.all_variants` its variants, or itself as the only one. Saved names are
    /// `none` until a step saves them.
    pub fn new<'a>(
        product: &Product,
        settings: &Settings,
        saved: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut scope = Self::without_product(settings);
        for name in saved {
            scope.set(name, Value::from(()));
        }
        scope.set("product", to_value(&product_json(product)));
        scope
    }

    /// Creates the variables of a request that concerns no product, such as that for a
    /// token.
    pub fn without_product(settings: &Settings) -> Self {
        let mut scope = Self { variables: BTreeMap::new() };
        for name in BUILT_IN {
            scope.set(name, Value::from(()));
        }
        for name in ["known", "outcome_unknown", "reconciling"] {
            scope.set(name, Value::from(false));
        }
        scope.set("settings", settings.expose_secrets());
        scope
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: Value) {
        self.variables.insert(name.to_owned(), value);
    }

    /// Sets `status`, `headers`, `answer` and `text` to a response. Names of headers are in
    /// lower case; `answer` is `none` if the body is no JSON, and `text` its beginning.
    pub fn set_response(
        &mut self,
        status: u16,
        headers: &BTreeMap<String, String>,
        answer: &Json,
        text: &str,
    ) {
        self.set("status", Value::from(status));
        self.set("headers", to_value(headers));
        self.set("answer", to_value(answer));
        self.set("text", Value::from(text));
    }

    /// Returns all variables.
    pub fn variables(&self) -> Value {
        Value::from(self.variables.clone())
    }

    /// Returns the variables for a text that people see: `settings` lacks the secrets.
    pub fn public_variables(&self, settings: &Settings) -> Value {
        let mut variables = self.variables.clone();
        variables.insert("settings".into(), settings.plain_values());
        variables.remove("token");
        Value::from(variables)
    }
}

/// Returns a time as RFC 3339 in milliseconds since 1970; a time without a zone is UTC.
pub fn parse_time_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Some(timestamp.as_millisecond());
    }
    let utc: jiff::civil::DateTime = text.parse().ok()?;
    Some(jiff::tz::Offset::UTC.to_timestamp(utc).ok()?.as_millisecond())
}

fn fill_in(json: &mut Json, defaults: &[(&str, &str)]) {
    let Json::Object(members) = json else { return };
    for (name, default) in defaults {
        if !members.contains_key(*name) {
            let default = serde_json::from_str(default).unwrap_or_default();
            members.insert((*name).to_owned(), default);
        }
    }
}

fn product_json(product: &Product) -> Json {
    let content = serde_json::to_value(product).unwrap_or_default();
    let mut json = content.clone();
    fill_in(&mut json, PRODUCT_DEFAULTS);
    if let Some(Json::Array(variants)) = json.get_mut("variants") {
        for variant in variants {
            fill_in(variant, VARIANT_DEFAULTS);
        }
    }
    if let Some(Json::Array(images)) = json.get_mut("images") {
        for image in images {
            fill_in(image, &[("alt", "null")]);
        }
    }
    let all_variants = match product.variants.is_empty() {
        false => json["variants"].clone(),
        true => {
            let own = ["sku", "price", "compare_at_price", "barcode", "stock", "weight", "image"];
            let mut variant: serde_json::Map<_, _> =
                own.into_iter().map(|name| (name.to_owned(), json[name].clone())).collect();
            variant.insert("title".into(), json["title"].clone());
            variant.insert("option_values".into(), json!([]));
            json!([variant])
        }
    };
    json["all_variants"] = all_variants;
    json["content"] = content;
    json
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use contract::product::{Image, Price, ProductStatus, Variant, Weight, WeightUnit};

    /// Returns a product in which nothing is left out of the JSON.
    fn full_product() -> Product {
        let weight = Some(Weight { value: "0.25".into(), unit: WeightUnit::Kilogram });
        let text = |text: &str| Some(text.to_owned());
        Product {
            compare_at_price: Some(Price(2)),
            currency: text("EUR"),
            status: ProductStatus::Draft,
            handle: text("h"),
            description: text("d"),
            vendor: text("v"),
            product_type: text("t"),
            tags: vec!["a".into()],
            categories: vec!["c".into()],
            image: text("i"),
            images: vec![Image { url: "i".into(), alt: text("alt") }],
            options: vec!["Color".into()],
            barcode: text("b"),
            stock: Some(1),
            weight: weight.clone(),
            variants: vec![Variant {
                compare_at_price: Some(Price(2)),
                option_values: vec!["Blue".into()],
                barcode: text("b"),
                stock: Some(1),
                weight,
                image: text("i"),
                ..Variant::new("s", "Blue", Price(1))
            }],
            ..Product::new("S", "T", Price(1))
        }
    }

    #[test]
    fn times_are_read_with_and_without_a_zone() {
        for (text, expected) in [
            ("1970-01-01T00:00:01Z", Some(1_000)),
            ("1970-01-01T01:00:01.5+01:00", Some(1_500)),
            ("1970-01-01T00:00:01", Some(1_000)),
            ("1970-01-01 00:00:01", Some(1_000)),
            ("yesterday", None),
        ] {
            assert_eq!(parse_time_ms(text), expected, "{text}");
        }
    }

    fn members(json: &Json) -> Vec<String> {
        json.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn every_product_has_the_same_members() {
        let (full, small) = (full_product(), Product::new("S", "T", Price(1)));
        let (full, small) = (product_json(&full), product_json(&small));
        assert_eq!(members(&full), members(&small));
        assert!(members(&full["content"]).iter().all(|name| is_product_member(name)));
        assert_eq!(members(&full["variants"][0]), members(&small["all_variants"][0]));
        assert_eq!(small["all_variants"][0]["sku"], "S");
        assert_eq!(members(&small["content"]), ["price", "sku", "title"]);
    }
}
