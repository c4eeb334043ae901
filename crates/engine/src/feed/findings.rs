//! Findings about a file besides its products.

use super::{
    BadRow, FeedNote,
    prices::{MAX_LINES, PriceSurvey},
    text_keys::{TextKeyMap, TextKeys},
};
use contract::feed::{
    Answer, LeftOut, LeftOutKind, LeftOutRow, Question, QuestionSubject, ZeroPriceChoice,
};
use std::collections::{BTreeMap, hash_map::Entry};

/// Bad rows, left-out rows, notes, prices and SKUs in use, collected while a file is read.
#[derive(Default)]
pub(super) struct Findings {
    pub prices: PriceSurvey,
    bad_rows: BTreeMap<u64, BadRow>,
    left_out: BTreeMap<u64, LeftOutRow>,
    /// Valid rows of products that have a bad row.
    skipped: BTreeMap<u64, LeftOutRow>,
    notes: Vec<FeedNote>,
    sku_keys: TextKeys,
    sku_claims: TextKeyMap<SkuClaim>,
    zero_prices: u64,
    zero_price_lines: Vec<u64>,
}

/// The product or variant that uses a SKU.
struct SkuClaim {
    line: u64,
    is_product: bool,
    group: u32,
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

    /// Marks a row of a product that has a bad row, which may be this one.
    pub(super) fn skip_row(&mut self, line: u64, product: &str) {
        match self.bad_rows.get_mut(&line) {
            Some(row) => {
                row.reason =
                    format!("{} (so the whole product “{product}” is left out)", row.reason);
            }
            None => {
                let reason = format!("another row of the product “{product}” is bad");
                let kind = LeftOutKind::BadProduct;
                self.skipped.insert(line, LeftOutRow { line, column: None, reason, kind });
            }
        }
    }

    /// Leaves a row out by rule. What is wrong with it doesn't matter then.
    pub(super) fn leave_out(&mut self, line: u64, kind: LeftOutKind, column: &str, reason: &str) {
        self.bad_rows.remove(&line);
        let column = Some(column.to_owned()).filter(|column| !column.is_empty());
        self.left_out.insert(line, LeftOutRow { line, column, reason: reason.to_owned(), kind });
    }

    pub(super) fn add_note(&mut self, line: u64, text: String) {
        self.notes.push(FeedNote { line, text });
    }

    /// Counts a product that costs nothing.
    pub(super) fn count_zero_price(&mut self, line: u64) {
        self.zero_prices += 1;
        if self.zero_price_lines.len() < MAX_LINES {
            self.zero_price_lines.push(line);
        }
    }

    /// Makes room for this number of SKUs.
    pub(super) fn reserve_skus(&mut self, count: usize) {
        self.sku_claims.reserve(count);
    }

    pub(super) fn claim_product_sku(
        &mut self,
        sku: &str,
        line: u64,
        group: u32,
    ) -> Result<(), u64> {
        self.claim_sku(sku, SkuClaim { line, is_product: true, group })
    }

    pub(super) fn claim_variant_sku(
        &mut self,
        sku: &str,
        line: u64,
        group: u32,
    ) -> Result<(), u64> {
        self.claim_sku(sku, SkuClaim { line, is_product: false, group })
    }

    /// Claims a SKU, or returns the line that already uses it. A product and one of its own
    /// variants may share a SKU.
    fn claim_sku(&mut self, sku: &str, claim: SkuClaim) -> Result<(), u64> {
        match self.sku_claims.entry(self.sku_keys.key(sku)) {
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
                existing.group = u32::MAX;
                Ok(())
            }
        }
    }

    /// Returns the question whether products that cost nothing are sent, unless it is answered.
    pub(super) fn zero_price_question(&self, chosen: Option<ZeroPriceChoice>) -> Option<Question> {
        if self.zero_prices == 0 || chosen.is_some() {
            return None;
        }
        let lines: Vec<_> = self.zero_price_lines.iter().map(u64::to_string).collect();
        let more = if self.zero_prices > lines.len() as u64 { ", …" } else { "" };
        let lines = lines.join(", ");
        let text = match self.zero_prices {
            1 => format!("1 product costs 0.00 (line {lines}). Is it sent?"),
            count => format!("{count} products cost 0.00 (lines {lines}{more}). Are they sent?"),
        };
        let answer = |choice: ZeroPriceChoice, label: &str| Answer {
            value: choice.as_str().to_owned(),
            label: label.to_owned(),
        };
        Some(Question {
            subject: QuestionSubject::ZeroPrice {
                count: self.zero_prices,
                lines: self.zero_price_lines.clone(),
            },
            text,
            parameter: "zero_price".to_owned(),
            answers: vec![
                answer(ZeroPriceChoice::Send, "Send at 0.00"),
                answer(ZeroPriceChoice::LeaveOut, "Leave out"),
            ],
        })
    }

    /// Returns the rows that are left out by rule.
    pub(super) fn left_out(&self) -> LeftOut {
        let mut left_out = LeftOut::default();
        self.left_out.values().for_each(|row| left_out.push(row.clone()));
        left_out
    }

    /// Returns all rows that an upload without the bad rows leaves out, by line.
    pub(super) fn all_left_out(&self) -> BTreeMap<u64, LeftOutRow> {
        let mut rows = self.skipped.clone();
        rows.extend(self.left_out.clone());
        rows.extend(self.bad_rows.iter().map(|(line, row)| (*line, row.clone().into())));
        rows
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
