//! What a person or a program chooses: columns, the decimal separator, prices and drafts.

use super::*;
use crate::feed::{left_out_csv, read_with_left_out};
use contract::feed::{
    BadRow, DecimalSeparator, DraftChoice, Field, LeftOutKind, PriceChoice, QuestionSubject,
};

fn mapped(map: &str) -> ReadOptions {
    ReadOptions { map: map.parse().unwrap(), ..ReadOptions::default() }
}

const GERMAN_LIST: &str = "Artikel;Ware;VK;EAN\nA-1;Hammer;12,90;4006381333931\nA-2;Zange;9,50;\n";

#[test]
fn a_column_that_is_not_recognised_is_asked_for() {
    let feed = read_text(GERMAN_LIST);
    assert_eq!((feed.products.len(), feed.bad_rows_total, feed.row_count), (0, 0, 2));
    let [question] = &feed.questions[..] else { panic!("one question: {feed:#?}") };
    assert_eq!(question.parameter, "map");
    assert_eq!(
        question.text,
        "Which column has the SKU, the title, the price? For example: \
         map=sku:Artikel,title:Ware,price:VK"
    );
    let QuestionSubject::Columns { missing } = &question.subject else { panic!("{question:?}") };
    let fields: Vec<_> = missing.iter().map(|missing| missing.field).collect();
    assert_eq!(fields, [Field::Sku, Field::Title, Field::Price]);
    let columns: Vec<_> = feed.columns.iter().map(|c| (c.name.as_str(), c.field)).collect();
    assert_eq!(
        columns,
        [("Artikel", None), ("Ware", None), ("VK", None), ("EAN", Some(Field::Barcode))]
    );
    assert_eq!(feed.columns[1].examples, ["Hammer", "Zange"]);
    assert_eq!(feed.columns[3].position, 4);
}

#[test]
fn chosen_columns_are_read() {
    for map in ["sku:Artikel,title:Ware,price:VK", "sku:#1,title:ware,price: vk"] {
        let feed = read_with(GERMAN_LIST, &mapped(map));
        assert_eq!(feed.questions, [], "{map}");
        let hammer =
            Product { barcode: Some("4006381333931".into()), ..product("A-1", "Hammer", 1290) };
        assert_eq!(feed.products, [hammer, product("A-2", "Zange", 950)], "{map}");
    }
    let error = super::super::read(GERMAN_LIST.as_bytes(), &mapped("sku:Nummer"), NOW);
    assert_eq!(
        error.unwrap_err().to_string(),
        "The file has no column Nummer. The columns found are “Artikel”, “Ware”, “VK”, “EAN”."
    );
}

#[test]
fn a_chosen_column_takes_precedence_over_a_recognised_one() {
    let text = "sku,title,price,EAN,net price\nA,Mug,2,123,1\nB,Cup,3,456,2\n";
    let feed = read_with(text, &mapped("sku:EAN,price:net price"));
    assert_eq!(feed.products, [product("123", "Mug", 100), product("456", "Cup", 200)]);
}

#[test]
fn a_currency_in_the_name_of_the_price_is_kept_and_several_are_asked_for() {
    let feed = read_text("sku;Name;Preis in €\na;Mug;1,50\n");
    assert_eq!((feed.currency.as_deref(), feed.products[0].price), (Some("EUR"), Price(150)));
    let feed = read_text("sku,title,price usd,price eur\na,Mug,1.50,1.40\n");
    let QuestionSubject::Columns { missing } = &feed.questions[0].subject else { panic!() };
    assert_eq!(missing[0].candidates, ["price usd", "price eur"]);
}

#[test]
fn the_decimal_question_is_answered_by_the_option() {
    let text = "sku;title;price\na;Mug;1.500\nb;Cup;2.000\n";
    let feed = read_text(text);
    assert_eq!(feed.questions[0].parameter, "decimal");
    let values: Vec<_> = feed.questions[0].answers.iter().map(|a| a.value.as_str()).collect();
    assert_eq!(values, ["comma", "point"]);
    for (decimal, price) in [(DecimalSeparator::Comma, 150_000), (DecimalSeparator::Point, 150)] {
        let options = ReadOptions { decimal: Some(decimal), ..ReadOptions::default() };
        let feed = read_with(text, &options);
        assert_eq!((feed.questions.len(), feed.products[0].price), (0, Price(price)));
    }
}

