//! Groups products and variants that have rows of their own, in any order. Each variant
//! names its product, and they are joined when all rows are known.

use super::{findings::Findings, header::Column, sku};
use contract::product::{Price, Product, Variant};
use std::collections::{BTreeSet, HashMap};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RowKind {
    Product,
    /// A product whose price is that of its variants.
    PricedByVariants,
    /// A variant of the product with this id or SKU.
    VariantOf(String),
}

/// Content of one row.
pub(super) struct ProductRow {
    pub line: u64,
    /// Another id by which variants may name the product.
    pub id: Option<String>,
    pub kind: RowKind,
    /// Whether a value of the row could not be read.
    pub is_invalid: bool,
    /// SKU. A variant without one gets a derived SKU; a product without one is invalid.
    pub sku: Option<String>,
    pub title: String,
    pub price: Option<Price>,
    pub description: Option<String>,
    pub vendor: Option<String>,
    pub image: Option<String>,
}

pub(super) struct VariantGrouper {
    sku: Column,
    groups: Vec<ProductGroup>,
    variants: Vec<VariantRow>,
    malformed_rows: Vec<MalformedRow>,
}

struct ProductGroup {
    product: ProductRow,
    variants: Vec<Variant>,
    /// Number of rows that name this product, valid or not.
    variant_row_count: usize,
    /// Lines of bad rows.
    bad_lines: BTreeSet<u64>,
}

struct VariantRow {
    row: ProductRow,
    /// Index of its group, once it is known.
    group_index: Option<usize>,
}

/// A row whose cells are not in their columns.
struct MalformedRow {
    line: u64,
    parent: Option<String>,
    /// Number of products above it.
    products_above: usize,
}

impl VariantGrouper {
    /// Creates a grouper. `sku` is the column that errors of duplicate SKUs name.
    pub(super) fn new(sku: Column) -> Self {
        Self { sku, groups: Vec::new(), variants: Vec::new(), malformed_rows: Vec::new() }
    }

    pub(super) fn add_row(&mut self, row: ProductRow) {
        match row.kind {
            RowKind::VariantOf(_) => self.variants.push(VariantRow { row, group_index: None }),
            RowKind::Product | RowKind::PricedByVariants => self.groups.push(ProductGroup {
                bad_lines: row.is_invalid.then_some(row.line).into_iter().collect(),
                product: row,
                variants: Vec::new(),
                variant_row_count: 0,
            }),
        }
    }

    /// Adds a row that can't be read. It may have been a variant: of the product that its
    /// parent cell names, else of the product above it.
    pub(super) fn add_malformed_row(&mut self, line: u64, parent: Option<String>) {
        self.malformed_rows.push(MalformedRow { line, parent, products_above: self.groups.len() });
    }

    /// Returns the valid products. `price` and `parent` are the columns that errors name.
    pub(super) fn finish(
        mut self,
        price: &Column,
        parent: Option<&Column>,
        findings: &mut Findings,
    ) -> Vec<Product> {
        self.find_parents(parent, findings);
        self.claim_all_skus(findings);
        self.attach_variants(findings);
        self.groups.into_iter().filter_map(|group| group.finish(price, findings)).collect()
    }

