//! Rows that can't be uploaded: each is listed with line, column and reason, and all others
//! are read.

use super::*;

/// Returns the message of the only bad row in a file where `row` is in line 3, between good
/// ones.
fn only_bad_row_message(row: &str) -> String {
    let feed = read_text(&format!("Sku,Title,Price,Vendor\nok-1,Mug,1,\n{row}\nok-2,Cup,2,\n"));
    assert_eq!(skus(&feed), ["ok-1", "ok-2"], "{row:?}");
    assert_eq!((feed.row_count, feed.bad_rows_total), (3, 1), "{row:?}");
    bad_row_messages(&feed).remove(0)
}

#[test]
fn bad_rows_are_listed_with_line_column_and_reason() {
    let long = "x".repeat(256);
    let cases = [
        (",+ +,1,", "3 Sku: the SKU is missing"),
        ("a,,1,", "3 Title: the title is missing"),
        ("a, \u{a0},1,", "3 Title: the title is missing"),
        ("a,Plate,,", "3 Price: the price is missing"),
        ("a,Plate,-3,", "3 Price: the price is negative"),
        ("a,Plate,'-3,", "3 Price: the price is negative"),
        ("a,Plate,twelve,", "3 Price: the price is not a number (write it like 19.90)"),
        ("a,Plate,12 pieces,", "3 Price: the price is not a number (write it like 19.90)"),
        ("a,Plate,\"1,2,3\",", "3 Price: the price is not a number (write it like 19.90)"),
        ("a,Plate,=1+1,", "3 Price: the price is not a number (write it like 19.90)"),
        ("a,Plate,1000000001,", "3 Price: the price is over 1,000,000,000"),
        ("ok-1,Plate,1,", "3 Sku: the SKU “ok-1” is already in line 2: use each SKU once"),
        ("a,Plate", "3 Price: the price is missing"),
        (
            "a,Plate, deep,1,x",
            "3 -: the row has 5 cells where the header has 4: put quotes around a text that holds \
             a comma",
        ),
        ("a,Pl\0ate,1,", "3 Title: the cell holds a control character (U+0000): remove it"),
        ("a,Plate,1,\0", "3 Vendor: the cell holds a control character (U+0000): remove it"),
        ("a,Pl\u{1b}[0m,1,", "3 Title: the cell holds a control character (U+001B): remove it"),
        ("a,Pl\u{92}ate,1,", "3 Title: the cell holds a control character (U+0092): remove it"),
        (
            "\"a\nb\",Plate,1,",
            "3 Sku: the SKU has control characters, such as a line break: remove them",
        ),
        (&format!("a,{long},1,"), "3 Title: the title has more than 255 characters"),
        (&format!("{},Plate,1,", &long[..65]), "3 Sku: the SKU has more than 64 characters"),
        (
            &format!("a,Plate,1,{}", "x".repeat(1 << 20)),
            "3 Vendor: the cell holds 1048576 bytes; at most 32768 are read",
        ),
        (",,x,", "3 Title: the title is missing; the price is not a number (write it like 19.90)"),
    ];
    for (row, expected) in cases {
        assert_eq!(only_bad_row_message(row), expected);
    }
}

#[test]
fn limits_count_characters_and_are_inclusive() {
    let (sku, title, vendor) = ("ä".repeat(64), "ü".repeat(255), "x".repeat(32 << 10));
    let feed =
        read_text(&format!("sku,title,price,vendor\n{sku},{title},1000000000.00,{vendor}\n"));
    assert_eq!(bad_row_messages(&feed), [""; 0]);
    assert_eq!(skus(&feed), [sku]);
}

#[test]
fn lines_are_counted_as_in_an_editor_for_all_line_ends() {
    for end in ["\n", "\r\n", "\r"] {
        let text = [
            "sku,title,price,description", // 1
            "",                            // 2
            "a,Mug,1,\"one",               // 3
            "",                            // 4
            "two\"",                       // 5
            "b,Cup,x,",                    // 6
            "",                            // 7
            ",,,",                         // 8
            "   ",                         // 9
            "c,\"Pla",                     // 10
            "te\",y,",                     // 11
            "d,Jug,z,",                    // 12
            "",
        ]
        .join(end);
        for bom in ["", "\u{feff}"] {
            let feed = read_text(&[bom, &text].concat());
            let lines: Vec<_> = feed.bad_rows.iter().map(|row| row.line).collect();
            assert_eq!(lines, [6, 10, 12], "{end:?}");
            assert_eq!((skus(&feed), feed.row_count), (vec!["a"], 4), "{end:?}");
            let description = feed.products[0].description.as_deref();
            assert_eq!(description, Some(["one", "", "two"].join(end).as_str()));
        }
    }
}

#[test]
fn the_second_of_two_rows_with_one_sku_is_bad_even_if_the_first_is_too() {
    let feed = read_text("sku,title,price\na,Mug,x\na,Cup,1\nb,Jug,1\n");
    assert_eq!(
        bad_row_messages(&feed),
        [
            "2 price: the price is not a number (write it like 19.90)",
            "3 sku: the SKU “a” is already in line 2: use each SKU once",
        ]
    );
    assert_eq!(skus(&feed), ["b"]);
}

#[test]
fn a_thousand_bad_rows_are_listed_and_all_are_counted() {
    let rows: String = (0..2_500).map(|n| format!("s{n},Mug,free\n")).collect();
    let feed = read_text(&["sku,title,price\n", &rows].concat());
    assert_eq!((feed.bad_rows.len(), feed.bad_rows_total), (1_000, 2_500));
    assert_eq!(feed.bad_rows.last().map(|row| row.line), Some(1_001));
}
