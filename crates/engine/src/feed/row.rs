//! The cells of one row, and rules for their content.

use super::{
    Delimiter,
    cell_text::trim_and_unescape,
    findings::Findings,
    header::{Column, Header},
    sku,
};
use contract::{
    product::{Price, PriceError},
    text::{self, MAX_CELL_BYTES, PRODUCT_TITLE},
};
use csv::StringRecord;

/// Marks a value that could not be read; [`Findings`] has the reason.
#[derive(Clone, Copy, Debug)]
pub(super) struct ErrorReported;

pub(super) struct Row<'r> {
    /// Line in which the row starts, from 1.
    pub line: u64,
    pub cells: &'r StringRecord,
    pub header: &'r Header,
    pub delimiter: Delimiter,
}

impl<'r> Row<'r> {
    /// Returns the text of a cell; empty if there is no such cell.
    pub(super) fn cell(&self, column: &Column) -> &'r str {
        self.cells.get(column.index).map(trim_and_unescape).unwrap_or_default()
    }

    pub(super) fn optional_text(&self, column: Option<&Column>) -> Option<String> {
        column.map(|column| self.cell(column)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    pub(super) fn report_error(
        &self,
        column: &Column,
        reason: &str,
        findings: &mut Findings,
    ) -> ErrorReported {
        findings.report_error(self.line, Some(&column.name), reason);
        ErrorReported
    }

    /// Returns whether there is a cell for each column, and no more except blank ones
    /// where the header has blank ones too. Any further blank cell may be the last one of
    /// a row that a stray delimiter has shifted.
    pub(super) fn has_expected_width(&self) -> bool {
        let widths = self.header.allowed_widths();
        let mut surplus = self.cells.iter().skip(*widths.start());
        widths.contains(&self.cells.len()) && surplus.all(|cell| trim_and_unescape(cell).is_empty())
    }

    /// Checks that every cell is in its column and has valid content.
    pub(super) fn validate(&self, findings: &mut Findings) -> Result<(), ErrorReported> {
        if !self.has_expected_width() {
            let (cells, width) = (self.cells.len(), *self.header.allowed_widths().start());
            let hint = match cells > width {
                true => {
                    format!(": put quotes around a text that holds a {}", self.delimiter.name())
                }
                false => String::new(),
            };
            let reason = format!("the row has {cells} cells where the header has {width}{hint}");
            findings.report_error(self.line, None, &reason);
            return Err(ErrorReported);
        }
        let invalid_cell =
            self.cells.iter().map(trim_and_unescape).enumerate().find_map(|(index, cell)| {
                if cell.len() > MAX_CELL_BYTES {
                    let bytes = cell.len();
                    let reason =
                        format!("the cell holds {bytes} bytes; at most {MAX_CELL_BYTES} are read");
                    return Some((index, reason));
                }
                let code = u32::from(text::find_control_character(cell)?);
                Some((
                    index,
                    format!("the cell holds a control character (U+{code:04X}): remove it"),
                ))
            });
        match invalid_cell {
            Some((index, reason)) => {
                findings.report_error(self.line, self.header.column_name(index), &reason);
                Err(ErrorReported)
            }
            None => Ok(()),
        }
    }

    /// Returns the SKU, if the cell has one.
    pub(super) fn sku(
        &self,
        column: Option<&Column>,
        findings: &mut Findings,
    ) -> Result<Option<String>, ErrorReported> {
        let Some((column, text)) = column.zip(self.optional_text(column)) else { return Ok(None) };
        match sku::validate(&text) {
            Ok(()) => Ok(Some(text)),
            Err(reason) => Err(self.report_error(column, reason, findings)),
        }
    }

    pub(super) fn required_sku(
        &self,
        column: &Column,
        findings: &mut Findings,
    ) -> Result<String, ErrorReported> {
        self.sku(Some(column), findings)?
            .ok_or_else(|| self.report_error(column, "the SKU is missing", findings))
    }

    pub(super) fn title(
        &self,
        column: &Column,
        findings: &mut Findings,
    ) -> Result<String, ErrorReported> {
        let title = self.cell(column);
        if title.is_empty() {
            return Err(self.report_error(column, "the title is missing", findings));
        }
        self.validate_title(title, column, findings)?;
        Ok(title.to_owned())
    }

    pub(super) fn validate_title(
        &self,
        title: &str,
        column: &Column,
        findings: &mut Findings,
    ) -> Result<(), ErrorReported> {
        // Counting characters is needed only if there are more bytes than allowed.
        let max = PRODUCT_TITLE.max_chars();
        if title.len() > max && title.chars().count() > max {
            let reason = format!("the title has more than {max} characters");
            return Err(self.report_error(column, &reason, findings));
        }
        Ok(())
    }

    pub(super) fn price(
        &self,
        column: &Column,
        findings: &mut Findings,
    ) -> Result<Price, ErrorReported> {
        parse_price(self.cell(column), self.delimiter)
            .map_err(|reason| self.report_error(column, &reason, findings))
    }
}

/// Parses a price. In files with semicolons, a comma may separate the decimals, because
/// spreadsheets write CSV so in countries with decimal commas. There `1.500` is ambiguous,
/// one and a half or fifteen hundred, and therefore rejected.
fn parse_price(text: &str, delimiter: Delimiter) -> Result<Price, String> {
    let decimal_comma = delimiter == Delimiter::Semicolon;
    let parts = text.split_once(['.', ',']).filter(|_| decimal_comma);
    if parts.is_some_and(|(_, part)| part.len() == 3 && part.bytes().all(|b| b.is_ascii_digit())) {
        return Err("the price can be read in two ways (write 1500,00 or 1,50)".into());
    }
    let read = match parts {
        Some((whole, part)) => format!("{whole}.{part}").parse(),
        None => text.parse(),
    };
    read.map_err(|error: PriceError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_commas_are_accepted_only_in_semicolon_files() {
        for (text, comma, semicolon) in [
            ("19.90", Some(1990), Some(1990)),
            ("19,90", None, Some(1990)),
            ("19,9", None, Some(1990)),
            ("1.500", Some(150), None),
            ("1,500", None, None),
            ("1.500,00", None, None),
            ("1,500.00", None, None),
            ("-1,50", None, None),
            ("20", Some(2000), Some(2000)),
        ] {
            let read = |delimiter| parse_price(text, delimiter).ok().map(|price| price.0);
            assert_eq!(read(Delimiter::Comma), comma, "{text} between commas");
            assert_eq!(read(Delimiter::Tab), comma, "{text} between tabs");
            assert_eq!(read(Delimiter::Semicolon), semicolon, "{text} between semicolons");
        }
        assert_eq!(parse_price("-1,50", Delimiter::Semicolon), Err("the price is negative".into()));
    }
}
