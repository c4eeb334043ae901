//! Uploads by the preset for Adobe Commerce, to a service that answers as its documents and its
//! specification say.

use super::{
    Received, Service, json_response, preset,
    preset::{lamp, shirt},
    scripted_shop::{ScriptedShop, TestShop},
    task, upload_product,
};
use axum::{body::Body, http::Response};
use contract::{
    product::{Price, Product, ProductStatus, Weight, WeightUnit},
    state::Effect,
};
use engine::store::AttemptError;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use serde_json::{Value as Json, json};

struct Stored {
    products: Vec<Json>,
    attributes: Vec<Json>,
    next_id: u64,
}

impl Default for Stored {
    fn default() -> Self {
        let attributes = vec![
            attribute(93, "color", "Color", &[("Red", "52"), ("Blue", "53")]),
            attribute(141, "size_de", "Größe", &[("M", "169")]),
        ];
        Self { products: Vec::new(), attributes, next_id: 0 }
    }
}

/// Members of a product in
/// <https://developer.adobe.com/commerce/webapi/rest/tutorials/configurable-product/create-simple-products/>.
const MEMBERS: &[&str] = &[
    "sku",
    "name",
    "attribute_set_id",
    "price",
    "status",
    "visibility",
    "type_id",
    "weight",
    "extension_attributes",
    "custom_attributes",
];
const EXTENSIONS: &[&str] =
    &["category_links", "stock_item", "configurable_product_options", "configurable_product_links"];

fn attribute(id: u64, code: &str, label: &str, labels: &[(&str, &str)]) -> Json {
    let options: Vec<_> = [(" ", "")].iter().chain(labels).collect();
    let options: Vec<_> =
        options.iter().map(|(label, value)| json!({"label": label, "value": value})).collect();
    json!({"attribute_id": id, "attribute_code": code, "default_frontend_label": label, "frontend_input": "select", "options": options})
}

impl ScriptedShop for Stored {
    const PRESET: &'static str = "adobe-commerce";
    const SETTINGS: &'static [(&'static str, &'static str)] = &[("access_token", "t0ken")];

    fn answer(&mut self, request: &Received) -> Response<Body> {
        let (method, path) = request.line.split_once(' ').unwrap();
        let url = Url::parse(&format!("http://shop{path}")).unwrap();
        let parts: Vec<_> = url.path_segments().unwrap().collect();
        let decode = |part: &str| percent_decode_str(part).decode_utf8().unwrap().into_owned();
        let query: Vec<_> = url.query_pairs().collect();
        // The value of the only filter of a search.
        let filter = |field: &str, condition: &str| {
            let value = |end: &str| {
                let name = format!("searchCriteria[filter_groups][0][filters][0][{end}]");
                query.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
            };
            assert_eq!(value("field").as_deref(), Some(field));
            assert_eq!(value("condition_type").as_deref(), Some(condition));
            value("value").unwrap()
        };
        match (method, &parts[..]) {
            ("GET", ["products"]) => {
                let value = filter("sku", "in");
                let skus: Vec<_> = value.split(',').collect();
                assert!(skus.len() <= 50);
                let is_wanted = |one: &&Json| skus.contains(&one["sku"].as_str().unwrap());
                let items: Vec<_> = self.products.iter().filter(is_wanted).collect();
                json_response(200, &json!({"items": items, "total_count": items.len()}))
            }
            ("GET", ["products", "attributes"]) => {
                let label = filter("frontend_label", "eq");
                let is_wanted = |one: &&Json| one["default_frontend_label"] == label;
                let mut items: Vec<_> = self.attributes.iter().filter(is_wanted).cloned().collect();
                items.push(json!({"default_frontend_label": label, "frontend_input": "text"}));
                json_response(200, &json!({"items": items}))
            }
            ("POST", ["products", "attributes", code, "options"]) => {
                let label = request.body["option"]["label"].clone();
                self.next_id += 1;
                let value = (200 + self.next_id).to_string();
                let attribute =
                    self.attributes.iter_mut().find(|one| one["attribute_code"] == *code).unwrap();
                let options = attribute["options"].as_array_mut().unwrap();
                if options.iter().any(|option| option["label"] == label) {
                    let message = "Admin store attribute option label \"%1\" is already exists.";
                    return json_response(400, &json!({"message": message, "parameters": [label]}));
                }
                options.push(json!({"label": label, "value": value}));
                json_response(200, &json!(format!("id_{value}")))
            }
            ("GET", ["products", sku]) => {
                let sku = decode(sku).to_lowercase();
                let is_it = |one: &&Json| one["sku"].as_str().unwrap().to_lowercase() == sku;
                match self.products.iter().find(is_it) {
                    Some(product) => json_response(200, product),
                    None => {
                        let message = "The product that was requested doesn't exist. Verify the product and try again.";
                        json_response(404, &json!({"message": message}))
                    }
                }
            }
            ("PUT", ["products", sku]) => self.put(&decode(sku), &request.body["product"]),
            _ => json_response(404, &json!({"message": "Request does not match any route."})),
        }
    }
}

