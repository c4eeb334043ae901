//! The preset `rest.toml` and the reference's example, against json-server.

use super::{REQUEST_TIMEOUT, TestSecrets, run, task};
use crate::connector::channel::{ChannelClient, ChannelHandle};
use channels::Channel;
use contract::{
    command::ProductUpload,
    product::{Price, Product, Variant},
    state::Effect,
};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use testbed::JsonServer;

const PRESET: &str = include_str!("../../../../../../deploy/channels/rest.toml");
const REFERENCE: &str = include_str!("../../../../../../docs/channels/README.md");

/// Returns the client of a file that is filled in for `server`.
fn client(text: &str, server: &JsonServer) -> Arc<ChannelHandle> {
    let mut channel = Channel::load("shop.toml", text, &TestSecrets, &[])
        .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    channel.base_url = server.url();
    channel.private_address = true;
    Arc::new(ChannelHandle::new(ChannelClient::new(channel, REQUEST_TIMEOUT).unwrap()))
}

/// Returns the reference's whole example.
fn example() -> &'static str {
    let (_, rest) = REFERENCE.split_once("```toml\n").unwrap();
    rest.split_once("```").unwrap().0
}

/// Returns products whose SKUs need escaping, at prices that `added` raises.
fn products(added: u64) -> Vec<Product> {
    let skus = ["A-1", "A-10", "a-1", "Ä & b, c/d?", "100%"];
    let product = |(number, sku): (u64, &&str)| {
        let price = Price(4_290 + number + added);
        let variants = vec![Variant::new(format!("{sku}-blue"), "Blue", price)];
        Product { variants, stock: Some(3), ..Product::new(*sku, format!("Lamp \"{sku}\""), price) }
    };
    (0..).zip(&skus).map(product).collect()
}

async fn upload_all(client: &Arc<ChannelHandle>, products: &[Product]) -> Vec<Option<Effect>> {
    let mut effects = Vec::new();
    for product in products {
        let command = ProductUpload { channel: "shop".into(), product: product.clone() };
        effects.push(run(client, command, task(None)).await.unwrap().effect);
    }
    effects
}

async fn stored(server: &JsonServer) -> Vec<Json> {
    let url = format!("{}/products", server.url());
    let response = reqwest::get(url).await.unwrap();
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

async fn post(server: &JsonServer, body: Json) {
    let request = reqwest::Client::new().post(format!("{}/products", server.url()));
    assert_eq!(request.json(&body).send().await.unwrap().status(), 201);
}

#[tokio::test]
async fn uploads_create_once_then_update_and_then_change_nothing() {
    for text in [PRESET, example()] {
        let server = JsonServer::start();
        let client = client(text, &server);
        for (added, expected) in
            [(0, Effect::Created), (5, Effect::Updated), (5, Effect::Unchanged)]
        {
            let products = products(added);
            let effects = upload_all(&client, &products).await;
            assert_eq!(effects, vec![Some(expected); products.len()]);
            let stored = stored(&server).await;
            assert_eq!(stored.len(), products.len());
            for (stored, product) in stored.iter().zip(&products) {
                assert_eq!(stored["sku"], product.sku);
                assert_eq!(stored["title"], product.title);
                let price = stored["price"].as_str().map(str::to_owned);
                let price = price.unwrap_or_else(|| stored["price"].to_string());
                assert_eq!(price.parse::<Price>(), Ok(product.price));
            }
        }
        assert!(client.current().check().await.unwrap().is_some_and(|says| !says.is_empty()));
    }
}

#[tokio::test]
async fn what_the_file_does_not_say_stays() {
    let server = JsonServer::start();
    let stored_before = json!({
        "sku": "A-1", "title": "Lamp", "price": "1.00", "vendor": "Ours", "tags": ["sale"],
    });
    post(&server, stored_before).await;
    let product = Product::new("A-1", "Lamp", Price(150));
    let effects = upload_all(&client(PRESET, &server), &[product]).await;
    assert_eq!(effects, [Some(Effect::Updated)]);
    let expected = json!({
        "sku": "A-1", "title": "Lamp", "price": "1.50", "vendor": "Ours", "tags": ["sale"],
        "status": "active", "id": 1,
    });
    assert_eq!(stored(&server).await, [expected]);
}

#[tokio::test]
async fn two_products_with_the_same_sku_need_a_person() {
    let server = JsonServer::start();
    for price in ["1.00", "2.00"] {
        post(&server, json!({"sku": "A-1", "price": price})).await;
    }
    let command =
        ProductUpload { channel: "shop".into(), product: Product::new("A-1", "Lamp", Price(150)) };
    let error = run(&client(PRESET, &server), command, task(None)).await.unwrap_err();
    assert!(matches!(&error, engine::store::AttemptError::NeedsReview(_)), "{error:?}");
    assert!(error.to_string().contains("several products with the SKU A-1"), "{error}");
    assert_eq!(stored(&server).await.len(), 2);
}

#[tokio::test]
async fn a_service_that_does_not_search_by_sku_gets_no_product() {
    let server = JsonServer::start();
    post(&server, json!({"sku": "B-1"})).await;
    // A parameter that json-server ignores, as services do with those that they don't know.
    let text = PRESET.replace("query = { sku =", "query = { _unknown =");
    let command =
        ProductUpload { channel: "shop".into(), product: Product::new("A-1", "Lamp", Price(150)) };
    let error = run(&client(&text, &server), command, task(None)).await.unwrap_err();
    assert!(error.to_string().contains("does not search by `sku`"), "{error}");
    assert_eq!(stored(&server).await.len(), 1);
}
