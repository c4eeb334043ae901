//! Uploads by the preset for BigCommerce, to a service that answers as its specification says.

use super::{
    Received, Service, json_response, preset,
    preset::{lamp, shirt},
    scripted_shop::{ScriptedShop, TestShop},
    task, upload_product,
};
use axum::{body::Body, http::Response};
use contract::{
    product::{Image, Price, Product, ProductStatus, Weight, WeightUnit},
    state::Effect,
};
use engine::store::AttemptError;
use parking_lot::Mutex;
use reqwest::Url;
use serde_json::{Value as Json, json};
use std::{sync::Arc, time::Duration};

/// Products of the store, with the member `variants`.
#[derive(Default)]
struct Stored {
    products: Vec<Json>,
    next_id: u64,
}

fn number(id: &str) -> u64 {
    id.parse().unwrap()
}

fn data(status: u16, data: &Json) -> Response<Body> {
    json_response(status, &json!({"data": data, "meta": {}}))
}

/// The form of
/// <https://developer.bigcommerce.com/docs/rest-catalog/products#create-a-product>'s errors.
fn error(status: u16, title: &str, errors: Json) -> Response<Body> {
    let kind = "https://developer.bigcommerce.com/api-docs/getting-started/api-status-codes";
    json_response(
        status,
        &json!({"status": status, "title": title, "type": kind, "errors": errors}),
    )
}

impl ScriptedShop for Stored {
    const PRESET: &'static str = "bigcommerce";
    const BASE_PATH: &'static str = "/catalog";

    fn answer(&mut self, request: &Received) -> Response<Body> {
        assert_eq!(request.headers["accept"], "application/json");
        let (method, path) = request.line.split_once(' ').unwrap();
        let url = Url::parse(&format!("http://store{path}")).unwrap();
        let parts: Vec<_> = url.path_segments().unwrap().skip(1).collect();
        let query = |name: &str| {
            url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        // SKUs are the same in every letter case.
        let has_sku = |one: &Json, sku: &str| {
            one["sku"].as_str().unwrap_or_default().to_lowercase() == sku.to_lowercase()
        };
        match (method, &parts[..]) {
            ("GET", ["products"]) => {
                assert_eq!(query("include").unwrap(), "images,options");
                let sku = query("sku").unwrap();
                let hits: Vec<_> = self.products.iter().filter(|one| has_sku(one, &sku)).collect();
                data(200, &json!(hits))
            }
            ("GET", ["variants"]) => {
                let sku = query("sku").unwrap();
                let variants =
                    self.products.iter().flat_map(|one| one["variants"].as_array().unwrap());
                let hits: Vec<_> = variants.filter(|one| has_sku(one, &sku)).collect();
                data(200, &json!(hits))
            }
            ("POST", ["products"]) => self.create(&request.body),
            ("GET", ["products", id]) => data(200, self.product(id)),
            ("PUT", ["products", id]) => {
                let product = self.product(id);
                merge(product, &request.body);
                data(200, product)
            }
            ("GET", ["products", id, "variants"]) => {
                let limit: usize = query("limit").unwrap().parse().unwrap();
                let page: usize = query("page").map_or(1, |page| page.parse().unwrap());
                let all = self.product(id)["variants"].as_array().unwrap().clone();
                let total_pages = all.len().div_ceil(limit);
                let some: Vec<_> = all.into_iter().skip((page - 1) * limit).take(limit).collect();
                let pagination = json!({"current_page": page, "total_pages": total_pages});
                json_response(200, &json!({"data": some, "meta": {"pagination": pagination}}))
            }
            ("POST", ["products", id, "options", option, "values"]) => {
                let mut value = request.body.clone();
                value["id"] = self.id().into();
                let options = self.product(id)["options"].as_array_mut().unwrap();
                let option = options.iter_mut().find(|one| one["id"] == number(option)).unwrap();
                option["option_values"].as_array_mut().unwrap().push(value.clone());
                data(200, &value)
            }
            ("POST", ["products", id, "variants"]) => {
                let taken = self.has_sku(request.body["sku"].as_str().unwrap());
                if taken {
                    return error(409, "Sku already exists.", json!({"sku": "It is not unique."}));
                }
                let new = self.id();
                let product = self.product(id);
                let variant = variant(product, new, &request.body);
                product["variants"].as_array_mut().unwrap().push(variant.clone());
                data(200, &variant)
            }
            ("PUT", ["products", id, "variants", variant_id]) => {
                let product = self.product(id);
                let variants = product["variants"].as_array_mut().unwrap();
                let stored =
                    variants.iter_mut().find(|one| one["id"] == number(variant_id)).unwrap();
                merge(stored, &request.body);
                let stored = stored.clone();
                data(200, &stored)
            }
            _ => error(404, "Not found", json!({})),
        }
    }
}

impl Stored {
    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn product(&mut self, id: &str) -> &mut Json {
        self.products.iter_mut().find(|product| product["id"] == number(id)).unwrap()
    }

