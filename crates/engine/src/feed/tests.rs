#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_rows;
mod cells_and_delimiters;
mod formats;
mod never_panics;
mod read_errors;
mod round_trip;
mod shopify;
mod woocommerce;

use super::{Feed, read};
use contract::product::{Price, Product, Variant};

fn read_text(text: &str) -> Feed {
    read(text.as_bytes()).expect("a readable file")
}

/// Returns the bad rows as `line column: reason`.
fn bad_row_messages(feed: &Feed) -> Vec<String> {
    let rows = feed.bad_rows.iter();
    rows.map(|row| format!("{} {}: {}", row.line, row.column.as_deref().unwrap_or("-"), row.reason))
        .collect()
}

fn skus(feed: &Feed) -> Vec<&str> {
    feed.products.iter().map(|product| product.sku.as_str()).collect()
}

fn note_messages(feed: &Feed) -> Vec<String> {
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
