//! Files that can't be read at all: each error says what is wrong and where.

use super::*;
use crate::feed::{MAX_BYTES, MAX_ROWS, ReadError};

const GOOD: &str = "sku,title,price\na,Mug,1\n";

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

fn with_bom(bom: &[u8], rest: &[u8]) -> Vec<u8> {
    [bom, rest].concat()
}

fn columns(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

#[test]
fn files_that_are_not_product_feeds_are_rejected() {
    let column = |name: &str| Some(name.to_owned());
    let cases: Vec<(&str, Vec<u8>, ReadError)> = vec![
        ("nothing", vec![], ReadError::Empty),
        ("only a BOM", b"\xEF\xBB\xBF".to_vec(), ReadError::Empty),
        ("only blanks", b"\xEF\xBB\xBF \r\n\t\n".to_vec(), ReadError::Empty),
        ("only delimiters", b",,,\n,,,\n".to_vec(), ReadError::Empty),
        ("header only", b"sku,title,price".to_vec(), ReadError::HeaderOnly),
        ("header and blank rows", b"sku,title,price\n\n,,\n".to_vec(), ReadError::HeaderOnly),
        ("UTF-16 LE", utf16(GOOD, u16::to_le_bytes), ReadError::Utf16),
        ("UTF-16 BE", utf16(GOOD, u16::to_be_bytes), ReadError::Utf16),
        (
            "UTF-16 LE with a BOM",
            with_bom(b"\xFF\xFE", &utf16(GOOD, u16::to_le_bytes)),
            ReadError::Utf16,
        ),
        (
            "UTF-16 BE with a BOM",
            with_bom(b"\xFE\xFF", &utf16(GOOD, u16::to_be_bytes)),
            ReadError::Utf16,
        ),
        ("xlsx", b"PK\x03\x04\x14\0\x06\0".to_vec(), ReadError::Workbook),
        ("xls", b"\xD0\xCF\x11\xE0\xA1\xB1".to_vec(), ReadError::Workbook),
        ("PDF", b"%PDF-1.7\n%\xE2".to_vec(), ReadError::Binary { what: "a PDF" }),
        ("PNG", b"\x89PNG\r\n\x1A\n".to_vec(), ReadError::Binary { what: "a PNG image" }),
        ("zeros", vec![0; 4096], ReadError::Nul { line: 1 }),
        ("an executable", b"\x7FELF\x02\x01\n\xFF\0\0".to_vec(), ReadError::Nul { line: 2 }),
        ("NUL in the header", b"\nsku,ti\0tle,price\na,b,1".to_vec(), ReadError::Nul { line: 2 }),
        (
            "Latin-1",
            b"sku,title,price\na,Mug,1\nb,Caf\xE9,2\n".to_vec(),
            ReadError::NotUtf8 { line: 3, column: column("title"), byte: 0xE9 },
        ),
        (
            "Latin-1 behind a quoted cell of two lines",
            b"sku;title;price;vendor\r\na;\"M;\r\nug\";1;Andr\xE9\r\n".to_vec(),
            ReadError::NotUtf8 { line: 3, column: column("vendor"), byte: 0xE9 },
        ),
        (
            "Latin-1 in the header",
            b"\n\r\nsku,Pr\xE9is".to_vec(),
            ReadError::NotUtf8 { line: 3, column: None, byte: 0xE9 },
        ),
        (
            "a quote left open",
            b"sku,title,price\na,\"one\ntwo\",1\nb,\"Mug,2\nc,Cup,3\n".to_vec(),
            ReadError::UnclosedQuote { line: 4, column: column("title") },
        ),
        (
            "a quote left open in the header",
            b"sku,\"title,price\na,b,1\n".to_vec(),
            ReadError::UnclosedQuote { line: 1, column: None },
        ),
        (
            "a quote closed and opened again",
            b"sku,title,price\ra,\"Mug\"\",1\rb,Cup,2\r".to_vec(),
            ReadError::UnclosedQuote { line: 2, column: column("title") },
        ),
        (
            "prose",
            b"Dear Sir,\nplease find enclosed\n".to_vec(),
            ReadError::UnknownHeader { found: columns(&["Dear Sir"]) },
        ),
        (
            "one column of three is no product file",
            b"sku,colour\na,b\n".to_vec(),
            ReadError::UnknownHeader { found: columns(&["sku", "colour"]) },
        ),
        (
            "no price",
            b"\n\nSKU,Name\na,b\n".to_vec(),
            ReadError::MissingColumn { name: "price", line: 3, found: columns(&["SKU", "Name"]) },
        ),
        (
            "Shopify without a title",
            b"Handle,Variant Price\na,1\n".to_vec(),
            ReadError::MissingColumn {
                name: "title",
                line: 1,
                found: columns(&["Handle", "Variant Price"]),
            },
        ),
        (
            "WooCommerce without a SKU",
            b"Name,Regular price\na,1\n".to_vec(),
            ReadError::MissingColumn {
                name: "sku",
                line: 1,
                found: columns(&["Name", "Regular price"]),
            },
        ),
        (
            "a column twice",
            b"sku,title,price,Title\na,b,1,c\n".to_vec(),
            ReadError::DuplicateHeader { name: "Title".into(), line: 1 },
        ),
        (
            "a row of delimiters",
            [GOOD, &",".repeat(1_000)].concat().into_bytes(),
            ReadError::TooManyCells { line: 3 },
        ),
        (
            "more than is read",
            vec![b'a'; MAX_BYTES + 1],
            ReadError::TooLarge { bytes: MAX_BYTES + 1 },
        ),
    ];
    for (name, bytes, expected) in cases {
        assert_eq!(read(&bytes), Err(expected), "{name}");
    }
}

#[test]
fn the_first_row_over_the_limit_is_named() {
    let rows = |count: u64| (0..count).map(|n| format!("s{n},Mug,1\n")).collect::<String>();
    let text = ["sku,title,price\n", &rows(MAX_ROWS)].concat();
    assert_eq!(read_text(&text).row_count, MAX_ROWS);
    let text = [&text, "one,more,1\n"].concat();
    assert_eq!(read(text.as_bytes()), Err(ReadError::TooManyRows { line: MAX_ROWS + 2 }));
}

#[test]
fn messages_name_the_position_and_the_remedy() {
    let message = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert_eq!(
        message(b"sku,title,price\na,Caf\xE9,1\n"),
        "Line 2, column title, holds the byte 0xE9, which is not UTF-8. Save the file as CSV \
         UTF-8 and upload it again."
    );
    assert_eq!(
        message(b"sku,title,price\na,b,\"1\n"),
        "A quote opened in line 2, column price, is never closed. Close it, or write a quote \
         inside a cell as two quotes."
    );
    assert_eq!(
        message(b"colour,size\nred,1\n"),
        "The header line is not one of a product file: it has “colour”, “size”. Name the columns \
         sku, title and price, or upload an export of Shopify (Handle, Title, Variant Price) or \
         WooCommerce (SKU, Name, Regular price)."
    );
    assert_eq!(
        message(&vec![b'a'; MAX_BYTES + 1]),
        "The file has 33 MiB; at most 32 MiB are read. Split it into several files."
    );
}
