//! A product, the rows that name it as their parent, and the product that they form.

use super::grouper::Columns;
use crate::feed::{
    cell_text::truncate,
    findings::Findings,
    prices::{FinalPrice, RowPrices, Rules},
    publication::Exclusion,
    variant_options::VariantOptions,
    variant_skus::{self, VariantIdentity},
};
use contract::{
    feed::{LeftOutKind, ZeroPriceChoice},
    product::{Product, ProductStatus, Variant},
};
use std::collections::BTreeSet;

/// What is kept of a row besides its product or variant.
pub(super) struct RowRest {
    pub line: u64,
    /// Whether SKU or title could not be read.
    pub is_invalid: bool,
    pub options: Vec<(String, String)>,
    pub prices: RowPrices,
    pub exclusion: Option<Box<Exclusion>>,
}

/// The row of a variant.
pub(super) struct VariantRow {
    /// Id or SKU of the product.
    pub parent: String,
    /// The variant without its price and the values of its options. Its SKU is empty if the
    /// file has none.
    pub variant: Variant,
    pub rest: RowRest,
}

/// A product with its variants. A file may have 100,000 of them, so what the product will be is
/// in it from the beginning.
pub(super) struct ProductGroup {
    /// The product without its price, options and variants. Its SKU is empty if the file has
    /// none.
    pub product: Product,
    pub rest: RowRest,
    /// Id in the shop, by which variants may name the product.
    pub id: Option<Box<str>>,
    /// Why the product is left out if it has no price.
    exclusion_without_price: Option<Box<Exclusion>>,
    // A list of boxes is filled without a second copy of the rows.
    #[allow(clippy::vec_box)]
    variants: Vec<Box<VariantRow>>,
    /// Lines of bad rows.
    bad_lines: BTreeSet<u64>,
}

/// A SKU that the file gives to a row.
pub(super) struct GivenSku {
    pub line: u64,
    pub group: u32,
    /// Index of the variant; `None` if it is the product's.
    pub variant: Option<u32>,
}

fn given(sku: &str) -> Option<&str> {
    Some(sku).filter(|sku| !sku.is_empty())
}

impl ProductGroup {
    pub(super) fn new(
        product: Product,
        rest: RowRest,
        id: Option<Box<str>>,
        exclusion_without_price: Option<Box<Exclusion>>,
    ) -> Self {
        Self {
            bad_lines: rest.is_invalid.then_some(rest.line).into_iter().collect(),
            product,
            rest,
            id,
            exclusion_without_price,
            variants: Vec::new(),
        }
    }

    pub(super) fn add_variant(&mut self, variant: Box<VariantRow>) {
        if variant.rest.is_invalid {
            self.bad_lines.insert(variant.rest.line);
        }
        self.variants.push(variant);
    }

    /// Adds a row that may have been a variant, when all variants are known. A product without
    /// variants has no use for it.
    pub(super) fn add_malformed_line(&mut self, line: u64) {
        if !self.variants.is_empty() {
            self.bad_lines.insert(line);
        }
    }

    pub(super) fn add_bad_line(&mut self, line: u64) {
        self.bad_lines.insert(line);
    }

