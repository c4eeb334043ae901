//! Any catalogue, written by any supported format with any separators, in any encoding or kind
//! of file, is read back.

use super::{workbooks::one_sheet, *};
use crate::feed::Encoding;
use flate2::{Compression, write::GzEncoder};
use proptest::{collection::vec, prelude::*, sample::select};
use std::{fmt::Write as _, io::Write as _};

/// A product of a catalogue: title, and variants with the values of their options.
#[derive(Clone, Debug)]
struct Article {
    title: String,
    variants: Vec<(Vec<String>, u64)>,
}

#[derive(Clone, Copy, Debug)]
enum Writer {
    Plain([&'static str; 6]),
    Shopify,
    WooCommerce([&'static str; 10]),
    Google,
    Vendure,
    Medusa,
}

/// How the rows of a catalogue become a file.
#[derive(Clone, Copy, Debug)]
enum Container {
    Utf8,
    MarkedUtf8,
    Utf16Le,
    Utf16Be,
    /// Windows-1252, if all letters are in it.
    Windows1252,
    Gzip,
    Workbook,
}

const CONTAINERS: [Container; 7] = [
    Container::Utf8,
    Container::MarkedUtf8,
    Container::Utf16Le,
    Container::Utf16Be,
    Container::Windows1252,
    Container::Gzip,
    Container::Workbook,
];

const WRITERS: [Writer; 10] = [
    Writer::Plain(["sku", "title", "price", "parent", "color", "size"]),
    Writer::Plain(["Artikelnummer", "Bezeichnung", "Preis", "Hauptartikel", "color", "size"]),
    Writer::Plain(["Référence", "Désignation", "Prix", "UGS parent", "color", "size"]),
    Writer::Shopify,
    Writer::WooCommerce([
        "ID",
        "Type",
        "SKU",
        "Name",
        "Regular price",
        "Parent",
        "Attribute 1 name",
        "Attribute 1 value(s)",
        "Attribute 2 name",
        "Attribute 2 value(s)",
    ]),
    Writer::WooCommerce([
        "ID",
        "Typ",
        "Artikelnummer",
        "Name",
        "Regulärer Preis",
        "Übergeordnetes Produkt",
        "Attribut 1 Name",
        "Attribut 1 Wert(e)",
        "Attribut 2 Name",
        "Attribut 2 Wert(e)",
    ]),
    Writer::WooCommerce([
        "ID",
        "タイプ",
        "SKU",
        "名前",
        "標準価格",
        "親",
        "属性 1 の名前",
        "属性 1 の値",
        "属性 2 の名前",
        "属性 2 の値",
    ]),
    Writer::Google,
    Writer::Vendure,
    Writer::Medusa,
];

/// Separators of groups and decimals, and what stands before and after the number.
const NUMBERS: [(&str, char, &str, &str); 9] = [
    ("", '.', "", ""),
    ("", ',', "", ""),
    (",", '.', "", ""),
    (".", ',', "", ""),
    ("\u{a0}", ',', "", "\u{a0}€"),
    ("\u{202f}", ',', "", " EUR"),
    (" ", '.', "€ ", ""),
    ("'", '.', "CHF ", ""),
    (",", '.', "$", ""),
];

fn write_price(
    hundredths: u64,
    (group, decimal, before, after): (&str, char, &str, &str),
) -> String {
    let digits = (hundredths / 100).to_string();
    let mut units = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            units.push_str(group);
        }
        units.push(digit);
    }
    format!("{before}{units}{decimal}{:02}{after}", hundredths % 100)
}

fn text(pattern: &'static str) -> impl Strategy<Value = String> {
    pattern
        .prop_map(|text: String| text.trim().to_owned())
        .prop_filter("blank", |text| !text.is_empty() && !text.starts_with(['\'', '=', '+', '-']))
}

fn article() -> impl Strategy<Value = Article> {
    let options = (text("[A-Za-zäé ,/;|]{1,6}"), text("[A-Z0-9 ,]{1,4}"));
    let variant = (options, 1..9_999_999_u64);
    let variants = vec(variant, 1..4).prop_map(|variants| {
        let variants = variants.into_iter().enumerate();
        let numbered =
            |(index, ((color, size), price))| (vec![format!("{color}{index}"), size], price);
        variants.map(numbered).collect()
    });
    (text("[A-Za-zäß0-9 ,;\"|é日本\n.-]{1,30}"), variants)
        .prop_map(|(title, variants)| Article { title, variants })
}

fn sku(article: usize, variant: usize) -> String {
    format!("00{article}-{variant}")
}

/// Returns the rows of a catalogue, of which the first is the header.
fn rows(articles: &[Article], writer: Writer, price: impl Fn(u64) -> String) -> Vec<Vec<String>> {
    let texts = |cells: &[&str]| cells.iter().map(|cell| cell.to_string()).collect::<Vec<_>>();
    let mut rows = vec![match writer {
        Writer::Plain(names) => texts(&names),
        Writer::Shopify => texts(&[
            "Handle",
            "Title",
            "Option1 Name",
            "Option1 Value",
            "Option2 Name",
            "Option2 Value",
            "Variant SKU",
            "Variant Price",
        ]),
        Writer::WooCommerce(names) => texts(&names),
        Writer::Google => {
            texts(&["id", "title", "item_group_id", "color", "size", "price", "link"])
        }
        Writer::Vendure => texts(&[
            "name",
            "slug",
            "assets",
            "facets",
            "optionGroups",
            "optionValues",
            "sku",
            "price",
        ]),
        Writer::Medusa => texts(&[
            "Product Handle",
            "Product Title",
            "Variant SKU",
            "Variant Price North",
            "Variant Option 1 Name",
            "Variant Option 1 Value",
            "Variant Option 2 Name",
            "Variant Option 2 Value",
        ]),
    }];
    for (number, Article { title, variants }) in articles.iter().enumerate() {
        let parent = format!("p-{number}");
        let is_single = variants.len() == 1;
        let kind = if is_single { "simple" } else { "variable" };
        let escape = |value: &str| value.replace(',', "\\,");
        match writer {
            Writer::Plain(_) if !is_single => {
                rows.push(texts(&[&parent, title, &price(variants[0].1), "", "", ""]));
            }
            Writer::WooCommerce(_) if !is_single => {
                rows.push(texts(&["", kind, &parent, title, "", "", "color", "", "size", ""]));
            }
            _ => {}
        }
        for (index, (values, hundredths)) in variants.iter().enumerate() {
            let (sku, price) = (sku(number, index), price(*hundredths));
            let [color, size] = &values[..] else { unreachable!() };
            let first = index == 0;
            rows.push(match writer {
                Writer::Plain(_) if is_single => texts(&[&sku, title, &price, "", "", ""]),
                Writer::Plain(_) => {
                    texts(&[&sku, &values.join(" / "), &price, &parent, color, size])
                }
                Writer::Shopify => {
                    let name = |name| if first { name } else { "" };
                    texts(&[
                        &parent,
                        name(title),
                        name("color"),
                        color,
                        name("size"),
                        size,
                        &sku,
                        &price,
                    ])
                }
                Writer::WooCommerce(_) if is_single => {
                    texts(&["", kind, &sku, title, &price, "", "", "", "", ""])
                }
                Writer::WooCommerce(_) => {
                    let (color, size) = (escape(color), escape(size));
                    let kind = "variation";
                    texts(&["", kind, &sku, title, &price, &parent, "color", &color, "size", &size])
                }
                Writer::Google => {
                    let group = if is_single { "" } else { parent.as_str() };
                    texts(&[&sku, title, group, color, size, &price, "https://x"])
                }
                Writer::Vendure => {
                    let own = |text| if first { text } else { "" };
                    let (groups, values) = match is_single {
                        true => ("", String::new()),
                        false => (own("color|size"), values.join("|")),
                    };
                    texts(&[own(title), own(&parent), "", "", groups, &values, &sku, &price])
                }
                Writer::Medusa => {
                    texts(&[&parent, title, &sku, &price, "color", color, "size", size])
                }
            });
        }
    }
    rows
}

/// Writes rows as a file, and returns the encoding that must be chosen for it.
fn pack(rows: &[Vec<String>], delimiter: u8, container: Container) -> (Vec<u8>, Option<Encoding>) {
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(vec![]);
    rows.iter().for_each(|row| writer.write_record(row).unwrap());
    let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
    let units = || ['\u{feff}'].into_iter().chain(text.chars()).collect::<String>();
    let bytes = match container {
        Container::Utf8 => text.into_bytes(),
        Container::MarkedUtf8 => units().into_bytes(),
        Container::Utf16Le => units().encode_utf16().flat_map(u16::to_le_bytes).collect(),
        Container::Utf16Be => units().encode_utf16().flat_map(u16::to_be_bytes).collect(),
        Container::Windows1252 => match encoding_rs::WINDOWS_1252.encode(&text) {
            (bytes, _, false) => return (bytes.into_owned(), Some(Encoding::Windows1252)),
            _ => text.into_bytes(),
        },
        Container::Gzip => {
            let mut encoder = GzEncoder::new(vec![], Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        }
        Container::Workbook => one_sheet(&sheet_rows(rows)),
    };
    (bytes, None)
}

fn sheet_rows(rows: &[Vec<String>]) -> String {
    let mut xml = String::new();
    for (number, row) in (1..).zip(rows) {
        write!(xml, "<row r=\"{number}\">").unwrap();
        for (letter, cell) in ('A'..).zip(row) {
            let cell = cell.replace('&', "&amp;").replace('<', "&lt;");
            let text = format!("<is><t xml:space=\"preserve\">{cell}</t></is>");
            write!(xml, "<c r=\"{letter}{number}\" t=\"inlineStr\">{text}</c>").unwrap();
        }
        xml.push_str("</row>");
    }
    xml
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_catalogue_is_read_as_it_was_written(
        mut articles in vec(article(), 1..5),
        writer in select(WRITERS.to_vec()),
        number in select(NUMBERS.to_vec()),
        delimiter in select(vec![b',', b';', b'\t', b'|']),
        container in select(CONTAINERS.to_vec()),
    ) {
        if matches!(writer, Writer::Vendure) {
            // The format has no way to write a value with a `|`.
            let values = articles.iter_mut().flat_map(|article| &mut article.variants);
            let values = values.flat_map(|(values, _)| values);
            values.for_each(|value| *value = value.replace('|', "/"));
        }
        let rows = rows(&articles, writer, |price| write_price(price, number));
        let (file, encoding) = pack(&rows, delimiter, container);
        let options = ReadOptions { encoding, ..ReadOptions::default() };
        let feed = read_bytes_with(&file, &options).unwrap();
        prop_assert_eq!(&feed.questions, &vec![]);
        prop_assert_eq!(bad_row_messages(&feed), Vec::<String>::new());
        prop_assert_eq!(feed.products.len(), articles.len());
        for (index, (product, article)) in feed.products.iter().zip(&articles).enumerate() {
            prop_assert_eq!(&product.title, &article.title);
            let lowest = article.variants.iter().map(|(_, price)| *price).min();
            if let [(_, price)] = &article.variants[..] {
                prop_assert_eq!(&product.sku, &sku(index, 0));
                prop_assert_eq!(product.price.0, *price);
                prop_assert_eq!(product.variants.len(), 0);
                continue;
            }
            prop_assert_eq!(&product.sku, &format!("p-{index}"));
            let is_plain = matches!(writer, Writer::Plain(_));
            let first = Some(article.variants[0].1);
            prop_assert_eq!(Some(product.price.0), if is_plain { first } else { lowest });
            prop_assert_eq!(&product.options, &vec!["color".to_owned(), "size".to_owned()]);
            prop_assert_eq!(product.variants.len(), article.variants.len());
            for (number, (variant, (values, price))) in
                product.variants.iter().zip(&article.variants).enumerate()
            {
                prop_assert_eq!(&variant.sku, &sku(index, number));
                prop_assert_eq!(variant.price.0, *price);
                prop_assert_eq!(&variant.option_values, values);
            }
        }
    }
}
