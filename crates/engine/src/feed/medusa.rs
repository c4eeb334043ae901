//! Medusa's product exports and import templates: one row per variant. Each currency and
//! region has a price column of its own, so several of them are a question.
//! Source: <https://docs.medusajs.com/user-guide/products/import>.

use super::{
    ReadError, field_names,
    header::{Column, Header},
    layout::{LayoutBuilder, split_currency},
    sample::Sample,
};
use contract::feed::Field;

pub(super) fn is_header(header: &Header) -> bool {
    let has_variants = header.columns().any(|(_, key)| key.starts_with("variant "));
    header.has_column("product handle") && has_variants
}

pub(super) fn assign(builder: &mut LayoutBuilder, sample: &Sample) -> Result<(), ReadError> {
    builder.assign(field_names::MEDUSA)?;
    if !builder.has(Field::Price)
        && let [(column, key)] = priced_columns(builder, sample).as_slice()
    {
        let (index, currency) = (column.index, split_currency(key));
        builder.set_index(Field::Price, index);
        if let Some((_, currency)) = currency {
            builder.set_currency(currency);
        }
    }
    let numbered = |key: &str, before: &[&str], after: &str| {
        let number = before.iter().find_map(|before| key.strip_prefix(before));
        number
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(|number| number.trim().bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut further = Vec::new();
    for (column, key) in builder.free_columns() {
        if key == "product thumbnail" {
            further.insert(0, (Field::Image, column.index));
        } else if numbered(key, &["product image ", "image "], "url")
            || numbered(key, &["product image ", "image "], "")
        {
            further.push((Field::Image, column.index));
        } else if numbered(key, &["product category "], "name") {
            further.push((Field::Categories, column.index));
        } else if numbered(key, &["product tag "], "") {
            further.push((Field::Tags, column.index));
        }
    }
    for (field, index) in further {
        builder.set_index(field, index);
    }
    Ok(())
}

/// Returns the price columns that have values.
fn priced_columns(builder: &LayoutBuilder, sample: &Sample) -> Vec<(Column, String)> {
    let is_price = |key: &str| key.starts_with("price ") || key.starts_with("variant price ");
    builder
        .free_columns()
        .filter(|(column, key)| is_price(key) && sample.values(column.index).next().is_some())
        .map(|(column, key)| (column.clone(), key.to_owned()))
        .collect()
}