    fn find_parents(&mut self, parent: Option<&Column>, findings: &mut Findings) {
        let mut names: HashMap<&str, usize> = HashMap::new();
        for (index, ProductGroup { product, .. }) in self.groups.iter().enumerate() {
            for name in [product.id.as_deref(), product.sku.as_deref()].into_iter().flatten() {
                names.entry(name).or_insert(index);
            }
        }
        let mut children = vec![0; self.groups.len()];
        for variant in &mut self.variants {
            let RowKind::VariantOf(name) = &variant.row.kind else { continue };
            variant.group_index = names.get(name.as_str()).copied();
            match variant.group_index.and_then(|index| children.get_mut(index)) {
                Some(count) => *count += 1,
                None => {
                    let reason = match name.as_str() {
                        "" => "the parent of the variation is missing".to_owned(),
                        name => {
                            let name = super::cell_text::truncate(name, 64);
                            format!("the parent “{name}” is not a product of this file")
                        }
                    };
                    findings.report_error(
                        variant.row.line,
                        parent.map(|c| c.name.as_str()),
                        &reason,
                    );
                }
            }
        }
        let broken: Vec<_> = self
            .malformed_rows
            .iter()
            .filter_map(|malformed| {
                let named = malformed.parent.as_deref().and_then(|name| names.get(name).copied());
                Some((named.or_else(|| malformed.products_above.checked_sub(1))?, malformed.line))
            })
            .collect();
        for (group, children) in self.groups.iter_mut().zip(children) {
            group.variant_row_count = children;
        }
        for (index, line) in broken {
            if let Some(group) = self.groups.get_mut(index).filter(|f| f.variant_row_count > 0) {
                group.bad_lines.insert(line);
            }
        }
    }

    /// Claims SKUs in the order of the file, so that the second of two duplicates is bad.
    fn claim_all_skus(&mut self, findings: &mut Findings) {
        let products = self.groups.iter().enumerate().map(|(i, f)| (Some(i), &f.product, true));
        let variants =
            self.variants.iter().map(|variant| (variant.group_index, &variant.row, false));
        let mut claims: Vec<_> = products
            .chain(variants)
            .filter_map(|(group_index, row, is_product)| {
                Some((row.line, group_index?, row.sku.clone()?, is_product))
            })
            .collect();
        claims.sort_unstable_by_key(|(line, ..)| *line);
        for (line, index, sku, is_product) in claims {
            let claimed = match is_product {
                true => findings.claim_product_sku(&sku, line, index),
                false => findings.claim_variant_sku(&sku, line, index),
            };
            if let Err(first) = claimed {
                findings.report_duplicate_sku(line, Some(&self.sku.name), &sku, first);
                if let Some(group) = self.groups.get_mut(index) {
                    group.bad_lines.insert(line);
                }
            }
        }
    }

    fn attach_variants(&mut self, findings: &mut Findings) {
        for VariantRow { row, group_index: index } in std::mem::take(&mut self.variants) {
            let Some(index) = index else { continue };
            let Some(group) = self.groups.get_mut(index) else { continue };
            if row.is_invalid {
                group.bad_lines.insert(row.line);
                continue;
            }
            let sku = match (row.sku, &group.product.sku) {
                (Some(sku), _) => sku,
                (None, None) => continue,
                (None, Some(product)) => {
                    let line = row.line;
                    match sku::derive_variant_sku(product, &row.title, line, index, findings) {
                        Ok(sku) => sku,
                        Err((sku, first)) => {
                            findings.report_duplicate_sku(line, Some(&self.sku.name), &sku, first);
                            group.bad_lines.insert(line);
                            continue;
                        }
                    }
                }
            };
            if let Some(price) = row.price {
                group.variants.push(Variant { sku, title: row.title, price });
            }
        }
    }
}

impl ProductGroup {
    fn finish(mut self, price: &Column, findings: &mut Findings) -> Option<Product> {
        let lowest = self.variants.iter().map(|variant| variant.price).min();
        let product_price = self.product.price.or(lowest);
        if product_price.is_none() && self.bad_lines.is_empty() {
            let reason = "the price is missing, and no variation has one";
            findings.report_error(self.product.line, Some(&price.name), reason);
            self.bad_lines.insert(self.product.line);
        }
        if !self.bad_lines.is_empty() {
            let name = self.product.sku.as_ref().unwrap_or(&self.product.title);
            if self.variant_row_count > 0 {
                self.bad_lines.iter().for_each(|line| findings.report_product_skipped(*line, name));
            }
            return None;
        }
        Some(Product {
            sku: self.product.sku?,
            title: self.product.title,
            price: product_price?,
            description: self.product.description,
            vendor: self.product.vendor,
            image: self.product.image,
            variants: self.variants,
        })
    }
}