#[test]
fn shopify_s_compare_at_price_is_the_regular_one() {
    let text = "Handle,Title,Variant SKU,Variant Price,Variant Compare At Price\n\
                a,Mug,A,8,10\nb,Cup,B,5,5\nc,Jug,C,4,\n";
    let prices = |choice| {
        let options = ReadOptions { price: choice, ..ReadOptions::default() };
        let feed = read_with(text, &options);
        let sale = feed.sale_prices.clone().unwrap();
        assert_eq!((sale.count, sale.lines, sale.not_in_force), (1, vec![2], 0));
        feed.products.iter().map(|p| (p.price.0, p.compare_at_price.map(|p| p.0))).collect()
    };
    let regular: Vec<_> = prices(None);
    assert_eq!(regular, [(1_000, None), (500, None), (400, None)]);
    let sale: Vec<_> = prices(Some(PriceChoice::Sale));
    assert_eq!(sale, [(800, Some(1_000)), (500, None), (400, None)]);
}

#[test]
fn a_sale_that_is_over_is_not_sent() {
    let text = "SKU,Name,Regular price,Sale price,Date sale price starts,Date sale price ends\n\
                a,Mug,10,8,,2026-03-14 23:59:59\nb,Cup,10,7,2026-03-01,2026-03-15\n";
    let options = ReadOptions { price: Some(PriceChoice::Sale), ..ReadOptions::default() };
    let feed = read_with(text, &options);
    let prices: Vec<_> = feed.products.iter().map(|product| product.price.0).collect();
    assert_eq!(prices, [1_000, 700]);
    assert_eq!(
        note_messages(&feed),
        [
            "2 the row has a reduced price that is not in force today: the regular price is sent",
            "3 the row has a reduced price: the reduced price is sent",
        ]
    );
}

#[test]
fn drafts_are_counted_by_kind_and_their_faults_don_t_matter() {
    let text = "sku,title,price,status\na,Mug,1,active\na,Cup,x,draft\nb,Jug,,Entwurf\n\
                c,Pot,1,FALSCH\nd,Pan,1,archived\n";
    let feed = read_text(text);
    assert_eq!((skus(&feed), feed.bad_rows_total), (vec!["a"], 0));
    let kinds: Vec<_> = feed.left_out.by_kind.iter().map(|of| (of.kind, of.count)).collect();
    assert_eq!(
        kinds,
        [(LeftOutKind::Draft, 2), (LeftOutKind::Unpublished, 1), (LeftOutKind::Archived, 1)]
    );
    assert_eq!(feed.left_out.by_kind[0].lines, [3, 4]);
    assert_eq!(feed.left_out.rows[0].column.as_deref(), Some("status"));
    let options = ReadOptions { drafts: Some(DraftChoice::Send), ..ReadOptions::default() };
    let sent = read_with(text, &options);
    assert_eq!((sent.left_out.total, sent.bad_rows_total), (0, 2));
}

#[test]
fn a_private_variation_is_left_out_and_its_product_is_not() {
    let text = "ID,Type,SKU,Name,Published,Regular price,Parent,Attribute 1 name,\
                Attribute 1 value(s)\n\
                1,variable,tee,Tee,1,,,Size,\"S, M\"\n2,variation,tee-s,Tee,1,5,tee,Size,S\n\
                3,variation,tee-m,Tee,0,,tee,Size,M\n4,variable,cap,Cap,1,,,Size,S\n\
                5,variation,cap-s,Cap,-1,5,cap,Size,S\n";
    let feed = read_text(text);
    assert_eq!((skus(&feed), feed.bad_rows_total), (vec!["tee"], 0));
    assert_eq!(feed.products[0].variants.len(), 1);
    let lines: Vec<_> = feed.left_out.rows.iter().map(|row| (row.line, row.kind)).collect();
    let draft = LeftOutKind::Draft;
    assert_eq!(lines, [(4, LeftOutKind::Private), (5, draft), (6, draft)]);
}

