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
        variants: vec![variant("tee-s", "S / Red", 1990), variant("tee-m", "M / Red", 1850)],
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
    assert_eq!(*variants, [variant("tee-s", "S", 100), variant("tee", "M", 100)]);
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
    ]);
    assert_eq!(
        bad_row_messages(&feed),
        [
            "4 Regular price: the price is missing (so the whole product “tee” is left out)",
            "5 Parent: the parent “id:99” is not a product of this file",
            "6 Parent: the parent of the variation is missing",
            "7 Regular price: the price is missing, and no variation has one",
            "8 SKU: the SKU is missing",
            "12 SKU: the SKU “pot” is already in line 10: use each SKU once (so the whole product \
             “pot” is left out)",
        ]
    );
    assert_eq!(skus(&feed), ["cup"]);
}

#[test]
fn decimal_commas_are_read_between_semicolons() {
    let feed = read_text("Type;SKU;Name;Regular price\nsimple;a;Mug;19,90\n");
    assert_eq!(feed.products, [product("a", "Mug", 1990)]);
}
