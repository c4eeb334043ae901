//! Detection of formats, and the plain format.

use super::*;
use crate::feed::Format;

#[test]
fn the_format_is_detected_from_the_header_in_any_case_and_order() {
    for (text, format) in [
        ("PRICE,extra,Title,SKU\n1.50,x,Mug,a\n", Format::Plain),
        ("Product_SKU,name,unit-price\na,Mug,1.5\n", Format::Plain),
        ("handle,Title,Variant Price,Variant SKU\nmug,Mug,1.50,a\n", Format::Shopify),
        ("Title,URL handle,SKU,Price\nMug,mug,a,1.50\n", Format::Shopify),
        ("Handle,Title,Option1 Value,Variant SKU,Variant Price\nmug,Mug,,a,1.5\n", Format::Shopify),
        ("ID,Type,SKU,Name,Regular price\n1,simple,a,Mug,1.50\n", Format::WooCommerce),
        ("SKU,Name,Sale price,Regular price\na,Mug,1,1.50\n", Format::WooCommerce),
    ] {
        let mut feed = read_text(text);
        assert_eq!(feed.format, format, "{text:?}");
        feed.products.iter_mut().for_each(|product| product.handle = None);
        assert_eq!(feed.products, [product("a", "Mug", 150)], "{text:?}");
    }
}

#[test]
fn a_plain_row_may_be_a_variant_of_another_in_any_order() {
    let feed = read_text(
        "sku,title,price,parent,vendor\n\
         m-1,Blue,3,mug,\nmug,Mug,2,,Acme\ncup,Cup,1,,\nm-2,Red,4,mug,\n",
    );
    let mug = Product {
        vendor: Some("Acme".into()),
        variants: vec![variant("m-1", "Blue", 300), variant("m-2", "Red", 400)],
        ..product("mug", "Mug", 200)
    };
    assert_eq!(feed.products, [mug, product("cup", "Cup", 100)]);
    assert_eq!((feed.row_count, feed.variant_count), (4, 2));
}

#[test]
fn a_bad_variant_leaves_its_whole_product_out() {
    let header = "sku,title,price,parent\nmug,Mug,2,\nm-1,Blue,3,mug\ncup,Cup,1,\nm-0,Tan,3,mug\n";
    let left_out = "(so the whole product “mug” is left out)";
    for (row, reason) in [
        ("m-2,Red,x,mug", "price: the price is not a number (write it like 19.90)"),
        ("m-2,Red,,mug", "price: the price is missing"),
        ("m-1,Red,1,mug", "sku: the SKU “m-1” is already in line 3: use each SKU once"),
        ("cup,Red,1,mug", "sku: the SKU “cup” is already in line 4: use each SKU once"),
        (
            "m-2,Red,1,mug,x",
            "-: the row has 5 cells where the header has 4: put quotes around a text that holds a \
             comma",
        ),
    ] {
        let feed = read_text(&format!("{header}{row}\n"));
        assert_eq!(bad_row_messages(&feed), [format!("6 {reason} {left_out}")], "{row}");
        assert_eq!(skus(&feed), ["cup"], "{row}");
    }
}

#[test]
fn the_second_of_two_rows_with_one_sku_is_the_bad_one_whatever_they_are() {
    let feed = read_text("sku,title,price,parent\nm-1,Blue,3,mug\nm-1,Cup,1,\nmug,Mug,2,\n");
    assert_eq!(
        bad_row_messages(&feed),
        ["3 sku: the SKU “m-1” is already in line 2: use each SKU once"]
    );
    assert_eq!(skus(&feed), ["mug"]);
}

#[test]
fn a_variant_without_its_product_is_bad() {
    let feed = read_text("sku,title,price,parent\na,Mug,1,\nb,Blue,1,z\nc,Red,1,c\nd,Green,1,b\n");
    assert_eq!(
        bad_row_messages(&feed),
        [
            "3 parent: the parent “z” is not a product of this file",
            "4 parent: the parent “c” is not a product of this file",
            "5 parent: the parent “b” is not a product of this file",
        ]
    );
    assert_eq!(skus(&feed), ["a"]);
}
