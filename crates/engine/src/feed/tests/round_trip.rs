//! Failed products can be written to a file and read again.

use super::*;
use crate::feed::failed_rows_csv;
use proptest::{collection::vec, option, prelude::*};

/// Texts as the reader returns them, not empty and trimmed, made of characters that CSV,
/// spreadsheets and the reader treat specially.
fn text(max: usize) -> impl Strategy<Value = String> {
    let character = prop::sample::select(
        "ab'\"=+-@,;\t\r\n \\|éß\u{feff}\u{1F600}".chars().collect::<Vec<_>>(),
    );
    vec(character, 1..=max)
        .prop_map(|characters| characters.into_iter().collect::<String>().trim().to_owned())
        .prop_filter("blank", |text| !text.is_empty())
}

fn price() -> impl Strategy<Value = Price> {
    (0..=100_000_000_000_u64).prop_map(Price)
}

fn sku() -> impl Strategy<Value = String> {
    "[=+@'a-c \",;-]{1,6}"
        .prop_map(|text| text.trim().to_owned())
        .prop_filter("blank", |text| !text.is_empty())
}

fn variants() -> impl Strategy<Value = Vec<Variant>> {
    let variant = (sku(), text(20), price());
    vec(variant.prop_map(|(sku, title, price)| Variant { sku, title, price }), 0..4)
}

fn products() -> impl Strategy<Value = Vec<Product>> {
    let texts = (option::of(text(60)), option::of(text(9)), option::of(text(9)));
    let product = (sku(), text(40), price(), texts, variants()).prop_map(
        |(sku, title, price, (description, vendor, image), variants)| Product {
            sku,
            title,
            price,
            description,
            vendor,
            image,
            variants,
        },
    );
    vec(product, 1..12).prop_map(|mut products| {
        // SKUs are unique within a file.
        let mut number = 0;
        let mut unique = |sku: &mut String| {
            number += 1;
            sku.push_str(&number.to_string());
        };
        for product in &mut products {
            unique(&mut product.sku);
            product.variants.iter_mut().for_each(|variant| unique(&mut variant.sku));
        }
        products
    })
}

proptest! {
    #[test]
    fn written_products_are_read_again(products in products(), reason in ".{0,40}") {
        let file = failed_rows_csv(products.iter().map(|p| (p, reason.as_str())), true).unwrap();
        let feed = read(&file).unwrap();
        prop_assert_eq!(bad_row_messages(&feed), Vec::<String>::new());
        prop_assert_eq!(feed.products, products);
    }
}

#[test]
fn failed_csv_has_reasons_and_escapes_formulas() {
    let mug = Product {
        description: Some("two\nlines".into()),
        vendor: Some("@acme".into()),
        variants: vec![variant("-b", "Blue", 150)],
        ..product("=1+1", "A \"big\" mug", 100)
    };
    let cup = product("cup", "Cup", 200);
    let failed = [(&mug, "refused"), (&cup, "=late"), (&mug, "not found"), (&mug, "refused")];
    let file = failed_rows_csv(failed, true).unwrap();
    assert_eq!(
        String::from_utf8(file).unwrap(),
        "sku,title,price,description,vendor,image,parent,reason\r\n\
         '=1+1,\"A \"\"big\"\" mug\",1.00,\"two\nlines\",'@acme,,,refused; not found\r\n\
         '-b,Blue,1.50,,,,'=1+1,\r\n\
         cup,Cup,2.00,,,,,'=late\r\n"
    );
}

#[test]
fn products_of_a_shopify_export_round_trip() {
    let shopify = read_text(
        "Handle,Title,Option1 Value,Variant SKU,Variant Price\n\
         mug,Mug,Blue,,1\nmug,,Red,,2\ncup,'=Cup,Default Title,,3\n",
    );
    let file = failed_rows_csv(shopify.products.iter().map(|p| (p, "refused")), true).unwrap();
    assert_eq!(read(&file).unwrap().products, shopify.products);
    assert_eq!(shopify.products.len(), 2);
}
