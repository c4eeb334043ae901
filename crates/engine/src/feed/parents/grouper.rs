//! Joins variants with their products when all rows are known. Rows may be in any order.

use super::group::{GivenSku, ProductGroup, VariantRow};
use crate::feed::{
    cell_text::truncate, findings::Findings, header::Column, prices::Rules, sku,
    variant_skus::SkuContext,
};
use contract::product::Product;
use std::{borrow::Cow, collections::HashMap};

/// Columns that errors of bad rows name.
pub(super) struct Columns {
    pub sku: Column,
    pub price: Column,
    pub parent: Option<Column>,
    /// Whether each row names its options, so that they may be in any order.
    pub names_options: bool,
}

impl Columns {
    pub(super) fn sku_context(&self, group: u32) -> SkuContext<'_> {
        SkuContext { column: Some(&self.sku.name), group }
    }
}

pub(super) struct Grouper {
    columns: Columns,
    groups: Vec<ProductGroup>,
    // A list of boxes is moved to the groups without a second copy of the rows.
    #[allow(clippy::vec_box)]
    variants: Vec<Box<VariantRow>>,
    malformed_rows: Vec<MalformedRow>,
}

/// A row whose cells are not in their columns.
struct MalformedRow {
    line: u64,
    parent: Option<String>,
    /// Number of products above it.
    products_above: usize,
}

impl Grouper {
    /// Creates a grouper with room for this number of products. Room that is not used takes no
    /// memory, and rows that are added don't have to move.
    pub(super) fn new(columns: Columns, max_products: usize) -> Self {
        Self {
            columns,
            groups: Vec::with_capacity(max_products),
            variants: Vec::new(),
            malformed_rows: Vec::new(),
        }
    }

    pub(super) fn add_product(&mut self, group: ProductGroup) {
        self.groups.push(group);
    }

    pub(super) fn add_variant(&mut self, row: VariantRow) {
        self.variants.push(Box::new(row));
    }

    /// Adds a row that can't be read. It may have been a variant: of the product that its
    /// parent cell names, else of the product above it.
    pub(super) fn add_malformed_row(&mut self, line: u64, parent: Option<String>) {
        self.malformed_rows.push(MalformedRow { line, parent, products_above: self.groups.len() });
    }

    /// Returns the valid products.
    pub(super) fn finish(mut self, rules: &Rules, findings: &mut Findings) -> Vec<Product> {
        self.attach_rows(findings);
        let Self { columns, mut groups, .. } = self;
        groups.retain_mut(|group| !group.leave_out(rules, findings));
        derive_product_skus(&mut groups, &columns, findings);
        claim_skus(&mut groups, &columns, findings);
        let mut indexes = 0..;
        // The list of products is made in the memory of the list of groups.
        let finish = |group: ProductGroup| {
            let index = indexes.next()?;
            group.finish(index, &columns, rules, findings)
        };
        groups.into_iter().filter_map(finish).collect()
    }

    /// Moves variants and malformed rows to their products.
    fn attach_rows(&mut self, findings: &mut Findings) {
        if self.variants.is_empty() && self.malformed_rows.is_empty() {
            return;
        }
        let (variants, malformed) = self.find_products();
        let rows = std::mem::take(&mut self.variants);
        for (variant, index) in rows.into_iter().zip(variants) {
            match index.and_then(|index| self.groups.get_mut(index)) {
                Some(group) => group.add_variant(variant),
                None => self.report_orphan(&variant, findings),
            }
        }
        for (row, named) in self.malformed_rows.iter().zip(malformed) {
            let index = named.or_else(|| row.products_above.checked_sub(1));
            if let Some(group) = index.and_then(|index| self.groups.get_mut(index)) {
                group.add_malformed_line(row.line);
            }
        }
    }

