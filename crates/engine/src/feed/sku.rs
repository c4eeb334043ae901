//! Rules for SKUs, and SKUs derived where a file has none.

use contract::text;
use sha2::{Digest, Sha256};

/// Maximum length of a SKU, in characters.
const MAX_CHARS: usize = text::SKU.max_chars();

/// Checks that a text may be a SKU.
pub(super) fn validate(text: &str) -> Result<(), &'static str> {
    if text.chars().any(char::is_control) {
        return Err("the SKU has control characters, such as a line break: remove them");
    }
    if text.len() > MAX_CHARS && text.chars().count() > MAX_CHARS {
        return Err("the SKU has more than 64 characters");
    }
    if is_scientific(text) {
        return Err("the SKU is a number that a spreadsheet shortened, so its digits are gone: \
                    format the column as text and enter it again");
    }
    if is_float(text) {
        return Err("the SKU ends in .0, so a program took it for a number and digits may be \
                    gone: write it as text, without .0");
    }
    Ok(())
}

/// Returns whether a spreadsheet wrote a long number in scientific notation, such as
/// `4.00638E+12`. Spreadsheets always write the sign, so `219E01` is a code.
pub(super) fn is_scientific(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['E', 'e']) else { return false };
    let Some(exponent) = exponent.strip_prefix(['+', '-']) else { return false };
    let (whole, part) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, "0"));
    whole.len() == 1 && [whole, part, exponent].into_iter().all(is_digits)
}

/// Returns whether a program wrote a whole number as a float, such as `4006381333931.0`.
pub(super) fn is_float(text: &str) -> bool {
    text.strip_suffix(".0").is_some_and(is_digits)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Shortens a text to a SKU: one that is too long keeps its beginning and ends in a digest
/// of the whole, so that the same text gives the same SKU in every upload.
pub(super) fn shorten(text: &str) -> String {
    if text.len() <= MAX_CHARS || text.chars().count() <= MAX_CHARS {
        return text.to_owned();
    }
    append_digest(text, text)
}

/// Returns the SKU of a variant, made of its product's SKU and its options, such as
/// `mug-dark-blue-large`. It depends on nothing else, so it is the same in every upload.
/// If other variants of the product have options with the same `slug`, `is_slug_unique` is
/// false and the SKU ends in a digest of the exact options.
pub(super) fn derive(product: &str, options: &str, is_slug_unique: bool) -> String {
    let slug = slug(options);
    let sku = if slug.is_empty() { product.to_owned() } else { format!("{product}-{slug}") };
    if is_slug_unique { shorten(&sku) } else { append_digest(&sku, options) }
}

fn append_digest(beginning: &str, digested: &str) -> String {
    let digest = hex::encode(Sha256::digest(digested));
    let mark = digest.get(..8).unwrap_or_default();
    let beginning: String = beginning.chars().take(MAX_CHARS - 1 - mark.len()).collect();
    format!("{beginning}-{mark}")
}

/// Returns the words of a text in lower case, joined by `-`.
pub(super) fn slug(text: &str) -> String {
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

    #[test]
    fn derived_skus_tell_options_apart() {
        assert_eq!(derive("mug", "Dark Blue", true), "mug-dark-blue");
        let (one, other) = (derive("mug", "a b", false), derive("mug", "a-b", false));
        assert!(one != other && one.starts_with("mug-a-b-"), "{one} {other}");
        assert_eq!(derive(&"m".repeat(64), &"o".repeat(64), false).chars().count(), 64);
    }

    #[test]
    fn numbers_that_lost_digits_are_no_skus() {
        for text in ["4.00638E+12", "4,00638E+12", "1E+12", "4.0e-05", "4006381333931.0", "17.0"] {
            assert!(validate(text).is_err(), "{text}");
        }
        for text in ["219E01", "E+12", "12.34E+5", "A1E+5", "90.750", "1.0.0", "v1.0", "0017"] {
            assert_eq!(validate(text), Ok(()), "{text}");
        }
    }
}
