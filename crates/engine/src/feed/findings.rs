//! Findings about a file besides its products.

use super::{BadRow, FeedNote};
use std::collections::{BTreeMap, HashMap, hash_map::Entry};

/// Bad rows, notes and SKUs in use, collected while a file is read.
#[derive(Default)]
pub(super) struct Findings {
    bad_rows: BTreeMap<u64, BadRow>,
    notes: Vec<FeedNote>,
    sku_claims: HashMap<String, SkuClaim>,
}

/// The product or variant that uses a SKU.
struct SkuClaim {
    line: u64,
    is_product: bool,
    group: usize,
}

impl Findings {
    /// Reports an error of the row that starts in `line`. Each row is listed once, with the
    /// column of its first error and all reasons.
    pub(super) fn report_error(&mut self, line: u64, column: Option<&str>, reason: &str) {
        match self.bad_rows.get_mut(&line) {
            Some(row) => row.reason = format!("{}; {reason}", row.reason),
            None => {
                let column = column.map(str::to_owned);
                self.bad_rows.insert(line, BadRow { line, column, reason: reason.to_owned() });
            }
        }
    }

    /// Reports that an earlier line, `first`, already uses a SKU.
    pub(super) fn report_duplicate_sku(
        &mut self,
        line: u64,
        column: Option<&str>,
        sku: &str,
        first: u64,
    ) {
        let reason = format!("the SKU “{sku}” is already in line {first}: use each SKU once");
        self.report_error(line, column, &reason);
    }

    /// Adds to a bad row that its product of several rows is left out.
    pub(super) fn report_product_skipped(&mut self, line: u64, product: &str) {
        if let Some(row) = self.bad_rows.get_mut(&line) {
            row.reason = format!("{} (so the whole product “{product}” is left out)", row.reason);
        }
    }

    pub(super) fn add_note(&mut self, line: u64, text: String) {
        self.notes.push(FeedNote { line, text });
    }

    pub(super) fn claim_product_sku(
        &mut self,
        sku: &str,
        line: u64,
        group: usize,
    ) -> Result<(), u64> {
        self.claim_sku(sku, SkuClaim { line, is_product: true, group })
    }

    pub(super) fn claim_variant_sku(
        &mut self,
        sku: &str,
        line: u64,
        group: usize,
    ) -> Result<(), u64> {
        self.claim_sku(sku, SkuClaim { line, is_product: false, group })
    }

    /// Claims a SKU, or returns the line that already uses it. A product and one of its own
    /// variants may share a SKU.
    fn claim_sku(&mut self, sku: &str, claim: SkuClaim) -> Result<(), u64> {
        match self.sku_claims.entry(sku.to_owned()) {
            Entry::Vacant(entry) => {
                entry.insert(claim);
                Ok(())
            }
            Entry::Occupied(mut entry) => {
                let existing = entry.get_mut();
                if existing.group != claim.group || existing.is_product == claim.is_product {
                    return Err(existing.line);
                }
                // The pair is complete, so no further claim may match.
                existing.group = usize::MAX;
                Ok(())
            }
        }
    }

    pub(super) fn take_bad_rows(&mut self, max: usize) -> (Vec<BadRow>, u64) {
        let bad = std::mem::take(&mut self.bad_rows);
        let total = bad.len() as u64;
        (bad.into_values().take(max).collect(), total)
    }

    pub(super) fn take_notes(&mut self, max: usize) -> (Vec<FeedNote>, u64) {
        let mut notes = std::mem::take(&mut self.notes);
        let total = notes.len() as u64;
        notes.sort_by_key(|note| note.line);
        notes.truncate(max);
        (notes, total)
    }
}
