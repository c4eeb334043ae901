//! Uploads by the preset for WooCommerce, to a service that answers as its documents and its
//! source say.

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
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;

/// Products and variations of the shop.
#[derive(Default)]
struct Stored {
    products: Vec<Json>,
    /// Variations, with the member `parent_id`.
    variations: Vec<Json>,
}

/// Answers of <https://woocommerce.github.io/woocommerce-rest-api-docs/#products>, without
/// members that nobody reads.
fn new_product(id: usize) -> Json {
    json!({
        "id": id, "name": "", "slug": "", "date_created_gmt": "2017-03-23T20:03:12",
        "date_modified_gmt": "2017-03-23T20:03:12", "type": "simple", "status": "publish",
        "description": "", "short_description": "", "sku": "", "price": "", "regular_price": "",
        "sale_price": "", "tax_status": "taxable", "manage_stock": false, "stock_quantity": null,
        "stock_status": "instock", "weight": "", "parent_id": 0, "categories": [{"id": 9}],
        "tags": [], "images": [], "attributes": [], "variations": [], "meta_data": [],
    })
}

fn new_variation(id: usize, parent_id: u64) -> Json {
    json!({
        "id": id, "date_created_gmt": "2017-03-23T03:36:38", "description": "", "sku": "",
        "price": "", "regular_price": "", "sale_price": "", "status": "publish",
        "manage_stock": false, "stock_quantity": null, "weight": "", "image": null,
        "attributes": [], "parent_id": parent_id,
    })
}

fn error(status: u16, code: &str, message: &str, data: Json) -> Response<Body> {
    json_response(status, &json!({"code": code, "message": message, "data": data}))
}

impl ScriptedShop for Stored {
    const PRESET: &'static str = "woocommerce";

    fn answer(&mut self, request: &Received) -> Response<Body> {
        let (method, path) = request.line.split_once(' ').unwrap();
        let url = Url::parse(&format!("http://shop{path}")).unwrap();
        let parts: Vec<_> = url.path_segments().unwrap().collect();
        let query = |name: &str| {
            url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        match (method, &parts[..]) {
            ("GET", ["products"]) => {
                let sku = query("sku").unwrap().to_lowercase();
                // The SKU, and its parts between commas.
                let skus: Vec<_> = sku.split(',').chain([sku.as_str()]).collect();
                let has_sku = |one: &&Json| {
                    skus.contains(&one["sku"].as_str().unwrap().to_lowercase().as_str())
                };
                let hits = self.products.iter().chain(&self.variations);
                let hits: Vec<_> = hits.filter(has_sku).cloned().map(typed).collect();
                json_response(200, &json!(hits))
            }
            ("GET", ["products", id]) => match self.product(id) {
                Some(product) => json_response(200, product),
                None => error(
                    404,
                    "woocommerce_rest_product_invalid_id",
                    "Invalid ID.",
                    json!({"status": 404}),
                ),
            },
            ("POST", ["products"]) => {
                let id = 100 + self.products.len();
                self.products.push(new_product(id));
                self.write(id, &request.body, true)
            }
            ("PUT", ["products", id]) => self.write(id.parse().unwrap(), &request.body, false),
            ("GET", ["products", id, "variations"]) => {
                let page: usize = query("page").map_or(1, |page| page.parse().unwrap());
                let size: usize = query("per_page").unwrap().parse().unwrap();
                let parent: u64 = id.parse().unwrap();
                let parent_sku = self.product(id).unwrap()["sku"].clone();
                let mut all: Vec<_> = self
                    .variations
                    .iter()
                    .filter(|one| one["parent_id"] == parent)
                    .cloned()
                    .collect();
                for one in all.iter_mut().filter(|one| one["sku"] == "") {
                    one["sku"] = parent_sku.clone();
                }
                let pages = all.len().div_ceil(size);
                let answer: Vec<_> = all.into_iter().skip((page - 1) * size).take(size).collect();
                let mut response = json_response(200, &json!(answer));
                response.headers_mut().insert("X-WP-TotalPages", pages.into());
                response
            }
            ("POST", ["products", id, "variations"]) => {
                let new = 900 + self.variations.len();
                self.variations.push(new_variation(new, id.parse().unwrap()));
                self.write(new, &request.body, true)
            }
            ("PUT", ["products", _, "variations", id]) => {
                self.write(id.parse().unwrap(), &request.body, false)
            }
            _ => error(404, "rest_no_route", "No route was found.", json!({"status": 404})),
        }
    }
}

impl Stored {
    fn product(&self, id: &str) -> Option<&Json> {
        self.products.iter().find(|product| product["id"] == id.parse::<u64>().unwrap())
    }

