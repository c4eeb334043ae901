//! Currencies that stand beside prices, as a code, a sign or a word.

/// A currency as a price names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Currency {
    /// Code of [ISO 4217](https://www.iso.org/iso-4217-currency-codes.html).
    pub code: &'static str,
    /// Other currencies that have the same sign. Empty if the code is certain.
    pub others: &'static [&'static str],
}

impl Currency {
    const fn certain(code: &'static str) -> Self {
        Self { code, others: &[] }
    }

    /// Returns whether both may be the same currency.
    pub(super) fn is_compatible(self, other: Self) -> bool {
        self.code == other.code
            || self.others.contains(&other.code)
            || other.others.contains(&self.code)
    }

    pub(super) fn is_certain(self) -> bool {
        self.others.is_empty()
    }
}

const DOLLARS: &[&str] = &[
    "CAD", "AUD", "NZD", "HKD", "SGD", "MXN", "ARS", "CLP", "COP", "TWD", "BRL", "JMD", "TTD",
    "BBD", "BZD", "BSD", "UYU", "DOP", "FJD", "GYD", "LRD", "NAD", "SRD", "XCD", "BMD", "KYD",
    "BND",
];

/// Signs and words, in lower case and without a point at the end.
const SIGNS: &[(&str, Currency)] = &[
    ("$", Currency { code: "USD", others: DOLLARS }),
    ("us$", Currency::certain("USD")),
    ("a$", Currency::certain("AUD")),
    ("au$", Currency::certain("AUD")),
    ("c$", Currency::certain("CAD")),
    ("ca$", Currency::certain("CAD")),
    ("nz$", Currency::certain("NZD")),
    ("hk$", Currency::certain("HKD")),
    ("s$", Currency::certain("SGD")),
    ("nt$", Currency::certain("TWD")),
    ("mx$", Currency::certain("MXN")),
    ("r$", Currency::certain("BRL")),
    ("€", Currency::certain("EUR")),
    ("euro", Currency::certain("EUR")),
    ("euros", Currency::certain("EUR")),
    ("£", Currency { code: "GBP", others: &["EGP", "LBP", "GIP", "FKP", "SHP", "SYP"] }),
    ("¥", Currency { code: "JPY", others: &["CNY"] }),
    ("￥", Currency { code: "JPY", others: &["CNY"] }),
    ("円", Currency::certain("JPY")),
    ("元", Currency::certain("CNY")),
    ("kr", Currency { code: "SEK", others: &["NOK", "DKK", "ISK"] }),
    ("skr", Currency::certain("SEK")),
    ("nkr", Currency::certain("NOK")),
    ("dkr", Currency::certain("DKK")),
    ("fr", Currency::certain("CHF")),
    ("sfr", Currency::certain("CHF")),
    ("zł", Currency::certain("PLN")),
    ("zl", Currency::certain("PLN")),
    ("kč", Currency::certain("CZK")),
    ("kc", Currency::certain("CZK")),
    ("ft", Currency::certain("HUF")),
    ("lei", Currency { code: "RON", others: &["MDL"] }),
    ("лв", Currency::certain("BGN")),
    ("₽", Currency::certain("RUB")),
    ("руб", Currency::certain("RUB")),
    ("р", Currency::certain("RUB")),
    ("₴", Currency::certain("UAH")),
    ("грн", Currency::certain("UAH")),
    ("₺", Currency::certain("TRY")),
    ("tl", Currency::certain("TRY")),
    ("₹", Currency::certain("INR")),
    ("rs", Currency { code: "INR", others: &["PKR", "LKR", "NPR", "MUR"] }),
    ("₩", Currency { code: "KRW", others: &["KPW"] }),
    ("₫", Currency::certain("VND")),
    ("฿", Currency::certain("THB")),
    ("₪", Currency::certain("ILS")),
    ("₱", Currency::certain("PHP")),
    ("₦", Currency::certain("NGN")),
    ("rp", Currency::certain("IDR")),
    ("rm", Currency::certain("MYR")),
    ("r", Currency::certain("ZAR")),
    ("fcfa", Currency { code: "XOF", others: &["XAF"] }),
    ("cfa", Currency { code: "XOF", others: &["XAF"] }),
    ("f cfa", Currency { code: "XOF", others: &["XAF"] }),
];

/// Codes in use, without those of funds and metals.
const CODES: &[&str] = &[
    "AED", "AFN", "ALL", "AMD", "ANG", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT",
    "BGN", "BHD", "BIF", "BMD", "BND", "BOB", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD",
    "CDF", "CHF", "CLP", "CNY", "COP", "CRC", "CUP", "CVE", "CZK", "DJF", "DKK", "DOP", "DZD",
    "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GHS", "GIP", "GMD", "GNF", "GTQ",
    "GYD", "HKD", "HNL", "HRK", "HTG", "HUF", "IDR", "ILS", "INR", "IQD", "IRR", "ISK", "JMD",
    "JOD", "JPY", "KES", "KGS", "KHR", "KMF", "KPW", "KRW", "KWD", "KYD", "KZT", "LAK", "LBP",
    "LKR", "LRD", "LSL", "LYD", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRU", "MUR",
    "MVR", "MWK", "MXN", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK", "NPR", "NZD", "OMR", "PAB",
    "PEN", "PGK", "PHP", "PKR", "PLN", "PYG", "QAR", "RON", "RSD", "RUB", "RWF", "SAR", "SBD",
    "SCR", "SDG", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD", "SSP", "STN", "SVC", "SYP", "SZL",
    "THB", "TJS", "TMT", "TND", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "UGX", "USD", "UYU",
    "UZS", "VES", "VND", "VUV", "WST", "XAF", "XCD", "XOF", "XPF", "YER", "ZAR", "ZMW",
];

/// Returns the currency that a text names, in any case, such as `EUR`, `€` or `Kč`.
pub(super) fn find(text: &str) -> Option<Currency> {
    let text = text.trim();
    if text.is_empty() || text.len() > 12 {
        return None;
    }
    if let Some(code) = CODES.iter().find(|code| code.eq_ignore_ascii_case(text)) {
        return Some(Currency::certain(code));
    }
    let word = text.trim_end_matches('.').to_lowercase();
    SIGNS.iter().find(|(sign, _)| *sign == word).map(|(_, currency)| *currency)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_are_found_by_code_sign_and_word() {
        let code = |text| find(text).map(|currency| currency.code);
        for (text, expected) in [
            ("EUR", Some("EUR")),
            ("eur", Some("EUR")),
            ("€", Some("EUR")),
            ("A$", Some("AUD")),
            ("Kč", Some("CZK")),
            ("kr.", Some("SEK")),
            ("Fcfa", Some("XOF")),
            ("руб.", Some("RUB")),
            ("", None),
            ("pieces", None),
            ("XXX", None),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
    }

    #[test]
    fn a_sign_of_several_currencies_fits_each_of_them() {
        let fits = |a, b| find(a).zip(find(b)).is_some_and(|(a, b)| a.is_compatible(b));
        assert!(fits("$", "USD") && fits("CAD", "$") && fits("kr", "NOK") && fits("$", "$"));
        assert!(!fits("$", "€") && !fits("A$", "USD") && !fits("kr", "EUR"));
    }
}
