//! Reads rows in a thread of its own, while the rows before them are understood.

use super::{
    ReadError,
    row::Row,
    table::{OwnedRow, Table},
};
use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

/// Number of rows that are handed over together, so that threads rarely wait for each other.
const BATCH_ROWS: usize = 512;
/// Size of a batch in bytes from which no further row is added.
const BATCH_BYTES: usize = 512 << 10;
/// Number of batches: one that is filled, one that is used, and one between them.
const BATCHES: usize = 3;

/// Rows that are handed over. Their memory is used again for later rows.
#[derive(Default)]
struct Batch {
    rows: Vec<OwnedRow>,
    /// Number of rows that are filled.
    count: usize,
    /// Why there are no rows after these: the end of the file, or an error.
    end: Option<Result<(), ReadError>>,
}

/// Calls `use_row` for each further row of a table.
///
/// # Errors
/// A row can't be read, or `use_row` returned an error.
pub(super) fn for_each_row(
    table: &mut Table<'_>,
    mut use_row: impl FnMut(&Row<'_>) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    if table.max_rows() <= BATCH_ROWS {
        return read_in_turn(table, &mut use_row);
    }
    let (header, delimiter) = (table.header().clone(), table.delimiter());
    let (empty_sender, empty) = sync_channel(BATCHES);
    let (full_sender, full) = sync_channel(BATCHES);
    for _ in 0..BATCHES {
        // The channel has room, and its receiver is here.
        let _ = empty_sender.send(Batch::default());
    }
    let ahead = &mut *table;
    let end = thread::scope(|scope| {
        let fill = move || fill_batches(ahead, &empty, &full_sender);
        thread::Builder::new().spawn_scoped(scope, fill).ok()?;
        // The thread ends when it can't hand over its next batch.
        let (full, empty_sender) = (full, empty_sender);
        for batch in full {
            for row in batch.rows.iter().take(batch.count) {
                if let Err(error) = use_row(&row.as_row(&header, delimiter)) {
                    return Some(Err(error));
                }
            }
            if batch.end.is_some() {
                return batch.end;
            }
            let _ = empty_sender.send(batch);
        }
        None
    });
    // Without a further thread there is nobody to read ahead.
    end.unwrap_or_else(|| read_in_turn(table, &mut use_row))
}

fn read_in_turn(
    table: &mut Table<'_>,
    use_row: &mut impl FnMut(&Row<'_>) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    while let Some(row) = table.next_row()? {
        use_row(&row)?;
    }
    Ok(())
}

/// Fills batches until the file ends, or nobody wants them any more.
fn fill_batches(table: &mut Table<'_>, empty: &Receiver<Batch>, full: &SyncSender<Batch>) {
    for mut batch in empty {
        batch.fill(table);
        let is_last = batch.end.is_some();
        if full.send(batch).is_err() || is_last {
            return;
        }
    }
}

impl Batch {
    fn fill(&mut self, table: &mut Table<'_>) {
        self.rows.resize_with(BATCH_ROWS, OwnedRow::default);
        self.count = 0;
        let mut size = 0;
        for row in &mut self.rows {
            match table.read_into(row) {
                Ok(true) => self.count += 1,
                Ok(false) => self.end = Some(Ok(())),
                Err(error) => self.end = Some(Err(error)),
            }
            size += row.size();
            if self.end.is_some() || size > BATCH_BYTES {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::feed::{ReadOptions, read};
    use std::fmt::Write as _;

    #[test]
    fn rows_of_several_batches_are_read_once_each_in_their_order() {
        // The largest batches end by their size, the others by their number of rows.
        for description in [0, 3_000] {
            let mut file = "sku,title,price,description\n".to_owned();
            for index in 0..1_000 {
                let price = if index == 700 { "x" } else { "9.00" };
                let description = "d".repeat(description);
                writeln!(file, "SKU-{index},Lamp {index},{price},{description}").unwrap();
            }
            let feed = read(file.as_bytes(), &ReadOptions::default(), 0).unwrap();
            let skus: Vec<_> = feed.products.iter().map(|product| product.sku.clone()).collect();
            let expected = (0..1_000).filter(|index| *index != 700);
            assert_eq!(skus, expected.map(|index| format!("SKU-{index}")).collect::<Vec<_>>());
            assert_eq!(feed.bad_rows.iter().map(|row| row.line).collect::<Vec<_>>(), [702]);
            assert_eq!(feed.row_count, 1_000);
        }
    }
}
