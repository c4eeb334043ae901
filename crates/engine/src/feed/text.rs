//! From bytes to text, or why they are not text.

use super::{
    MAX_BYTES, Unreadable,
    header::Header,
    scan::{line_ends, scan},
    table::detect_delimiter,
};

/// First bytes of what people upload by mistake.
const SIGNATURES: [(&[u8], &str); 6] = [
    (b"%PDF-", "a PDF"),
    (b"\x89PNG", "a PNG image"),
    (b"\xFF\xD8\xFF", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x1F\x8B", "a gzip archive"),
    (b"Rar!\x1A", "a RAR archive"),
];
/// ZIP, which `.xlsx` and `.ods` are, and the container of old `.xls` files.
const WORKBOOKS: [&[u8]; 3] = [b"PK\x03\x04", b"PK\x05\x06", b"\xD0\xCF\x11\xE0"];

/// The file's text without its byte order mark.
pub(super) fn decode(bytes: &[u8]) -> Result<&str, Unreadable> {
    if bytes.len() > MAX_BYTES {
        return Err(Unreadable::TooLarge { bytes: bytes.len() });
    }
    if is_utf16(bytes) {
        return Err(Unreadable::Utf16);
    }
    if WORKBOOKS.iter().any(|signature| bytes.starts_with(signature)) {
        return Err(Unreadable::Workbook);
    }
    if let Some((_, what)) = SIGNATURES.iter().find(|(signature, _)| bytes.starts_with(signature)) {
        return Err(Unreadable::Binary { what });
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes)
        .map_err(|error| nul(bytes).unwrap_or_else(|| not_utf8(bytes, error.valid_up_to())))?;
    if text.trim().is_empty() {
        return Err(Unreadable::Empty);
    }
    Ok(text)
}

/// By its byte order mark, or by a first line in which every other byte is
/// zero: header lines are mostly ASCII.
fn is_utf16(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return true;
    }
    let pairs = || bytes.chunks_exact(2).take(32);
    let ascii = |high: usize, low: usize| {
        pairs().filter(|pair| pair[high] == 0 && pair[low] != 0).count() * 4 >= pairs().count() * 3
    };
    pairs().count() >= 2 && (ascii(1, 0) || ascii(0, 1))
}

fn nul(bytes: &[u8]) -> Option<Unreadable> {
    let (before, _) = bytes.split_at(bytes.iter().position(|&byte| byte == 0)?);
    Some(Unreadable::Nul { line: 1 + line_ends(before) })
}

fn not_utf8(bytes: &[u8], valid_up_to: usize) -> Unreadable {
    let (valid, rest) = bytes.split_at(valid_up_to);
    let delimiter = detect_delimiter(valid);
    let place = scan(valid, delimiter.byte()).end;
    Unreadable::NotUtf8 {
        line: place.line,
        column: Header::column_at(&String::from_utf8_lossy(valid), delimiter, place),
        byte: rest.first().copied().unwrap_or_default(),
    }
}
