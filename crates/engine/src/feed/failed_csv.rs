//! Writes failed products to a file that can be corrected and uploaded again.

use super::cell_text::escape_formula;
use contract::{product::Product, text};
use std::{
    collections::{HashMap, hash_map::Entry},
    io,
};

const HEADER: [&str; 8] =
    ["sku", "title", "price", "description", "vendor", "image", "parent", "reason"];

/// Writes products as a plain CSV file: UTF-8 without a byte order mark, lines
/// ended by CRLF. [`read`](super::read) returns the same products.
///
/// A variant has a row of its own below its product, with the product's SKU in the column
/// `parent`. A product that occurs several times, because it failed on several channels, is
/// written once with all reasons. A cell that a spreadsheet could take for a formula gets a
/// leading `'`. A large file is written in chunks, the first one with the header.
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
    for (product, reasons) in group_by_product(failed) {
        let optional = |text: &'p Option<String>| text.as_deref().unwrap_or_default();
        let cells: [&str; 8] = [
            &product.sku,
            &product.title,
            &product.price.to_string(),
            optional(&product.description),
            optional(&product.vendor),
            optional(&product.image),
            "",
            // Earlier releases stored reasons of upstreams unchanged.
            &text::replace_control_characters(&reasons.join("; ")),
        ];
        out.write_record(cells.map(escape_formula).iter().map(|cell| cell.as_bytes()))?;
        for variant in &product.variants {
            let price = variant.price.to_string();
            let cells = [&variant.sku, &variant.title, &price, "", "", "", &product.sku, ""];
            out.write_record(cells.map(escape_formula).iter().map(|cell| cell.as_bytes()))?;
        }
    }
    out.into_inner().map_err(csv::IntoInnerError::into_error)
}

/// Returns each product once, in order of first occurrence, with its distinct reasons.
fn group_by_product<'p>(
    failed: impl IntoIterator<Item = (&'p Product, &'p str)>,
) -> Vec<(&'p Product, Vec<&'p str>)> {
    let mut products: Vec<(&Product, Vec<&str>)> = Vec::new();
    let mut index_by_sku: HashMap<&str, usize> = HashMap::new();
    for (product, reason) in failed {
        let index = match index_by_sku.entry(&product.sku) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                products.push((product, Vec::new()));
                *entry.insert(products.len() - 1)
            }
        };
        if let Some((_, reasons)) = products.get_mut(index)
            && !reasons.contains(&reason)
        {
            reasons.push(reason);
        }
    }
    products
}
