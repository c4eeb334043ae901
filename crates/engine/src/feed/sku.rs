//! What a SKU may be, and SKUs for variants that a file gives none.

use super::findings::Findings;
use contract::text;
use sha2::{Digest, Sha256};

/// Maximum length of a SKU, in characters.
const MAX: usize = text::SKU.max_chars();
/// How many variants of one product may come to the same derived SKU.
const MAX_ALIKE: usize = 9;

/// Whether a text may be a SKU, or why not.
pub(super) fn check(text: &str) -> Result<(), &'static str> {
    if text.chars().any(char::is_control) {
        return Err("the SKU has control characters, such as a line break: remove them");
    }
    if text.chars().count() > MAX {
        return Err("the SKU has more than 64 characters");
    }
    Ok(())
}

/// A text as a SKU: one that is too long keeps its beginning and ends in a
/// digest of the whole, so that the same text is the same SKU in every upload.
pub(super) fn shortened(text: &str) -> String {
    if text.chars().count() <= MAX {
        return text.to_owned();
    }
    let digest = hex::encode(Sha256::digest(text));
    let mark = digest.get(..8).unwrap_or_default();
    let beginning: String = text.chars().take(MAX - 1 - mark.len()).collect();
    format!("{beginning}-{mark}")
}

/// Takes a SKU for a variant from what its product is called and which options
/// it is, such as `mug-dark-blue-large`. Names that come to the same are
/// numbered.
///
/// # Errors
///
/// The SKU that is taken and the line that has it.
pub(super) fn derive_variant(
    product: &str,
    options: &str,
    line: u64,
    group: usize,
    findings: &mut Findings,
) -> Result<String, (String, u64)> {
    let slug = slug(options);
    let base = if slug.is_empty() { product.to_owned() } else { format!("{product}-{slug}") };
    let mut taken = (base.clone(), line);
    for number in 1..=MAX_ALIKE {
        let sku = shortened(&match number {
            1 => base.clone(),
            _ => format!("{base}-{number}"),
        });
        match findings.claim_variant(&sku, line, group) {
            Ok(()) => {
                findings.note(line, format!("no SKU is given: “{sku}” is used"));
                return Ok(sku);
            }
            Err(first) => taken = (sku, first),
        }
    }
    Err(taken)
}

/// Letters and digits in lower case, with a `-` for all between them.
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
        assert_eq!(shortened(&one).chars().count(), 64);
        assert_ne!(shortened(&one), shortened(&other));
        assert_eq!(shortened(&"ä".repeat(64)), "ä".repeat(64));
    }

    #[test]
    fn options_become_a_slug() {
        assert_eq!(slug("Dark Blue / 10″ + Öl"), "dark-blue-10-öl");
        assert_eq!(slug("+ / *"), "");
    }
}