impl Stored {
    fn put(&mut self, sku: &str, body: &Json) -> Response<Body> {
        assert_eq!(body["sku"], sku);
        let at = self.products.iter().position(|one| one["sku"] == sku).unwrap_or_else(|| {
            assert!(body["attribute_set_id"].is_u64() && body["type_id"].is_string());
            self.next_id += 1;
            self.products.push(json!({
                "id": self.next_id, "created_at": "2017-11-29 20:40:07",
                "updated_at": "2017-11-29 20:40:07", "extension_attributes": {"website_ids": [1]},
                "custom_attributes": [{"attribute_code": "tax_class_id", "value": "2"}],
            }));
            self.products.len() - 1
        });
        let product = &mut self.products[at];
        for (name, value) in body.as_object().unwrap() {
            assert!(MEMBERS.contains(&name.as_str()) && !value.is_null(), "{name}");
            match name.as_str() {
                "custom_attributes" => {
                    for new in value.as_array().unwrap() {
                        assert!(new["value"].is_string(), "{new}");
                        let all = product[name].as_array_mut().unwrap();
                        all.retain(|one| one["attribute_code"] != new["attribute_code"]);
                        let mut new = new.clone();
                        if new["attribute_code"] == "special_price" {
                            new["value"] = format!("{}0000", new["value"].as_str().unwrap()).into();
                        }
                        all.push(new);
                    }
                }
                "extension_attributes" => {
                    for (name, value) in value.as_object().unwrap() {
                        assert!(EXTENSIONS.contains(&name.as_str()), "{name}");
                        product["extension_attributes"][name] = value.clone();
                    }
                }
                _ => product[name] = value.clone(),
            }
        }
        json_response(200, &product.clone())
    }
}

type Shop = TestShop<Stored>;

impl Shop {
    fn product(&self, sku: &str) -> Json {
        let stored = self.stored.lock();
        stored.products.iter().find(|one| one["sku"] == sku).cloned().unwrap_or_default()
    }
}

fn attribute_value(product: &Json, code: &str) -> Json {
    let all = product["custom_attributes"].as_array().unwrap();
    all.iter()
        .find(|one| one["attribute_code"] == code)
        .map_or(Json::Null, |one| one["value"].clone())
}

#[tokio::test]
async fn a_simple_product_is_put_by_its_sku_and_then_unchanged() {
    let shop = Shop::new().await;
    let weight = Some(Weight { value: "500".into(), unit: WeightUnit::Gram });
    let mut product = Product { sku: "A/1 b".into(), stock: Some(4), weight, ..lamp() };
    assert_eq!(shop.upload(&product).await.unwrap().effect, Some(Effect::Created));
    let received = shop.service.received.lock()[0].clone();
    assert_eq!(received.headers["authorization"], "Bearer t0ken");
    assert_eq!(received.line, "GET /products/A%2F1%20b");
    assert_eq!(shop.lines(), ["GET /products/A/1 b", "PUT /products/A/1 b"]);
    let stored = shop.product("A/1 b");
    assert_eq!(
        (stored["price"].to_string().as_str(), &stored["weight"]),
        ("42.99", &json!(1.1023))
    );
    assert_eq!((&stored["type_id"], &stored["visibility"]), (&json!("simple"), &json!(4)));
    assert_eq!(
        stored["extension_attributes"]["stock_item"],
        json!({"qty": 4, "is_in_stock": true})
    );
    assert_eq!(attribute_value(&stored, "description"), lamp().description.unwrap());
    assert_eq!(attribute_value(&stored, "url_key"), "lamp-7");
    assert_eq!(attribute_value(&stored, "special_price"), Json::Null);

    product.stock = Some(9);
    assert_eq!(shop.upload(&product).await.unwrap().effect, Some(Effect::Unchanged));
    product.compare_at_price = Some(Price(5_010));
    product.status = ProductStatus::Draft;
    product.description = None;
    assert_eq!(shop.upload(&product).await.unwrap().effect, Some(Effect::Updated));
    let stored = shop.product("A/1 b");
    assert_eq!((&stored["price"], &stored["status"]), (&json!(50.1), &json!(2)));
    assert_eq!(attribute_value(&stored, "special_price"), "42.990000");
    assert_eq!(attribute_value(&stored, "description"), lamp().description.unwrap());
    assert_eq!(attribute_value(&stored, "tax_class_id"), "2");
    assert_eq!(shop.upload(&product).await.unwrap().effect, Some(Effect::Unchanged));
    // A special price that is there must not be lower than the price of the file.
    product.compare_at_price = None;
    product.price = Price(4_500);
    assert_eq!(shop.upload(&product).await.unwrap().effect, Some(Effect::Updated));
    assert_eq!(attribute_value(&shop.product("A/1 b"), "special_price"), "45.00000");
    assert_eq!(shop.upload(&product).await.unwrap().effect, Some(Effect::Unchanged));
}

