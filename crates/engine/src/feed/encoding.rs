//! Decodes bytes to text, or reports why they are not text.
//!
//! UTF-8 and UTF-16 are certain: by their marks, or because hardly any other text is valid
//! UTF-8. Everything else is a guess from the letters that the bytes would be, so the person
//! is told which encoding was assumed and may choose another one.

use super::{
    Encoding, MAX_BYTES, ReadError,
    delimiter::detect_layout,
    header::Header,
    records::{RecordReader, count_line_ends},
};
use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs as codec;
use std::borrow::Cow;

/// Maximum size of a decoded text, in bytes. A byte of Windows-1252 may become three.
const MAX_TEXT_BYTES: usize = 2 * MAX_BYTES;
/// Size of the part of a file from which its encoding is guessed, in bytes.
const GUESS_BYTES: usize = 64 << 10;
/// Size of the pieces in which a text is decoded, in bytes.
const PIECE_BYTES: usize = 16 << 10;
/// By how many the valid or the invalid characters must prevail to decide for all of a file.
const CLEAR_MAJORITY: usize = 1_000;
/// Number of bytes beyond ASCII from which a guess other than Windows-1252 is trusted.
const MIN_BYTES_FOR_GUESS: usize = 8;

/// Text of a file, and the encoding it had.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DecodedText<'b> {
    text: Cow<'b, str>,
    pub encoding: Encoding,
}

impl DecodedText<'_> {
    /// Returns the text without the marks that it begins with, of which some programs write
    /// two, and without the end-of-file character of DOS.
    pub(super) fn text(&self) -> &str {
        self.text.trim_start_matches('\u{feff}').trim_end_matches('\u{1a}')
    }
}

/// Decodes a file in the encoding that a person chose, or in the one that is detected.
pub(super) fn decode(bytes: &[u8], chosen: Option<Encoding>) -> Result<DecodedText<'_>, ReadError> {
    let encoding = match chosen.or_else(|| detect_unicode(bytes)) {
        Some(encoding) => encoding,
        // This takes a fifth of the time of `std::str::from_utf8` if letters beyond ASCII are rare.
        None => match codec::UTF_8.decode_without_bom_handling_and_without_replacement(bytes) {
            Some(text) => return check_text(text, Encoding::Utf8),
            None => guess_other_encoding(bytes)?,
        },
    };
    check_text(decode_as(bytes, encoding)?, encoding)
}

fn check_text(text: Cow<'_, str>, encoding: Encoding) -> Result<DecodedText<'_>, ReadError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(ReadError::UnpackedTooLarge);
    }
    let decoded = DecodedText { text, encoding };
    match decoded.text().trim().is_empty() {
        true => Err(ReadError::Empty),
        false => Ok(decoded),
    }
}

/// Guesses the encoding of a file that is neither UTF-8 nor UTF-16.
fn guess_other_encoding(bytes: &[u8]) -> Result<Encoding, ReadError> {
    if let Some(nul) = memchr::memchr(0, bytes) {
        return Err(ReadError::Nul { line: 1 + count_line_ends(&bytes[..nul]) });
    }
    match is_damaged_utf8(bytes) {
        true => Err(not_utf8(bytes)),
        false => Ok(guess_encoding(bytes)),
    }
}

/// Returns the encoding of a file that has a byte order mark, or is UTF-16 without a mark. In such
/// a file every other byte at the beginning is mostly zero, because headers are mostly ASCII.
fn detect_unicode(bytes: &[u8]) -> Option<Encoding> {
    if let Some((encoding, _)) = codec::Encoding::for_bom(bytes) {
        return Encoding::ALL.iter().copied().find(|known| codec_of(*known) == encoding);
    }
    let pairs = || bytes.chunks_exact(2).take(32);
    let ascii = |high: usize, low: usize| {
        let count = pairs().filter(|pair| pair[high] == 0 && pair[low] != 0).count();
        pairs().count() >= 2 && count * 4 >= pairs().count() * 3
    };
    if ascii(1, 0) {
        return Some(Encoding::Utf16Le);
    }
    if ascii(0, 1) {
        return Some(Encoding::Utf16Be);
    }
    None
}

/// Returns whether a file that is not valid UTF-8 was meant to be: it has at least as many
/// characters of several bytes as invalid places. Any guess would garble these characters.
fn is_damaged_utf8(bytes: &[u8]) -> bool {
    let (mut valid, mut invalid) = (0_usize, 0_usize);
    let mut rest = bytes;
    while valid.abs_diff(invalid) < CLEAR_MAJORITY {
        // ASCII decides nothing, and is skipped fastest this way.
        rest = &rest[codec::Encoding::ascii_valid_up_to(rest)..];
        let length = rest.iter().position(u8::is_ascii).unwrap_or(rest.len());
        let (letters, after) = rest.split_at(length);
        rest = after;
        match letters {
            [] => break,
            // One byte alone is no character, which saves the search for one.
            [_] => invalid += 1,
            _ => {
                for chunk in letters.utf8_chunks() {
                    valid += chunk.valid().chars().count();
                    invalid += usize::from(!chunk.invalid().is_empty());
                }
            }
        }
    }
    valid >= invalid
}

