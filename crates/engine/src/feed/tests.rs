#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_rows;
mod cases;
mod catalogues;
mod cells_and_delimiters;
mod choices;
mod damaged_quotes;
mod encodings;
mod formats;
mod languages;
mod never_panics;
mod read_errors;
mod round_trip;
mod shopify;
mod woocommerce;
mod workbooks;

use super::{Feed, ReadError, ReadOptions};
use contract::product::{Image, Price, Product, Variant};

/// 2026-03-15 12:00 UTC.
const NOW: i64 = 1_773_576_000_000;

fn read(bytes: &[u8]) -> Result<Feed, ReadError> {
    super::read(bytes, &ReadOptions::default(), NOW)
}

fn read_bytes_with(bytes: &[u8], options: &ReadOptions) -> Result<Feed, ReadError> {
    super::read(bytes, options, NOW)
}

fn read_text(text: &str) -> Feed {
    read(text.as_bytes()).expect("a readable file")
}

fn read_with(text: &str, options: &ReadOptions) -> Feed {
    super::read(text.as_bytes(), options, NOW).expect("a readable file")
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
    Product::new(sku, title, Price(hundredths))
}

fn variant(sku: &str, title: &str, hundredths: u64) -> Variant {
    Variant::new(sku, title, Price(hundredths))
}

fn image(url: &str) -> Image {
    Image { url: url.into(), alt: None }
}