    fn has_sku(&self, sku: &str) -> bool {
        let variants = self.products.iter().flat_map(|one| one["variants"].as_array().unwrap());
        let all = self.products.iter().chain(variants);
        all.map(|one| one["sku"].as_str().unwrap_or_default().to_lowercase())
            .any(|one| one == sku.to_lowercase())
    }

    fn create(&mut self, body: &Json) -> Response<Body> {
        for name in ["name", "type", "weight", "price"] {
            assert!(!body[name].is_null(), "{name} is required");
        }
        if self.products.iter().any(|product| product["name"] == body["name"]) {
            let text = "The product name is a duplicate";
            return error(409, text, json!({"name": text}));
        }
        let variants = body["variants"].as_array().unwrap().clone();
        let skus = variants.iter().chain([body]).filter_map(|one| one["sku"].as_str());
        if let Some(sku) = skus.clone().find(|sku| self.has_sku(sku)) {
            return error(409, "Sku conflict", json!({"sku": format!("{sku} is not unique")}));
        }
        let unique: std::collections::HashSet<_> = skus.clone().map(str::to_lowercase).collect();
        assert_eq!(unique.len(), skus.count(), "SKUs are unique");
        let mut product = json!({
            "id": self.id(), "sku": "", "description": "", "sale_price": 0, "retail_price": 0,
            "inventory_tracking": "none", "inventory_level": 0, "gtin": "", "brand_id": 0,
            "date_created": "2018-08-15T14:48:46+00:00", "date_modified": "2018-08-15T14:48:46+00:00",
            "images": [], "options": [], "variants": [],
        });
        let mut members = body.clone();
        members["variants"] = json!([]);
        merge(&mut product, &members);
        for new in &variants {
            for value in new["option_values"].as_array().unwrap() {
                let (option_id, value_id) = (self.id(), self.id());
                let options = product["options"].as_array_mut().unwrap();
                let name = &value["option_display_name"];
                if options.iter().all(|option| option["display_name"] != *name) {
                    options
                        .push(json!({"id": option_id, "display_name": name, "option_values": []}));
                }
                let option = options.iter_mut().find(|one| one["display_name"] == *name).unwrap();
                let labels = option["option_values"].as_array_mut().unwrap();
                if labels.iter().all(|one| one["label"] != value["label"]) {
                    labels.push(json!({"id": value_id, "label": value["label"]}));
                }
            }
        }
        for new in &variants {
            let variant = variant(&product, self.id(), new);
            product["variants"].as_array_mut().unwrap().push(variant);
        }
        if variants.is_empty() {
            let base = json!({"id": self.id(), "product_id": product["id"], "sku": product["sku"], "option_values": []});
            product["variants"] = json!([base]);
        }
        self.products.push(product.clone());
        data(200, &product)
    }
}

/// Returns the variant that `body` makes: its option values are those of the product, by ids or
/// by labels.
fn variant(product: &Json, id: u64, body: &Json) -> Json {
    let mut variant = json!({
        "id": id, "product_id": product["id"], "sku": "", "price": null, "sale_price": null,
        "retail_price": null, "weight": null, "inventory_level": 0, "gtin": "", "image_url": "",
        "option_values": [],
    });
    merge(&mut variant, body);
    let mut values = Vec::new();
    for wanted in body["option_values"].as_array().unwrap() {
        let options = product["options"].as_array().unwrap();
        let all = options.iter().flat_map(|option| {
            option["option_values"].as_array().unwrap().iter().map(move |value| {
                json!({"id": value["id"], "label": value["label"], "option_id": option["id"], "option_display_name": option["display_name"]})
            })
        });
        let is_wanted = |one: &Json| {
            wanted.as_object().unwrap().iter().all(|(name, value)| one[name] == *value)
        };
        values.push(all.clone().find(is_wanted).unwrap_or_else(|| panic!("no value {wanted}")));
    }
    variant["option_values"] = json!(values);
    variant
}

fn merge(stored: &mut Json, body: &Json) {
    for (name, value) in body.as_object().unwrap() {
        assert!(!value.is_null(), "{name} is null");
        match name.as_str() {
            "option_values" => {}
            // The store has a copy of the image.
            "image_url" => stored[name] = "https://cdn.example/1.jpg".into(),
            _ => stored[name] = value.clone(),
        }
    }
}

type Store = TestShop<Stored>;

impl Store {
    fn product(&self) -> Json {
        let stored = self.stored.lock();
        assert_eq!(stored.products.len(), 1, "{:#?}", stored.products);
        stored.products[0].clone()
    }

