//! Rows of a workbook's sheet, kept as one text.

use csv::StringRecord;

/// Rows of a sheet, without blank ones.
#[derive(Debug, Default)]
pub(super) struct SheetRows {
    text: String,
    /// End of each cell in `text`. Cells to the right of a row's last one are missing.
    cell_ends: Vec<u32>,
    rows: Vec<SheetRow>,
}

#[derive(Clone, Copy, Debug)]
struct SheetRow {
    /// Number of the row, from 1.
    number: u32,
    /// Index after the row's last cell.
    cells_end: u32,
}

impl SheetRows {
    /// Creates rows with room for this number of bytes of text. Room that is not used takes no
    /// memory, and texts that are added don't have to move.
    pub(super) fn with_capacity(text_bytes: usize) -> Self {
        Self { text: String::with_capacity(text_bytes), ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn row_count(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn cell_count(&self) -> usize {
        self.cell_ends.len()
    }

    pub(super) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// Adds a cell that is not blank. `row` counts from 1 and `column` from 0. A cell that
    /// doesn't follow the one before is ignored: a sheet lists its cells in order.
    pub(super) fn push(&mut self, row: u32, column: usize, cell: &str) {
        let start = match self.rows.last() {
            Some(last) if last.number == row => self.row_start(self.rows.len() - 1),
            Some(last) if last.number > row => return,
            _ => {
                let cells_end = self.cell_ends.len() as u32;
                self.rows.push(SheetRow { number: row, cells_end });
                self.cell_ends.len()
            }
        };
        let Some(blank_cells) = column.checked_sub(self.cell_ends.len() - start) else { return };
        let end = self.text.len() as u32;
        self.cell_ends.extend(std::iter::repeat_n(end, blank_cells));
        self.text.push_str(cell);
        self.cell_ends.push(self.text.len() as u32);
        if let Some(last) = self.rows.last_mut() {
            last.cells_end = self.cell_ends.len() as u32;
        }
    }

    /// Copies the cells of a row to `record`, and returns the number of the row.
    pub(super) fn read(&self, index: usize, record: &mut StringRecord) -> Option<u64> {
        let row = self.rows.get(index)?;
        record.clear();
        let start = self.row_start(index);
        let mut from = match start.checked_sub(1) {
            Some(before) => *self.cell_ends.get(before)?,
            None => 0,
        };
        for &end in self.cell_ends.get(start..row.cells_end as usize)? {
            record.push_field(self.text.get(from as usize..end as usize)?);
            from = end;
        }
        Some(u64::from(row.number))
    }

    /// Returns the index of a row's first cell.
    fn row_start(&self, index: usize) -> usize {
        let before = index.checked_sub(1).and_then(|before| self.rows.get(before));
        before.map_or(0, |row| row.cells_end as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_their_numbers_and_blank_cells_between_others() {
        let mut rows = SheetRows::default();
        for (row, column, cell) in
            [(2, 0, "sku"), (2, 2, "price"), (5, 1, "Mug"), (4, 0, "late"), (5, 0, "late")]
        {
            rows.push(row, column, cell);
        }
        let mut record = StringRecord::new();
        assert_eq!(rows.read(0, &mut record), Some(2));
        assert_eq!(record, ["sku", "", "price"][..]);
        assert_eq!(rows.read(1, &mut record), Some(5));
        assert_eq!(record, ["", "Mug"][..]);
        assert_eq!(rows.read(2, &mut record), None);
        assert_eq!((rows.row_count(), rows.cell_count()), (2, 5));
    }
}
