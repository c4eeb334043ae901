//! What a row says of its product besides SKU, title and price.

use super::{
    Format, currency,
    findings::Findings,
    header::Column,
    layout::{Layout, OptionColumns, OptionName, weight_unit},
    row::Row,
    sku,
    text_list::split_trimmed,
    woocommerce,
};
use contract::{
    feed::Field,
    product::{Image, Product, Weight, WeightUnit},
};
use std::borrow::Cow;

/// Details of what is sold: a product without variants, or a variant.
#[derive(Debug, Default)]
pub(super) struct ItemDetails {
    pub barcode: Option<String>,
    pub stock: Option<i64>,
    pub weight: Option<Weight>,
    pub image: Option<String>,
}

/// Returns the address of a row's first image.
pub(super) fn first_image(row: &Row<'_>, layout: &Layout) -> Option<String> {
    read_images(row, layout).into_iter().next().map(|image| image.url)
}

/// Adds what a row says to its product, as far as another row hasn't said it. Only that is
/// copied: many exports repeat descriptions in all rows of a product.
pub(super) fn add_details(row: &Row<'_>, layout: &Layout, product: &mut Product) {
    let fill = |own: &mut Option<String>, field: Field| {
        if own.is_none() {
            *own = row.optional_text(layout.column(field));
        }
    };
    fill(&mut product.vendor, Field::Vendor);
    fill(&mut product.product_type, Field::ProductType);
    if product.handle.is_none() && layout.format != Format::Google {
        product.handle = row.identifier(layout.column(Field::Handle)).map(Cow::into_owned);
    }
    if product.description.is_none() {
        product.description = read_description(row, layout);
    }
    if product.tags.is_empty() {
        product.tags = read_list(row, layout, Field::Tags);
    }
    if product.categories.is_empty() {
        product.categories = read_list(row, layout, Field::Categories);
    }
    if product.images.is_empty() {
        product.images = read_images(row, layout);
    } else if !has_images_of(product, row, layout) {
        for image in read_images(row, layout) {
            if !product.images.iter().any(|own| own.url == image.url) {
                product.images.push(image);
            }
        }
    }
    if product.image.is_none() {
        product.image = product.images.first().map(|image| image.url.clone());
    }
}

/// Returns whether a product has the row's images already, as a quick look at its cells shows.
fn has_images_of(product: &Product, row: &Row<'_>, layout: &Layout) -> bool {
    let cells = product_image_columns(layout).map(|column| row.cell(column));
    let mut cells = cells.filter(|cell| !cell.is_empty());
    cells.all(|cell| product.images.iter().any(|own| own.url == cell))
}

fn read_description(row: &Row<'_>, layout: &Layout) -> Option<String> {
    let mut cells = layout.columns(Field::Description).map(|column| row.cell(column));
    let text = cells.find(|text| !text.is_empty())?;
    Some(match layout.format {
        Format::WooCommerce => woocommerce::unescape_text(text),
        _ => text.to_owned(),
    })
}

impl ItemDetails {
    pub(super) fn read(row: &Row<'_>, layout: &Layout, findings: &mut Findings) -> Self {
        if let Some(currency) = layout.column(Field::Currency).map(|column| row.cell(column))
            && let Some(currency) = currency::find(currency)
        {
            findings.prices.add_currency(currency, row.line);
        }
        let stock = layout.column(Field::Stock).map(|column| row.cell(column));
        let variant_image =
            layout.columns(Field::Image).find(|column| is_variant_image(column, layout));
        Self {
            barcode: read_barcode(row, layout, findings),
            stock: stock.and_then(parse_stock),
            weight: read_weight(row, layout),
            image: row.optional_text(variant_image),
        }
    }
}

