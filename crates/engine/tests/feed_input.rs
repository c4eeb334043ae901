//! Files as shops really write them: encodings, delimiters, and damaged rows. The files are
//! in `feed_cases`, one folder per case.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use engine::feed::{Delimiter, Encoding, Feed, ReadError, ReadOptions, read};
use std::path::Path;

fn read_case(file: &str) -> Result<Feed, ReadError> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/feed_cases").join(file);
    read(&std::fs::read(path).expect(file), &ReadOptions::default(), 0)
}

/// SKU, title and price of a product.
type Product = (&'static str, &'static str, &'static str);

/// The products of a file, and its bad rows by line.
struct Case {
    file: &'static str,
    layout: (Encoding, Delimiter),
    products: &'static [Product],
    bad_rows: &'static [(u64, &'static str)],
}

const COMMAS: (Encoding, Delimiter) = (Encoding::Utf8, Delimiter::Comma);
const SEMICOLONS: (Encoding, Delimiter) = (Encoding::Utf8, Delimiter::Semicolon);
const ONE: &[Product] = &[("A-1", "One", "1.00")];
const TWO: &[Product] = &[("A-1", "One", "1.00"), ("A-2", "Two", "2.00")];

const fn good(
    file: &'static str,
    layout: (Encoding, Delimiter),
    products: &'static [Product],
) -> Case {
    Case { file, layout, products, bad_rows: &[] }
}

const NOT_A_NUMBER: &str = "the price is not a number (write it like 19.90)";

const CASES: &[Case] = &[
    good(
        "11-woo-backslash-quote/export.csv",
        COMMAS,
        &[("ROW-1", "One", "10.00"), ("ROW-2", "Two", "11.00")],
    ),
    good("12-woo-header-linebreak/export.csv", COMMAS, &[("CLOCK", "Clock", "168.00")]),
    good(
        "13-woo-huge-meta/export.csv",
        COMMAS,
        &[("DESK", "Desk", "210.00"), ("LAMP", "Lamp", "40.00")],
    ),
    Case {
        file: "14-long-description/plain.csv",
        layout: COMMAS,
        products: &[("SHORT-1", "Short", "11.00")],
        bad_rows: &[(2, "the cell holds 42000 bytes; at most 32768 are read")],
    },
    good("22-bom/bom.csv", COMMAS, TWO),
    good("22-bom/bom-quoted.csv", SEMICOLONS, ONE),
    good("23-bom-twice-or-late/twice.csv", COMMAS, ONE),
    good("23-bom-twice-or-late/late.csv", COMMAS, ONE),
    good("23-bom-twice-or-late/tab-first.csv", COMMAS, ONE),
    good("24-sep-line/sep-comma.csv", COMMAS, ONE),
    good("24-sep-line/sep-quoted.csv", COMMAS, ONE),
    good(
        "24-sep-line/sep-semicolon.csv",
        SEMICOLONS,
        &[("A-1", "One", "1.00"), ("A-2", "Two", "2.50")],
    ),
    good(
        "25-windows-1252/ansi.csv",
        (Encoding::Windows1252, Delimiter::Semicolon),
        &[("A-1", "Käse würzig", "3.50"), ("A-2", "Brötchen – groß", "0.60")],
    ),
    good(
        "26-utf16-unicode-text/unicode-text.txt",
        (Encoding::Utf16Le, Delimiter::Tab),
        &[("A-1", "Käse", "3.50")],
    ),
    Case {
        file: "27-mac-line-ends/mac.csv",
        layout: COMMAS,
        products: &[("A-1", "One", "1.00"), ("A-3", "Three", "3.00")],
        bad_rows: &[(3, NOT_A_NUMBER)],
    },
    good("28-trailing-delimiters/all-lines.csv", COMMAS, TWO),
    good("28-trailing-delimiters/header-only.csv", COMMAS, TWO),
    good("28-trailing-delimiters/rows-only.csv", COMMAS, TWO),
    good(
        "29-short-rows/short.csv",
        COMMAS,
        &[("A-1", "One", "1.00"), ("A-2", "Two", "2.00"), ("A-3", "Three", "3.00")],
    ),
    good("30-preamble/title-line.csv", COMMAS, ONE),
    good("31-duplicate-header/notes-twice.csv", COMMAS, ONE),
    good("32-header-blanks/spaces.csv", COMMAS, ONE),
    good("32-header-blanks/nbsp.csv", COMMAS, ONE),
    good("32-header-blanks/zero-width.csv", COMMAS, ONE),
    good(
        "33-pipe/pipe.csv",
        (Encoding::Utf8, Delimiter::Pipe),
        &[("A-1", "One, with comma", "1.00"), ("A-2", "Two", "2.00")],
    ),
    good(
        "34-tab-named-csv/tabs.csv",
        (Encoding::Utf8, Delimiter::Tab),
        &[("A-1", "One, two; three", "1.00"), ("A-2", "Two", "2.00")],
    ),
    good("35-gzip/feed.csv.gz", COMMAS, ONE),
    Case {
        file: "36-unquoted-html/html.csv",
        layout: COMMAS,
        products: &[("A-2", "Two", "2.00")],
        bad_rows: &[(
            2,
            "the row has 6 cells where the header has 4: put quotes around a text that holds a \
             comma",
        )],
    },
    Case {
        file: "37-html-newlines/html.csv",
        layout: COMMAS,
        products: &[("A-1", "One", "1.00"), ("A-3", "Three", "3.00")],
        bad_rows: &[(7, NOT_A_NUMBER)],
    },
    Case {
        file: "38-blank-rows/blank.csv",
        layout: COMMAS,
        products: ONE,
        bad_rows: &[(6, NOT_A_NUMBER)],
    },
    good(
        "39-unclosed-quote/bare-inch.csv",
        COMMAS,
        &[("A-1", "7\" tablet", "1.00"), ("A-2", "7 \"x\" tablet", "2.00")],
    ),
    Case {
        file: "39-unclosed-quote/inch.csv",
        layout: COMMAS,
        products: &[
            ("A-1", "7\" tablet", "1.00"),
            ("A-2", "Frame 10", "2.00"),
            ("A-4", "Four", "4.00"),
        ],
        bad_rows: &[(
            4,
            "a quote opens here that is never closed: close it, and write a quote inside a cell \
             as two quotes",
        )],
    },
];

#[test]
fn every_case_is_read() {
    for Case { file, layout, products, bad_rows } in CASES {
        let feed = read_case(file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let prices: Vec<_> = feed.products.iter().map(|p| p.price.to_string()).collect();
        let found = feed.products.iter().zip(&prices);
        let found: Vec<_> =
            found.map(|(p, price)| (p.sku.as_str(), p.title.as_str(), price.as_str())).collect();
        assert_eq!(found, *products, "{file}");
        let bad: Vec<_> = feed.bad_rows.iter().map(|row| (row.line, row.reason.as_str())).collect();
        assert_eq!(bad, *bad_rows, "{file}");
        assert_eq!((feed.encoding, feed.delimiter), *layout, "{file}");
    }
}

#[test]
fn a_column_that_is_read_must_not_occur_twice() {
    assert_eq!(
        read_case("31-duplicate-header/price-twice.csv").unwrap_err(),
        ReadError::DuplicateHeader { name: "price".into(), line: 1 }
    );
}
