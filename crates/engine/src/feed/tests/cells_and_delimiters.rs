//! Cells and delimiters, which are the same in all formats.

use super::*;
use crate::feed::Delimiter;

#[test]
fn the_delimiter_is_detected_from_the_header_outside_quotes() {
    for (text, delimiter) in [
        ("sku,title,price\na,Mug,1.50\n", Delimiter::Comma),
        ("sku;title;price\na;Mug;1.50\n", Delimiter::Semicolon),
        ("sku;title;price\na;Mug;1,50\n", Delimiter::Semicolon),
        ("sku\ttitle\tprice\na\tMug\t1.50\n", Delimiter::Tab),
        ("\n\nsku;title;\"price\";\"a,b,c,d,e\"\na;Mug;1,5;\n", Delimiter::Semicolon),
        ("sku,title,price,\"x;;;;;\"\na,Mug,1.5,\n", Delimiter::Comma),
    ] {
        let feed = read_text(text);
        assert_eq!(feed.delimiter, delimiter, "{text:?}");
        assert_eq!(feed.products, [product("a", "Mug", 150)], "{text:?}");
    }
}

#[test]
fn blanks_around_cells_are_trimmed() {
    let feed =
        read_text("\u{feff} sku , title ,price , image\n a ,\u{a0}Mug \t, 1.50 ,\" i.png\n\"\n");
    let image = Some("i.png".into());
    assert_eq!(feed.products, [Product { image, ..product("a", "Mug", 150) }]);
}

#[test]
fn escaped_formulas_are_text() {
    let text =
        "sku,title,price,description,vendor\n'+1,=1+1,1,'=cmd,'quoted'\n'',''-x,1,'\t+,'@me\n";
    let feed = read_text(text);
    let texts: Vec<_> = feed
        .products
        .iter()
        .map(|p| (p.sku.as_str(), p.title.as_str(), p.description.as_deref(), p.vendor.as_deref()))
        .collect();
    assert_eq!(
        texts,
        [("+1", "=1+1", Some("=cmd"), Some("'quoted'")), ("''", "'-x", Some("+"), Some("@me")),]
    );
}

#[test]
fn empty_columns_at_the_end_are_ignored() {
    let feed =
        read_text("sku,title,price,,\na,Mug,1,,\nb,Cup,2\nc,Jug,3,\nd,Pot,4,x\ne,Pan,5,,,\n");
    assert_eq!(skus(&feed), ["a", "b", "c"]);
    let hint = "put quotes around a text that holds a comma";
    assert_eq!(
        bad_row_messages(&feed),
        [
            format!("5 -: the row has 4 cells where the header has 3: {hint}"),
            format!("6 -: the row has 6 cells where the header has 3: {hint}"),
        ]
    );
}

#[test]
fn quotes_within_a_cell_are_text() {
    let feed = read_text("sku,title,price\na,\"a \"\"big\"\" mug\",1\nb,6\" plate,2\n");
    assert_eq!(feed.products, [product("a", "a \"big\" mug", 100), product("b", "6\" plate", 200)]);
}
