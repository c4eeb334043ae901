//! What was found out about a file besides its products.

use super::{BadRow, Note};
use std::collections::{BTreeMap, HashMap, hash_map::Entry};

/// Bad rows, notes and SKUs, gathered while a file is read.
#[derive(Default)]
pub(super) struct Findings {
    bad: BTreeMap<u64, BadRow>,
    notes: Vec<Note>,
    taken: HashMap<String, Taken>,
}

/// Who has a SKU.
struct Taken {
    line: u64,
    by_product: bool,
    group: usize,
}

impl Findings {
    /// Something is wrong with the row that starts in `line`. A row is told
    /// once, by the column of its first fault, with every reason.
    pub(super) fn fault(&mut self, line: u64, column: Option<&str>, reason: &str) {
        match self.bad.get_mut(&line) {
            Some(row) => row.reason = format!("{}; {reason}", row.reason),
            None => {
                let column = column.map(str::to_owned);
                self.bad.insert(line, BadRow { line, column, reason: reason.to_owned() });
            }
        }
    }

    /// As [`fault`](Self::fault), for a SKU that a line before has taken.
    pub(super) fn duplicate(&mut self, line: u64, column: Option<&str>, sku: &str, first: u64) {
        let reason = format!("the SKU “{sku}” is already in line {first}: use each SKU once");
        self.fault(line, column, &reason);
    }

    /// A bad row takes a product of several rows with it.
    pub(super) fn left_out(&mut self, line: u64, product: &str) {
        if let Some(row) = self.bad.get_mut(&line) {
            row.reason = format!("{} (so the whole product “{product}” is left out)", row.reason);
        }
    }

    pub(super) fn note(&mut self, line: u64, text: String) {
        self.notes.push(Note { line, text });
    }

    pub(super) fn claim_product(&mut self, sku: &str, line: u64, group: usize) -> Result<(), u64> {
        self.claim(sku, Taken { line, by_product: true, group })
    }

    pub(super) fn claim_variant(&mut self, sku: &str, line: u64, group: usize) -> Result<(), u64> {
        self.claim(sku, Taken { line, by_product: false, group })
    }

    /// Takes a SKU, or tells the line that has it already. A product and one
    /// variant of its own may share one.
    fn claim(&mut self, sku: &str, by: Taken) -> Result<(), u64> {
        match self.taken.entry(sku.to_owned()) {
            Entry::Vacant(free) => {
                free.insert(by);
                Ok(())
            }
            Entry::Occupied(mut taken) => {
                let first = taken.get_mut();
                if first.group != by.group || first.by_product == by.by_product {
                    return Err(first.line);
                }
                // From now on the pair is complete: nobody else fits.
                first.group = usize::MAX;
                Ok(())
            }
        }
    }

    pub(super) fn bad_rows(&mut self, max: usize) -> (Vec<BadRow>, u64) {
        let bad = std::mem::take(&mut self.bad);
        let total = bad.len() as u64;
        (bad.into_values().take(max).collect(), total)
    }

    pub(super) fn notes(&mut self, max: usize) -> (Vec<Note>, u64) {
        let mut notes = std::mem::take(&mut self.notes);
        let total = notes.len() as u64;
        notes.sort_by_key(|note| note.line);
        notes.truncate(max);
        (notes, total)
    }
}
