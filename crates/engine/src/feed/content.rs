//! Content of a file: a workbook or a text.

use super::{
    Encoding, MAX_BYTES, ReadError, ReadOptions,
    encoding::{self, DecodedText},
    workbook::{self, Workbook},
};

/// First bytes of files that people upload by mistake.
const BINARY_SIGNATURES: [(&[u8], &str); 6] = [
    (b"%PDF-", "a PDF"),
    (b"\x89PNG", "a PNG image"),
    (b"\xFF\xD8\xFF", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"Rar!\x1A", "a RAR archive"),
    (b"7z\xBC\xAF", "a 7z archive"),
];

#[derive(Debug)]
pub(super) enum Content<'b> {
    Text(DecodedText<'b>),
    Workbook(Workbook),
}

impl<'b> Content<'b> {
    /// Opens a file that is not compressed.
    pub(super) fn open(bytes: &'b [u8], options: &ReadOptions) -> Result<Self, ReadError> {
        if bytes.len() > MAX_BYTES {
            return Err(ReadError::TooLarge { bytes: bytes.len() });
        }
        if let Some(workbook) = workbook::open(bytes, options.sheet.as_deref())? {
            return Ok(Self::Workbook(workbook));
        }
        let mut signatures = BINARY_SIGNATURES.iter();
        if let Some((_, what)) = signatures.find(|(start, _)| bytes.starts_with(start)) {
            return Err(ReadError::Binary { what });
        }
        encoding::decode(bytes, options.encoding).map(Self::Text)
    }

    pub(super) fn encoding(&self) -> Encoding {
        match self {
            Self::Text(text) => text.encoding,
            Self::Workbook(_) => Encoding::Utf8,
        }
    }

    /// Returns the names of a workbook's sheets.
    pub(super) fn sheets(&self) -> &[String] {
        match self {
            Self::Text(_) => &[],
            Self::Workbook(workbook) => &workbook.sheets,
        }
    }

    /// Returns the name of the sheet that is read.
    pub(super) fn sheet(&self) -> Option<&str> {
        match self {
            Self::Text(_) => None,
            Self::Workbook(workbook) => Some(&workbook.sheet),
        }
    }
}
