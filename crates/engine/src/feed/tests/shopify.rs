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
        images: vec![image("https://x/1.jpg"), image("https://x/2.jpg")],
        handle: Some("mug".into()),
        options: vec!["Color".into(), "Size".into()],
        variants: vec![
            Variant {
                option_values: vec!["Blue".into(), "L".into()],
                ..variant("mug-b", "Blue / L", 4299)
            },
            Variant {
                option_values: vec!["Black".into(), "L".into()],
                ..variant("mug-k", "Black / L", 3900)
            },
        ],
        ..product("mug", "Mug", 3900)
    };
    let cup = Product {
        image: Some("https://x/3.jpg".into()),
        images: vec![image("https://x/3.jpg")],
        handle: Some("cup".into()),
        ..product("cup-1", "Cup", 700)
    };
    assert_eq!(feed.products, [mug, cup]);
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
    // `printf 'Dark Blue / 10″' | sha256sum`, and of `Dark-Blue / 10`
    assert_eq!(variants, ["mug-dark-blue-10-338b3709", "mug-dark-blue-10-54d0a163", "given"]);
    assert_eq!((mug.sku.as_str(), cup.sku.as_str()), ("mug", "cup"));
    // `printf h%.0s {1..70} | sha256sum`
    assert_eq!(pot.sku, format!("{}-6d002acd", "h".repeat(55)));
    assert_eq!(
        note_messages(&feed)[..3],
        [
            "2 no SKU is given: “mug-dark-blue-10-338b3709” is used",
            "3 no SKU is given: “mug-dark-blue-10-54d0a163” is used",
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
        ("mug,,,,,Red,,L,m-2", "Variant Price: the price is missing"),
        (",,,,,Red,,L,m-2,1,", "Handle: the handle is missing"),
    ] {
        let mug = "mug,Mug,,,Color,Blue,Size,L,m-1,1,";
        let feed = shopify(&[mug, row, "cup,Cup,,,,,,,c,1,", "mug,,,,,Tan,,L,m-0,1,"]);
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
fn rows_of_one_handle_needn_t_stand_together() {
    let rows = ["mug,Mug,,,Color,Blue,,,m-1,1,", "cup,Cup,,,,,,,c,1,", "mug,,,,,Red,,,m-2,1,"];
    for order in [[0, 1, 2], [0, 2, 1], [2, 1, 0]] {
        let feed = shopify(&order.map(|index: usize| rows[index]));
        assert_eq!(bad_row_messages(&feed), [""; 0]);
        let mut found = skus(&feed);
        found.sort_unstable();
        assert_eq!(found, ["c", "mug"], "{order:?}");
        let mug = feed.products.iter().find(|product| product.sku == "mug").unwrap();
        assert_eq!((mug.variants.len(), mug.options.as_slice()), (2, &["Color".to_owned()][..]));
    }
}

#[test]
fn two_products_of_one_handle_are_bad() {
    let feed = shopify(&[
        "mug,Mug,,,Color,Blue,,,m-1,1,",
        "cup,Cup,,,,,,,c,1,",
        "mug,Mug two,,,,,,,m-2,1,",
    ]);
    let left_out = "(so the whole product “mug” is left out)";
    assert_eq!(
        bad_row_messages(&feed),
        [format!(
            "4 Handle: the handle “mug” is already that of “Mug” in line 2: give this product a \
             handle of its own {left_out}"
        )]
    );
    assert_eq!(skus(&feed), ["c"]);
    let lines: Vec<_> = feed.all_left_out.rows.iter().map(|row| row.line).collect();
    assert_eq!(lines, [2, 4]);
}

#[test]
fn derived_skus_don_t_depend_on_the_order_of_the_rows() {
    let rows = [
        "mug,Mug,,,Color,Dark Blue,,,,1,",
        "mug,,,,,dark-blue,,,,2,",
        "mug,,,,,Red,,,,3,",
        "cup,Cup,,,Size,S,,,CUP,1,",
        "cup,,,,,L,,,CUP,2,",
    ];
    let by_price = |feed: &Feed| {
        let variants = feed.products.iter().flat_map(|product| &product.variants);
        let mut variants: Vec<_> = variants.map(|v| (v.title.clone(), v.sku.clone())).collect();
        variants.sort();
        variants
    };
    let backwards: Vec<_> = rows.iter().rev().copied().collect();
    assert_eq!(by_price(&shopify(&rows)), by_price(&shopify(&backwards)));
    assert_eq!(by_price(&shopify(&rows)).len(), 5);
}

#[test]
fn variants_that_nothing_tells_apart_are_bad() {
    let feed = shopify(&["mug,Mug,,,Color,Blue,,,,1,", "mug,,,,,Blue,,,,2,"]);
    assert_eq!(feed.bad_rows_total, 2);
    assert!(feed.bad_rows[0].reason.contains("line 3"), "{:?}", feed.bad_rows);
    assert_eq!(skus(&feed), [""; 0]);
}

#[test]
fn what_an_export_says_of_product_and_variants_is_carried() {
    let feed = read_text(
        "Handle,Title,Type,Tags,Product Category,Option1 Name,Option1 Value,Variant SKU,\
         Variant Grams,Variant Inventory Qty,Variant Price,Variant Barcode,Image Src,\
         Image Alt Text,Variant Image,Status\n\
         tee,Tee,Top,\"new, red\",Apparel > Tops,Size,S,T-S,200,3,10,'4006381333931,\
         https://x/1.jpg,Front,https://x/s.jpg,active\n\
         tee,,,,,,M,T-M,0,-1,12,4.00638E+12,,,,\n",
    );
    let tee = &feed.products[0];
    assert_eq!((tee.product_type.as_deref(), tee.tags.join("+")), (Some("Top"), "new+red".into()));
    assert_eq!(tee.categories, ["Apparel > Tops"]);
    let front = Image { url: "https://x/1.jpg".into(), alt: Some("Front".into()) };
    assert_eq!(tee.images, [front]);
    let [small, medium] = &tee.variants[..] else { panic!("two variants: {feed:#?}") };
    assert_eq!(small.barcode.as_deref(), Some("4006381333931"));
    assert_eq!((small.image.as_deref(), small.stock), (Some("https://x/s.jpg"), Some(3)));
    assert_eq!(small.weight.as_ref().map(|weight| weight.value.as_str()), Some("200"));
    assert_eq!((&medium.barcode, medium.stock, &medium.weight), (&None, Some(-1), &None));
    assert_eq!(
        note_messages(&feed),
        ["3 the barcode 4.00638E+12 is not sent: digits are gone, or may be"]
    );
}
