//! Google Merchant feeds: one row per variant; rows with the same `item_group_id` are one
//! product. Source: <https://support.google.com/merchants/answer/7052112>.

use super::{ReadError, field_names, header::Header, layout::LayoutBuilder};

/// Attributes by which the variants of a product differ.
const OPTIONS: [&str; 8] =
    ["color", "colour", "size", "material", "pattern", "age group", "gender", "size system"];
/// Attributes that only Google's feeds have.
const TYPICAL: [&str; 8] = [
    "link",
    "image link",
    "additional image link",
    "availability",
    "google product category",
    "item group id",
    "identifier exists",
    "mpn",
];

fn without_prefix(key: &str) -> &str {
    key.strip_prefix("g:").unwrap_or(key)
}

pub(super) fn is_header(header: &Header) -> bool {
    let has = |name: &str| header.columns().any(|(_, key)| without_prefix(key) == name);
    let is_needed = ["id", "title", "price"].iter().all(|name| has(name));
    is_needed && !has("sku") && TYPICAL.iter().any(|name| has(name))
}

pub(super) fn assign(builder: LayoutBuilder) -> Result<LayoutBuilder, ReadError> {
    let mut builder = builder.with_keys(without_prefix);
    builder.assign(field_names::GOOGLE)?;
    builder.assign_fixed_options(&OPTIONS);
    Ok(builder)
}
