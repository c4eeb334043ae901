//! Amounts of money as people and shops write them, such as `1.299,00 €`.

use super::currency::{self, Currency};
use contract::{
    feed::DecimalSeparator,
    product::{Price, PriceError},
};

/// Maximum price, in units of the currency.
const MAX_UNITS: u64 = 1_000_000_000;

/// An amount under one decimal separator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount {
    pub price: Price,
    /// Whether digits were rounded away, half up.
    pub is_rounded: bool,
}

/// A text that is an amount under at least one decimal separator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Readings {
    pub as_point: Option<Amount>,
    pub as_comma: Option<Amount>,
    pub currency: Option<Currency>,
}

impl Readings {
    /// Returns whether the text means two different amounts.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.as_point.zip(self.as_comma).is_some_and(|(point, comma)| point != comma)
    }

    /// Returns the amount under a decimal separator; under the other one if the text can only
    /// be read so.
    pub(super) fn amount(&self, decimal: DecimalSeparator) -> Option<Amount> {
        match decimal {
            DecimalSeparator::Point => self.as_point.or(self.as_comma),
            DecimalSeparator::Comma => self.as_comma.or(self.as_point),
        }
    }

    /// Returns the only separator under which the text is an amount.
    pub(super) fn only_separator(&self) -> Option<DecimalSeparator> {
        match (self.as_point, self.as_comma) {
            (Some(_), None) => Some(DecimalSeparator::Point),
            (None, Some(_)) => Some(DecimalSeparator::Comma),
            _ => None,
        }
    }
}

/// Returns the price that a text stands for where `decimal` separates the decimals; `None` if it
/// is no price.
pub fn read_price(text: &str, decimal: DecimalSeparator) -> Option<Price> {
    Some(read(text).ok()?.amount(decimal)?.price)
}

/// Reads an amount with or without a currency before or after it.
///
/// # Errors
/// The text is no amount under any decimal separator.
pub(super) fn read(text: &str) -> Result<Readings, PriceError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(PriceError::Missing);
    }
    if let Some(readings) = read_common(text) {
        return Ok(readings);
    }
    let is_digit = |letter: char| letter.is_ascii_digit();
    let start = text.find(is_digit).ok_or(PriceError::NotANumber)?;
    let end = text.rfind(is_digit).map_or(text.len(), |last| last + 1);
    let (before, rest) = text.split_at_checked(start).ok_or(PriceError::NotANumber)?;
    let (number, after) = rest.split_at_checked(end - start).ok_or(PriceError::NotANumber)?;
    let (before, is_negative) = split_sign(before);
    let currency = read_currencies(before, strip_dash(after))?;
    let as_point = read_number(number, '.');
    let as_comma = read_number(number, ',');
    match (as_point, as_comma) {
        (Err(error), Err(other)) => Err(match error {
            PriceError::TooLarge => error,
            _ => other,
        }),
        _ if is_negative => Err(PriceError::Negative),
        _ => Ok(Readings { as_point: as_point.ok(), as_comma: as_comma.ok(), currency }),
    }
}

/// Reads the most common amounts quickly: digits, and up to two decimals after a point or comma.
fn read_common(text: &str) -> Option<Readings> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, part) = text.split_at_checked(digits)?;
    // Nine digits are below the maximum price.
    if whole.len() > 9 {
        return None;
    }
    let units: u64 = whole.parse().ok()?;
    let (separator, cents) = match *part.as_bytes() {
        [] => (None, 0),
        [sign, tenth] if tenth.is_ascii_digit() => (Some(sign), (tenth - b'0') * 10),
        [sign, tenth, hundredth] if tenth.is_ascii_digit() && hundredth.is_ascii_digit() => {
            (Some(sign), (tenth - b'0') * 10 + hundredth - b'0')
        }
        _ => return None,
    };
    let amount = Amount { price: Price(units * 100 + u64::from(cents)), is_rounded: false };
    let (as_point, as_comma) = match separator {
        None => (Some(amount), Some(amount)),
        Some(b'.') => (Some(amount), None),
        Some(b',') => (None, Some(amount)),
        Some(_) => return None,
    };
    Some(Readings { as_point, as_comma, currency: None })
}

/// Splits a minus from what precedes a number: `-`, `$-`, `-$`.
fn split_sign(before: &str) -> (&str, bool) {
    let before = before.trim();
    let is_minus = |letter: char| matches!(letter, '-' | '−');
    match (before.strip_suffix(is_minus), before.strip_prefix(is_minus)) {
        (Some(rest), _) | (None, Some(rest)) => (rest.trim(), true),
        (None, None) => (before, false),
    }
}