#[tokio::test]
async fn variants_are_products_that_the_configurable_one_links() {
    let shop = Shop::new().await;
    let mut product = shirt();
    assert_eq!(shop.upload(&product).await.unwrap().effect, Some(Effect::Created));
    assert_eq!(
        shop.lines(),
        [
            "GET /products/S-RED-M-group",
            "GET /products/attributes",
            "GET /products/attributes",
            "POST /products/attributes/size_de/options",
            "GET /products/attributes",
            "GET /products/attributes",
            "GET /products",
            "PUT /products/S-RED-M",
            "PUT /products/S-RED-L",
            "PUT /products/S-BLUE-M",
            "PUT /products/S-RED-M-group",
        ]
    );
    let child = shop.product("S-RED-M");
    assert_eq!((&child["price"], &child["visibility"]), (&json!(25.0), &json!(1)));
    assert_eq!(attribute_value(&child, "special_price"), "19.90000");
    assert_eq!(
        (attribute_value(&child, "color"), attribute_value(&child, "size_de")),
        (json!("52"), json!("169"))
    );
    assert_eq!(attribute_value(&shop.product("S-RED-L"), "size_de"), "201");
    // `0.25` kg in pounds.
    assert_eq!(child["weight"], 0.5512);
    let parent = shop.product("S-RED-M-group");
    let extension = &parent["extension_attributes"];
    let options = &extension["configurable_product_options"];
    assert_eq!(
        (&options[0]["attribute_id"], &options[1]["label"]),
        (&json!("93"), &json!("Größe"))
    );
    assert_eq!(options[0]["values"], json!([{"value_index": 52}, {"value_index": 53}]));
    assert_eq!(extension["configurable_product_links"], json!([2, 3, 4]));
    product.variants[0].stock = Some(99);
    assert_eq!(shop.upload(&product).await.unwrap().effect, Some(Effect::Unchanged));
    shop.lines();

    // One variant costs more, one is new, one is only in the shop.
    product.variants[1].price = Price(2_100);
    let mut green = product.variants.remove(2);
    green.sku = "S-GREEN-M".into();
    green.title = "Green / M".into();
    green.option_values[0] = "Green".into();
    product.variants.push(green);
    assert_eq!(shop.upload(&product).await.unwrap().effect, Some(Effect::Updated));
    let sent = shop.service.received.lock().last().unwrap().body.clone();
    let options = &sent["product"]["extension_attributes"]["configurable_product_options"];
    assert_eq!(*options, Json::Null, "they would be made again");
    let lines = shop.lines();
    assert_eq!(
        lines[7..],
        ["PUT /products/S-RED-L", "PUT /products/S-GREEN-M", "PUT /products/S-RED-M-group"]
    );
    let parent = shop.product("S-RED-M-group");
    let links = &parent["extension_attributes"]["configurable_product_links"];
    let green = shop.product("S-GREEN-M")["id"].clone();
    assert_eq!(*links, json!([2, 3, 4, green]));
    assert_eq!(shop.upload(&product).await.unwrap().effect, Some(Effect::Unchanged));
}

