//! The cells of one row, and rules for their content.

use super::{
    Delimiter,
    cell_text::{identifier, trim_and_unescape},
    findings::Findings,
    header::{Column, Header},
    layout::Layout,
    prices::PriceCell,
    records::are_blank_from,
    sku,
};
use contract::text::{self, MAX_CELL_BYTES, PRODUCT_TITLE};
use csv::StringRecord;
use std::borrow::Cow;

/// Marks a value that could not be read; [`Findings`] has the reason.
#[derive(Clone, Copy, Debug)]
pub(super) struct ErrorReported;

pub(super) struct Row<'r> {
    /// Line in which the row starts, from 1.
    pub line: u64,
    pub cells: &'r StringRecord,
    pub header: &'r Header,
    pub delimiter: Delimiter,
    /// Cell with a quote that is neither closed nor doubled.
    pub faulty_cell: Option<usize>,
    /// Whether all cells are surely short enough and have no control characters.
    pub are_cells_plain: bool,
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

    /// Returns whether all cells have a column, except blank ones, and all quotes are closed.
    /// Missing cells at the end are blank cells.
    pub(super) fn is_well_formed(&self) -> bool {
        self.faulty_cell.is_none() && are_blank_from(self.cells, self.header.width())
    }

    /// Checks that every cell is in its column, and that the cells that are read have valid
    /// content.
    pub(super) fn validate(
        &self,
        layout: &Layout,
        findings: &mut Findings,
    ) -> Result<(), ErrorReported> {
        if let Some(cell) = self.faulty_cell {
            let reason = "a quote opens here that is never closed: close it, and write a quote \
                          inside a cell as two quotes";
            findings.report_error(self.line, self.header.column_name(cell), reason);
            return Err(ErrorReported);
        }
        if !self.is_well_formed() {
            let (cells, width) = (self.cells.len(), self.header.width());
            let name = self.delimiter.name();
            let reason = format!(
                "the row has {cells} cells where the header has {width}: put quotes around a text \
                 that holds a {name}"
            );
            findings.report_error(self.line, None, &reason);
            return Err(ErrorReported);
        }
        if self.are_cells_plain {
            return Ok(());
        }
        let cells = self.cells.iter().enumerate().filter(|(index, _)| layout.reads(*index));
        let invalid_cell = cells.into_iter().find_map(|(index, cell)| {
            let cell = trim_and_unescape(cell);
            if cell.len() > MAX_CELL_BYTES {
                let bytes = cell.len();
                let reason =
                    format!("the cell holds {bytes} bytes; at most {MAX_CELL_BYTES} are read");
                return Some((index, reason));
            }
            let code = u32::from(text::find_control_character(cell)?);
            let reason = format!("the cell holds a control character (U+{code:04X}): remove it");
            Some((index, reason))
        });
        match invalid_cell {
            Some((index, reason)) => {
                findings.report_error(self.line, self.header.column_name(index), &reason);
                Err(ErrorReported)
            }
            None => Ok(()),
        }
    }

    /// Returns the text of a cell that identifies something, such as a parent's SKU.
    pub(super) fn identifier(&self, column: Option<&Column>) -> Option<Cow<'r, str>> {
        let cell = self.cells.get(column?.index)?;
        Some(identifier(cell)).filter(|text| !text.is_empty())
    }

    /// Returns the SKU, if the cell has one.
    pub(super) fn sku(
        &self,
        column: Option<&Column>,
        findings: &mut Findings,
    ) -> Result<Option<String>, ErrorReported> {
        let Some(column) = column else { return Ok(None) };
        let sku = identifier(self.cells.get(column.index).unwrap_or_default());
        if sku.is_empty() {
            return Ok(None);
        }
        if let Err(reason) = sku::validate(&sku) {
            return Err(self.report_error(column, reason, findings));
        }
        if let Cow::Owned(sku) = &sku {
            let text = format!("invisible characters are taken off the SKU: “{sku}” is used");
            findings.add_note(self.line, text);
        }
        Ok(Some(sku.into_owned()))
    }

    pub(super) fn title(
        &self,
        column: &Column,
        findings: &mut Findings,
    ) -> Result<&'r str, ErrorReported> {
        let title = self.cell(column);
        if title.is_empty() {
            return Err(self.report_error(column, "the title is missing", findings));
        }
        self.validate_title(title, column, findings)?;
        Ok(title)
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

    /// Reads the cell of a price; [`Rules::resolve`](super::prices::Rules::resolve) reports
    /// what is wrong with it.
    pub(super) fn price(&self, column: Option<&Column>, findings: &mut Findings) -> PriceCell {
        match column {
            Some(column) => findings.prices.read(self.cell(column), self.line, column),
            None => PriceCell::Missing,
        }
    }
}