    /// Replaces the members that are sent, unless another product has the SKU.
    fn write(&mut self, id: usize, body: &Json, is_new: bool) -> Response<Body> {
        let sku = body["sku"].as_str().unwrap_or_default().to_lowercase();
        let mut all = self.products.iter().chain(&self.variations);
        let other = all.find(|one| {
            one["id"] != id && !sku.is_empty() && one["sku"].as_str().unwrap().to_lowercase() == sku
        });
        if let Some(other) = other {
            let data = json!({"status": 400, "resource_id": other["id"], "unique_sku": sku});
            if is_new {
                self.products.retain(|one| one["id"] != id);
                self.variations.retain(|one| one["id"] != id);
            }
            return error(400, "product_invalid_sku", "Invalid or duplicated SKU.", data);
        }
        let mut all = self.products.iter_mut().chain(&mut self.variations);
        let stored = all.find(|one| one["id"] == id).unwrap();
        let members: &Map<String, Json> = body.as_object().unwrap();
        for (name, value) in members {
            assert!(stored.get(name).is_some(), "{name} is in no document");
            assert!(!value.is_null(), "{name} is null");
            stored[name] = match name.as_str() {
                "name" => {
                    json!(value.as_str().unwrap().replace("&amp;", "&").replace('&', "&amp;"))
                }
                // The shop has a copy of each image.
                "image" => json!({"id": 423, "src": "https://shop.example/1.jpg"}),
                _ => value.clone(),
            };
        }
        json_response(if is_new { 201 } else { 200 }, &typed(stored.clone()))
    }
}

/// Adds the type that the list of products has for variations.
fn typed(mut one: Json) -> Json {
    if one["type"].is_null() {
        one["type"] = "variation".into();
    }
    one
}

type Shop = TestShop<Stored>;

impl Shop {
    fn product(&self) -> Json {
        let stored = self.stored.lock();
        assert_eq!(stored.products.len(), 1, "{:#?}", stored.products);
        stored.products[0].clone()
    }

