//! Files that can't be read at all: each error says what is wrong and where.

use super::*;
use crate::feed::{Encoding, MAX_BYTES, MAX_ROWS, ReadError};
use flate2::{Compression, write::GzEncoder};
use std::io::Write;

const GOOD: &str = "sku,title,price\na,Mug,1\n";

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
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
        (
            "an unpaired surrogate",
            [b"\xFF\xFE".as_slice(), &utf16("sku\nab", u16::to_le_bytes), b"\x00\xD8"].concat(),
            ReadError::NotInEncoding { encoding: Encoding::Utf16Le, line: 2 },
        ),
        (
            "xls",
            b"\xD0\xCF\x11\xE0\xA1\xB1".to_vec(),
            ReadError::UnsupportedWorkbook { kind: "an old Excel workbook (.xls)" },
        ),
        (
            "an encrypted workbook",
            [b"\xD0\xCF\x11\xE0".as_slice(), &utf16("EncryptedPackage", u16::to_le_bytes)].concat(),
            ReadError::EncryptedWorkbook,
        ),
        (
            "half a gzip file",
            gzip(GOOD.as_bytes())[..20].to_vec(),
            ReadError::DamagedGzip { cause: "incomplete deflate stream".into() },
        ),
        ("a gzip bomb", gzip(&vec![b' '; MAX_BYTES + 1]), ReadError::UnpackedTooLarge),
        ("PDF", b"%PDF-1.7\n%\xE2".to_vec(), ReadError::Binary { what: "a PDF" }),
        ("PNG", b"\x89PNG\r\n\x1A\n".to_vec(), ReadError::Binary { what: "a PNG image" }),
        ("zeros", vec![0; 4096], ReadError::Nul { line: 1 }),
        ("an executable", b"\x7FELF\x02\x01\n\xFF\0\0".to_vec(), ReadError::Nul { line: 2 }),
        ("NUL in the header", b"\nsku,ti\0tle,price\na,b,1".to_vec(), ReadError::Nul { line: 2 }),
        (
            "UTF-8 with a byte of Latin-1",
            "sku,title,price\na,Käse,1\nb,Caf".bytes().chain(*b"\xE9,2\n").collect(),
            ReadError::NotUtf8 { line: 3, column: column("title"), byte: 0xE9 },
        ),
        (
            "UTF-8 cut off within a quoted cell of two lines",
            "sku;title;price;vendor\r\na;\"Mü;\r\ngö".bytes().chain(*b"\xC3").collect(),
            ReadError::NotUtf8 { line: 3, column: column("title"), byte: 0xC3 },
        ),
        (
            "a byte of Latin-1 behind a mark",
            b"\xEF\xBB\xBF\n\r\nsku,Pr\xE9is".to_vec(),
            ReadError::NotUtf8 { line: 3, column: None, byte: 0xE9 },
        ),
        (
            "a quote left open in the header",
            b"sku,\"title,price\na,b,1\n".to_vec(),
            ReadError::UnclosedQuote { line: 1, column: None },
        ),
        (
            "prose",
            b"Dear Sir,\nplease find enclosed\n".to_vec(),
            ReadError::UnknownHeader { found: columns(&["Dear Sir"]) },
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
        message("sku,title,price\nä,ü\u{10ffff},1\n".as_bytes().split_at(23).0),
        "Line 2, column title, holds the byte 0xF4, which is not UTF-8 like the rest of the file. \
         Save the file as CSV UTF-8 and upload it again."
    );
    assert_eq!(
        message(b"sku,\"title,price\na,b,1\n"),
        "A quote opened in line 1 is never closed. Close it, or write a quote inside a cell as two \
         quotes."
    );
    assert_eq!(
        message(b"colour\nred\n"),
        "The header line is not one of a product file: it has “colour”. A product file has at \
         least the columns sku, title and price, separated by commas, semicolons, tabs or pipes."
    );
    assert_eq!(
        message(b"sku,title,price\na,Mug,$1\nb,Cup,\nc,Jug,2 \xE2\x82\xAC\n"),
        "The prices are in two currencies: USD in line 2 and EUR in line 4. Upload one file for \
         each currency."
    );
    assert_eq!(
        message(&vec![b'a'; MAX_BYTES + 1]),
        "The file has 33 MiB; at most 32 MiB are read. Split it into several files."
    );
}
