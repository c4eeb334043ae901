//! The rows of one handle, and the product that they form.

use crate::feed::{cell_text::truncate, findings::Findings, header::Column, sku};
use contract::product::{Price, Product, Variant};
use std::collections::BTreeSet;

pub(super) struct HandleGroup {
    pub handle: String,
    /// Line of the first row.
    pub line: u64,
    /// Number of rows, including those of images.
    pub row_count: usize,
    pub title: String,
    pub description: Option<String>,
    pub vendor: Option<String>,
    pub image: Option<String>,
    pub drafts: Vec<VariantDraft>,
    /// Lines of bad rows.
    pub bad_lines: BTreeSet<u64>,
}

/// A variant that may have no SKU yet.
pub(super) struct VariantDraft {
    pub line: u64,
    pub sku: Option<String>,
    pub title: String,
    pub price: Price,
}

/// Columns that errors of bad rows name.
pub(super) struct ReportedColumns<'c> {
    pub handle: &'c Column,
    pub sku: Option<&'c Column>,
    pub option: Option<&'c Column>,
}

impl ReportedColumns<'_> {
    fn sku_name(&self) -> Option<&str> {
        self.sku.map(|column| column.name.as_str())
    }
}

impl HandleGroup {
    /// Returns the SKU of the product: its handle, shortened if it is too long.
    fn product_sku(&self) -> String {
        sku::shorten(&self.handle)
    }

    fn has_variants(&self) -> bool {
        self.drafts.len() > 1
    }

    /// Claims the SKUs given in the file: the handle of a product with several variants, and
    /// those in the SKU column.
    pub(super) fn claim_given_skus(
        &mut self,
        index: usize,
        columns: &ReportedColumns<'_>,
        findings: &mut Findings,
    ) {
        let handle = Some(columns.handle.name.as_str());
        if self.handle.chars().any(char::is_control) {
            let reason = "the handle has control characters, such as a line break: remove them";
            findings.report_error(self.line, handle, reason);
            self.bad_lines.insert(self.line);
        }
        if self.has_variants()
            && let Err(first) = findings.claim_product_sku(&self.product_sku(), self.line, index)
        {
            findings.report_duplicate_sku(self.line, handle, &self.product_sku(), first);
            self.bad_lines.insert(self.line);
        }
        for draft in &self.drafts {
            if self.has_variants() && draft.title.is_empty() {
                let column = columns.option.map(|column| column.name.as_str());
                findings.report_error(draft.line, column, "the option value is missing");
                self.bad_lines.insert(draft.line);
            }
            let Some(sku) = &draft.sku else { continue };
            let claimed = match self.has_variants() {
                true => findings.claim_variant_sku(sku, draft.line, index),
                false => findings.claim_product_sku(sku, draft.line, index),
            };
            if let Err(first) = claimed {
                findings.report_duplicate_sku(draft.line, columns.sku_name(), sku, first);
                self.bad_lines.insert(draft.line);
            }
        }
    }

    pub(super) fn finish(
        mut self,
        index: usize,
        columns: &ReportedColumns<'_>,
        findings: &mut Findings,
    ) -> Option<Product> {
        let sku_and_variants = if self.has_variants() {
            self.build_variants(index, columns, findings)
                .map(|variants| (self.product_sku(), variants))
        } else {
            self.single_product_sku(index, columns, findings).map(|sku| (sku, Vec::new()))
        };
        if !self.bad_lines.is_empty() {
            if self.row_count > 1 || self.bad_lines.iter().any(|line| *line != self.line) {
                let name = truncate(&self.handle, 64);
                self.bad_lines
                    .iter()
                    .for_each(|line| findings.report_product_skipped(*line, &name));
            }
            return None;
        }
        let (sku, variants) = sku_and_variants?;
        Some(Product {
            sku,
            price: self.drafts.iter().map(|draft| draft.price).min()?,
            title: self.title,
            description: self.description,
            vendor: self.vendor,
            image: self.image,
            variants,
        })
    }

    fn build_variants(
        &mut self,
        index: usize,
        columns: &ReportedColumns<'_>,
        findings: &mut Findings,
    ) -> Option<Vec<Variant>> {
        let product_sku = self.product_sku();
        if product_sku != self.handle {
            findings.add_note(self.line, format!("the handle is long: its SKU is “{product_sku}”"));
        }
        let mut variants = Vec::with_capacity(self.drafts.len());
        for VariantDraft { line, sku, title, price } in &self.drafts {
            let sku = match sku {
                Some(sku) => sku.clone(),
                None => {
                    match sku::derive_variant_sku(&product_sku, title, *line, index, findings) {
                        Ok(sku) => sku,
                        Err((sku, first)) => {
                            findings.report_duplicate_sku(*line, columns.sku_name(), &sku, first);
                            self.bad_lines.insert(*line);
                            return None;
                        }
                    }
                }
            };
            variants.push(Variant { sku, title: title.clone(), price: *price });
        }
        Some(variants)
    }

    fn single_product_sku(
        &mut self,
        index: usize,
        columns: &ReportedColumns<'_>,
        findings: &mut Findings,
    ) -> Option<String> {
        let VariantDraft { line, sku, .. } = self.drafts.first()?;
        if let Some(sku) = sku {
            return Some(sku.clone());
        }
        let sku = self.product_sku();
        if let Err(first) = findings.claim_product_sku(&sku, *line, index) {
            findings.report_duplicate_sku(*line, columns.sku_name(), &sku, first);
            self.bad_lines.insert(*line);
            return None;
        }
        findings.add_note(*line, format!("no SKU is given: “{sku}” is used"));
        Some(sku)
    }
}
