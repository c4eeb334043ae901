//! Presets: the files of `deploy/channels`, loaded for a service of the test.

use super::TestSecrets;
use crate::connector::channel::ChannelClient;
use channels::Channel;
use contract::{
    command::ProductUpload,
    product::{Image, Price, Product, Variant, Weight, WeightUnit},
};
use serde_json::json;
use std::{path::PathBuf, time::Duration};

/// Time limit of one request; no test of a preset waits for it, and a busy machine is slow.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the root of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Loads a preset with `settings` in place of its own, and `base_url` as the service.
pub fn client(name: &str, base_url: &str, settings: &[(&str, &str)]) -> ChannelClient {
    let path = repository().join(format!("deploy/channels/{name}.toml"));
    let text = std::fs::read_to_string(&path).unwrap();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, (*value).into())).collect();
    let mut channel = Channel::load(&path.display().to_string(), &text, &TestSecrets, &settings)
        .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    channel.base_url = base_url.to_owned();
    channel.private_address = true;
    ChannelClient::new(channel, TIMEOUT).unwrap()
}

pub fn command(product: &Product) -> ProductUpload {
    serde_json::from_value(json!({"channel": "shop", "product": product})).unwrap()
}

/// A product without options, whose texts have to be escaped.
pub fn lamp() -> Product {
    Product {
        handle: Some("lamp-7".into()),
        description: Some("<p>\"Ünïcode\" \\ 灯 &amp; {{ braces }}</p>\n".into()),
        vendor: Some("Müller & \"Söhne\"".into()),
        tags: vec!["night".into(), "Desk".into()],
        ..Product::new("L-1", "Lamp 7″ \"Chakra\" 💡", Price(4_299))
    }
}

/// A product with everything that a file can say.
pub fn shirt() -> Product {
    let image = |name: &str| format!("https://images.example/{name}.jpg");
    let variant = |sku: &str, color: &str, size: &str, price| Variant {
        option_values: vec![color.into(), size.into()],
        barcode: Some(format!("40{sku}")),
        stock: Some(3),
        weight: Some(Weight { value: "0.25".into(), unit: WeightUnit::Kilogram }),
        image: Some(image(color)),
        ..Variant::new(sku, format!("{color} / {size}"), Price(price))
    };
    let front = Image { url: image("front"), alt: Some("The \"front\"".into()) };
    Product {
        handle: Some("shirt".into()),
        product_type: Some("Shirts".into()),
        description: Some("A shirt".into()),
        tags: vec!["summer".into()],
        categories: vec!["Clothes > Shirts".into()],
        image: Some(front.url.clone()),
        images: vec![front],
        options: vec!["Color".into(), "Größe".into()],
        variants: vec![
            Variant {
                compare_at_price: Some(Price(2_500)),
                ..variant("S-RED-M", "Red", "M", 1_990)
            },
            variant("S-RED-L", "Red", "L", 1_990),
            variant("S-BLUE-M", "Blue", "M", 2_010),
        ],
        ..Product::new("S-RED-M", "Shirt", Price(1_990))
    }
}
