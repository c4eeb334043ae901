//! Products that failed, as a file that can be corrected and uploaded again.

use super::cell::guarded;
use contract::{product::Product, text};
use std::{
    collections::{HashMap, hash_map::Entry},
    io,
};

const HEADER: [&str; 8] =
    ["sku", "title", "price", "description", "vendor", "image", "parent", "reason"];

/// Writes products as a plain CSV file: UTF-8 without a byte order mark, lines
/// ended by CRLF. [`read`](super::read) gives the same products back.
///
/// A variant is a row of its own below its product, with the product's SKU in
/// the column `parent`. A product that comes several times, for it failed on
/// several channels, is written once with every reason. A cell that a
/// spreadsheet could take for a formula gets a `'` before it. A large file is
/// written in pieces, of which the first one has the header.
///
/// # Errors
///
/// None in practice: the file is written to memory.
pub fn failed_rows_csv<'p>(
    failed: impl IntoIterator<Item = (&'p Product, &'p str)>,
    with_header: bool,
) -> io::Result<Vec<u8>> {
    let mut out = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(vec![]);
    if with_header {
        out.write_record(HEADER)?;
    }
    for (product, reasons) in by_product(failed) {
        let optional = |text: &'p Option<String>| text.as_deref().unwrap_or_default();
        let cells: [&str; 8] = [
            &product.sku,
            &product.title,
            &product.price.to_string(),
            optional(&product.description),
            optional(&product.vendor),
            optional(&product.image),
            "",
            // Reasons of releases that kept what a service said as it was.
            &text::printable(&reasons.join("; ")),
        ];
        out.write_record(cells.map(guarded).iter().map(|cell| cell.as_bytes()))?;
        for variant in &product.variants {
            let price = variant.price.to_string();
            let cells = [&variant.sku, &variant.title, &price, "", "", "", &product.sku, ""];
            out.write_record(cells.map(guarded).iter().map(|cell| cell.as_bytes()))?;
        }
    }
    out.into_inner().map_err(csv::IntoInnerError::into_error)
}

/// Each product once, in the order they come in, with its different reasons.
fn by_product<'p>(
    failed: impl IntoIterator<Item = (&'p Product, &'p str)>,
) -> Vec<(&'p Product, Vec<&'p str>)> {
    let mut products: Vec<(&Product, Vec<&str>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (product, reason) in failed {
        let place = match places.entry(&product.sku) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(free) => {
                products.push((product, Vec::new()));
                *free.insert(products.len() - 1)
            }
        };
        if let Some((_, reasons)) = products.get_mut(place)
            && !reasons.contains(&reason)
        {
            reasons.push(reason);
        }
    }
    products
}