#[test]
fn left_out_rows_can_be_corrected_and_uploaded() {
    let text = "sku;Titel;Preis;parent\na;Mug;1,50;\nb;Cup;x;\nc;\"Pot;\n1\";2,50;\nc-1;Red;;c\n";
    let feed = read_text(text);
    assert_eq!(skus(&feed), ["a"]);
    let lines: Vec<_> = feed.all_left_out.rows.iter().map(|row| (row.line, row.kind)).collect();
    let (invalid, of_bad) = (LeftOutKind::Invalid, LeftOutKind::BadProduct);
    assert_eq!(lines, [(3, invalid), (4, of_bad), (6, invalid)]);
    let (_, left_out) = read_with_left_out(text.as_bytes(), &ReadOptions::default(), NOW).unwrap();
    let rows = left_out.rows.into_iter().map(|(row, cells)| {
        (BadRow { line: row.line, column: row.column, reason: row.reason }, cells)
    });
    let file = String::from_utf8(left_out_csv(&left_out.header, true, rows).unwrap()).unwrap();
    assert_eq!(
        file,
        "sku,Titel,Preis,parent,left out because\r\n\
         b,Cup,x,,Preis: the price is not a number (write it like 19.90)\r\n\
         c,\"Pot;\n1\",\"2,50\",,another row of the product “c” is bad\r\n\
         c-1,Red,,c,Preis: the price is missing (so the whole product “c” is left out)\r\n"
    );
    let corrected = file.replace(",x,", ",\"2,00\",").replace("Red,,", "Red,\"2,00\",");
    assert_eq!(skus(&read_text(&corrected)), ["b", "c"]);
}

#[test]
fn spreadsheets_and_lists_of_other_shops_are_understood() {
    let google = "id\ttitle\titem_group_id\tprice\tsale_price\tsize\tlink\tgtin\n\
                  1\tTee S\ttee\t10.00 EUR\t8.00 EUR\tS\thttps://x\t4006381333931\n\
                  2\tTee M\ttee\t11.00 EUR\t\tM\thttps://x\t\n3\tCap\t\t5.00 EUR\t\t\thttps://x\t\n";
    let feed = read_text(google);
    assert_eq!((skus(&feed), feed.currency.as_deref()), (vec!["tee", "3"], Some("EUR")));
    let variants: Vec<_> = feed.products[0].variants.iter().map(|v| v.sku.as_str()).collect();
    assert_eq!(
        (variants, feed.products[0].options.as_slice()),
        (vec!["1", "2"], &["size".into()][..])
    );

    let vendure = "name            , slug   , assets , facets , optionGroups    , optionValues , sku   , price\n\
                   Laptop          , laptop , a.jpg|b.jpg , brand:A , screen size|RAM , 13 inch|8GB  , L1    , 1299.00\n\
                   , , , , , 15 inch|8GB  , L2 , 1399.00\nKeyboard , kb , , , , , K1 , 74.89\n";
    let feed = read_text(vendure);
    assert_eq!(bad_row_messages(&feed), [""; 0]);
    assert_eq!(skus(&feed), ["laptop", "K1"]);
    let laptop = &feed.products[0];
    assert_eq!((laptop.options.join("+"), laptop.images.len()), ("screen size+RAM".into(), 2));
    assert_eq!(laptop.variants[1].option_values, ["15 inch", "8GB"]);

    let medusa = "Product Handle,Product Title,Product Status,Variant SKU,Variant Price EUR,\
                  Variant Price USD,Variant Option 1 Name,Variant Option 1 Value,Product Image 1 Url\n\
                  tee,Tee,published,T-S,10,,Size,S,https://x/1.jpg\n\
                  tee,Tee,published,T-M,12,,Size,M,https://x/1.jpg\ncap,Cap,draft,C,5,,,,\n";
    let feed = read_text(medusa);
    assert_eq!((skus(&feed), feed.currency.as_deref()), (vec!["tee"], Some("EUR")));
    assert_eq!((feed.products[0].variants.len(), feed.left_out.total), (2, 1));
    let feed = read_text(&medusa.replace("10,,", "10,11,"));
    assert_eq!(feed.questions[0].parameter, "map");
    let feed = read_with(&medusa.replace("10,,", "10,11,"), &mapped("price:Variant Price EUR"));
    assert_eq!(feed.products[0].price, Price(1_000));
}

#[test]
fn files_with_the_same_header_have_the_same_digest() {
    let digest = |text: &str| read_text(text).header_digest;
    let german = digest(GERMAN_LIST);
    assert_eq!(digest("artikel ;Ware;VK;EAN\nB-1;Nagel;0,10;\n"), german);
    assert_ne!(digest("Artikel;VK;Ware;EAN\nB-1;0,10;Nagel;\n"), german);
    assert_eq!(german.len(), 64);
}
