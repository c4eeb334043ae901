//! Failed products can be written to a file and read again.

use super::*;
use crate::feed::failed_rows_csv;
use contract::{
    feed::{DraftChoice, ZeroPriceChoice},
    product::{ProductStatus, Weight, WeightUnit},
};
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

fn list(max: usize) -> impl Strategy<Value = Vec<String>> {
    vec(text(8), 0..max)
}

fn weight() -> impl Strategy<Value = Option<Weight>> {
    option::of((1..10_000_u32).prop_map(|grams| Weight {
        value: grams.to_string(),
        unit: if grams % 2 == 0 { WeightUnit::Gram } else { WeightUnit::Kilogram },
    }))
}

fn images() -> impl Strategy<Value = Vec<Image>> {
    let image = (text(12), option::of(text(9))).prop_map(|(url, alt)| Image { url, alt });
    vec(image, 0..3).prop_map(|mut images| {
        for (number, image) in images.iter_mut().enumerate() {
            image.url.push_str(&number.to_string());
        }
        images
    })
}

/// A variant with the values of two options, of which each may be blank.
fn variants() -> impl Strategy<Value = Vec<Variant>> {
    let details = (option::of(sku()), option::of(any::<i32>()), weight(), option::of(text(9)));
    let variant = (sku(), text(20), price(), vec(text(5), 2), details);
    let variant =
        variant.prop_map(|(sku, title, price, option_values, (barcode, stock, weight, image))| {
            Variant {
                option_values,
                barcode,
                stock: stock.map(i64::from),
                weight,
                image,
                ..Variant::new(sku, title, price)
            }
        });
    vec(variant, 0..4)
}

fn products() -> impl Strategy<Value = Vec<Product>> {
    let texts = (option::of(text(60)), option::of(text(9)), option::of(sku()), option::of(text(9)));
    let lists = (list(3), list(3), images());
    let item = (option::of(sku()), option::of(any::<i32>()), weight(), any::<bool>());
    let product = (sku(), text(40), price(), texts, lists, item, variants(), 0..999_u64).prop_map(
        |(sku, title, price, texts, (tags, categories, images), item, variants, more)| {
            let (description, vendor, handle, product_type) = texts;
            let (barcode, stock, weight, is_draft) = item;
            Product {
                compare_at_price: (more > 500).then_some(Price(price.0 + more)),
                status: if is_draft { ProductStatus::Draft } else { ProductStatus::Active },
                description,
                vendor,
                handle,
                product_type,
                tags,
                categories,
                image: images.first().map(|image: &Image| image.url.clone()),
                images,
                options: if variants.is_empty() {
                    vec![]
                } else {
                    vec!["A|b".into(), "C\\".into()]
                },
                barcode,
                stock: stock.map(i64::from),
                weight,
                variants,
                ..Product::new(sku, title, price)
            }
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
        let options = ReadOptions {
            drafts: Some(DraftChoice::Send),
            zero_price: Some(ZeroPriceChoice::Send),
            ..ReadOptions::default()
        };
        let feed = super::super::read(&file, &options, NOW).unwrap();
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
        "sku,title,price,description,vendor,image,parent,compare_at_price,currency,status,handle,\
         type,tags,categories,images,image_alts,options,option_values,barcode,stock,weight,reason\
         \r\n\
         '=1+1,\"A \"\"big\"\" mug\",1.00,\"two\nlines\",'@acme,,,,,,,,,,,,,,,,,refused; not found\r\n\
         '-b,Blue,1.50,,,,'=1+1,,,,,,,,,,,,,,,\r\n\
         cup,Cup,2.00,,,,,,,,,,,,,,,,,,,'=late\r\n"
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