    fn variations(&self, member: &str) -> Vec<String> {
        let text = |one: &Json| match &one[member] {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        self.stored.lock().variations.iter().map(text).collect()
    }
}

#[tokio::test]
async fn a_simple_product_is_created_and_then_unchanged_or_updated() {
    let shop = Shop::new().await;
    let mut product = lamp();
    product.images = vec![Image { url: "https://images.example/1.jpg".into(), alt: None }];
    product.weight = Some(Weight { value: "3".into(), unit: WeightUnit::Ounce });
    assert_eq!(shop.upload(&product).await.unwrap().effect, Some(Effect::Created));
    let authorization = shop.service.received.lock()[0].headers["authorization"].clone();
    // `printf s3cret-of-the-shop:s3cret-of-the-shop | base64`
    assert_eq!(authorization, "Basic czNjcmV0LW9mLXRoZS1zaG9wOnMzY3JldC1vZi10aGUtc2hvcA==");
    assert_eq!(shop.lines(), ["GET /products", "POST /products", "PUT /products/100"]);
    let stored = shop.product();
    assert_eq!(stored["regular_price"], "42.99");
    assert_eq!((&stored["sale_price"], &stored["weight"]), (&json!(""), &json!("0.085")));
    assert_eq!((&stored["slug"], &stored["type"]), (&json!("lamp-7"), &json!("simple")));
    assert_eq!(stored["images"][0]["src"], "https://images.example/1.jpg");
    assert_eq!(stored["categories"], json!([{"id": 9}]));

    assert_eq!(shop.upload(&product).await.unwrap().effect, Some(Effect::Unchanged));
    assert_eq!(shop.lines(), ["GET /products"]);

    product.compare_at_price = Some(Price(5_000));
    product.title.push_str(" & this &amp; that");
    product.description = None;
    product.status = ProductStatus::Draft;
    assert_eq!(shop.upload(&product).await.unwrap().effect, Some(Effect::Updated));
    let stored = shop.product();
    assert_eq!(stored["regular_price"], "50.00");
    assert_eq!((&stored["sale_price"], &stored["status"]), (&json!("42.99"), &json!("draft")));
    assert_eq!(stored["description"], lamp().description.unwrap());
    assert_eq!(shop.upload(&product).await.unwrap().effect, Some(Effect::Unchanged));
}

#[tokio::test]
async fn variations_are_created_one_by_one_and_kept() {
    let shop = Shop::new().await;
    let mut product = shirt();
    assert_eq!(shop.upload(&product).await.unwrap().effect, Some(Effect::Created));
    // The first variant has the SKU of the product, which WooCommerce allows nobody else.
    assert_eq!(shop.variations("sku"), ["", "S-RED-L", "S-BLUE-M"]);
    assert_eq!(shop.variations("regular_price"), ["25.00", "19.90", "20.10"]);
    assert_eq!(shop.variations("sale_price"), ["19.90", "", ""]);
    let attributes = &shop.product()["attributes"];
    assert_eq!(attributes[0]["options"], json!(["Red", "Blue"]));
    assert_eq!(
        (&attributes[1]["name"], &attributes[1]["options"]),
        (&json!("Größe"), &json!(["M", "L"]))
    );
    assert_eq!(shop.upload(&product).await.unwrap().effect, Some(Effect::Unchanged));
    shop.lines();

    // The shop's own attribute, value and variation stay.
    {
        let mut stored = shop.stored.lock();
        let material = json!({"id": 7, "name": "Material", "position": 5, "visible": true, "variation": false, "options": ["Wool"]});
        stored.products[0]["attributes"].as_array_mut().unwrap().insert(0, material);
        stored.products[0]["attributes"][1]["options"] = json!(["Red", "Blue", "Gold"]);
        let mut gold = new_variation(999, 100);
        gold["sku"] = "GOLD".into();
        stored.variations.push(gold);
    }
    product.variants[1].price = Price(2_100);
    let mut green = product.variants[2].clone();
    green.sku = "S-GREEN-M".into();
    green.title = "Green / M".into();
    green.option_values[0] = "Green".into();
    product.variants.push(green);
    assert_eq!(shop.upload(&product).await.unwrap().effect, Some(Effect::Updated));
    assert_eq!(
        shop.lines(),
        [
            "GET /products",
            "PUT /products/100",
            "GET /products/100/variations",
            "POST /products/100/variations",
            "PUT /products/100/variations/901",
        ]
    );
    assert_eq!(shop.variations("sku"), ["", "S-RED-L", "S-BLUE-M", "GOLD", "S-GREEN-M"]);
    assert_eq!(shop.variations("regular_price"), ["25.00", "21.00", "20.10", "", "20.10"]);
    let attributes = shop.product()["attributes"].clone();
    assert_eq!(attributes[0]["options"], json!(["Wool"]));
    assert_eq!(attributes[1]["options"], json!(["Red", "Blue", "Gold", "Green"]));
    assert_eq!(shop.upload(&product).await.unwrap().effect, Some(Effect::Unchanged));
}

#[tokio::test]
async fn more_variations_than_a_page_are_found() {
    let shop = Shop::new().await;
    let mut product = shirt();
    let first = product.variants.remove(2);
    product.variants = (0..230)
        .map(|n| {
            let mut variant = first.clone();
            variant.sku = format!("S-{n}");
            variant.option_values[0] = format!("Blue {n}");
            variant.title = variant.option_values.join(" / ");
            variant
        })
        .collect();
    shop.upload(&product).await.unwrap();
    shop.lines();
    assert_eq!(shop.upload(&product).await.unwrap().effect, Some(Effect::Unchanged));
    assert_eq!(shop.lines().len(), 4);
}

#[tokio::test]
async fn after_a_lost_answer_the_same_steps_finish_the_product() {
    // Create, images, and each of three variations.
    for lost in 1..=5 {
        let shop = Shop::new().await;
        shop.upload_with_lost_answer(&shirt(), lost).await;
        assert_eq!(shop.variations("sku"), ["", "S-RED-L", "S-BLUE-M"], "{lost}");
        assert_eq!(shop.product()["images"].as_array().unwrap().len(), 1);
        assert_eq!(shop.upload(&shirt()).await.unwrap().effect, Some(Effect::Unchanged));
    }
}

#[tokio::test]
async fn a_sku_with_a_comma_finds_only_itself() {
    let shop = Shop::new().await;
    let product = |sku: &str| Product { sku: sku.into(), handle: None, ..lamp() };
    shop.upload(&product("A")).await.unwrap();
    shop.upload(&product("B")).await.unwrap();
    for expected in [Effect::Created, Effect::Unchanged] {
        assert_eq!(shop.upload(&product("A,B")).await.unwrap().effect, Some(expected));
    }
    assert_eq!(shop.stored.lock().products.len(), 3);
}

#[tokio::test]
async fn a_sku_that_exists_already_is_found_or_left_to_a_person() {
    // The finds said nothing, because what they look for came after them.
    let late_product = {
        let mut late = new_product(100);
        late["sku"] = "L-1".into();
        late
    };
    let late_variation = {
        let mut late = new_variation(950, 100);
        late["sku"] = "S-RED-L".into();
        late
    };
    for (product, late, path, expected) in [
        (lamp(), late_product, "/products", Effect::Updated),
        (shirt(), late_variation, "/products/100/variations", Effect::Created),
    ] {
        let stored: Arc<Mutex<Stored>> = Arc::default();
        let shared = Arc::clone(&stored);
        let post = format!("POST {path}");
        let service = Service::start(move |request, _| {
            let mut stored = shared.lock();
            let is_product = late["parent_id"] == 0;
            let Stored { products, variations, .. } = &mut *stored;
            let list = if is_product { products } else { variations };
            if request.line == post && list.iter().all(|one| one["id"] != late["id"]) {
                list.push(late.clone());
            }
            stored.answer(request)
        })
        .await;
        let client = preset::client("woocommerce", &service.url, &[]);
        let success = upload_product(client, task(None), &product).await.unwrap();
        assert_eq!(success.effect, Some(expected), "{:?}", service.lines());
        assert_eq!(stored.lock().products.len(), 1);
        assert_eq!(stored.lock().variations.len(), product.variants.len());
    }

    // Another spelling, a variation, another type, and two.
    let stored = |members: Json| {
        let mut product = new_product(50);
        for (name, value) in members.as_object().unwrap() {
            product[name] = value.clone();
        }
        product
    };
    for (others, said) in [
        (vec![stored(json!({"sku": "l-1"}))], "another spelling of it"),
        (
            vec![stored(json!({"sku": "L-1", "type": "variation", "parent_id": 4}))],
            "a variation of the product 4",
        ),
        (
            vec![stored(json!({"sku": "L-1", "type": "variable"}))],
            "of the type variable, and the file has none",
        ),
        (
            vec![stored(json!({"sku": "L-1"})), stored(json!({"sku": "L-1", "id": 51}))],
            "Several products",
        ),
    ] {
        let shop = Shop::new().await;
        shop.stored.lock().products = others.clone();
        match shop.upload(&lamp()).await {
            Err(AttemptError::NeedsReview(outcome)) => {
                assert!(outcome.message.contains(said), "{}", outcome.message);
            }
            other => panic!("{said}: {other:?}"),
        }
        assert_eq!(shop.stored.lock().products, others);
    }
    // A variation of another product has the SKU of a variant.
    let shop = Shop::new().await;
    let mut other = new_variation(900, 4);
    other["sku"] = "S-BLUE-M".into();
    shop.stored.lock().variations.push(other);
    match shop.upload(&shirt()).await {
        Err(AttemptError::NeedsReview(outcome)) => {
            assert!(
                outcome.message.contains("has the SKU elsewhere, at 900"),
                "{}",
                outcome.message
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn errors_say_what_the_shop_said() {
    for (status, code, message, said) in [
        (
            400,
            "rest_invalid_param",
            "Invalid parameter(s): status",
            "rejected: WooCommerce rejected it: Invalid parameter(s)",
        ),
        (
            400,
            "woocommerce_rest_product_not_created",
            "The SKU is already present in the lookup table.",
            "already present in the lookup table",
        ),
        (
            401,
            "woocommerce_rest_authentication_error",
            "Consumer key is missing.",
            "refused the credentials: Consumer key is missing.",
        ),
        (404, "rest_no_route", "No route was found.", "Settings → Permalinks"),
        (500, "internal_server_error", "Fatal.", "failed temporarily: WooCommerce answered 500"),
    ] {
        let service = Service::start(move |request, _| match request.line.starts_with("GET") {
            true if status != 404 => json_response(200, &json!([])),
            _ => error(status, code, message, json!({"status": status})),
        })
        .await;
        let client = preset::client("woocommerce", &service.url, &[]);
        let error = upload_product(client, task(None), &lamp()).await.unwrap_err();
        assert!(format!("{error} {error:?}").contains(said), "{said}: {error:?}");
    }
}
