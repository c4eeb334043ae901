//! The rows of one handle, and the product they make.

use crate::feed::{cell::clipped, findings::Findings, header::Column, sku};
use contract::product::{Price, Product, Variant};
use std::collections::BTreeSet;

pub(super) struct Group {
    pub handle: String,
    /// The line of its first row.
    pub line: u64,
    /// How many rows it has, images too.
    pub rows: usize,
    pub title: String,
    pub description: Option<String>,
    pub vendor: Option<String>,
    pub image: Option<String>,
    pub drafts: Vec<Draft>,
    /// Lines of bad rows.
    pub faulty: BTreeSet<u64>,
}

/// A variant that may have no SKU yet.
pub(super) struct Draft {
    pub line: u64,
    pub sku: Option<String>,
    pub title: String,
    pub price: Price,
}

/// The columns to name in bad rows.
pub(super) struct Columns<'c> {
    pub handle: &'c Column,
    pub sku: Option<&'c Column>,
    pub option: Option<&'c Column>,
}

impl Columns<'_> {
    fn sku(&self) -> Option<&str> {
        self.sku.map(|column| column.name.as_str())
    }
}

impl Group {
    /// The SKU that the handle makes; what is too long is shortened.
    fn sku(&self) -> String {
        sku::shortened(&self.handle)
    }

    fn has_options(&self) -> bool {
        self.drafts.len() > 1
    }

    /// Takes the SKUs that stand in the file: the handle of a product with
    /// several variants, and those in the SKU column.
    pub(super) fn check(&mut self, index: usize, columns: &Columns<'_>, findings: &mut Findings) {
        let handle = Some(columns.handle.name.as_str());
        if self.handle.chars().any(char::is_control) {
            let reason = "the handle has control characters, such as a line break: remove them";
            findings.fault(self.line, handle, reason);
            self.faulty.insert(self.line);
        }
        if self.has_options()
            && let Err(first) = findings.claim_product(&self.sku(), self.line, index)
        {
            findings.duplicate(self.line, handle, &self.sku(), first);
            self.faulty.insert(self.line);
        }
        for draft in &self.drafts {
            if self.has_options() && draft.title.is_empty() {
                let column = columns.option.map(|column| column.name.as_str());
                findings.fault(draft.line, column, "the option value is missing");
                self.faulty.insert(draft.line);
            }
            let Some(sku) = &draft.sku else { continue };
            let claimed = match self.has_options() {
                true => findings.claim_variant(sku, draft.line, index),
                false => findings.claim_product(sku, draft.line, index),
            };
            if let Err(first) = claimed {
                findings.duplicate(draft.line, columns.sku(), sku, first);
                self.faulty.insert(draft.line);
            }
        }
    }

    pub(super) fn finish(
        mut self,
        index: usize,
        columns: &Columns<'_>,
        findings: &mut Findings,
    ) -> Option<Product> {
        let made = if self.has_options() {
            self.variants(index, columns, findings).map(|variants| (self.sku(), variants))
        } else {
            self.single_sku(index, columns, findings).map(|sku| (sku, Vec::new()))
        };
        if !self.faulty.is_empty() {
            if self.rows > 1 || self.faulty.iter().any(|line| *line != self.line) {
                let name = clipped(&self.handle, 64);
                self.faulty.iter().for_each(|line| findings.left_out(*line, &name));
            }
            return None;
        }
        let (sku, variants) = made?;
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

    fn variants(
        &mut self,
        index: usize,
        columns: &Columns<'_>,
        findings: &mut Findings,
    ) -> Option<Vec<Variant>> {
        let of_product = self.sku();
        if of_product != self.handle {
            findings.note(self.line, format!("the handle is long: its SKU is “{of_product}”"));
        }
        let mut variants = Vec::with_capacity(self.drafts.len());
        for Draft { line, sku, title, price } in &self.drafts {
            let sku = match sku {
                Some(sku) => sku.clone(),
                None => match sku::derive_variant(&of_product, title, *line, index, findings) {
                    Ok(sku) => sku,
                    Err((sku, first)) => {
                        findings.duplicate(*line, columns.sku(), &sku, first);
                        self.faulty.insert(*line);
                        return None;
                    }
                },
            };
            variants.push(Variant { sku, title: title.clone(), price: *price });
        }
        Some(variants)
    }

    fn single_sku(
        &mut self,
        index: usize,
        columns: &Columns<'_>,
        findings: &mut Findings,
    ) -> Option<String> {
        let Draft { line, sku, .. } = self.drafts.first()?;
        if let Some(sku) = sku {
            return Some(sku.clone());
        }
        let sku = self.sku();
        if let Err(first) = findings.claim_product(&sku, *line, index) {
            findings.duplicate(*line, columns.sku(), &sku, first);
            self.faulty.insert(*line);
            return None;
        }
        findings.note(*line, format!("no SKU is given: “{sku}” is used"));
        Some(sku)
    }
}
