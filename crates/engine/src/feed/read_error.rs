//! Reasons why a file can't be read at all.

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
    /// The file is a spreadsheet or an archive.
    #[error("This is an Excel workbook or a ZIP file. Save it as CSV UTF-8 and upload that.")]
    Workbook,
    /// The file has a known binary format.
    #[error("This is {what}, not a CSV file. Save the products as CSV UTF-8 and upload that.")]
    Binary {
        /// Name of the format with its article.
        what: &'static str,
    },
    /// The header, or a file that is not UTF-8, has a NUL byte.
    #[error(
        "Line {line} holds a NUL byte, so this is not a text file. Save the products as CSV UTF-8 \
         and upload that."
    )]
    Nul {
        /// Line of the byte.
        line: u64,
    },
    /// The file is in UTF-16.
    #[error("The file is in UTF-16. Save it as CSV UTF-8 and upload it again.")]
    Utf16,
    /// A byte is not UTF-8.
    #[error(
        "Line {line}{} holds the byte {byte:#04X}, which is not UTF-8. Save the file as CSV UTF-8 \
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
    /// A quote is never closed.
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
    /// The header fits none of the formats.
    #[error(
        "The header line is not one of a product file: it has {}. Name the columns sku, title and \
         price, or upload an export of Shopify (Handle, Title, Variant Price) or WooCommerce \
         (SKU, Name, Regular price).",
        quote_names(found)
    )]
    UnknownHeader {
        /// The first column names, as the file spells them.
        found: Vec<String>,
    },
    /// The header lacks a column that its format requires.
    #[error(
        "The header in line {line} has no column {name}. Add it; the columns found are {}.",
        quote_names(found)
    )]
    MissingColumn {
        /// Name of the missing column.
        name: &'static str,
        /// Line of the header.
        line: u64,
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
    /// The csv crate can't parse a row.
    #[error("Line {line} can't be read as CSV: {cause}.")]
    Malformed {
        /// Line of the row before.
        line: u64,
        /// Message of the csv crate.
        cause: String,
    },
}

fn in_column(column: &Option<String>) -> String {
    column.as_ref().map(|name| format!(", column {name},")).unwrap_or_default()
}

fn quote_names(names: &[String]) -> String {
    names.iter().map(|name| format!("“{name}”")).collect::<Vec<_>>().join(", ")
}
