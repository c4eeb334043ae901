//! Encodings, delimiters and line ends of texts.

use super::*;
use crate::feed::{Delimiter, Encoding, ReadError, ReadOptions, content::Content, table::Table};
use flate2::{Compression, write::GzEncoder};
use proptest::{collection::vec, prelude::*};
use std::io::Write;

type Utf16 = (Encoding, &'static [u8], fn(u16) -> [u8; 2]);

const UTF16: [Utf16; 2] = [
    (Encoding::Utf16Le, b"\xFF\xFE", u16::to_le_bytes),
    (Encoding::Utf16Be, b"\xFE\xFF", u16::to_be_bytes),
];

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

#[test]
fn utf_16_is_read_with_and_without_its_mark() {
    let text = "sku\ttitle\tprice\r\na\tKäse 🧀\t1\r\nb\tMug\tx\r\n";
    for (encoding, mark, to_bytes) in UTF16 {
        let content = utf16(text, to_bytes);
        for bytes in [content.clone(), [mark, &content].concat()] {
            let feed = read(&bytes).unwrap();
            assert_eq!((feed.encoding, feed.delimiter), (encoding, Delimiter::Tab));
            assert_eq!(feed.products, [product("a", "Käse 🧀", 100)]);
            assert_eq!(feed.bad_rows[0].line, 3);
        }
    }
}

/// Product names as shops of the language write them.
const TITLES: [(Encoding, &str); 13] = [
    (Encoding::Windows1252, "Käse würzig|Brötchen – groß|Müsliriegel|Gläser 6 Stück"),
    (Encoding::Windows1252, "Thé glacé|Crème brûlée|Gâteau d’été|Forêt Noire"),
    (Encoding::Windows1252, "Piñata|Jamón ibérico|Camión pequeño|Muñeca"),
    (Encoding::Windows1252, "Pão de açúcar|Café em grão|Maçã|Açaí orgânico"),
    (Encoding::Windows1252, "Smörgåsbord|Köttbullar|Räksmörgås|Hängare"),
    (Encoding::Windows1252, "Caffè|Perché|Più tè|Città"),
    (Encoding::Windows1252, "Crème fraîche €|Reünie|Coöperatie|Patiëntenstoel"),
    (Encoding::Windows1250, "Żółta łódź|Świeże śliwki|Gęś|Piękna róża|Łyżka"),
    (Encoding::Windows1250, "Příliš žluťoučký kůň|Řeřicha|Šťáva|Ďábel"),
    (Encoding::Windows1251, "Кружка синяя|Чайник|Ложка чайная|Тарелка"),
    (Encoding::Windows1254, "Çaydanlık|Işık|Güneş gözlüğü|Şişe|Kağıt"),
    (Encoding::ShiftJis, "青いマグカップ|お茶|急須セット|皿"),
    (Encoding::Windows1252, "Café"),
];

fn encode(text: &str, encoding: Encoding) -> Vec<u8> {
    let codec = encoding_rs::Encoding::for_label(encoding.as_str().as_bytes()).unwrap();
    let (bytes, _, has_errors) = codec.encode(text);
    assert!(!has_errors, "{text}");
    bytes.into_owned()
}

#[test]
fn other_encodings_are_guessed_from_the_letters() {
    for (encoding, titles) in TITLES {
        let titles: Vec<_> = titles.split('|').collect();
        let rows = titles.iter().enumerate().map(|(row, title)| format!("{row};{title};1\r\n"));
        let text = ["sku;title;price\r\n", &rows.collect::<String>()].concat();
        let feed = read(&encode(&text, encoding)).unwrap();
        let read: Vec<_> = feed.products.iter().map(|p| p.title.as_str()).collect();
        assert_eq!((feed.encoding, read), (encoding, titles));
    }
}

#[test]
fn a_person_may_choose_the_encoding() {
    let bytes = encode("sku,title,price\na,Łódź,1\n", Encoding::Windows1250);
    let with = |encoding| ReadOptions { encoding: Some(encoding), ..ReadOptions::default() };
    let titled = |title| vec![product("a", title, 100)];
    assert_eq!(read(&bytes).unwrap().encoding, Encoding::Windows1252);
    let feed = read_bytes_with(&bytes, &with(Encoding::Windows1250)).unwrap();
    assert_eq!((feed.products, feed.encoding), (titled("Łódź"), Encoding::Windows1250));
    assert_eq!(
        read_bytes_with(&bytes, &with(Encoding::ShiftJis)),
        Err(ReadError::NotInEncoding { encoding: Encoding::ShiftJis, line: 2 })
    );
}

#[test]
fn gzip_files_are_unpacked() {
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let bytes = [gzip("sku,title,price\na,Mug,1\n"), gzip("b,Cup,2\n")].concat();
    assert_eq!(skus(&read(&bytes).unwrap()), ["a", "b"]);
}

/// Text of a cell with characters that are special to CSV, and others.
fn cell() -> impl Strategy<Value = String> {
    let letter = prop::sample::select("ab\"\"',;|\t\n\r \\é€ß1".chars().collect::<Vec<_>>());
    vec(letter, 0..8).prop_map(String::from_iter)
}

fn table_of_cells() -> impl Strategy<Value = Vec<Vec<String>>> {
    (2..6_usize).prop_flat_map(|width| {
        let names = (0..width).map(|column| format!("name {column}")).collect::<Vec<_>>();
        let row = vec(cell(), width).prop_filter("blank rows are skipped", |cells| {
            cells.iter().any(|cell| !crate::feed::cell_text::is_blank(cell))
        });
        vec(row, 1..8).prop_map(move |rows| [vec![names.clone()], rows].concat())
    })
}

fn write(table: &[Vec<String>], delimiter: u8, end: csv::Terminator, quote: bool) -> String {
    let style = if quote { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
    let mut writer = csv::WriterBuilder::new();
    writer.delimiter(delimiter).terminator(end).quote_style(style);
    let mut writer = writer.from_writer(Vec::new());
    table.iter().for_each(|row| writer.write_record(row).unwrap());
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

proptest! {
    #[test]
    fn any_table_is_read_as_it_was_written(
        table in table_of_cells(),
        delimiter in prop::sample::select(b",;\t|".to_vec()),
        end in prop::sample::select(vec![
            csv::Terminator::CRLF, csv::Terminator::Any(b'\n'), csv::Terminator::Any(b'\r'),
        ]),
        encoding in prop::sample::select(vec![
            Encoding::Utf8, Encoding::Utf16Le, Encoding::Utf16Be, Encoding::Windows1252,
        ]),
        is_declared in any::<bool>(),
        quotes_all in any::<bool>(),
    ) {
        let mut text = write(&table, delimiter, end, quotes_all);
        if is_declared {
            text.insert_str(0, &format!("sep={}\r\n", char::from(delimiter)));
        }
        let bytes = match UTF16.iter().find(|(utf16, ..)| *utf16 == encoding) {
            Some((_, mark, to_bytes)) => [mark, utf16(&text, *to_bytes).as_slice()].concat(),
            None => encode(&text, encoding),
        };
        // Random letters are no language from which an encoding could be guessed.
        let chosen = (encoding == Encoding::Windows1252).then_some(encoding);
        let options = ReadOptions { encoding: chosen, ..ReadOptions::default() };
        let content = Content::open(&bytes, &options).unwrap();
        let mut read = Table::open(&content).unwrap();
        read.find_header(|header| header.width() == table[0].len()).unwrap();
        let mut expected = table[1..].iter();
        while let Some(row) = read.next_row().unwrap() {
            prop_assert_eq!(row.faulty_cell, None);
            let cells = row.cells.iter().map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(Some(&cells), expected.next(), "{:?}", text);
        }
        prop_assert_eq!(expected.next(), None);
    }
}
