//! Fields that every product needs and no column was recognised for, and the columns that
//! may have them.

use super::{
    Format, amount,
    header::{Column, Header},
    layout::LayoutBuilder,
    sample::Sample,
    sku,
};
use contract::feed::{Field, MissingField};
use std::collections::HashSet;

/// Returns the fields without a column, with the columns that may have them, best guess first.
pub(super) fn missing_fields(
    builder: &LayoutBuilder,
    header: &Header,
    sample: &Sample,
) -> Vec<MissingField> {
    let is_missing = |field: &Field| !builder.has(*field) && is_needed(*field, builder);
    let mut guesses: Vec<String> = Vec::new();
    let missing = Field::REQUIRED.into_iter().filter(is_missing);
    let missing = missing.map(|field| {
        let mut candidates = candidates(field, builder, header, sample);
        // The best guess for one field is hardly that for another.
        candidates.sort_by_key(|candidate| guesses.contains(candidate));
        guesses.extend(candidates.first().cloned());
        MissingField { field, candidates }
    });
    missing.collect()
}

fn is_needed(field: Field, builder: &LayoutBuilder) -> bool {
    match (field, builder.layout().format) {
        // A SKU is derived from the handle, or from the id.
        (Field::Sku, Format::Shopify | Format::Vendure | Format::Medusa) => false,
        (Field::Sku, Format::WooCommerce) => !builder.has(Field::RowId),
        _ => true,
    }
}

fn candidates(
    field: Field,
    builder: &LayoutBuilder,
    header: &Header,
    sample: &Sample,
) -> Vec<String> {
    let free = builder.free_columns().map(|(column, _)| column);
    // A barcode identifies a product, too.
    let barcode = builder.layout().column(Field::Barcode).filter(|_| field == Field::Sku);
    let mut columns: Vec<_> =
        free.chain(barcode).map(|column| (score(field, column.index, sample), column)).collect();
    columns.sort_by(|(one, column), (other, next)| {
        other.total_cmp(one).then(column.index.cmp(&next.index))
    });
    columns.into_iter().map(|(_, column)| name_for_mapping(column, header)).collect()
}

/// Returns the name by which a person can choose a column.
fn name_for_mapping(column: &Column, header: &Header) -> String {
    let same = header.columns().filter(|(other, _)| other.name == column.name).count();
    match column.name.is_empty() || same > 1 {
        true => format!("#{}", column.index + 1),
        false => column.name.clone(),
    }
}

/// Returns how well the values of a column fit a field, from 0 to 1.
#[allow(clippy::cast_precision_loss)]
fn score(field: Field, index: usize, sample: &Sample) -> f64 {
    let values: Vec<_> = sample.values(index).collect();
    if values.is_empty() {
        return -1.0;
    }
    let distinct = values.iter().collect::<HashSet<_>>().len() as f64 / sample.len() as f64;
    let share = |fits: &dyn Fn(&str) -> bool| {
        values.iter().filter(|value| fits(value)).count() as f64 / values.len() as f64
    };
    let is_amount = |value: &str| amount::read(value).is_ok();
    match field {
        Field::Sku => {
            distinct * share(&|value| sku::validate(value).is_ok() && !value.contains(' '))
        }
        Field::Price => share(&is_amount) * share(&|value| value.len() < 16),
        _ => {
            distinct
                * share(&|value| !is_amount(value) && value.chars().any(char::is_alphabetic))
                * share(&|value| value.chars().count() < 120 && !value.contains("://"))
        }
    }
}
