use super::*;

const HEADER: &str = "ID,Type,SKU,Name,Short description,Description,Regular price,Images,Parent,\
                      Attribute 1 name,Attribute 1 value(s),Attribute 2 value(s)\n";

fn woocommerce(rows: &[&str]) -> Feed {
    read_text(&[HEADER, &rows.join("\n")].concat())
}

#[test]
fn variations_are_grouped_under_the_parent_that_they_name() {
    let feed = woocommerce(&[
        "21,variation,tee-s,Tee - S,,,19.90,,id:20,Size,S,Red",
        "20,variable,tee,Tee,Short,Long,,\"https://x/1.jpg, https://x/2.jpg\",,Size,\"S, M\",Red",
        "22,variation,tee-m,Tee - M,,,18.50,,tee,Size,M,Red",
        "23,\"simple, virtual\",card,Card,Short,,5,,,,,",
    ]);
    let tee = Product {
        description: Some("Long".into()),
        image: Some("https://x/1.jpg".into()),
        images: vec![image("https://x/1.jpg"), image("https://x/2.jpg")],
        options: vec!["Size".into(), "Option 2".into()],
        variants: vec![
            Variant {
                option_values: vec!["S".into(), "Red".into()],
                ..variant("tee-s", "S / Red", 1990)
            },
            Variant {
                option_values: vec!["M".into(), "Red".into()],
                ..variant("tee-m", "M / Red", 1850)
            },
        ],
        ..product("tee", "Tee", 1850)
    };
    let card = Product { description: Some("Short".into()), ..product("card", "Card", 500) };
    assert_eq!(feed.products, [tee, card]);
    assert_eq!((bad_row_messages(&feed), feed.variant_count), (vec![], 2));
}

#[test]
fn a_variation_without_a_sku_gets_one_and_may_share_its_parents_once() {
    let feed = woocommerce(&[
        "20,variable,tee,Tee,,,,,,,,",
        "21,variation,,Tee - S,,,1,,tee,Size,S,",
        "22,variation,tee,Tee - M,,,1,,tee,Size,M,",
    ]);
    assert_eq!(bad_row_messages(&feed), [""; 0]);
    let variants = &feed.products[0].variants;
    let found: Vec<_> = variants.iter().map(|v| (v.sku.as_str(), v.title.as_str())).collect();
    assert_eq!(found, [("tee-s", "S"), ("tee", "M")]);
    assert_eq!(note_messages(&feed), ["3 no SKU is given: “tee-s” is used"]);
}

#[test]
fn bad_rows_are_named_and_leave_whole_products_out() {
    let feed = woocommerce(&[
        "20,variable,tee,Tee,,,,,,,,",
        "21,variation,tee-s,Tee - S,,,1,,id:20,Size,S,",
        "22,variation,tee-m,Tee - M,,,,,id:20,Size,M,",
        "23,variation,lost,Lost,,,1,,id:99,Size,M,",
        "24,variation,lost-2,Lost,,,1,,,Size,M,",
        "25,variable,none,None,,,,,,,,",
        "26,simple,,Mug,,,1,,,,,",
        "27,simple,cup,Cup,,,1,,,,,",
        "28,variable,pot,Pot,,,,,,,,",
        "29,variation,pot,Pot - S,,,1,,pot,Size,S,",
        "30,variation,pot,Pot - M,,,1,,pot,Size,M,",
        "31,variation,cup,Pot - L,,,1,,pot,Size,L,",
    ]);
    assert_eq!(
        bad_row_messages(&feed),
        [
            "4 Regular price: the price is missing (so the whole product “tee” is left out)",
            "5 Parent: the parent “id:99” is not a product of this file",
            "6 Parent: the parent of the variation is missing",
            "7 Regular price: the price is missing",
            "12 SKU: the SKU “pot” is already in line 10: use each SKU once (so the whole product \
             “pot” is left out)",
            "13 SKU: the SKU “cup” is already in line 9: use each SKU once (so the whole product \
             “pot” is left out)",
        ]
    );
    assert_eq!(skus(&feed), ["id-26", "cup"]);
    assert_eq!(note_messages(&feed), ["8 no SKU is given: “id-26” is used"]);
}

#[test]
fn decimal_commas_are_read_between_semicolons() {
    let feed = read_text("Type;SKU;Name;Regular price\nsimple;a;Mug;19,90\n");
    assert_eq!(feed.products, [product("a", "Mug", 1990)]);
}

#[test]
fn kinds_of_plugins_and_external_products_may_have_no_price() {
    let feed = read_text(
        "ID;Typ;Artikelnummer;Name;Regulärer Preis;Veröffentlicht\n\
         1;simple;a;Mug;1,50;1\n2;external;b;Book;;1\n3;course;c;Course;;1\n\
         4;external;d;Film;3,00;1\n5;simple;e;Cup;;1\n",
    );
    assert_eq!(skus(&feed), ["a", "d"]);
    let left_out: Vec<_> =
        feed.left_out.rows.iter().map(|row| (row.line, row.kind.as_str())).collect();
    assert_eq!(left_out, [(3, "no_price"), (4, "no_price")]);
    assert_eq!(bad_row_messages(&feed), ["6 Regulärer Preis: the price is missing"]);
}
