//! Cells and delimiters, which are the same in all formats.

use super::*;
use crate::feed::Delimiter;

#[test]
fn the_delimiter_is_detected() {
    for (text, delimiter) in [
        ("sku,title,price\na,Mug,1.50\n", Delimiter::Comma),
        ("sku;title;price\na;Mug;1,50\n", Delimiter::Semicolon),
        ("sku\ttitle\tprice\na\tMug\t1.50\n", Delimiter::Tab),
        ("sku|title|price\na|Mug|1.50\n", Delimiter::Pipe),
        ("sep=;\nsku;title;price\na;Mug;1.50\n", Delimiter::Semicolon),
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
    let (first, images) = (Some("i.png".into()), vec![image("i.png")]);
    assert_eq!(feed.products, [Product { image: first, images, ..product("a", "Mug", 150) }]);
}

#[test]
fn escaped_formulas_are_text() {
    let text =
        "sku,title,price,description,vendor\n'+1,=1+1,1,'=cmd,'quoted'\n''a,''-x,1,'\t+,'@me\n";
    let feed = read_text(text);
    let texts: Vec<_> = feed
        .products
        .iter()
        .map(|p| (p.sku.as_str(), p.title.as_str(), p.description.as_deref(), p.vendor.as_deref()))
        .collect();
    assert_eq!(
        texts,
        [("+1", "=1+1", Some("=cmd"), Some("'quoted'")), ("'a", "'-x", Some("+"), Some("@me")),]
    );
}

#[test]
fn blank_cells_beyond_the_header_mean_nothing_and_missing_ones_are_blank() {
    let feed = read_text(
        "sku,title,price,vendor,\na,Mug,1,Acme,\nb,Cup,2\nc,Jug,3,,,,\nd,Pot,4,x,,y\ne,Pan\n",
    );
    assert_eq!(skus(&feed), ["a", "b", "c"]);
    assert_eq!(
        bad_row_messages(&feed),
        [
            "5 -: the row has 6 cells where the header has 4: put quotes around a text that holds \
             a comma",
            "6 price: the price is missing",
        ]
    );
}

#[test]
fn quotes_within_a_cell_are_text() {
    let feed = read_text("sku,title,price\na,\"a \"\"big\"\" mug\",1\nb,6\" plate,2\n");
    assert_eq!(feed.products, [product("a", "a \"big\" mug", 100), product("b", "6\" plate", 200)]);
}

#[test]
fn lines_above_the_header_are_skipped() {
    for title in ["Price list", "\"Price, list\"", "Price list,,\n,,", "Prices,2026\n\nall"] {
        let lines = 1 + title.matches('\n').count();
        let feed = read_text(&format!("{title}\nsku,title,price\na,Mug,1\nb,Cup,x\n"));
        assert_eq!(skus(&feed), ["a"], "{title:?}");
        assert_eq!(feed.bad_rows[0].line as usize, lines + 3, "{title:?}");
    }
}

#[test]
fn byte_order_marks_mean_nothing_wherever_a_line_starts() {
    for text in [
        "\u{feff}\u{feff}sku,title,price\na,Mug,1\n",
        "\n\u{feff}\"sku\",title,price\na,Mug,1\n",
        "sku,title,price\n\u{feff}\u{feff}a,Mug,1\n\u{feff}",
    ] {
        let feed = read_text(text);
        assert_eq!(feed.products, [product("a", "Mug", 100)], "{text:?}");
        assert_eq!(feed.row_count, 1, "{text:?}");
    }
}