/// Returns the names and values of a row's options, in the order of their columns. A name or
/// value that another row of the product has is empty.
pub(super) fn read_options(row: &Row<'_>, layout: &Layout) -> Vec<(String, String)> {
    if layout.columns(Field::OptionValue).next().is_some() {
        return read_option_lists(row, layout);
    }
    // Exports have columns for three or more options, of which most products use one.
    let is_used = |option: &OptionColumns| match &option.name {
        OptionName::In(column) => {
            !row.cell(column).is_empty() || !row.cell(&option.value).is_empty()
        }
        OptionName::Fixed(_) => true,
    };
    let used = layout.options.iter().rposition(is_used).map_or(0, |last| last + 1);
    let options = layout.options.iter().take(used).map(|option| {
        let name = match &option.name {
            OptionName::In(column) => row.cell(column).to_owned(),
            OptionName::Fixed(name) => name.clone(),
        };
        let value = row.cell(&option.value);
        let value = match layout.format {
            Format::WooCommerce if value.contains([',', '\\']) => {
                woocommerce::split_list(value).join(", ")
            }
            _ => value.to_owned(),
        };
        (name, value)
    });
    options.collect()
}

/// Reads options that have one column for all names, and one for all values.
fn read_option_lists(row: &Row<'_>, layout: &Layout) -> Vec<(String, String)> {
    let list = |field| {
        let cell = layout.column(field).map(|column| row.cell(column)).unwrap_or_default();
        match layout.is_own_file {
            true => split_own_list(cell),
            false if cell.is_empty() => Vec::new(),
            false => cell.split('|').map(|value| value.trim().to_owned()).collect(),
        }
    };
    let (names, values) = (list(Field::OptionName), list(Field::OptionValue));
    let count = names.len().max(values.len());
    let pad = |list: Vec<String>| list.into_iter().chain(std::iter::repeat(String::new()));
    pad(names).zip(pad(values)).take(count).collect()
}

/// Returns whether a column has the image of a variant, not of the product: Shopify's exports
/// have both.
fn is_variant_image(column: &Column, layout: &Layout) -> bool {
    layout.format == Format::Shopify
        && column.name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("variant"))
}

fn read_list(row: &Row<'_>, layout: &Layout, field: Field) -> Vec<String> {
    let cells = layout.columns(field).map(|column| row.cell(column));
    let lists = cells.filter(|cell| !cell.is_empty()).map(|cell| split_list(cell, layout, field));
    // The list of a single column is taken as it is, without spare room.
    let joined = lists.reduce(|mut one, other| {
        one.extend(other);
        one
    });
    joined.unwrap_or_default()
}

fn split_list(cell: &str, layout: &Layout, field: Field) -> Vec<String> {
    let split = |separators: &[char]| split_trimmed(cell, separators);
    match (layout.format, field) {
        (Format::WooCommerce, _) => woocommerce::split_list(cell),
        (Format::Plain, _) if layout.is_own_file => split_own_list(cell),
        (Format::Vendure, _) => split(&['|']),
        (Format::Plain, _) if cell.contains('|') => split(&['|']),
        (Format::Plain, Field::Tags) => split(&[',', ';']),
        (Format::Shopify | Format::Medusa, Field::Tags) => split(&[',']),
        _ => vec![cell.to_owned()],
    }
}

/// Splits a list that [`failed_rows_csv`](super::failed_rows_csv) wrote: values are separated
/// by `|`, and a `|` or `\` of a value has a `\` before it.
pub(super) fn split_own_list(cell: &str) -> Vec<String> {
    if cell.is_empty() {
        return Vec::new();
    }
    let mut values = vec![String::new()];
    let mut letters = cell.chars();
    while let Some(letter) = letters.next() {
        let Some(value) = values.last_mut() else { break };
        match letter {
            '\\' => value.extend(letters.next()),
            '|' => values.push(String::new()),
            _ => value.push(letter),
        }
    }
    values
}

fn product_image_columns(layout: &Layout) -> impl Iterator<Item = &Column> {
    layout.columns(Field::Image).filter(|column| !is_variant_image(column, layout))
}

fn read_images(row: &Row<'_>, layout: &Layout) -> Vec<Image> {
    let mut images: Vec<Image> = Vec::new();
    let columns = product_image_columns(layout);
    for cell in columns.map(|column| row.cell(column)).filter(|cell| !cell.is_empty()) {
        let urls = split_images(cell, layout);
        if images.is_empty() {
            // Most products have all images in one cell, or the same one in two.
            images.reserve_exact(urls.len());
        }
        for url in urls {
            if !url.is_empty() && !images.iter().any(|image| image.url == url) {
                images.push(Image { url, alt: None });
            }
        }
    }
    let alts = layout.column(Field::ImageAlt).map(|column| row.cell(column)).unwrap_or_default();
    if alts.is_empty() || images.is_empty() {
        return images;
    }
    let alts = if layout.is_own_file { split_own_list(alts) } else { vec![alts.to_owned()] };
    for (image, alt) in images.iter_mut().zip(alts) {
        image.alt = Some(alt).filter(|alt| !alt.is_empty());
    }
    images
}

