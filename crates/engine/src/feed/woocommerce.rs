//! WooCommerce product exports, in any language. The variations of a `variable` row have rows
//! of their own, whose `Parent` is its SKU, or `id:` and its `ID`.
//! Source: <https://woocommerce.com/document/product-csv-importer-exporter/>.
//!
//! The exporter translates the names of the columns. They are recognised by their
//! [translations](names), else by the values that it doesn't translate and by its fixed order.

mod names;

pub(super) use names::NAMES;

use super::{
    ReadError,
    column_name::{normalize, split_number},
    field_names,
    header::Header,
    layout::{LayoutBuilder, OptionName},
    sample::Sample,
    text_list::split_trimmed,
};
use contract::feed::Field;
use memchr::memchr;
use std::borrow::Cow;

/// Values of the column *Type*, which are never translated, with those of plugins.
const KINDS: [&str; 14] = [
    "simple",
    "variable",
    "variation",
    "grouped",
    "external",
    "subscription",
    "variable-subscription",
    "subscription_variation",
    "bundle",
    "composite",
    "booking",
    "gift-card",
    "downloadable",
    "virtual",
];
const VISIBILITIES: [&str; 4] = ["visible", "catalog", "search", "hidden"];
const TAX_STATUSES: [&str; 3] = ["taxable", "shipping", "none"];
/// Minimum number of fields whose translated names prove the format.
const MIN_KNOWN_NAMES: usize = 4;

/// Returns whether this is the header of an export in English.
pub(super) fn is_header(header: &Header) -> bool {
    header.has_column("regular price") && (header.has_column("sku") || header.has_column("name"))
}

/// Returns whether the rows are those of an export, whatever its language.
pub(super) fn has_structure(header: &Header, sample: &Sample) -> bool {
    kind_column(header, sample).is_some()
        && (find_by_values(header, sample, &VISIBILITIES).is_some()
            || known_names(header) >= MIN_KNOWN_NAMES)
}

/// Returns the kind of a row: the first of several, as in `simple, downloadable`.
pub(super) fn kind(cell: &str) -> Cow<'_, str> {
    let kind = cell.split(',').next().unwrap_or_default().trim();
    match kind.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        true => kind.into(),
        false => kind.to_lowercase().into(),
    }
}

/// Returns the column *Type*: all its values are known, or it is called so and some are, because
/// plugins add kinds.
fn kind_column(header: &Header, sample: &Sample) -> Option<usize> {
    let is_kind = |value: &str| KINDS.contains(&&*kind(value));
    let names = NAMES.iter().filter(|(field, _)| *field == Field::RowKind);
    let names: Vec<_> = names.flat_map(|(_, names)| names.split('|')).map(normalize).collect();
    let mut columns = header.columns();
    let found = columns.find(|(column, key)| {
        let is_named = names.iter().any(|name| name == key);
        sample.all(column.index, is_kind) || is_named && sample.values(column.index).any(is_kind)
    });
    found.map(|(column, _)| column.index)
}

fn find_by_values(header: &Header, sample: &Sample, values: &[&str]) -> Option<usize> {
    let indexes = header.columns().map(|(column, _)| column.index);
    indexes.into_iter().find(|index| has_values(sample, *index, values))
}

fn has_values(sample: &Sample, index: usize, values: &[&str]) -> bool {
    sample.all(index, |value| values.contains(&value))
}

fn known_names(header: &Header) -> usize {
    let is_known = |names: &str| {
        names.split('|').map(normalize).any(|name| {
            let is_name = |key: &str| {
                key == name || split_number(key).is_some_and(|(pattern, _)| pattern == name)
            };
            header.columns().any(|(_, key)| is_name(key))
        })
    };
    NAMES.iter().filter(|(_, names)| is_known(names)).count()
}

pub(super) fn assign(
    builder: &mut LayoutBuilder,
    header: &Header,
    sample: &Sample,
) -> Result<(), ReadError> {
    if let Some(index) = kind_column(header, sample) {
        builder.set_index(Field::RowKind, index);
        builder.assign(NAMES)?;
        assign_by_order(builder, index, header, sample);
    } else {
        builder.assign(NAMES)?;
    }
    builder.assign_missing(field_names::PLAIN)?;
    builder.assign_with_currency(Field::Price, NAMES);
    Ok(())
}