/// Guesses the encoding of a file that is not Unicode.
fn guess_encoding(bytes: &[u8]) -> Encoding {
    let first = bytes.iter().position(|byte| !byte.is_ascii()).unwrap_or(0);
    let start = first.saturating_sub(1 << 10);
    let sample = &bytes[start..bytes.len().min(first + GUESS_BYTES)];
    if sample.iter().filter(|byte| !byte.is_ascii()).count() < MIN_BYTES_FOR_GUESS {
        return Encoding::Windows1252;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(sample, false);
    let guess = detector.guess(None, Utf8Detection::Deny);
    let known = Encoding::ALL.iter().copied().find(|known| codec_of(*known) == guess);
    known.unwrap_or(Encoding::Windows1252)
}

fn decode_as(bytes: &[u8], encoding: Encoding) -> Result<Cow<'_, str>, ReadError> {
    let (text, had_errors) = match encoding {
        // Valid UTF-8 is not copied.
        Encoding::Utf8 => codec_of(encoding).decode_with_bom_removal(bytes),
        _ => decode_in_pieces(bytes, encoding),
    };
    match had_errors {
        false => Ok(text),
        true if encoding == Encoding::Utf8 => Err(not_utf8(bytes)),
        true => {
            // The decoder replaced what it could not decode.
            let before = text.split('\u{fffd}').next().unwrap_or_default();
            let line = 1 + count_line_ends(before.as_bytes());
            Err(ReadError::NotInEncoding { encoding, line })
        }
    }
}

/// Returns the text, and whether bytes were replaced that could not be decoded. The room that is
/// reserved for the longest possible text takes no memory, unlike the decoder's own buffer for
/// it, which it fills.
fn decode_in_pieces(bytes: &[u8], encoding: Encoding) -> (Cow<'_, str>, bool) {
    let mut decoder = codec_of(encoding).new_decoder_with_bom_removal();
    let max_length = decoder.max_utf8_buffer_length(bytes.len());
    let mut text = String::with_capacity(max_length.unwrap_or(bytes.len()));
    let mut piece = "\0".repeat(PIECE_BYTES);
    let (mut rest, mut had_errors) = (bytes, false);
    loop {
        let (result, read, written, has_errors) = decoder.decode_to_str(rest, &mut piece, true);
        text.push_str(piece.get(..written).unwrap_or_default());
        rest = rest.get(read..).unwrap_or_default();
        had_errors |= has_errors;
        if result == codec::CoderResult::InputEmpty {
            return (text.into(), had_errors);
        }
    }
}

fn codec_of(encoding: Encoding) -> &'static codec::Encoding {
    match encoding {
        Encoding::Utf8 => codec::UTF_8,
        Encoding::Utf16Le => codec::UTF_16LE,
        Encoding::Utf16Be => codec::UTF_16BE,
        Encoding::Windows1252 => codec::WINDOWS_1252,
        Encoding::Windows1250 => codec::WINDOWS_1250,
        Encoding::Windows1251 => codec::WINDOWS_1251,
        Encoding::Windows1254 => codec::WINDOWS_1254,
        Encoding::Iso8859_2 => codec::ISO_8859_2,
        Encoding::ShiftJis => codec::SHIFT_JIS,
    }
}

fn not_utf8(bytes: &[u8]) -> ReadError {
    let valid = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    ReadError::NotUtf8 {
        line: 1 + count_line_ends(valid.as_bytes()),
        column: last_column(valid),
        byte: bytes.get(valid.len()).copied().unwrap_or_default(),
    }
}

/// Returns the name of the column in which a text is cut off, unless that is the header.
fn last_column(text: &str) -> Option<String> {
    let layout = detect_layout(text);
    let mut records = RecordReader::new(text, layout.delimiter, layout.start);
    if !records.read_next().ok()? {
        return None;
    }
    let header = Header::new(&records.record, records.line);
    let mut cell: Option<(usize, bool)> = None;
    while cell.is_none_or(|(_, is_open)| !is_open) && records.read_next().ok()? {
        let last = records.record.len().saturating_sub(1);
        cell = Some((records.faulty_cell.unwrap_or(last), records.faulty_cell.is_some()));
    }
    header.column_name(cell?.0).map(str::to_owned)
}