fn split_images(cell: &str, layout: &Layout) -> Vec<String> {
    let is_address = |text: &str| text.starts_with("http://") || text.starts_with("https://");
    let is_list = |separator: char| cell.split(separator).map(str::trim).all(is_address);
    match layout.format {
        Format::WooCommerce => woocommerce::split_list(cell),
        Format::Plain if layout.is_own_file => split_own_list(cell),
        Format::Vendure => split_trimmed(cell, &['|']),
        // An address may contain commas, so all parts must be addresses.
        _ => match ['|', ',', ';', '\n'].into_iter().find(|separator| is_list(*separator)) {
            Some(separator) => split_trimmed(cell, &[separator]),
            None => vec![cell.to_owned()],
        },
    }
}

fn read_barcode(row: &Row<'_>, layout: &Layout, findings: &mut Findings) -> Option<String> {
    let column = layout.column(Field::Barcode)?;
    let barcode = row.identifier(Some(column))?;
    if sku::is_scientific(&barcode) || sku::is_float(&barcode) {
        let text = format!("the barcode {barcode} is not sent: digits are gone, or may be");
        findings.add_note(row.line, text);
        return None;
    }
    Some(barcode.into_owned())
}

fn parse_stock(cell: &str) -> Option<i64> {
    let (whole, part) = cell.split_once('.').unwrap_or((cell, ""));
    part.bytes().all(|byte| byte == b'0').then(|| whole.parse().ok()).flatten()
}

fn read_weight(row: &Row<'_>, layout: &Layout) -> Option<Weight> {
    let column = layout.column(Field::Weight)?;
    let cell = row.cell(column);
    let end = cell.rfind(|letter: char| letter.is_ascii_digit())? + 1;
    let (number, unit) = cell.split_at_checked(end)?;
    let unit_cell = layout.column(Field::WeightUnit).map(|column| row.cell(column));
    let in_name = || column.name.to_lowercase().contains("gram").then_some(WeightUnit::Gram);
    let unit = weight_unit(unit.trim())
        .or_else(|| weight_unit(unit_cell?))
        .or(layout.weight_unit)
        .or_else(in_name)
        .or((layout.format == Format::Medusa).then_some(WeightUnit::Gram))?;
    Some(Weight { value: normalize_number(number.trim())?, unit })
}

/// Returns a number with a point and without zeros at its end; `None` for zero, which stands
/// for no weight.
fn normalize_number(text: &str) -> Option<String> {
    let (whole, part) = match text.rfind(['.', ',']) {
        Some(index) => text.split_at_checked(index)?,
        None => (text, ""),
    };
    let whole = whole.replace(['.', ',', ' '], "");
    let part = part.trim_start_matches(['.', ',']).trim_end_matches('0');
    if ![whole.as_str(), part].iter().all(|digits| digits.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    match (whole, part) {
        ("", "") => None,
        (whole, "") => Some(whole.to_owned()),
        ("", part) => Some(format!("0.{part}")),
        (whole, part) => Some(format!("{whole}.{part}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_numbers_with_a_point() {
        for (text, expected) in [
            ("200", Some("200")),
            ("0.250", Some("0.25")),
            ("0,5", Some("0.5")),
            ("1.200,5", Some("1200.5")),
            (".5", Some("0.5")),
            ("0.0", None),
            ("1x", None),
        ] {
            assert_eq!(normalize_number(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn stock_is_a_whole_number() {
        for (text, expected) in
            [("5", Some(5)), ("-2", Some(-2)), ("7.0", Some(7)), ("1.5", None), ("many", None)]
        {
            assert_eq!(parse_stock(text), expected, "{text}");
        }
    }

    #[test]
    fn own_lists_are_split_at_unescaped_bars() {
        assert_eq!(split_own_list("a|b\\|c|\\\\|"), ["a", "b|c", "\\", ""]);
        assert_eq!(split_own_list(""), [""; 0]);
    }
}