    /// Leaves the product out if it must not be sold, else its variants that must not be.
    /// Returns whether the product is left out.
    pub(super) fn leave_out(&mut self, rules: &Rules, findings: &mut Findings) -> bool {
        let is_sent = |exclusion: &Exclusion| exclusion.is_draft() && rules.sends_drafts;
        let has_price = !self.rest.prices.price.is_missing();
        if !has_price && self.variants.is_empty() && self.rest.exclusion.is_none() {
            self.rest.exclusion = self.exclusion_without_price.take();
        }
        if let Some(exclusion) = self.rest.exclusion.as_ref().filter(|own| !is_sent(own)) {
            self.leave_out_rows(exclusion, findings);
            return true;
        }
        if self.rest.exclusion.is_some()
            || self.variants.iter().all(|variant| variant.rest.exclusion.is_none())
        {
            return false;
        }
        let variants = std::mem::take(&mut self.variants).into_iter();
        let (left_out, sent): (Vec<_>, Vec<_>) =
            variants.partition(|variant| variant.rest.exclusion.is_some());
        self.variants = sent;
        let mut last = None;
        for variant in left_out {
            let RowRest { line, exclusion, .. } = variant.rest;
            let Some(exclusion) = exclusion else { continue };
            let Exclusion { kind, column, reason } = &*exclusion;
            findings.leave_out(line, *kind, column, reason);
            self.bad_lines.remove(&line);
            last = Some(exclusion);
        }
        let Some(exclusion) = last.filter(|_| self.variants.is_empty()) else { return false };
        let reason = "all its variants are left out".to_owned();
        self.leave_out_rows(&Exclusion { reason, ..*exclusion }, findings);
        true
    }

    fn leave_out_rows(&self, exclusion: &Exclusion, findings: &mut Findings) {
        let Exclusion { kind, column, reason } = exclusion;
        for line in self.lines() {
            findings.leave_out(line, *kind, column, reason);
        }
    }

    pub(super) fn row_count(&self) -> usize {
        1 + self.variants.len()
    }

    fn lines(&self) -> impl Iterator<Item = u64> {
        [self.rest.line].into_iter().chain(self.variants.iter().map(|row| row.rest.line))
    }

