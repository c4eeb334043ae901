//! Uploads by the preset for Shopify: its requests are validated against the published schema,
//! and a mock made from the schema answers.

use super::{
    preset,
    preset::{lamp, shirt},
    task, upload_product,
};
use crate::connector::{build_client, channel::ChannelClient};
use contract::{
    api::CooldownReason,
    product::{Price, Product, ProductStatus, Variant},
    state::Effect,
};
use engine::store::{AttemptError, AttemptResult};
use serde_json::{Value as Json, json};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::LazyLock,
    time::Duration,
};

const PUBLICATION: &str = "gid://shopify/Publication/7";
const LOCATION: &str = "gid://shopify/Location/9";

/// The process of the mock, which ends with this one, and its port.
static MOCK: LazyLock<(Child, u16)> = LazyLock::new(|| {
    let root = preset::repository();
    let own_node = root.join("target/tools/node/bin/node");
    let node = if own_node.exists() { own_node } else { "node".into() };
    let mut process = Command::new(node)
        .arg(root.join("crates/worker/src/handlers/product_upload/tests/shopify.mjs"))
        .arg(root.join("target/tools/shopify"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node starts: scripts/setup.sh test installs it");
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().parse().expect("the mock starts: run scripts/setup.sh test");
    (process, port)
});

fn http_client() -> reqwest::Client {
    build_client(preset::TIMEOUT).unwrap()
}

/// A shop of the mock.
struct Shop {
    url: String,
}

impl Shop {
    fn new(name: &str) -> Self {
        Self { url: format!("http://127.0.0.1:{}/{name}", MOCK.1) }
    }

    fn client(&self, settings: &[(&str, &str)]) -> ChannelClient {
        let all: Vec<_> = [("client_id", "id")].iter().chain(settings).copied().collect();
        preset::client("shopify", &format!("{}/admin", self.url), &all)
    }

    async fn upload(&self, product: &Product) -> AttemptResult {
        let settings = [("publications", PUBLICATION), ("location", LOCATION)];
        upload_product(self.client(&settings), task(None), product).await
    }

    async fn state(&self) -> Json {
        let request = http_client().get(format!("{}/state", self.url));
        let text = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Returns the operations that the shop received. None of them has an error.
    async fn operations(&self) -> Vec<String> {
        let state = self.state().await;
        let requests = state["requests"].as_array().unwrap().iter();
        requests
            .map(|request| {
                assert_eq!(request["errors"], json!([]), "{request:#}");
                request["operation"].as_str().unwrap().to_owned()
            })
            .collect()
    }

    async fn products(&self) -> Vec<Json> {
        self.state().await["products"].as_array().unwrap().clone()
    }

    /// Returns the only product.
    async fn product(&self) -> Json {
        let mut products = self.products().await;
        assert_eq!(products.len(), 1, "{products:#?}");
        products.remove(0)
    }

    /// Plans an answer.
    async fn answer(&self, answer: Json) {
        let request = http_client().post(format!("{}/answer", self.url)).json(&answer);
        request.send().await.unwrap();
    }
}

fn members<'a>(json: &'a Json, list: &str, member: &str) -> Vec<&'a str> {
    let items = json[list].as_array().unwrap().iter();
    items.map(|item| item[member].as_str().unwrap_or_default()).collect()
}

#[tokio::test]
async fn a_product_without_options_is_created_published_and_then_unchanged() {
    let shop = Shop::new("plain");
    let success = shop.upload(&lamp()).await.unwrap();
    assert_eq!(success.effect, Some(Effect::Created));
    assert_eq!(shop.operations().await, ["Find", "Set", "Publish"]);
    let product = shop.product().await;
    assert_eq!(success.outcome.reference.as_deref(), product["id"].as_str());
    assert_eq!(product["title"], lamp().title);
    assert_eq!(product["descriptionHtml"], lamp().description.unwrap());
    assert_eq!(product["vendor"], lamp().vendor.unwrap());
    assert_eq!(product["tags"], json!(["Desk", "night"]));
    assert_eq!((&product["handle"], &product["status"]), (&json!("lamp-7"), &json!("ACTIVE")));
    assert_eq!(members(&product, "variants", "price"), ["42.99"]);
    assert_eq!(members(&product, "variants", "title"), ["Default Title"]);
    let published = &product["resourcePublicationsV2"]["nodes"][0]["publication"]["id"];
    assert_eq!(published, PUBLICATION);

    let success = shop.upload(&lamp()).await.unwrap();
    assert_eq!(success.effect, Some(Effect::Unchanged));
    assert_eq!(shop.operations().await[3..], ["Find"]);
}

#[tokio::test]
async fn options_variants_images_and_stock_are_stored_and_compared() {
    let shop = Shop::new("options");
    assert_eq!(shop.upload(&shirt()).await.unwrap().effect, Some(Effect::Created));
    let product = shop.product().await;
    assert_eq!(members(&product, "options", "name"), ["Color", "Größe"]);
    assert_eq!(members(&product, "variants", "title"), ["Red / M", "Red / L", "Blue / M"]);
    assert_eq!(members(&product, "variants", "compareAtPrice"), ["25.00", "", ""]);
    let item = &product["variants"][2]["inventoryItem"];
    assert_eq!(item["inventoryLevel"]["quantities"][0]["quantity"], 3);
    let weight = json!({"value": 0.25, "unit": "KILOGRAMS"});
    assert_eq!((&item["tracked"], &item["measurement"]["weight"]), (&json!(true), &weight));
    // The front, and an image for each color.
    assert_eq!(product["mediaCount"]["count"], 3);
    let state = shop.state().await;
    let input = &state["requests"][1]["variables"]["input"];
    assert_eq!(input["files"][0]["alt"], "The \"front\"");
    assert_eq!(input["variants"][0]["file"]["originalSource"], input["files"][1]["originalSource"]);

    assert_eq!(shop.upload(&shirt()).await.unwrap().effect, Some(Effect::Unchanged));
}

#[tokio::test]
async fn known_variants_keep_their_ids_and_unknown_ones_stay() {
    let shop = Shop::new("variants");
    shop.upload(&shirt()).await.unwrap();
    let before = shop.product().await;
    let ids = members(&before, "variants", "id");

    let mut changed = shirt();
    changed.variants[1].price = Price(2_050);
    // A new variant comes first, one has another SKU, and one is no longer in the file.
    changed.variants[2].sku = "S-BLUE-M2".into();
    let mut green = Variant { sku: "S-GREEN-M".into(), ..changed.variants[2].clone() };
    green.option_values[0] = "Green".into();
    green.title = "Green / M".into();
    changed.variants.insert(0, green);
    changed.variants.remove(1);
    assert_eq!(shop.upload(&changed).await.unwrap().effect, Some(Effect::Updated));

    let after = shop.product().await;
    let skus = ["S-GREEN-M", "S-RED-L", "S-BLUE-M2", "S-RED-M"];
    assert_eq!(members(&after, "variants", "sku"), skus);
    assert_eq!(members(&after, "variants", "id")[1..], [ids[1], ids[2], ids[0]]);
    assert_eq!(members(&after, "variants", "price"), ["20.10", "20.50", "20.10", "19.90"]);
    let state = shop.state().await;
    let input = &state["requests"].as_array().unwrap().last().unwrap()["variables"]["input"];
    assert_eq!(input["files"], Json::Null, "images would be made again");
    assert_eq!(shop.upload(&changed).await.unwrap().effect, Some(Effect::Unchanged));
}

#[tokio::test]
async fn a_product_may_have_many_variants() {
    let shop = Shop::new("many");
    let mut many = shirt();
    let sizes = many.variants.clone();
    many.variants = (0..300)
        .flat_map(|n| {
            sizes.iter().map(move |variant| {
                let option_values = vec![
                    format!("{} {n}", variant.option_values[0]),
                    variant.option_values[1].clone(),
                ];
                Variant {
                    sku: format!("{}-{n}", variant.sku),
                    title: option_values.join(" / "),
                    option_values,
                    ..variant.clone()
                }
            })
        })
        .collect();
    assert_eq!(shop.upload(&many).await.unwrap().effect, Some(Effect::Created));
    assert_eq!(shop.upload(&many).await.unwrap().effect, Some(Effect::Unchanged));
    assert_eq!(shop.product().await["variants"].as_array().unwrap().len(), 900);
}

#[tokio::test]
async fn what_the_file_does_not_say_stays() {
    let shop = Shop::new("absent");
    shop.upload(&shirt()).await.unwrap();
    let before = shop.product().await;
    // The file has neither options nor texts, and one of the SKUs.
    let bare =
        Product { handle: Some("shirt".into()), ..Product::new("S-RED-L", "Tee", Price(100)) };
    assert_eq!(shop.upload(&bare).await.unwrap().effect, Some(Effect::Updated));
    let after = shop.product().await;
    for member in ["descriptionHtml", "vendor", "productType", "tags", "options", "mediaCount"] {
        assert_eq!(after[member], before[member], "{member}");
    }
    assert_eq!(members(&after, "variants", "sku"), ["S-RED-L", "S-RED-M", "S-BLUE-M"]);
    assert_eq!(members(&after, "variants", "price"), ["1.00", "19.90", "20.10"]);
    assert_eq!(members(&after, "variants", "title"), ["Red / L", "Red / M", "Blue / M"]);
}

#[tokio::test]
async fn a_draft_is_a_draft_and_is_published_when_it_becomes_active() {
    let shop = Shop::new("draft");
    let draft = Product { status: ProductStatus::Draft, ..lamp() };
    assert_eq!(shop.upload(&draft).await.unwrap().effect, Some(Effect::Created));
    assert_eq!(shop.product().await["status"], "DRAFT");
    assert_eq!(shop.operations().await, ["Find", "Set"]);
    assert_eq!(shop.upload(&lamp()).await.unwrap().effect, Some(Effect::Updated));
    assert_eq!(shop.operations().await[2..], ["Find", "Set", "Publish"]);
}

#[tokio::test]
async fn after_a_lost_answer_the_same_steps_finish_the_product() {
    for lost in ["Set", "Publish"] {
        let shop = Shop::new(&format!("lost-{lost}"));
        shop.answer(json!({"operation": lost, "drop": true})).await;
        match shop.upload(&shirt()).await {
            Err(AttemptError::Retry { outcome_unknown: true, .. }) => {}
            other => panic!("{lost}: {other:?}"),
        }
        let client = shop.client(&[("publications", PUBLICATION), ("location", LOCATION)]);
        upload_product(client, task(Some(0)), &shirt()).await.unwrap();
        let product = shop.product().await;
        assert_eq!(product["resourcePublicationsV2"]["nodes"].as_array().unwrap().len(), 1);
        assert_eq!(product["mediaCount"]["count"], 3);
        let operations = shop.operations().await;
        assert_eq!(operations.iter().filter(|name| *name == "Set").count(), 1, "{operations:?}");
    }
}

#[tokio::test]
async fn a_product_with_another_handle_is_found_by_its_sku() {
    let shop = Shop::new("sku");
    let named = Product { sku: "A\\b \"1\"".into(), ..lamp() };
    shop.upload(&named).await.unwrap();
    let unnamed = Product { handle: None, title: "Other".into(), ..named };
    assert_eq!(shop.upload(&unnamed).await.unwrap().effect, Some(Effect::Updated));
    let product = shop.product().await;
    assert_eq!((&product["title"], &product["handle"]), (&json!("Other"), &json!("lamp-7")));
    // The search of Shopify ignores case; the SKU does not.
    let lower = Product { sku: "a\\B \"1\"".into(), handle: None, ..lamp() };
    assert_eq!(shop.upload(&lower).await.unwrap().effect, Some(Effect::Created));
    assert_eq!(shop.products().await.len(), 2);
}

#[tokio::test]
async fn what_only_a_person_can_decide_is_left_to_a_person() {
    let shop = Shop::new("person");
    let other = Product { sku: "X".into(), handle: Some("three".into()), ..lamp() };
    shop.upload(&other).await.unwrap();
    // A made handle that another product has.
    let made = Product { sku: "three".into(), handle: None, ..lamp() };
    // Variants of which the file knows nothing.
    shop.upload(&shirt()).await.unwrap();
    let single = Product { handle: Some("shirt".into()), ..Product::new("NEW", "Shirt", Price(1)) };
    let mut renamed = shirt();
    renamed.options[0] = "Colour".into();
    renamed.variants.pop();
    // Two products with the SKU, and neither has the handle.
    let hit = |id: u8| json!({"sku": "L-1", "product": {"id": id.to_string()}});
    let data = json!({"product": null, "bySku": {"nodes": [hit(1), hit(2)]}});
    shop.answer(json!({"operation": "Find", "status": 200, "body": {"data": data}})).await;
    let before = shop.products().await;
    for (product, said) in [
        (lamp(), "Several products at Shopify have the SKU L-1"),
        (made, "Shopify has a product with the handle three that has other SKUs"),
        (single, "Shopify has variants of it, the file has none"),
        (renamed, "other options (Color, Größe)"),
    ] {
        match shop.upload(&product).await {
            Err(AttemptError::NeedsReview(outcome)) => {
                assert!(outcome.message.contains(said), "{}", outcome.message);
            }
            other => panic!("{said}: {other:?}"),
        }
    }
    assert_eq!(shop.products().await, before);
}

#[tokio::test]
async fn throttling_waits_and_errors_say_what_shopify_said() {
    let shop = Shop::new("errors");
    let throttle_status =
        json!({"maximumAvailable": 2000, "currentlyAvailable": 100, "restoreRate": 100});
    let throttled = json!({
        "errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}],
        "extensions": {"cost": {"requestedQueryCost": 802, "actualQueryCost": null, "throttleStatus": throttle_status}},
    });
    for status in [200, 429] {
        shop.answer(json!({"operation": "Set", "status": status, "body": throttled})).await;
        match shop.upload(&lamp()).await {
            Err(AttemptError::Cooldown { reason, wait, .. }) => {
                assert_eq!(reason, CooldownReason::Throttled);
                assert_eq!(wait, Duration::from_millis(7_020));
            }
            other => panic!("{status}: {other:?}"),
        }
    }
    let user_errors = |code: &str, message: &str| {
        let errors = json!([{"code": code, "field": ["input"], "message": message}, {"code": code, "field": null, "message": "Mind it."}]);
        json!({"data": {"productSet": {"product": null, "userErrors": errors}}})
    };
    let error = |code: &str, message: &str| json!({"errors": [{"message": message, "extensions": {"code": code}}]});
    let cases = [
        (
            "Set",
            200,
            user_errors("INVALID_INPUT", "No title."),
            "rejected: Shopify rejected it: No title. Mind it.",
        ),
        (
            "Set",
            200,
            user_errors("GENERIC_ERROR", "Try again."),
            "failed temporarily: Shopify could not do it now: Try again.",
        ),
        (
            "Set",
            200,
            error("INTERNAL_SERVER_ERROR", "Oops."),
            "could not say whether it is done: Oops.",
        ),
        (
            "Find",
            200,
            error("ACCESS_DENIED", "Needs read_products."),
            "refused the credentials: Needs read_products.",
        ),
        (
            "Find",
            200,
            error("undefinedField", "No such field."),
            "failed: Shopify refused it: No such field.",
        ),
        (
            "Find",
            402,
            json!({"errors": "Unavailable Shop"}),
            "the shop is closed or has another name (402)",
        ),
        ("Find", 403, json!({"errors": "Forbidden"}), "refused the credentials: Forbidden"),
    ];
    for (n, (operation, status, body, said)) in cases.into_iter().enumerate() {
        let shop = Shop::new(&format!("error-{n}"));
        // Credentials that are refused are refused to a new token too.
        for _ in 0..2 {
            let answer = json!({"operation": operation, "status": status, "body": body});
            shop.answer(answer).await;
        }
        let error = shop.upload(&lamp()).await.unwrap_err();
        assert!(format!("{error} {error:?}").contains(said), "{said}: {error} {error:?}");
        assert!(shop.products().await.is_empty());
    }
    assert!(shop.products().await.is_empty());
    // Credentials that no app has.
    let client = shop.client(&[("client_id", "other")]);
    let error = upload_product(client, task(None), &lamp()).await.unwrap_err();
    assert!(format!("{error:?}").contains("refused the credentials: invalid_client"), "{error:?}");
}

#[tokio::test]
async fn the_check_names_the_publications_and_locations() {
    let shop = Shop::new("check");
    let says = shop.client(&[]).check().await.unwrap().unwrap();
    assert!(says.starts_with("the shop is ") && says.contains("Publications: "), "{says}");
    assert!(says.contains(". Locations: ") && !says.contains('\n'), "{says}");
}