/// Removes the dash that stands for no cents, as in `10,-` and `10.–`.
fn strip_dash(after: &str) -> &str {
    let Some(rest) = after.strip_prefix([',', '.']) else { return after };
    ["--", "-", "–", "—"].iter().find_map(|dash| rest.strip_prefix(dash)).unwrap_or(after)
}

/// Returns the currency before or after a number. Two of them must be compatible, as in
/// `$10.00 CAD`.
fn read_currencies(before: &str, after: &str) -> Result<Option<Currency>, PriceError> {
    let find = |text: &str| match text.trim() {
        "" => Ok(None),
        text => currency::find(text).map(Some).ok_or(PriceError::NotANumber),
    };
    match (find(before)?, find(after)?) {
        (Some(before), Some(after)) if !before.is_compatible(after) => Err(PriceError::NotANumber),
        (Some(before), Some(after)) => Ok(Some(if before.is_certain() { before } else { after })),
        (before, after) => Ok(before.or(after)),
    }
}

/// Reads a number with a decimal separator. Digits before it may be in groups of three that
/// are separated by another sign, always the same.
fn read_number(text: &str, decimal: char) -> Result<Amount, PriceError> {
    let (whole, part) = match text.split_once(decimal) {
        Some((_, "")) => return Err(PriceError::NotANumber),
        Some((whole, part)) => (whole, part),
        None => (text, ""),
    };
    if !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PriceError::NotANumber);
    }
    let units = read_whole(whole, decimal)?;
    let mut digits = part.bytes().map(|byte| u64::from(byte - b'0'));
    let mut next = || digits.next().unwrap_or(0);
    let cents = next() * 10 + next();
    let is_half_or_more = next() >= 5;
    let is_rounded = part.len() > 2 && part.bytes().skip(2).any(|byte| byte != b'0');
    let hundredths = units * 100 + cents + u64::from(is_half_or_more);
    if hundredths > MAX_UNITS * 100 {
        return Err(PriceError::TooLarge);
    }
    Ok(Amount { price: Price(hundredths), is_rounded })
}

fn read_whole(whole: &str, decimal: char) -> Result<u64, PriceError> {
    if !whole.is_empty() && whole.len() <= 9 && whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return whole.parse().map_err(|_| PriceError::NotANumber);
    }
    let mut groups: Vec<&str> = Vec::new();
    let mut separator = None;
    let mut rest = whole;
    while let Some(end) = rest.find(|letter: char| !letter.is_ascii_digit()) {
        let (group, tail) = rest.split_at(end);
        let sign = tail.chars().next().unwrap_or_default();
        if !is_group_separator(sign, decimal) || separator.is_some_and(|own| own != kind(sign)) {
            return Err(PriceError::NotANumber);
        }
        separator = Some(kind(sign));
        groups.push(group);
        rest = tail.get(sign.len_utf8()..).unwrap_or_default();
    }
    groups.push(rest);
    if !has_valid_lengths(&groups) {
        return Err(PriceError::NotANumber);
    }
    let mut units: u64 = 0;
    for digit in groups.iter().flat_map(|group| group.bytes()) {
        units = units.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    }
    if units > MAX_UNITS { Err(PriceError::TooLarge) } else { Ok(units) }
}

fn is_group_separator(sign: char, decimal: char) -> bool {
    sign != decimal && (matches!(sign, '.' | ',' | '\'' | '’') || sign.is_whitespace())
}

/// Returns one sign for all that look alike.
fn kind(sign: char) -> char {
    match sign {
        '’' => '\'',
        sign if sign.is_whitespace() => ' ',
        sign => sign,
    }
}

