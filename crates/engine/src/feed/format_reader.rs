//! Formats of product files, their detection, and the assignment of their columns.

use super::{
    Format, ReadError,
    candidates::missing_fields,
    field_names,
    findings::Findings,
    google, handles,
    header::Header,
    layout::{Layout, LayoutBuilder},
    medusa,
    parents::ParentReader,
    prices::Rules,
    row::Row,
    sample::Sample,
    shopify, vendure, woocommerce,
};
use contract::{
    feed::{ColumnMapping, Field, MissingField},
    product::Product,
};

/// Reads rows of one format into products.
pub(super) trait FormatReader {
    fn add_row(&mut self, row: &Row<'_>, findings: &mut Findings);

    /// Returns the valid products in the order of the file.
    fn finish(self: Box<Self>, rules: &Rules, findings: &mut Findings) -> Vec<Product>;
}

/// Returns the layout of a file, and the fields that every product needs and no column was
/// recognised for.
///
/// # Errors
/// A column that the person chose doesn't exist, or a column that is needed exists twice.
pub(super) fn recognize(
    header: &Header,
    sample: &Sample,
    mapping: &ColumnMapping,
) -> Result<(Layout, Vec<MissingField>), ReadError> {
    let format = detect_format(header, sample);
    let mut builder = LayoutBuilder::new(header, format, mapping)?;
    match format {
        Format::Shopify => builder.assign(field_names::SHOPIFY)?,
        Format::WooCommerce => woocommerce::assign(&mut builder, header, sample)?,
        Format::Google => builder = google::assign(builder)?,
        Format::Vendure => builder = vendure::assign(builder)?,
        Format::Medusa => medusa::assign(&mut builder, sample)?,
        Format::Plain if is_own_file(header) => {
            builder.set_own_file();
            builder.assign(super::failed_csv::NAMES)?;
        }
        Format::Plain => {
            builder.assign(field_names::PLAIN)?;
            builder.assign_with_currency(Field::Price, field_names::PLAIN);
            if builder.has(Field::Parent) && !builder.has(Field::OptionValue) {
                builder.assign_fixed_options(&field_names::OPTIONS);
            }
        }
    }
    let missing = missing_fields(&builder, header, sample);
    Ok((builder.finish(), missing))
}

fn detect_format(header: &Header, sample: &Sample) -> Format {
    if is_own_file(header) {
        Format::Plain
    } else if shopify::is_header(header) {
        Format::Shopify
    } else if vendure::is_header(header) {
        Format::Vendure
    } else if medusa::is_header(header) {
        Format::Medusa
    } else if woocommerce::is_header(header) || woocommerce::has_structure(header, sample) {
        Format::WooCommerce
    } else if google::is_header(header) {
        Format::Google
    } else {
        Format::Plain
    }
}

fn is_own_file(header: &Header) -> bool {
    ["sku", "parent", "images", "reason"].iter().all(|name| header.has_column(name))
}

/// Returns the reader of a layout, for a file with at most this number of rows.
pub(super) fn create_reader(layout: Layout, max_rows: usize) -> Box<dyn FormatReader> {
    match layout.format {
        Format::Plain | Format::WooCommerce => Box::new(ParentReader::new(layout, max_rows)),
        Format::Shopify | Format::Google | Format::Vendure | Format::Medusa => {
            Box::new(handles::HandleReader::new(layout, max_rows))
        }
    }
}

/// Returns whether a row is the header that a person chose columns from, or without a choice
/// one of a product file.
pub(super) fn is_header(header: &Header, mapping: &ColumnMapping) -> bool {
    let has_chosen = || LayoutBuilder::new(header, Format::Plain, mapping).is_ok();
    let is_by_position = mapping.0.iter().all(|(_, name)| name.starts_with('#'));
    is_known_header(header) || !is_by_position && has_chosen()
}

/// Returns whether a row is the header of a product file: two of the fields that every
/// product needs are recognised in it. Titles above a header and data rows are not.
fn is_known_header(header: &Header) -> bool {
    if shopify::is_header(header) || vendure::is_header(header) || medusa::is_header(header) {
        return true;
    }
    [field_names::PLAIN, woocommerce::NAMES, field_names::GOOGLE].into_iter().any(|names| {
        let mapping = ColumnMapping::default();
        let Ok(mut builder) = LayoutBuilder::new(header, Format::Plain, &mapping) else {
            return false;
        };
        // Of several columns with one name, any shows that this is a header.
        builder = builder.with_keys(|key| key);
        builder.assign(names).is_ok() && {
            builder.assign_with_currency(Field::Price, names);
            Field::REQUIRED.iter().filter(|field| builder.has(**field)).count() >= 2
        }
    })
}
