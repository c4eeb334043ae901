//! Decodes bytes to text, or reports why they are not text.

use super::{
    MAX_BYTES, ReadError,
    header::Header,
    scanner::{count_line_ends, scan},
    table::detect_delimiter,
};

/// First bytes of files that people upload by mistake.
const BINARY_SIGNATURES: [(&[u8], &str); 6] = [
    (b"%PDF-", "a PDF"),
    (b"\x89PNG", "a PNG image"),
    (b"\xFF\xD8\xFF", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x1F\x8B", "a gzip archive"),
    (b"Rar!\x1A", "a RAR archive"),
];
/// First bytes of ZIP files, such as `.xlsx` and `.ods`, and of old `.xls` files.
const WORKBOOK_SIGNATURES: [&[u8]; 3] = [b"PK\x03\x04", b"PK\x05\x06", b"\xD0\xCF\x11\xE0"];

/// Returns the text of a file without its byte order mark.
pub(super) fn decode(bytes: &[u8]) -> Result<&str, ReadError> {
    if bytes.len() > MAX_BYTES {
        return Err(ReadError::TooLarge { bytes: bytes.len() });
    }
    if is_utf16(bytes) {
        return Err(ReadError::Utf16);
    }
    if WORKBOOK_SIGNATURES.iter().any(|signature| bytes.starts_with(signature)) {
        return Err(ReadError::Workbook);
    }
    if let Some((_, what)) =
        BINARY_SIGNATURES.iter().find(|(signature, _)| bytes.starts_with(signature))
    {
        return Err(ReadError::Binary { what });
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        nul_error(bytes).unwrap_or_else(|| utf8_error(bytes, error.valid_up_to()))
    })?;
    if text.trim().is_empty() {
        return Err(ReadError::Empty);
    }
    Ok(text)
}

/// Recognises UTF-16 by its byte order mark, or by a beginning in which most other bytes
/// are zero, because header lines are mostly ASCII.
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

fn nul_error(bytes: &[u8]) -> Option<ReadError> {
    let (before, _) = bytes.split_at(bytes.iter().position(|&byte| byte == 0)?);
    Some(ReadError::Nul { line: 1 + count_line_ends(before) })
}

fn utf8_error(bytes: &[u8], valid_up_to: usize) -> ReadError {
    let (valid, rest) = bytes.split_at(valid_up_to);
    let delimiter = detect_delimiter(valid);
    let position = scan(valid, delimiter.as_byte()).end;
    ReadError::NotUtf8 {
        line: position.line,
        column: Header::column_name_at(&String::from_utf8_lossy(valid), delimiter, position),
        byte: rest.first().copied().unwrap_or_default(),
    }
}
