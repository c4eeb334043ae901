//! Writes failed products to a file that can be corrected and uploaded again.

use super::{
    cell_text::{escape_formula, escape_identifier},
    layout::FieldNames,
};
use contract::{
    feed::Field,
    product::{Product, ProductStatus, Variant, Weight},
    text,
};
use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    io,
};

const COLUMNS: usize = 22;

/// Columns of the file. Those up to `parent` are the plain format of all releases.
const HEADER: [&str; COLUMNS] = [
    "sku",
    "title",
    "price",
    "description",
    "vendor",
    "image",
    "parent",
    "compare_at_price",
    "currency",
    "status",
    "handle",
    "type",
    "tags",
    "categories",
    "images",
    "image_alts",
    "options",
    "option_values",
    "barcode",
    "stock",
    "weight",
    "reason",
];

/// Names of the columns by field. All images are in one column.
pub(super) const NAMES: FieldNames = &[
    (Field::Sku, "sku"),
    (Field::Title, "title"),
    (Field::Price, "price"),
    (Field::Description, "description"),
    (Field::Vendor, "vendor"),
    (Field::Parent, "parent"),
    (Field::CompareAtPrice, "compare_at_price"),
    (Field::Currency, "currency"),
    (Field::Status, "status"),
    (Field::Handle, "handle"),
    (Field::ProductType, "type"),
    (Field::Tags, "tags"),
    (Field::Categories, "categories"),
    (Field::Image, "images"),
    (Field::ImageAlt, "image_alts"),
    (Field::OptionName, "options"),
    (Field::OptionValue, "option_values"),
    (Field::Barcode, "barcode"),
    (Field::Stock, "stock"),
    (Field::Weight, "weight"),
];

/// Writes products as a plain CSV file: UTF-8 without a byte order mark, lines
/// ended by CRLF. [`read`](super::read) returns the same products.
///
/// A variant has a row of its own below its product, with the product's SKU in the column
/// `parent`. A product that occurs several times, because it failed on several channels, is
/// written once with all reasons. A cell that a spreadsheet could take for a formula gets a
/// leading `'`. Values of a list are separated by `|`. A large file is written in chunks, the
/// first one with the header.
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
        // Earlier releases stored reasons of upstreams unchanged.
        let reason = text::replace_control_characters(&reasons.join("; "));
        write_row(&mut out, &product_cells(product, &reason))?;
        for variant in &product.variants {
            write_row(&mut out, &variant_cells(variant, product))?;
        }
    }
    out.into_inner().map_err(csv::IntoInnerError::into_error)
}

/// Cells of a row by the names of their columns.
type Cells<'p> = Vec<(&'static str, Cow<'p, str>)>;

fn write_row(out: &mut csv::Writer<Vec<u8>>, cells: &Cells<'_>) -> csv::Result<()> {
    let cell = |name: &str| {
        let cell = cells.iter().find(|(own, _)| *own == name);
        let cell = cell.map(|(_, cell)| cell.as_ref()).unwrap_or_default();
        match name {
            "sku" | "parent" | "handle" | "barcode" => escape_identifier(cell),
            _ => escape_formula(cell),
        }
    };
    out.write_record(HEADER.map(cell).iter().map(|cell| cell.as_bytes()))
}

fn product_cells<'p>(product: &'p Product, reason: &'p str) -> Cells<'p> {
    let optional = |text: &'p Option<String>| Cow::from(text.as_deref().unwrap_or_default());
    let urls = product.images.iter().map(|image| image.url.as_str());
    let has_alts = product.images.iter().any(|image| image.alt.is_some());
    let alts = product.images.iter().map(|image| image.alt.as_deref().unwrap_or_default());
    let status = match product.status {
        ProductStatus::Active => "",
        ProductStatus::Draft => ProductStatus::Draft.as_str(),
    };
    vec![
        ("sku", product.sku.as_str().into()),
        ("title", product.title.as_str().into()),
        ("price", product.price.to_string().into()),
        ("description", optional(&product.description)),
        ("vendor", optional(&product.vendor)),
        ("image", optional(&product.image)),
        ("compare_at_price", optional_text(product.compare_at_price)),
        ("currency", optional(&product.currency)),
        ("status", status.into()),
        ("handle", optional(&product.handle)),
        ("type", optional(&product.product_type)),
        ("tags", join_list(product.tags.iter().map(String::as_str)).into()),
        ("categories", join_list(product.categories.iter().map(String::as_str)).into()),
        ("images", join_list(urls).into()),
        ("image_alts", if has_alts { join_list(alts).into() } else { "".into() }),
        ("options", join_list(product.options.iter().map(String::as_str)).into()),
        ("barcode", optional(&product.barcode)),
        ("stock", optional_text(product.stock)),
        ("weight", weight_text(product.weight.as_ref())),
        ("reason", reason.into()),
    ]
}

fn variant_cells<'p>(variant: &'p Variant, product: &'p Product) -> Cells<'p> {
    let image = variant.image.as_deref();
    vec![
        ("sku", variant.sku.as_str().into()),
        ("title", variant.title.as_str().into()),
        ("price", variant.price.to_string().into()),
        ("image", image.unwrap_or_default().into()),
        ("images", join_list(image.into_iter()).into()),
        ("parent", product.sku.as_str().into()),
        ("compare_at_price", optional_text(variant.compare_at_price)),
        ("option_values", join_list(variant.option_values.iter().map(String::as_str)).into()),
        ("barcode", variant.barcode.as_deref().unwrap_or_default().into()),
        ("stock", optional_text(variant.stock)),
        ("weight", weight_text(variant.weight.as_ref())),
    ]
}

fn optional_text<T: ToString>(value: Option<T>) -> Cow<'static, str> {
    value.map(|value| value.to_string()).unwrap_or_default().into()
}

fn weight_text(weight: Option<&Weight>) -> Cow<'static, str> {
    optional_text(weight.map(|weight| format!("{} {}", weight.value, weight.unit)))
}

/// Joins values by `|`. A `|` or `\` of a value gets a `\` before it.
fn join_list<'p>(values: impl Iterator<Item = &'p str>) -> String {
    let escape = |value: &str| value.replace('\\', "\\\\").replace('|', "\\|");
    values.map(escape).collect::<Vec<_>>().join("|")
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