#[tokio::test]
async fn many_variants_are_found_in_parts() {
    let shop = Shop::new().await;
    let mut product = Product { sku: "SHIRT".into(), options: vec!["Color".into()], ..shirt() };
    let first = product.variants.remove(0);
    product.variants = (0..120)
        .map(|n| {
            let mut variant = first.clone();
            variant.sku = format!("S-{n}");
            variant.title = format!("Red {n}");
            variant.option_values = vec![variant.title.clone()];
            variant
        })
        .collect();
    // More requests than one attempt may take: the next one goes on.
    let mut attempts = 1;
    while shop.upload(&product).await.is_err() {
        attempts += 1;
        assert!(attempts < 4);
    }
    shop.lines();
    assert_eq!(shop.upload(&product).await.unwrap().effect, Some(Effect::Unchanged));
    assert_eq!(shop.lines().len(), 5);
}

#[tokio::test]
async fn after_a_lost_answer_the_same_steps_finish_the_product() {
    // An option value, each variant, and the product.
    for lost in [3, 7, 8, 9, 10] {
        let shop = Shop::new().await;
        shop.upload_with_lost_answer(&shirt(), lost).await;
        assert_eq!(shop.stored.lock().products.len(), 4, "{lost}");
        let parent = shop.product("S-RED-M-group");
        let links = parent["extension_attributes"]["configurable_product_links"].clone();
        assert_eq!(links.as_array().unwrap().len(), 3, "{lost}");
        assert_eq!(shop.stored.lock().attributes[1]["options"].as_array().unwrap().len(), 3);
        assert_eq!(shop.upload(&shirt()).await.unwrap().effect, Some(Effect::Unchanged));
    }
}

#[tokio::test]
async fn what_is_not_clear_changes_nothing() {
    let shop = Shop::new().await;
    shop.upload(&lamp()).await.unwrap();
    let simple = Product { sku: "T-SHIRT".into(), ..shirt() };
    shop.upload(&simple).await.unwrap();
    let before = shop.stored.lock().products.clone();
    let lower = Product { sku: "l-1".into(), ..lamp() };
    let single = Product { sku: "T-SHIRT".into(), ..lamp() };
    let with_variants = Product { sku: "L-1".into(), ..shirt() };
    let mut unknown = simple.clone();
    unknown.options[1] = "Shoe size".into();
    let mut other = simple.clone();
    other.options[1] = "Material".into();
    shop.stored.lock().attributes.push(attribute(77, "material", "Material", &[]));
    for (product, said) in [
        (lower, "spells the SKU l-1 as L-1"),
        (single, "of the type configurable, and the file has none"),
        (with_variants, "of the type simple, and the file has variants"),
        (unknown, "no dropdown attribute with the default label Shoe size"),
        (other, "other options (Color, Größe)"),
    ] {
        match shop.upload(&product).await {
            Err(AttemptError::NeedsReview(outcome) | AttemptError::Rejected(outcome)) => {
                assert!(outcome.message.contains(said), "{}", outcome.message);
            }
            other => panic!("{said}: {other:?}"),
        }
    }
    assert_eq!(shop.stored.lock().products, before);
}

#[tokio::test]
async fn errors_say_what_the_shop_said() {
    for (on_find, status, body, said) in [
        (
            false,
            400,
            json!({"message": "Invalid product data: %1", "parameters": ["Invalid attribute set entity type"]}),
            "rejected it: Invalid product data: Invalid attribute set entity type",
        ),
        (
            false,
            400,
            json!({"message": "%fieldName is a required field.", "parameters": {"fieldName": "name"}}),
            "{\"fieldName\": \"name\"}",
        ),
        (
            true,
            401,
            json!({"message": "The consumer isn't authorized to access %resources.", "parameters": {"resources": "Magento_Catalog::products"}}),
            "Magento_Catalog::products",
        ),
        (true, 404, json!({"message": "Request does not match any route."}), "check `host`"),
        (false, 500, json!({"message": "Internal Error."}), "answered 500"),
    ] {
        let service = Service::start(move |request, _| match request.line.starts_with("GET") {
            true if !on_find => json_response(404, &json!({"message": "It doesn't exist."})),
            _ => json_response(status, &body),
        })
        .await;
        let client = preset::client("adobe-commerce", &service.url, &[]);
        let error = upload_product(client, task(None), &lamp()).await.unwrap_err();
        assert!(format!("{error:?}").replace('\\', "").contains(said), "{said}: {error:?}");
        assert_eq!(service.lines().len(), if on_find { 1 } else { 2 });
    }
}