/// Assigns the fields whose names are unknown by the exporter's order of columns, as far as
/// the values of columns between them confirm it.
fn assign_by_order(builder: &mut LayoutBuilder, kind: usize, header: &Header, sample: &Sample) {
    let mut set = |field: Field, index: usize| {
        if !builder.has(field) {
            builder.set_index(field, index);
        }
    };
    let Some(visibility) = find_by_values(header, sample, &VISIBILITIES) else { return };
    let Some(published) = visibility.checked_sub(2).filter(|published| *published > kind + 1)
    else {
        return;
    };
    if !has_values(sample, published, &["1", "0", "-1", "2"]) {
        return;
    }
    if kind > 0 && sample.all(kind - 1, |value| value.bytes().all(|b| b.is_ascii_digit())) {
        set(Field::RowId, kind - 1);
    }
    set(Field::Status, published);
    match published - kind {
        // SKU and name, and the barcode between them since WooCommerce 9.2.
        3 => set(Field::Sku, kind + 1),
        4 => {
            set(Field::Sku, kind + 1);
            set(Field::Barcode, kind + 2);
        }
        _ => {}
    }
    set(Field::Title, published - 1);
    set(Field::Description, published + 4);
    if has_values(sample, published + 7, &TAX_STATUSES) {
        set(Field::SaleStart, published + 5);
        set(Field::SaleEnd, published + 6);
        set(Field::Stock, published + 10);
    }
    // Weight, length, width and height are the only columns whose names end in a unit.
    let names: Vec<_> = header.columns().map(|(_, key)| key.ends_with(')')).collect();
    let weight = names.windows(4).position(|four| four.iter().all(|has_unit| *has_unit));
    if let Some(weight) = weight.filter(|weight| *weight > published) {
        set(Field::SalePrice, weight + 6);
        set(Field::Price, weight + 7);
        set(Field::Categories, weight + 8);
        set(Field::Tags, weight + 9);
        set(Field::Image, weight + 11);
        set(Field::Parent, weight + 14);
    }
    if builder.layout().options.is_empty() {
        assign_attributes_by_order(builder, header);
    }
}

/// Assigns attributes, of which each has four or five columns with its number: name, values,
/// visible, global, and default.
fn assign_attributes_by_order(builder: &mut LayoutBuilder, header: &Header) {
    let numbered: Vec<_> =
        header.columns().filter_map(|(column, key)| Some((column, split_number(key)?.1))).collect();
    for group in numbered.chunk_by(|(_, one), (_, other)| one == other) {
        if let [(name, _), (value, _), _, _, ..] = group {
            builder.add_option(OptionName::In(name.clone()), value.clone());
        }
    }
}

/// Returns a text with the line breaks that the exporter writes as `\n`. A `\n` of the text
/// itself has two backslashes in the file.
pub(super) fn unescape_text(text: &str) -> String {
    let mut unescaped = String::with_capacity(text.len());
    let mut rest = text;
    // The search for a single byte is the fastest.
    while let Some(index) = memchr(b'\\', rest.as_bytes()) {
        let (before, from) = rest.split_at(index);
        unescaped.push_str(before);
        let (replacement, length) = match from.as_bytes() {
            [b'\\', b'\\', b'n', ..] => ("\\n", 3),
            [b'\\', b'n', ..] => ("\n", 2),
            _ => ("\\", 1),
        };
        unescaped.push_str(replacement);
        rest = &from[length..];
    }
    unescaped.push_str(rest);
    unescaped
}

/// Splits a list at its commas. A comma of a value has a backslash before it.
pub(super) fn split_list(text: &str) -> Vec<String> {
    if memchr(b'\\', text.as_bytes()).is_none() {
        return split_trimmed(text, &[',']);
    }
    let mut values = vec![String::new()];
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let Some(value) = values.last_mut() else { break };
        match letter {
            '\\' if letters.peek() == Some(&',') => value.extend(letters.next()),
            ',' => values.push(String::new()),
            _ => value.push(letter),
        }
    }
    let values = values.iter().map(|value| value.trim());
    values.filter(|value| !value.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_the_exporter_are_undone() {
        assert_eq!(unescape_text("<p>a</p>\\n<ul>\\n"), "<p>a</p>\n<ul>\n");
        assert_eq!(unescape_text("C:\\\\new"), "C:\\new");
        assert_eq!(split_list("1\\,5 m, 3 m"), ["1,5 m", "3 m"]);
        assert_eq!(split_list("a, ,b\\"), ["a", "b\\"]);
    }
}
