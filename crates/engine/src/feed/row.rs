//! One row, and what its cells may hold.

use super::{
    Delimiter,
    cell::clean,
    findings::Findings,
    header::{Column, Header},
    sku,
};
use contract::{
    product::{Price, PriceError},
    text::{self, CELL_BYTES, PRODUCT_TITLE},
};
use csv::StringRecord;

/// Marks what could not be read; [`Findings`] has the reason.
#[derive(Clone, Copy, Debug)]
pub(super) struct Faulty;

pub(super) struct Row<'r> {
    /// The line in which the row starts, from 1.
    pub line: u64,
    pub cells: &'r StringRecord,
    pub header: &'r Header,
    pub delimiter: Delimiter,
}

impl<'r> Row<'r> {
    /// The cell's text; empty where there is no such cell.
    pub(super) fn cell(&self, column: &Column) -> &'r str {
        self.cells.get(column.index).map(clean).unwrap_or_default()
    }

    pub(super) fn text(&self, column: Option<&Column>) -> Option<String> {
        column.map(|column| self.cell(column)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    pub(super) fn fault(&self, column: &Column, reason: &str, findings: &mut Findings) -> Faulty {
        findings.fault(self.line, Some(&column.name), reason);
        Faulty
    }

    /// Whether there is a cell for each column, and no more but blank ones
    /// where the header has blank ones too. A blank one more may be the last
    /// of a row that a stray delimiter shifts.
    pub(super) fn is_whole(&self) -> bool {
        let widths = self.header.widths();
        let mut surplus = self.cells.iter().skip(*widths.start());
        widths.contains(&self.cells.len()) && surplus.all(|cell| clean(cell).is_empty())
    }

    /// Whether every cell stands under its column and is fit to be read.
    pub(super) fn check(&self, findings: &mut Findings) -> Result<(), Faulty> {
        if !self.is_whole() {
            let (cells, width) = (self.cells.len(), *self.header.widths().start());
            let hint = match cells > width {
                true => {
                    format!(": put quotes around a text that holds a {}", self.delimiter.name())
                }
                false => String::new(),
            };
            let reason = format!("the row has {cells} cells where the header has {width}{hint}");
            findings.fault(self.line, None, &reason);
            return Err(Faulty);
        }
        let unfit = self.cells.iter().map(clean).enumerate().find_map(|(index, cell)| {
            if cell.len() > CELL_BYTES {
                let bytes = cell.len();
                let reason = format!("the cell holds {bytes} bytes; at most {CELL_BYTES} are read");
                return Some((index, reason));
            }
            let code = u32::from(text::control_character(cell)?);
            Some((index, format!("the cell holds a control character (U+{code:04X}): remove it")))
        });
        match unfit {
            Some((index, reason)) => {
                findings.fault(self.line, self.header.name(index), &reason);
                Err(Faulty)
            }
            None => Ok(()),
        }
    }

    /// A SKU, if there is one.
    pub(super) fn sku(
        &self,
        column: Option<&Column>,
        findings: &mut Findings,
    ) -> Result<Option<String>, Faulty> {
        let Some((column, text)) = column.zip(self.text(column)) else { return Ok(None) };
        match sku::check(&text) {
            Ok(()) => Ok(Some(text)),
            Err(reason) => Err(self.fault(column, reason, findings)),
        }
    }

    pub(super) fn needed_sku(
        &self,
        column: &Column,
        findings: &mut Findings,
    ) -> Result<String, Faulty> {
        self.sku(Some(column), findings)?
            .ok_or_else(|| self.fault(column, "the SKU is missing", findings))
    }

    pub(super) fn title(&self, column: &Column, findings: &mut Findings) -> Result<String, Faulty> {
        let title = self.cell(column);
        if title.is_empty() {
            return Err(self.fault(column, "the title is missing", findings));
        }
        self.check_title(title, column, findings)?;
        Ok(title.to_owned())
    }

    pub(super) fn check_title(
        &self,
        title: &str,
        column: &Column,
        findings: &mut Findings,
    ) -> Result<(), Faulty> {
        // A text has no more characters than bytes.
        let max = PRODUCT_TITLE.max_chars();
        if title.len() > max && title.chars().count() > max {
            let reason = format!("the title has more than {max} characters");
            return Err(self.fault(column, &reason, findings));
        }
        Ok(())
    }

    pub(super) fn price(&self, column: &Column, findings: &mut Findings) -> Result<Price, Faulty> {
        price(self.cell(column), self.delimiter)
            .map_err(|reason| self.fault(column, &reason, findings))
    }
}

/// Where semicolons part the cells, a comma may part the decimals: that is how
/// spreadsheets write CSV in such countries. There `1.500` is one and a half
/// to one reader and fifteen hundred to the other, so it is refused.
fn price(text: &str, delimiter: Delimiter) -> Result<Price, String> {
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
    fn a_comma_parts_decimals_only_where_semicolons_part_cells() {
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
            let read = |delimiter| price(text, delimiter).ok().map(|price| price.0);
            assert_eq!(read(Delimiter::Comma), comma, "{text} between commas");
            assert_eq!(read(Delimiter::Tab), comma, "{text} between tabs");
            assert_eq!(read(Delimiter::Semicolon), semicolon, "{text} between semicolons");
        }
        assert_eq!(price("-1,50", Delimiter::Semicolon), Err("the price is negative".into()));
    }
}