/// Returns whether groups of digits are those of a number: `1 299 000`, or `12,99,000` as in
/// India. A number doesn't begin with a group of zeros, so `0.500` is a half.
fn has_valid_lengths(groups: &[&str]) -> bool {
    let [first, rest @ ..] = groups else { return false };
    let Some((last, middle)) = rest.split_last() else { return !first.is_empty() };
    let are_threes = middle.iter().all(|group| group.len() == 3) && first.len() <= 3;
    let are_twos = middle.iter().all(|group| group.len() == 2) && first.len() <= 2;
    let is_first_valid = !first.is_empty() && !first.starts_with('0');
    is_first_valid && last.len() == 3 && (are_threes || are_twos && !middle.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Returns the hundredths under point and comma.
    fn both(text: &str) -> (Option<u64>, Option<u64>) {
        let readings = read(text).unwrap();
        let hundredths = |amount: Option<Amount>| amount.map(|amount| amount.price.0);
        (hundredths(readings.as_point), hundredths(readings.as_comma))
    }

    #[test]
    fn a_price_is_read_as_its_separator_says() {
        for (text, as_point, as_comma) in [
            ("1.500", Some(150), Some(150_000)),
            // Two separators leave nothing to decide.
            ("1.299,00", Some(129_900), Some(129_900)),
            ("on request", None, None),
        ] {
            let read = |decimal| read_price(text, decimal).map(|price| price.0);
            let both = (read(DecimalSeparator::Point), read(DecimalSeparator::Comma));
            assert_eq!(both, (as_point, as_comma), "{text}");
        }
    }

    #[test]
    fn amounts_are_read_under_each_separator_that_fits() {
        for (text, as_point, as_comma) in [
            ("20", Some(2_000), Some(2_000)),
            ("19.90", Some(1_990), None),
            ("19,90", None, Some(1_990)),
            ("19,9", None, Some(1_990)),
            ("1.500", Some(150), Some(150_000)),
            ("1,800", Some(180_000), Some(180)),
            ("0.500", Some(50), None),
            ("0,500", None, Some(50)),
            ("1.299,00", None, Some(129_900)),
            ("1,299.00", Some(129_900), None),
            ("1,234,567", Some(123_456_700), None),
            ("12,34,567.50", Some(123_456_750), None),
            ("1 299,00", None, Some(129_900)),
            ("1\u{a0}299,00", None, Some(129_900)),
            ("1\u{202f}299", Some(129_900), Some(129_900)),
            ("1'299.00", Some(129_900), None),
            ("1’299.50", Some(129_950), None),
            ("12500.5", Some(1_250_050), None),
            ("8.264463", Some(826), None),
            ("30.825", Some(3_083), Some(3_082_500)),
            ("12.500000", Some(1_250), None),
            ("10,-", Some(1_000), Some(1_000)),
            ("10.–", Some(1_000), Some(1_000)),
        ] {
            assert_eq!(both(text), (as_point, as_comma), "{text}");
        }
    }

    #[test]
    fn rounding_is_half_up_and_known() {
        let point = |text| read(text).unwrap().as_point.map(|a| (a.price.0, a.is_rounded)).unwrap();
        assert_eq!(point("0.005"), (1, true));
        assert_eq!(point("0.0049"), (0, true));
        assert_eq!(point("1.999"), (200, true));
        assert_eq!(point("7.1000"), (710, false));
    }

    #[test]
    fn currencies_may_stand_on_either_side() {
        for (text, hundredths, code) in [
            ("$10.00", 1_000, "USD"),
            ("10.00 USD", 1_000, "USD"),
            ("USD 4.00", 400, "USD"),
            ("9,13\u{a0}€", 913, "EUR"),
            ("A$3.00", 300, "AUD"),
            ("20 000Fcfa", 2_000_000, "XOF"),
            ("$5.00 CAD", 500, "CAD"),
            ("Kč 1 250,50", 125_050, "CZK"),
            ("10,- €", 1_000, "EUR"),
        ] {
            let readings = read(text).unwrap();
            let amount = readings.as_point.or(readings.as_comma).unwrap();
            assert_eq!(amount.price.0, hundredths, "{text}");
            assert_eq!(readings.currency.map(|c| c.code), Some(code), "{text}");
        }
    }

    #[test]
    fn nonsense_is_rejected_with_the_reason() {
        for text in [
            "to be discussed",
            "1e3",
            ".99",
            "5.",
            "١٢",
            "#REF!",
            "12 34",
            "1.2.3",
            "1,23,45",
            "1.299.00",
            "10 pieces",
            "€ 10 $",
            "=1+1",
            "(5.00)",
            "1''299",
            "1 299.000,00",
            "--5x",
            "1.299'000",
            "12%",
            "5..10",
        ] {
            assert_eq!(read(text), Err(PriceError::NotANumber), "{text}");
        }
        assert_eq!(read(" "), Err(PriceError::Missing));
        for text in ["-5", "-1,50", "$-5.00", "-$5.00", "−3"] {
            assert_eq!(read(text), Err(PriceError::Negative), "{text}");
        }
        for text in ["1000000001", "99999999999999999999999999", "1000000000.01"] {
            assert_eq!(read(text), Err(PriceError::TooLarge), "{text}");
        }
        assert_eq!(read("1000000000.00").unwrap().as_point.unwrap().price.0, 100_000_000_000);
    }
}
