//! The preset `vendure.toml` against a real Vendure. One test starts it, because that takes
//! 10 seconds, and does one thing after the other.

use super::{REQUEST_TIMEOUT, run, task};
use crate::connector::channel::{ChannelClient, ChannelHandle};
use channels::{Channel, settings::SecretSource};
use contract::{
    api::CooldownReason,
    command::ProductUpload,
    product::{Price, Product, ProductStatus, Variant},
    state::Effect,
};
use engine::store::{AttemptError, AttemptResult, ClaimedTask};
use serde_json::json;
use std::{io, path::Path, sync::Arc};
use testbed::{Proxy, VENDURE_PASSWORD, VENDURE_USER, Vendure, VendureProduct};

const PRESET: &str = include_str!("../../../../../../deploy/channels/vendure.toml");

struct Secret(String);

impl SecretSource for Secret {
    fn env(&self, _name: &str) -> Option<String> {
        Some(self.0.clone())
    }

    fn file(&self, _path: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn client(port: u16, password: &'static str) -> Arc<ChannelHandle> {
    client_of(PRESET, port, password)
}

fn client_of(text: &str, port: u16, secret: &str) -> Arc<ChannelHandle> {
    let url = format!("http://127.0.0.1:{port}");
    let settings = [("url", url.as_str().into()), ("user", VENDURE_USER.into())];
    let mut channel = Channel::load("vendure.toml", text, &Secret(secret.into()), &settings)
        .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    channel.private_address = true;
    Arc::new(ChannelHandle::new(ChannelClient::new(channel, REQUEST_TIMEOUT * 5).unwrap()))
}

/// Returns a product with two options and a variant for each of `choices`.
fn product(sku: &str, price: u64, choices: &[(&str, &str)]) -> Product {
    let variant = |(number, (color, size)): (u64, &(&str, &str))| Variant {
        option_values: vec![(*color).into(), (*size).into()],
        stock: Some(5),
        ..Variant::new(
            format!("{sku}-{color}-{size}"),
            format!("{color} / {size}"),
            Price(price + number),
        )
    };
    Product {
        options: vec!["Color".into(), "Size".into()],
        description: Some("<p>\"Warm\" light</p>".into()),
        variants: (0..).zip(choices).map(variant).collect(),
        ..Product::new(sku, format!("Lamp {sku}"), Price(price))
    }
}

const CHOICES: &[(&str, &str)] = &[("Blue", "S"), ("Blue", "L"), ("blue", "S")];

async fn upload(client: &Arc<ChannelHandle>, product: &Product) -> AttemptResult {
    attempt(client, product, task(None)).await
}

async fn attempt(
    client: &Arc<ChannelHandle>,
    product: &Product,
    task: ClaimedTask,
) -> AttemptResult {
    let command = ProductUpload { channel: "vendure".into(), product: product.clone() };
    run(client, command, task).await
}

/// Returns the products whose variants have SKUs that begin with `sku`, and those that are
/// unfinished.
async fn stored(vendure: &Vendure, sku: &str) -> Vec<VendureProduct> {
    let is_of_sku = |product: &VendureProduct| {
        product.name == format!("Unfinished upload of {sku}")
            || product.variants.iter().any(|variant| variant.sku.starts_with(sku))
    };
    vendure.products().await.unwrap().into_iter().filter(is_of_sku).collect()
}

/// Asserts that Vendure has `product` once, as the file describes it.
async fn assert_stored_once(vendure: &Vendure, product: &Product) {
    let stored = stored(vendure, &product.sku).await;
    assert_eq!(stored.len(), 1, "{stored:#?}");
    assert!(stored[0].enabled);
    assert_eq!(stored[0].name, product.title);
    assert_eq!(Some(&stored[0].description), product.description.as_ref());
    assert_eq!(stored[0].option_groups.len(), product.options.len());
    let mut variants: Vec<_> = stored[0]
        .variants
        .iter()
        .map(|variant| {
            let mut options: Vec<_> = variant.options.iter().map(|o| o.name.as_str()).collect();
            options.sort_unstable();
            let stock: Vec<_> = variant.stock_levels.iter().map(|s| s.stock_on_hand).collect();
            (variant.sku.as_str(), variant.name.clone(), variant.price, stock, options)
        })
        .collect();
    variants.sort();
    let mut expected: Vec<_> = product
        .variants
        .iter()
        .map(|variant| {
            let mut options: Vec<_> = variant.option_values.iter().map(String::as_str).collect();
            let name = format!("{} {}", product.title, options.join(" "));
            options.sort_unstable();
            (variant.sku.as_str(), name, variant.price.0, vec![variant.stock.unwrap()], options)
        })
        .collect();
    expected.sort();
    assert_eq!(variants, expected);
}

#[tokio::test]
async fn the_preset_uploads_to_vendure() {
    let vendure = Vendure::start().await.unwrap();
    let client = client(vendure.port(), VENDURE_PASSWORD);
    let says = client.current().check().await.unwrap().unwrap();
    assert_eq!(says, "0 products in the channel __default_channel__, with prices in USD");
    creates_updates_and_leaves_unchanged(&vendure, &client).await;
    finishes_what_lost_answers_leave_half_made(&vendure).await;
    adds_variants_with_new_values(&vendure, &client).await;
    takes_products_without_variants(&vendure, &client).await;
    leaves_alone_what_people_change(&vendure, &client).await;
    leaves_two_hits_to_a_person(&vendure, &client).await;
    says_what_is_wrong_with_the_content(&vendure, &client).await;
    uploads_with_an_api_key(&vendure).await;
    pauses_when_the_password_is_wrong(&vendure).await;
}

async fn creates_updates_and_leaves_unchanged(vendure: &Vendure, client: &Arc<ChannelHandle>) {
    for (price, expected) in
        [(4_290, Effect::Created), (4_310, Effect::Updated), (4_310, Effect::Unchanged)]
    {
        let product = product("Ä & b, c/d?", price, CHOICES);
        let success = upload(client, &product).await.unwrap();
        assert_eq!(success.effect, Some(expected));
        assert_stored_once(vendure, &product).await;
        let stored = stored(vendure, &product.sku).await;
        assert_eq!(success.outcome.reference.as_ref(), Some(&stored[0].id));
    }
    assert_eq!(vendure.count_option_groups().await.unwrap(), 2);
}

/// Loses each answer of an upload once, for another product each time.
async fn finishes_what_lost_answers_leave_half_made(vendure: &Vendure) {
    let proxy = Proxy::start(vendure.port()).await.unwrap();
    let mut lost = 0;
    for after in 0.. {
        // A new client: its first request is a login.
        let client = client(proxy.port, VENDURE_PASSWORD);
        let first = product(&format!("L-{after}"), 990, CHOICES);
        let groups_before = vendure.count_option_groups().await.unwrap();
        proxy.lose_response(after);
        let claimed = task(None);
        let Err(error) = attempt(&client, &first, claimed.clone()).await else { break };
        assert!(matches!(error, AttemptError::Retry { .. }), "{after}: {error:?}");
        lost += 1;
        let again = ClaimedTask { unknown_since: Some(0), attempt: 2, ..claimed };
        let success = attempt(&client, &first, again).await.unwrap();
        assert_eq!(success.effect, Some(Effect::Created), "{after}");
        assert_stored_once(vendure, &first).await;
        assert_eq!(vendure.count_option_groups().await.unwrap(), groups_before + 2, "{after}");
    }
    // A login, a find, and seven calls that change something.
    assert!(lost >= 9, "{lost}");
    assert_eq!(proxy.lost_responses(), lost);
}

async fn adds_variants_with_new_values(vendure: &Vendure, client: &Arc<ChannelHandle>) {
    upload(client, &product("M", 100, &[("Red", "S")])).await.unwrap();
    let more = product("M", 100, &[("Red", "S"), ("Red", "XL"), ("Green", "XL")]);
    assert_eq!(upload(client, &more).await.unwrap().effect, Some(Effect::Updated));
    assert_stored_once(vendure, &more).await;
    // Fewer variants delete nothing.
    let fewer = product("M", 100, &[("Red", "S")]);
    assert_eq!(upload(client, &fewer).await.unwrap().effect, Some(Effect::Unchanged));
    assert_stored_once(vendure, &more).await;
}

async fn takes_products_without_variants(vendure: &Vendure, client: &Arc<ChannelHandle>) {
    let draft = Product {
        status: ProductStatus::Draft,
        handle: Some("plain-lamp".into()),
        ..Product::new("P-1", "Plain", Price(1))
    };
    assert_eq!(upload(client, &draft).await.unwrap().effect, Some(Effect::Created));
    let stored = stored(vendure, "P-1").await;
    let (product, variant) = (&stored[0], &stored[0].variants[0]);
    assert_eq!((product.slug.as_str(), product.enabled), ("plain-lamp", false));
    assert_eq!((variant.name.as_str(), variant.price), ("Plain", 1));
}

async fn leaves_alone_what_people_change(vendure: &Vendure, client: &Arc<ChannelHandle>) {
    let first = product("H", 500, CHOICES);
    upload(client, &first).await.unwrap();
    let id = stored(vendure, "H").await[0].id.clone();
    let query = r#"mutation($id: ID!) {
        updateProduct(input: {
            id: $id, enabled: false, translations: [{languageCode: en, slug: "by-hand"}]
        }) { id }
    }"#;
    vendure.call(query, &json!({"id": id})).await.unwrap();
    let cheaper = Product { description: None, ..product("H", 400, CHOICES) };
    assert_eq!(upload(client, &cheaper).await.unwrap().effect, Some(Effect::Updated));
    let stored = stored(vendure, "H").await;
    assert_eq!((stored[0].slug.as_str(), stored[0].enabled), ("by-hand", false));
    assert_eq!(Some(&stored[0].description), first.description.as_ref());
    assert_eq!(stored[0].variants.iter().map(|v| v.price).min(), Some(400));
}

async fn leaves_two_hits_to_a_person(vendure: &Vendure, client: &Arc<ChannelHandle>) {
    let create = "mutation($name: String!) {
        createProduct(input: {enabled: false, translations: [
            {languageCode: en, name: $name, slug: \"double\", description: \"\"}
        ]}) { id }
    }";
    for name in ["Double", "Double", "Unfinished upload of U", "Unfinished upload of U"] {
        let created = vendure.call(create, &json!({"name": name})).await.unwrap();
        if name == "Double" {
            let variant = "mutation($product: ID!) {
                createProductVariants(input: [{productId: $product, sku: \"D-1\", translations: [
                    {languageCode: en, name: \"D\"}
                ]}]) { id }
            }";
            vendure
                .call(variant, &json!({"product": created["createProduct"]["id"]}))
                .await
                .unwrap();
        }
    }
    let before = vendure.products().await.unwrap();
    for (sku, expected) in [("D-1", "Several products have variants"), ("U", "several products")] {
        let error = upload(client, &Product::new(sku, "Double", Price(1))).await.unwrap_err();
        assert!(matches!(&error, AttemptError::NeedsReview(_)), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert_eq!(vendure.products().await.unwrap(), before);
}

async fn says_what_is_wrong_with_the_content(vendure: &Vendure, client: &Arc<ChannelHandle>) {
    let count = vendure.products().await.unwrap().len();
    let euro = Product { currency: Some("EUR".into()), ..Product::new("E", "Euro", Price(1)) };
    let error = upload(client, &euro).await.unwrap_err();
    assert!(error.to_string().contains("are in EUR, and those of the channel in USD"), "{error}");
    assert_eq!(vendure.products().await.unwrap().len(), count);
    // Two variants with the same options, which Vendure refuses.
    let same = product("S", 1, &[("Red", "S")]);
    let twice = Product {
        variants: ["S-1", "S-2"]
            .map(|sku| Variant { sku: sku.into(), ..same.variants[0].clone() })
            .to_vec(),
        ..same
    };
    let error = upload(client, &twice).await.unwrap_err();
    // The first variant is stored.
    assert!(matches!(&error, AttemptError::NeedsReview(_)), "{error:?}");
    assert!(error.to_string().contains("selected options already exists"), "{error}");
}

/// Uses the alternative that the file's comment describes, with the rights that its page names.
async fn uploads_with_an_api_key(vendure: &Vendure) {
    let role = r#"mutation {
        createRole(input: {
            code: "meanwhile", description: "", channelIds: ["1"],
            permissions: [ReadProduct, CreateProduct, UpdateProduct]
        }) { id }
    }"#;
    let role = vendure.call(role, &json!({})).await.unwrap()["createRole"]["id"].clone();
    let key = r#"mutation($roles: [ID!]!) {
        createApiKey(input: {
            roleIds: $roles, translations: [{languageCode: en, name: "Meanwhile"}]
        }) { apiKey }
    }"#;
    let key = vendure.call(key, &json!({"roles": [role]})).await.unwrap();
    let key = key["createApiKey"]["apiKey"].as_str().unwrap();
    let (before, rest) = PRESET.split_once("[auth]\ntype = \"login\"").unwrap();
    let (_, after) = rest.split_once("take = \"headers['vendure-auth-token']\"\n").unwrap();
    let (comment, after) = after.split_once("# Another channel").unwrap();
    let (_, auth) = comment.split_once("# [auth]\n").unwrap();
    let auth = auth.replace("# ", "");
    let text = format!("{before}[auth]\n{auth}\n#{after}").replace("password = {", "api_key = {");
    let client = client_of(&text, vendure.port(), key);
    for (price, expected) in [(90, Effect::Created), (91, Effect::Updated)] {
        let product = product("K", price, CHOICES);
        assert_eq!(upload(&client, &product).await.unwrap().effect, Some(expected));
        assert_stored_once(vendure, &product).await;
    }
}

async fn pauses_when_the_password_is_wrong(vendure: &Vendure) {
    let client = client(vendure.port(), "wrong");
    match upload(&client, &product("W", 1, CHOICES)).await {
        Err(AttemptError::Cooldown { outcome, reason, .. }) => {
            assert_eq!(reason, CooldownReason::CredentialsRefused);
            let told = &outcome.message;
            assert!(told.contains("refused the credentials: ") && !told.contains("200"), "{told}");
        }
        other => panic!("{other:?}"),
    }
}