    /// Returns the index of the product that each variant and each malformed row names.
    fn find_products(&self) -> (Vec<Option<usize>>, Vec<Option<usize>>) {
        let wanted = self.variants.iter().map(|row| row.parent.as_str());
        let malformed = self.malformed_rows.iter().map(|row| row.parent.as_deref());
        let wanted = wanted.chain(malformed.clone().flatten());
        let mut products: HashMap<&str, Option<usize>> = wanted.map(|name| (name, None)).collect();
        for (index, group) in self.groups.iter().enumerate() {
            let id = group.id.as_ref().map(|id| Cow::Owned(format!("id:{id}")));
            let sku = Some(group.product.sku.as_str()).filter(|sku| !sku.is_empty());
            for name in id.into_iter().chain(sku.map(Cow::Borrowed)) {
                if let Some(product) = products.get_mut(name.as_ref()) {
                    product.get_or_insert(index);
                }
            }
        }
        let find = |name: &str| products.get(name).copied().flatten();
        let variants = self.variants.iter().map(|row| find(&row.parent)).collect();
        (variants, malformed.map(|name| name.and_then(find)).collect())
    }

    fn report_orphan(&self, variant: &VariantRow, findings: &mut Findings) {
        let line = variant.rest.line;
        if let Some(exclusion) = &variant.rest.exclusion {
            let column = exclusion.column.as_str();
            return findings.leave_out(line, exclusion.kind, column, &exclusion.reason);
        }
        let reason = match variant.parent.as_str() {
            "" => "the parent of the variation is missing".to_owned(),
            name => format!("the parent “{}” is not a product of this file", truncate(name, 64)),
        };
        let column = self.columns.parent.as_ref().map(|column| column.name.as_str());
        findings.report_error(line, column, &reason);
    }
}

/// Gives products without a SKU one that is made of their id in the shop, else of their
/// title. Both are the same in every upload and in any order of the rows.
fn derive_product_skus(groups: &mut [ProductGroup], columns: &Columns, findings: &mut Findings) {
    let mut lines: HashMap<String, Vec<u64>> = HashMap::new();
    for group in groups.iter() {
        if let Some(sku) = derived_sku(group) {
            lines.entry(sku).or_default().push(group.rest.line);
        }
    }
    for group in groups {
        if !group.product.sku.is_empty() || group.rest.is_invalid {
            continue;
        }
        let line = group.rest.line;
        let Some(sku) = derived_sku(group) else {
            findings.report_error(line, Some(&columns.sku.name), "the SKU is missing");
            group.add_bad_line(line);
            continue;
        };
        let others = lines.get(&sku).into_iter().flatten();
        match others.copied().find(|other| *other != line) {
            Some(other) => {
                let reason = format!(
                    "the SKU is missing, and none can be made of the title, which line {other} \
                     has too"
                );
                findings.report_error(line, Some(&columns.sku.name), &reason);
                group.add_bad_line(line);
            }
            None => {
                findings.add_note(line, format!("no SKU is given: “{sku}” is used"));
                group.product.sku = sku;
            }
        }
    }
}

fn derived_sku(group: &ProductGroup) -> Option<String> {
    if !group.product.sku.is_empty() || group.rest.is_invalid {
        return None;
    }
    let sku = match &group.id {
        Some(id) => format!("id-{id}"),
        None => sku::slug(&group.product.title),
    };
    Some(sku::shorten(&sku)).filter(|sku| !sku.is_empty())
}

/// Claims SKUs in the order of the file, so that the second of two duplicates is bad.
fn claim_skus(groups: &mut [ProductGroup], columns: &Columns, findings: &mut Findings) {
    let count = groups.iter().map(ProductGroup::row_count).sum();
    let mut claims: Vec<GivenSku> = Vec::with_capacity(count);
    for (group, index) in groups.iter().zip(0..) {
        claims.extend(group.sku_claims(index));
    }
    findings.reserve_skus(claims.len());
    claims.sort_unstable_by_key(|claim| claim.line);
    for claim in claims {
        let Some(group) = groups.get_mut(claim.group as usize) else { continue };
        let sku = group.given_sku(&claim);
        let claimed = match claim.variant {
            None => findings.claim_product_sku(sku, claim.line, claim.group),
            Some(_) => findings.claim_variant_sku(sku, claim.line, claim.group),
        };
        if let Err(first) = claimed {
            let column = Some(columns.sku.name.as_str());
            findings.report_duplicate_sku(claim.line, column, sku, first);
            group.add_bad_line(claim.line);
        }
    }
}