    fn variants(&self, member: &str) -> Vec<Json> {
        let product = self.product();
        product["variants"].as_array().unwrap().iter().map(|one| one[member].clone()).collect()
    }
}

#[tokio::test]
async fn a_product_without_options_is_created_and_then_unchanged_or_updated() {
    let store = Store::new().await;
    let mut product = lamp();
    assert_eq!(store.upload(&product).await.unwrap().effect, Some(Effect::Created));
    let token = store.service.received.lock()[0].headers["x-auth-token"].clone();
    assert_eq!(token, super::SECRET);
    // A price is a number with the same digits.
    let sent = store.service.received.lock()[2].body.clone();
    assert_eq!(sent["price"].to_string(), "42.99");
    assert_eq!((&sent["brand_name"], &sent["weight"]), (&json!(lamp().vendor), &json!(0)));
    assert_eq!(store.lines(), ["GET /products", "GET /variants", "POST /products"]);
    assert_eq!(store.upload(&product).await.unwrap().effect, Some(Effect::Unchanged));
    assert_eq!(store.lines(), ["GET /products"]);

    product.compare_at_price = Some(Price(5_010));
    product.weight = Some(Weight { value: "8".into(), unit: WeightUnit::Ounce });
    product.status = ProductStatus::Draft;
    product.description = None;
    product.images = vec![Image { url: "https://images.example/1.jpg".into(), alt: None }];
    assert_eq!(store.upload(&product).await.unwrap().effect, Some(Effect::Updated));
    assert_eq!(store.lines(), ["GET /products", "PUT /products/1"]);
    let stored = store.product();
    assert_eq!(stored["weight"], 0.2268);
    assert_eq!((&stored["retail_price"], &stored["is_visible"]), (&json!(50.1), &json!(false)));
    assert_eq!(stored["description"], lamp().description.unwrap());
    assert_eq!(stored["images"].as_array().unwrap().len(), 1);
    assert_eq!(store.upload(&product).await.unwrap().effect, Some(Effect::Unchanged));
}

#[tokio::test]
async fn variants_are_created_with_the_product_and_later_one_by_one() {
    let store = Store::new().await;
    let mut product = shirt();
    assert_eq!(store.upload(&product).await.unwrap().effect, Some(Effect::Created));
    assert_eq!(store.lines(), ["GET /products", "GET /variants", "POST /products"]);
    assert_eq!(store.variants("sku"), ["S-RED-M", "S-RED-L", "S-BLUE-M"]);
    assert_eq!(store.variants("price"), [json!(19.9), json!(19.9), json!(20.1)]);
    assert_eq!(store.product()["sku"], "", "the first variant has it");
    assert_eq!(store.upload(&product).await.unwrap().effect, Some(Effect::Unchanged));
    store.lines();

    product.variants[1].price = Price(2_100);
    product.variants[2].sku = "S-BLUE-M2".into();
    let mut green = product.variants[2].clone();
    green.sku = "S-GREEN-M".into();
    green.title = "Green / S".into();
    green.option_values = vec!["Green".into(), "S".into()];
    product.variants.push(green);
    // What only the store has stays.
    store.stored.lock().products[0]["variants"].as_array_mut().unwrap().push(json!({
        "id": 999, "product_id": 1, "sku": "GOLD", "price": 1, "option_values": [],
    }));
    assert_eq!(store.upload(&product).await.unwrap().effect, Some(Effect::Updated));
    let lines = store.lines();
    let id = |n: usize| store.variants("id")[n].clone();
    assert_eq!(lines[3], "GET /products/1/variants");
    let options = store.product()["options"].clone();
    assert_eq!(
        lines[4..],
        [
            format!("POST /products/1/options/{}/values", options[0]["id"]),
            format!("POST /products/1/options/{}/values", options[1]["id"]),
            "POST /products/1/variants".to_owned(),
            format!("PUT /products/1/variants/{}", id(1)),
            format!("PUT /products/1/variants/{}", id(2)),
        ]
    );
    let skus = ["S-RED-M", "S-RED-L", "S-BLUE-M2", "GOLD", "S-GREEN-M"];
    assert_eq!(store.variants("sku"), skus);
    let values = &store.variants("option_values")[4];
    assert_eq!((&values[0]["label"], &values[1]["label"]), (&json!("Green"), &json!("S")));
    assert_eq!(store.upload(&product).await.unwrap().effect, Some(Effect::Unchanged));
}

#[tokio::test]
async fn more_variants_than_a_page_are_found() {
    let store = Store::new().await;
    let mut product = Product { sku: "SHIRT".into(), ..shirt() };
    let first = product.variants.remove(2);
    product.variants = (0..260)
        .map(|n| {
            let mut variant = first.clone();
            variant.sku = format!("S-{n}");
            variant.option_values[0] = format!("Blue {n}");
            variant.title = variant.option_values.join(" / ");
            variant
        })
        .collect();
    store.upload(&product).await.unwrap();
    assert_eq!(store.product()["sku"], "SHIRT");
    store.lines();
    assert_eq!(store.upload(&product).await.unwrap().effect, Some(Effect::Unchanged));
    assert_eq!(store.lines().len(), 3);
}

#[tokio::test]
async fn after_a_lost_answer_the_same_steps_finish_the_product() {
    let mut more = shirt();
    let mut green = more.variants[2].clone();
    green.sku = "S-GREEN-M".into();
    green.title = "Green / M".into();
    green.option_values[0] = "Green".into();
    more.variants.push(green);
    // The creation of the product; then that of an option value, and of a variant.
    for (lost, before) in [(2, None), (7, Some(shirt())), (8, Some(shirt()))] {
        let store = Store::new().await;
        if let Some(before) = before {
            store.upload(&before).await.unwrap();
        }
        store.upload_with_lost_answer(&more, lost).await;
        assert_eq!(store.variants("sku"), ["S-RED-M", "S-RED-L", "S-BLUE-M", "S-GREEN-M"]);
        let labels = store.product()["options"][0]["option_values"].as_array().unwrap().len();
        assert_eq!(labels, 3, "{lost}");
        assert_eq!(store.upload(&more).await.unwrap().effect, Some(Effect::Unchanged));
    }
}

#[tokio::test]
async fn what_is_not_clear_is_left_to_a_person() {
    let store = Store::new().await;
    store.upload(&lamp()).await.unwrap();
    store.upload(&shirt()).await.unwrap();
    let before = store.stored.lock().products.clone();
    let lower = Product { sku: "l-1".into(), ..lamp() };
    let single = Product::new("S-RED-M", "Other", Price(1));
    let mut options = shirt();
    options.options[0] = "Colour".into();
    let with_variants = Product { sku: "L-1".into(), ..shirt() };
    for (product, said) in [
        (lower, "spells the SKU l-1 as L-1"),
        (single, "belongs to a variant of Shirt"),
        (options, "other options (Color, Größe)"),
        (with_variants, "other options (none)"),
    ] {
        match store.upload(&product).await {
            Err(AttemptError::NeedsReview(outcome)) => {
                assert!(outcome.message.contains(said), "{}", outcome.message);
            }
            other => panic!("{said}: {other:?}"),
        }
    }
    assert_eq!(store.stored.lock().products, before);
}

#[tokio::test]
async fn a_refused_name_is_told_and_a_race_is_found() {
    let store = Store::new().await;
    store.upload(&lamp()).await.unwrap();
    let other = Product { sku: "L-2".into(), ..lamp() };
    let error = store.upload(&other).await.unwrap_err();
    let said =
        "rejected it: The product name is a duplicate (name: The product name is a duplicate)";
    assert!(error.to_string().contains(said), "{error}");

    // What the finds did not say comes just before the request that creates it.
    let mut more = shirt();
    more.variants.truncate(2);
    for (before, product, path) in
        [(None, lamp(), "/catalog/products"), (Some(more), shirt(), "/catalog/products/1/variants")]
    {
        let store = Store::new().await;
        if let Some(before) = before {
            store.upload(&before).await.unwrap();
        }
        let shared = Arc::clone(&store.stored);
        let post = format!("POST {path}");
        let is_first = Arc::new(Mutex::new(true));
        let service = Service::start(move |request, _| {
            let mut stored = shared.lock();
            if request.line == post && std::mem::take(&mut *is_first.lock()) {
                let _ = stored.answer(request);
            }
            stored.answer(request)
        })
        .await;
        let client = preset::client("bigcommerce", &service.url, &[]);
        upload_product(client, task(None), &product).await.unwrap();
        assert_eq!(store.variants("sku").len(), product.variants.len().max(1));
    }
    // A search that finds other SKUs too.
    let service = Service::start(|request, _| match request.line.starts_with("POST") {
        true => data(200, &json!({"id": 9})),
        false => data(200, &json!([{"id": 1, "sku": "L-11", "product_id": 1, "options": []}])),
    })
    .await;
    let client = preset::client("bigcommerce", &service.url, &[]);
    let success = upload_product(client, task(None), &lamp()).await.unwrap();
    assert_eq!(success.outcome.reference.as_deref(), Some("9"));
}

#[tokio::test]
async fn limits_and_errors_say_what_the_store_said() {
    for (status, body, said) in [
        (
            207,
            json!({"data": [], "errors": {"inventory": "negative"}}),
            "it stored only a part: {\"inventory\": \"negative\"}",
        ),
        (
            401,
            json!({"status": 401, "title": "Unauthorized"}),
            "refused the credentials: Unauthorized",
        ),
        (
            422,
            json!({"title": "Invalid", "errors": {"weight": "weight is required"}}),
            "rejected it: Invalid (weight: weight is required)",
        ),
        (413, json!({"title": "Too large"}), "rejected it: Too large"),
    ] {
        let service = Service::start(move |request, _| match request.line.starts_with("GET") {
            true => data(200, &json!([])),
            _ => json_response(status, &body),
        })
        .await;
        let client = preset::client("bigcommerce", &service.url, &[]);
        let error = upload_product(client, task(None), &lamp()).await.unwrap_err();
        assert!(format!("{error:?}").replace('\\', "").contains(said), "{said}: {error:?}");
    }
    let service = Service::start(|_, _| {
        let mut response = json_response(429, &json!({"title": "Too many requests"}));
        response.headers_mut().insert("X-Rate-Limit-Time-Reset-Ms", 1_500.into());
        response
    })
    .await;
    let client = preset::client("bigcommerce", &service.url, &[]);
    match upload_product(client, task(None), &lamp()).await {
        Err(AttemptError::Cooldown { wait, .. }) => assert_eq!(wait, Duration::from_millis(1_500)),
        other => panic!("{other:?}"),
    }
}
