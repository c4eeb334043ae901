//! Reasons why a file can't be read at all.

use super::Encoding;

/// Why no product can be read from a file. Each message tells the person who chose the
/// file what happened and what to do. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The file has no text.
    #[error("The file is empty. Choose a CSV file with a header line and one product per line.")]
    Empty,
    /// The file has no data row.
    #[error("The file has a header line and no products. Add one line per product below it.")]
    HeaderOnly,
    /// The file exceeds [`MAX_BYTES`](super::MAX_BYTES).
    #[error(
        "The file has {} MiB; at most 32 MiB are read. Split it into several files.",
        bytes.div_ceil(1 << 20)
    )]
    TooLarge {
        /// Size of the file.
        bytes: usize,
    },
    /// The file exceeds [`MAX_ROWS`](super::MAX_ROWS).
    #[error(
        "The file has more than 100,000 rows: line {line} is past them. Split it into several \
         files."
    )]
    TooManyRows {
        /// Line of the first row too many.
        line: u64,
    },
    /// A row has too many cells.
    #[error("Line {line} has more than 1,000 cells. Check that this is a product file.")]
    TooManyCells {
        /// Line in which the row starts.
        line: u64,
    },
    /// What a compressed file or a decoded text has exceeds the limit.
    #[error(
        "The file unpacks to more than 32 MiB, which is the limit. Split it into several files."
    )]
    UnpackedTooLarge,
    /// A gzip file can't be unpacked.
    #[error("This gzip file is damaged: {cause}. Compress it again, or upload the file as it is.")]
    DamagedGzip {
        /// Message of the decoder.
        cause: String,
    },
    /// The file is a ZIP archive, and no workbook.
    #[error("This is a ZIP file. Unpack it, and upload the product file in it.")]
    Archive,
    /// The file is a workbook or document of a kind that can't be read.
    #[error("This is {kind}. Save it as .xlsx or as CSV UTF-8, and upload that.")]
    UnsupportedWorkbook {
        /// Name of the kind with its article.
        kind: &'static str,
    },
    /// The workbook is encrypted.
    #[error("This workbook is protected by a password. Save it without one, and upload it again.")]
    EncryptedWorkbook,
    /// The workbook can't be read.
    #[error("This workbook is damaged: {cause}. Open and save it again, or save it as CSV UTF-8.")]
    DamagedWorkbook {
        /// Message of the library.
        cause: String,
    },
    /// The workbook, unpacked, exceeds a limit.
    #[error(
        "The workbook holds too much: a sheet may have 32 MiB of text and 4,000,000 cells. Split it \
         into several files, or save it as CSV UTF-8."
    )]
    WorkbookTooLarge,
    /// The workbook has no sheet with the name that was chosen.
    #[error("The workbook has no sheet “{name}”. Its sheets are {}.", quote_names(found))]
    UnknownSheet {
        /// Name that was chosen.
        name: String,
        /// Names of all sheets.
        found: Vec<String>,
    },
    /// The file has a known binary format.
    #[error("This is {what}, not a CSV file. Save the products as CSV UTF-8 and upload that.")]
    Binary {
        /// Name of the format with its article.
        what: &'static str,
    },
    /// The header, or a file that is not Unicode, has a NUL byte.
    #[error(
        "Line {line} holds a NUL byte, so this is not a text file. Save the products as CSV UTF-8 \
         and upload that."
    )]
    Nul {
        /// Line of the byte.
        line: u64,
    },
    /// Bytes are invalid in the encoding that was detected or chosen.
    #[error(
        "Line {line} is not valid {}, the encoding of this file. Save it as CSV UTF-8 and upload \
         that.",
        encoding.name()
    )]
    NotInEncoding {
        /// Encoding that was detected or chosen.
        encoding: Encoding,
        /// Line of the first invalid byte.
        line: u64,
    },
    /// A byte is not UTF-8, in a file that otherwise is.
    #[error(
        "Line {line}{} holds the byte {byte:#04X}, which is not UTF-8 like the rest of the file. Save the file as CSV UTF-8 \
         and upload it again.",
        in_column(column)
    )]
    NotUtf8 {
        /// Line of the byte.
        line: u64,
        /// Name of its column, if known.
        column: Option<String>,
        /// The byte.
        byte: u8,
    },
    /// A quote in the header is never closed, or too many quotes are.
    #[error(
        "A quote opened in line {line}{} is never closed. Close it, or write a quote inside a cell \
         as two quotes.",
        in_column(column)
    )]
    UnclosedQuote {
        /// Line of the quote.
        line: u64,
        /// Name of its column, if known.
        column: Option<String>,
    },
    /// The header has fewer than two columns.
    #[error(
        "The header line is not one of a product file: it has {}. A product file has at least the \
         columns sku, title and price, separated by commas, semicolons, tabs or pipes.",
        quote_names(found)
    )]
    UnknownHeader {
        /// The first column names, as the file spells them.
        found: Vec<String>,
    },
    /// Two columns have the same name.
    #[error("The header in line {line} has the column {name} twice. Rename or remove one.")]
    DuplicateHeader {
        /// Name of the second column, as the file spells it.
        name: String,
        /// Line of the header.
        line: u64,
    },
    /// A column that the person chose doesn't exist.
    #[error("The file has no column {name}. The columns found are {}.", quote_names(found))]
    UnknownColumn {
        /// The column as the person named it.
        name: String,
        /// The first column names, as the file spells them.
        found: Vec<String>,
    },
    /// The prices are in two currencies.
    #[error(
        "The prices are in two currencies: {} in line {} and {} in line {}. Upload one file for \
         each currency.",
        first.0, first.1, second.0, second.1
    )]
    MixedCurrencies {
        /// Code of a currency, and a line that has it.
        first: (&'static str, u64),
        /// Code of another currency, and the first line that has it.
        second: (&'static str, u64),
    },
}

fn in_column(column: &Option<String>) -> String {
    column.as_ref().map(|name| format!(", column {name},")).unwrap_or_default()
}

fn quote_names(names: &[String]) -> String {
    names.iter().map(|name| format!("“{name}”")).collect::<Vec<_>>().join(", ")
}