    fn identities(&self) -> Vec<VariantIdentity<'_>> {
        self.variants
            .iter()
            .map(|row| VariantIdentity {
                line: row.rest.line,
                sku: given(&row.variant.sku),
                options: &row.variant.title,
            })
            .collect()
    }

    /// Returns the SKUs that the file gives to the rows, except one that stands on all variants.
    pub(super) fn sku_claims(&self, group: u32) -> impl Iterator<Item = GivenSku> {
        let product = given(&self.product.sku).map(|_| (self.rest.line, None));
        let has_common_sku = variant_skus::common_sku(&self.identities()).is_some();
        let variants = (0..).zip(&self.variants).filter(move |_| !has_common_sku);
        let variants = variants.filter(|(_, row)| !row.variant.sku.is_empty());
        let variants = variants.map(|(index, row)| (row.rest.line, Some(index)));
        let rows = product.into_iter().chain(variants);
        rows.map(move |(line, variant)| GivenSku { line, group, variant })
    }

    /// Returns a SKU that the file gives to a row.
    pub(super) fn given_sku(&self, claim: &GivenSku) -> &str {
        match claim.variant {
            None => &self.product.sku,
            Some(index) => {
                let row = self.variants.get(index as usize);
                row.map(|row| row.variant.sku.as_str()).unwrap_or_default()
            }
        }
    }

    pub(super) fn finish(
        mut self,
        index: u32,
        columns: &Columns,
        rules: &Rules,
        findings: &mut Findings,
    ) -> Option<Product> {
        let (price, variant_prices) = self.resolve_prices(columns, rules, findings);
        let skus = self.variant_skus(index, columns, findings);
        if !self.bad_lines.is_empty() {
            self.skip(findings);
            return None;
        }
        let price = price?;
        if self.leave_out_zero_price(price, &variant_prices, columns, rules, findings) {
            return None;
        }
        Some(self.build(price, skus, &variant_prices, columns))
    }

    fn skip(&self, findings: &mut Findings) {
        if self.variants.is_empty() {
            return;
        }
        let name = given(&self.product.sku).unwrap_or(&self.product.title);
        let name = truncate(name, 64);
        let lines: BTreeSet<u64> = self.lines().chain(self.bad_lines.iter().copied()).collect();
        lines.into_iter().for_each(|line| findings.skip_row(line, &name));
    }

    /// Returns the prices of product and variants. The product may have none of its own.
    fn resolve_prices(
        &mut self,
        columns: &Columns,
        rules: &Rules,
        findings: &mut Findings,
    ) -> (Option<FinalPrice>, Vec<FinalPrice>) {
        let mut variant_prices = Vec::with_capacity(self.variants.len());
        let mut bad_lines = Vec::new();
        for RowRest { line, prices, .. } in self.variants.iter().map(|row| &row.rest) {
            match rules.resolve(prices, *line, &columns.price, findings) {
                Ok(Some(price)) => variant_prices.push(price),
                Ok(None) => {
                    let reason = "the price is missing";
                    findings.report_error(*line, Some(&columns.price.name), reason);
                    bad_lines.push(*line);
                }
                Err(_) => bad_lines.push(*line),
            }
        }
        let RowRest { line, prices, .. } = &self.rest;
        let own = rules.resolve(prices, *line, &columns.price, findings);
        let is_priced_by_variants = !self.variants.is_empty();
        let price = match own {
            Ok(Some(price)) => Some(price),
            Ok(None) if is_priced_by_variants => {
                variant_prices.iter().copied().min_by_key(|price| price.price)
            }
            Ok(None) => {
                let reason = "the price is missing";
                findings.report_error(*line, Some(&columns.price.name), reason);
                bad_lines.push(*line);
                None
            }
            Err(_) => {
                bad_lines.push(*line);
                None
            }
        };
        self.bad_lines.extend(bad_lines);
        (price, variant_prices)
    }

    fn variant_skus(
        &mut self,
        index: u32,
        columns: &Columns,
        findings: &mut Findings,
    ) -> Vec<String> {
        // An invalid variant has no SKU and no title, so none can be derived.
        if self.variants.is_empty()
            || self.product.sku.is_empty()
            || self.variants.iter().any(|variant| variant.rest.is_invalid)
        {
            return Vec::new();
        }
        let context = columns.sku_context(index);
        let identities = self.identities();
        match variant_skus::complete(&self.product.sku, &identities, &context, findings) {
            Ok(skus) => skus,
            Err(lines) => {
                self.bad_lines.extend(lines);
                Vec::new()
            }
        }
    }

    /// Counts a product that costs nothing, and leaves it out if the person chose so.
    fn leave_out_zero_price(
        &self,
        price: FinalPrice,
        variant_prices: &[FinalPrice],
        columns: &Columns,
        rules: &Rules,
        findings: &mut Findings,
    ) -> bool {
        let variants = self.variants.iter().map(|row| row.rest.line).zip(variant_prices);
        let mut rows = [(self.rest.line, &price)].into_iter().chain(variants);
        let Some((line, _)) = rows.find(|(_, price)| price.price.0 == 0) else { return false };
        findings.count_zero_price(line);
        let is_left_out = rules.zero_price == Some(ZeroPriceChoice::LeaveOut);
        if is_left_out {
            let reason = "the product costs 0.00".to_owned();
            let column = columns.price.name.clone();
            let exclusion = Exclusion { kind: LeftOutKind::ZeroPrice, column, reason };
            self.leave_out_rows(&exclusion, findings);
        }
        is_left_out
    }

    fn build(
        self,
        price: FinalPrice,
        skus: Vec<String>,
        variant_prices: &[FinalPrice],
        columns: &Columns,
    ) -> Product {
        let Self { mut product, rest, variants, .. } = self;
        (product.price, product.compare_at_price) = (price.price, price.compare_at);
        if rest.exclusion.is_some() {
            product.status = ProductStatus::Draft;
        }
        if variants.is_empty() {
            return product;
        }
        let options: Vec<_> = variants.iter().map(|row| row.rest.options.as_slice()).collect();
        let options = match columns.names_options {
            true => VariantOptions::by_name(&rest.options, &options),
            false => VariantOptions::by_position(&rest.options, &options),
        };
        product.options = options.names;
        let rows = variants.into_iter().zip(skus).zip(variant_prices).zip(options.values);
        let variants = rows.map(|(((row, sku), price), option_values)| Variant {
            sku,
            price: price.price,
            compare_at_price: price.compare_at,
            option_values,
            ..row.variant
        });
        product.variants = variants.collect();
        product
    }
}
