//! SKUs of the variants of one product. Those that are missing, and one that stands on all
//! variants, are replaced by SKUs that are made of the options, so that they are the same in
//! every upload and in any order of the rows.

use super::{findings::Findings, sku};
use std::collections::HashMap;

/// A variant as far as its SKU is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct VariantIdentity<'v> {
    pub line: u64,
    /// SKU in the file.
    pub sku: Option<&'v str>,
    /// Values of the options.
    pub options: &'v str,
}

/// The place where SKUs are, for errors.
pub(super) struct SkuContext<'c> {
    /// Name of the column with SKUs.
    pub column: Option<&'c str>,
    /// Index of the product's group.
    pub group: u32,
}

/// Returns the SKU that stands on all of several variants.
pub(super) fn common_sku<'v>(variants: &[VariantIdentity<'v>]) -> Option<&'v str> {
    let [first, rest @ ..] = variants else { return None };
    let sku = first.sku?;
    let is_common = !rest.is_empty() && rest.iter().all(|other| other.sku == Some(sku));
    is_common.then_some(sku)
}

/// Claims the SKUs that the file gives to variants, and returns the lines of those that are
/// in use.
pub(super) fn claim_given(
    variants: &[VariantIdentity<'_>],
    context: &SkuContext<'_>,
    findings: &mut Findings,
) -> Vec<u64> {
    if common_sku(variants).is_some() {
        return Vec::new();
    }
    let mut bad_lines = Vec::new();
    for VariantIdentity { line, sku, .. } in variants {
        let Some(sku) = sku else { continue };
        if let Err(first) = findings.claim_variant_sku(sku, *line, context.group) {
            findings.report_duplicate_sku(*line, context.column, sku, first);
            bad_lines.push(*line);
        }
    }
    bad_lines
}

/// Returns the SKU of each variant: the given one, else one derived from the product's SKU
/// and the options, with a note.
///
/// # Errors
/// The lines of variants for which no SKU could be derived. They are reported.
pub(super) fn complete(
    product_sku: &str,
    variants: &[VariantIdentity<'_>],
    context: &SkuContext<'_>,
    findings: &mut Findings,
) -> Result<Vec<String>, Vec<u64>> {
    let common = common_sku(variants);
    let base = common.unwrap_or(product_sku);
    let is_derived = |variant: &&VariantIdentity<'_>| common.is_some() || variant.sku.is_none();
    let derived = || variants.iter().filter(is_derived);
    let mut slugs: HashMap<String, Vec<&VariantIdentity<'_>>> = HashMap::new();
    for variant in derived() {
        slugs.entry(sku::slug(variant.options)).or_default().push(variant);
    }
    let mut bad_lines = Vec::new();
    let mut skus = Vec::with_capacity(variants.len());
    for variant in variants {
        if let Some(given) = variant.sku.filter(|_| common.is_none()) {
            skus.push(given.to_owned());
            continue;
        }
        let alike = slugs.get(&sku::slug(variant.options)).map(Vec::as_slice).unwrap_or_default();
        let twin = alike
            .iter()
            .find(|other| other.options == variant.options && other.line != variant.line);
        if let Some(twin) = twin {
            let reason = format!(
                "no SKU tells this variant from the one in line {}, which has the same options: \
                 give both a SKU",
                twin.line
            );
            findings.report_error(variant.line, context.column, &reason);
            bad_lines.push(variant.line);
            continue;
        }
        let sku = sku::derive(base, variant.options, alike.len() <= 1);
        match findings.claim_variant_sku(&sku, variant.line, context.group) {
            Ok(()) => findings.add_note(variant.line, note(&sku, variant, variants, common)),
            Err(first) => {
                findings.report_duplicate_sku(variant.line, context.column, &sku, first);
                bad_lines.push(variant.line);
            }
        }
        skus.push(sku);
    }
    if bad_lines.is_empty() { Ok(skus) } else { Err(bad_lines) }
}

fn note(
    sku: &str,
    variant: &VariantIdentity<'_>,
    variants: &[VariantIdentity<'_>],
    common: Option<&str>,
) -> String {
    let Some(common) = common else { return format!("no SKU is given: “{sku}” is used") };
    let other = variants.iter().find(|other| other.line != variant.line);
    let line = other.map(|other| other.line).unwrap_or_default();
    format!("the SKU “{common}” is that of line {line} too, as of all variants: “{sku}” is used")
}
