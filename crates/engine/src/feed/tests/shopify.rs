use super::*;

const HEADER: &str = "Handle,Title,Body (HTML),Vendor,Option1 Name,Option1 Value,Option2 Name,\
                      Option2 Value,Variant SKU,Variant Price,Image Src\n";

fn shopify(rows: &[&str]) -> Feed {
    read_text(&[HEADER, &rows.join("\n")].concat())
}

#[test]
fn rows_of_one_handle_are_one_product() {
    let feed = shopify(&[
        "mug,Mug,<p>Big</p>,Acme,Color,Blue,Size,L,mug-b,42.99,https://x/1.jpg",
        "mug,,,,,Black,,L,mug-k,39,",
        "mug,,,,,,,,,,https://x/2.jpg",
        "cup,Cup,,,Title,Default Title,,,cup-1,7,",
        "cup,,,,,,,,,,https://x/3.jpg",
    ]);
    let mug = Product {
        description: Some("<p>Big</p>".into()),
        vendor: Some("Acme".into()),
        image: Some("https://x/1.jpg".into()),
        variants: vec![variant("mug-b", "Blue / L", 4299), variant("mug-k", "Black / L", 3900)],
        ..product("mug", "Mug", 3900)
    };
    assert_eq!(feed.products, [mug, product("cup-1", "Cup", 700)]);
    assert_eq!((feed.row_count, feed.variant_count, feed.notes_total), (5, 2, 0));
}

#[test]
fn a_missing_sku_is_derived_and_noted() {
    let long = "h".repeat(70);
    let feed = shopify(&[
        "mug,Mug,,,Color,Dark Blue,Size,10″,,1,",
        "mug,,,,,Dark-Blue,,10,,1,",
        "mug,,,,,Red,,10,given,1,",
        "cup,Cup,,,Title,Default Title,,,,1,",
        &format!("{long},Pot,,,Title,Default Title,,,,1,"),
    ]);
    assert_eq!(bad_row_messages(&feed), [""; 0]);
    let [mug, cup, pot] = &feed.products[..] else { panic!("three products: {feed:#?}") };
    let variants: Vec<_> = mug.variants.iter().map(|variant| variant.sku.as_str()).collect();
    assert_eq!(variants, ["mug-dark-blue-10", "mug-dark-blue-10-2", "given"]);
    assert_eq!((mug.sku.as_str(), cup.sku.as_str()), ("mug", "cup"));
    // `printf h%.0s {1..70} | sha256sum`
    assert_eq!(pot.sku, format!("{}-6d002acd", "h".repeat(55)));
    assert_eq!(
        note_messages(&feed)[..3],
        [
            "2 no SKU is given: “mug-dark-blue-10” is used",
            "3 no SKU is given: “mug-dark-blue-10-2” is used",
            "5 no SKU is given: “cup” is used",
        ]
    );
}

#[test]
fn derived_skus_are_short_enough_however_long_the_options_are() {
    let option = "o".repeat(60);
    let feed = shopify(&[
        &format!("mug,Mug,,,Color,{option}b,,,,1,"),
        &format!("mug,,,,,{option}r,,,,1,"),
    ]);
    assert_eq!(skus(&feed), ["mug"]);
    let [one, other] = &feed.products[0].variants[..] else { panic!("two variants: {feed:#?}") };
    assert!(one.sku != other.sku && one.sku.len() <= 64 && other.sku.len() <= 64, "{feed:#?}");
}

#[test]
fn a_derived_sku_gives_way_to_one_that_stands_in_the_file() {
    let feed = shopify(&["mug,Mug,,,,,,,,1,", "cup,Cup,,,,,,,mug,1,"]);
    assert_eq!(skus(&feed), ["mug"]);
    assert_eq!(feed.products[0].title, "Cup");
    assert_eq!(
        bad_row_messages(&feed),
        ["2 Variant SKU: the SKU “mug” is already in line 3: use each SKU once"]
    );
}

#[test]
fn a_bad_row_leaves_its_whole_product_out() {
    let left_out = "(so the whole product “mug” is left out)";
    for (row, reason) in [
        ("mug,,,,,Red,,L,m-2,,", "Variant Price: the price is missing"),
        ("mug,,,,,Red,,L,m-2,-1,", "Variant Price: the price is negative"),
        (
            "mug,,,,,Red,,L,m-1,1,",
            "Variant SKU: the SKU “m-1” is already in line 2: use each SKU once",
        ),
        ("mug,,,,,,,,m-2,1,", "Option1 Value: the option value is missing"),
        ("mug,,,,,Red,,L,m-2,1", "-: the row has 10 cells where the header has 11"),
        (",,,,,Red,,L,m-2,1,", "Handle: the handle is missing"),
    ] {
        let mug = "mug,Mug,,,Color,Blue,Size,L,m-1,1,";
        let feed = shopify(&[mug, row, "cup,Cup,,,,,,,c,1,"]);
        assert_eq!(bad_row_messages(&feed), [format!("3 {reason} {left_out}")], "{row}");
        assert_eq!(skus(&feed), ["c"], "{row}");
    }
}

#[test]
fn a_bad_single_row_product_is_left_out() {
    let feed = shopify(&["mug,,,,,,,,m,1,", "cup,Cup,,,,,,,c,,", "jug,Jug,,,,,,,j,1,"]);
    assert_eq!(
        bad_row_messages(&feed),
        ["2 Title: the title is missing", "3 Variant Price: the price is missing"]
    );
    assert_eq!(skus(&feed), ["j"]);
}

#[test]
fn a_repeated_handle_is_bad_and_no_product_is_split() {
    let again = "the handle “mug” is already in line 2: put its rows together, or give this \
                 product a handle of its own";
    let rows = ["mug,Mug,,,Color,Blue,,,m-1,1,", "cup,Cup,,,,,,,c,1,"];

    let other_product = shopify(&[rows[0], rows[1], "mug,Mug two,,,,,,,m-2,1,"]);
    assert_eq!(bad_row_messages(&other_product), [format!("4 Handle: {again}")]);
    assert_eq!(skus(&other_product), ["m-1", "c"]);

    let torn_off = shopify(&[rows[0], rows[1], "mug,,,,,Red,,,m-2,1,"]);
    let left_out = "(so the whole product “mug” is left out)";
    assert_eq!(bad_row_messages(&torn_off), [format!("4 Handle: {again} {left_out}")]);
    assert_eq!(skus(&torn_off), ["c"]);

    let image = shopify(&[rows[0], rows[1], "mug,,,,,,,,,,https://x/2.jpg"]);
    assert_eq!(image.bad_rows_total, 0);
    assert_eq!(skus(&image), ["m-1", "c"]);
}
