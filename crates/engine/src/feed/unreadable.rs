//! Why a file can't be read at all.

/// Why no product can be read from a file. Each message says what happened and
/// what to do, for the person who chose the file. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("The file is empty. Choose a CSV file with a header line and one product per line.")]
    Empty,
    #[error("The file has a header line and no products. Add one line per product below it.")]
    HeaderOnly,
    #[error(
        "The file has {} MiB; at most 32 MiB are read. Split it into several files.",
        bytes.div_ceil(1 << 20)
    )]
    TooLarge { bytes: usize },
    #[error(
        "The file has more than 100,000 rows: line {line} is past them. Split it into several \
         files."
    )]
    TooManyRows { line: u64 },
    #[error("Line {line} has more than 1,000 cells. Check that this is a product file.")]
    TooManyCells { line: u64 },
    #[error("This is an Excel workbook or a ZIP file. Save it as CSV UTF-8 and upload that.")]
    Workbook,
    #[error("This is {what}, not a CSV file. Save the products as CSV UTF-8 and upload that.")]
    Binary { what: &'static str },
    #[error(
        "Line {line} holds a NUL byte, so this is not a text file. Save the products as CSV UTF-8 \
         and upload that."
    )]
    Nul { line: u64 },
    #[error("The file is in UTF-16. Save it as CSV UTF-8 and upload it again.")]
    Utf16,
    #[error(
        "Line {line}{} holds the byte {byte:#04X}, which is not UTF-8. Save the file as CSV UTF-8 \
         and upload it again.",
        in_column(column)
    )]
    NotUtf8 { line: u64, column: Option<String>, byte: u8 },
    #[error(
        "A quote opened in line {line}{} is never closed. Close it, or write a quote inside a cell \
         as two quotes.",
        in_column(column)
    )]
    UnclosedQuote { line: u64, column: Option<String> },
    #[error(
        "The header line is not one of a product file: it has {}. Name the columns sku, title and \
         price, or upload an export of Shopify (Handle, Title, Variant Price) or WooCommerce \
         (SKU, Name, Regular price).",
        listed(found)
    )]
    UnknownHeader {
        /// The first column names, as the file spells them.
        found: Vec<String>,
    },
    #[error(
        "The header in line {line} has no column {name}. Add it; the columns found are {}.",
        listed(found)
    )]
    MissingColumn { name: &'static str, line: u64, found: Vec<String> },
    #[error("The header in line {line} has the column {name} twice. Rename or remove one.")]
    DuplicateHeader { name: String, line: u64 },
    #[error("Line {line} can't be read as CSV: {cause}.")]
    Malformed { line: u64, cause: String },
}

fn in_column(column: &Option<String>) -> String {
    column.as_ref().map(|name| format!(", column {name},")).unwrap_or_default()
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("“{name}”")).collect::<Vec<_>>().join(", ")
}
