//! Rules for SKUs, and SKUs derived for variants without one.

use super::findings::Findings;
use contract::text;
use sha2::{Digest, Sha256};

/// Maximum length of a SKU, in characters.
const MAX_CHARS: usize = text::SKU.max_chars();
/// Maximum number of variants of one product with the same derived SKU.
const MAX_DERIVED_DUPLICATES: usize = 9;

/// Checks that a text may be a SKU.
pub(super) fn validate(text: &str) -> Result<(), &'static str> {
    if text.chars().any(char::is_control) {
        return Err("the SKU has control characters, such as a line break: remove them");
    }
    if text.chars().count() > MAX_CHARS {
        return Err("the SKU has more than 64 characters");
    }
    Ok(())
}

/// Shortens a text to a SKU: one that is too long keeps its beginning and ends in a digest
/// of the whole, so that the same text gives the same SKU in every upload.
pub(super) fn shorten(text: &str) -> String {
    if text.chars().count() <= MAX_CHARS {
        return text.to_owned();
    }
    let digest = hex::encode(Sha256::digest(text));
    let mark = digest.get(..8).unwrap_or_default();
    let beginning: String = text.chars().take(MAX_CHARS - 1 - mark.len()).collect();
    format!("{beginning}-{mark}")
}

/// Derives the SKU of a variant from its product's SKU and its options, such as
/// `mug-dark-blue-large`, and claims it. Duplicates are numbered.
///
/// # Errors
///
/// The last SKU that was tried, and the line that uses it.
pub(super) fn derive_variant_sku(
    product: &str,
    options: &str,
    line: u64,
    group: usize,
    findings: &mut Findings,
) -> Result<String, (String, u64)> {
    let slug = slug(options);
    let base = if slug.is_empty() { product.to_owned() } else { format!("{product}-{slug}") };
    let mut last_conflict = (base.clone(), line);
    for number in 1..=MAX_DERIVED_DUPLICATES {
        let sku = shorten(&match number {
            1 => base.clone(),
            _ => format!("{base}-{number}"),
        });
        match findings.claim_variant_sku(&sku, line, group) {
            Ok(()) => {
                findings.add_note(line, format!("no SKU is given: “{sku}” is used"));
                return Ok(sku);
            }
            Err(first) => last_conflict = (sku, first),
        }
    }
    Err(last_conflict)
}

/// Returns the words of a text in lower case, joined by `-`.
fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_makes_a_short_sku_that_tells_it_apart() {
        let (one, other) = ("x".repeat(70), "x".repeat(71));
        assert_eq!(shorten(&one).chars().count(), 64);
        assert_ne!(shorten(&one), shorten(&other));
        assert_eq!(shorten(&"ä".repeat(64)), "ä".repeat(64));
    }

    #[test]
    fn options_become_a_slug() {
        assert_eq!(slug("Dark Blue / 10″ + Öl"), "dark-blue-10-öl");
        assert_eq!(slug("+ / *"), "");
    }
}
