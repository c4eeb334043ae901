#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_rows;
mod formats;
mod never_panics;
mod reading;
mod round_trip;
mod shopify;
mod unreadable;
mod woocommerce;

use super::{Feed, read};
use contract::product::{Price, Product, Variant};

fn feed(text: &str) -> Feed {
    read(text.as_bytes()).expect("a readable file")
}

/// Bad rows as `line column: reason`.
fn bad(feed: &Feed) -> Vec<String> {
    let rows = feed.bad.iter();
    rows.map(|row| format!("{} {}: {}", row.line, row.column.as_deref().unwrap_or("-"), row.reason))
        .collect()
}

fn skus(feed: &Feed) -> Vec<&str> {
    feed.products.iter().map(|product| product.sku.as_str()).collect()
}

fn notes(feed: &Feed) -> Vec<String> {
    feed.notes.iter().map(|note| format!("{} {}", note.line, note.text)).collect()
}

fn product(sku: &str, title: &str, hundredths: u64) -> Product {
    Product {
        sku: sku.into(),
        title: title.into(),
        price: Price(hundredths),
        description: None,
        vendor: None,
        image: None,
        variants: Vec::new(),
    }
}

fn variant(sku: &str, title: &str, hundredths: u64) -> Variant {
    Variant { sku: sku.into(), title: title.into(), price: Price(hundredths) }
}
