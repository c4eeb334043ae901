//! The text of a workbook's cell, as a person sees it.

use calamine::{DataRef, ExcelDateTime};
use std::borrow::Cow;

/// Returns the text of a cell with a number format such as `00000`.
///
/// Numbers are written without the noise of their binary form. Thousands separators and
/// currencies of the format are left out, and its leading zeros are kept, because they are
/// part of a SKU or barcode.
pub(super) fn cell_text<'c>(value: &'c DataRef<'_>, format: Option<&str>) -> Cow<'c, str> {
    match value {
        DataRef::Empty => "".into(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            text.as_str().into()
        }
        DataRef::SharedString(text) => (*text).into(),
        DataRef::Int(number) => {
            match format.and_then(|format| in_digits(&number.to_string(), format)) {
                Some(text) => text.into(),
                None => number.to_string().into(),
            }
        }
        DataRef::Float(number) => {
            let text = number_text(*number);
            format.and_then(|format| in_digits(&text, format)).unwrap_or(text).into()
        }
        DataRef::Bool(true) => "TRUE".into(),
        DataRef::Bool(false) => "FALSE".into(),
        DataRef::DateTime(date) => date_text(date).into(),
        DataRef::Error(error) => error.to_string().into(),
    }
}

/// Returns a number with the 15 digits that spreadsheets show, without an exponent.
fn number_text(number: f64) -> String {
    let rounded = format!("{number:.14e}").parse().unwrap_or(number);
    if rounded == 0.0 { "0".into() } else { format!("{rounded}") }
}

/// Returns a date in ISO 8601, with its time unless that is midnight; a time without a date,
/// and a duration as number of days.
fn date_text(date: &ExcelDateTime) -> String {
    let days = date.as_f64();
    if !date.is_datetime() || !(0.0..2_958_466.0).contains(&days) {
        return number_text(days);
    }
    let (year, month, day, hour, minute, second, _) = date.to_ymd_hms_milli();
    let time = format!("{hour:02}:{minute:02}:{second:02}");
    if days < 1.0 {
        return time;
    }
    match (hour, minute, second) {
        (0, 0, 0) => format!("{year:04}-{month:02}-{day:02}"),
        _ => format!("{year:04}-{month:02}-{day:02}T{time}"),
    }
}

/// Writes a whole number in a format of zeros and literal text, such as `00000`, `000-000` or
/// `"ART-"0000`. Returns `None` for other numbers and formats.
fn in_digits(number: &str, format: &str) -> Option<String> {
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let template = parse_digit_format(format)?;
    let zeros = template.iter().filter(|part| matches!(part, FormatPart::Digit)).count();
    if zeros < 2 {
        return None;
    }
    let digits = format!("{number:0>zeros$}");
    let (surplus, digits) = digits.split_at(digits.len() - zeros);
    let mut digits = digits.chars();
    let mut text = String::new();
    let mut is_first = true;
    for part in template {
        match part {
            FormatPart::Digit => {
                if std::mem::take(&mut is_first) {
                    text.push_str(surplus);
                }
                text.extend(digits.next());
            }
            FormatPart::Literal(letter) => text.push(letter),
        }
    }
    Some(text)
}

enum FormatPart {
    Digit,
    Literal(char),
}

/// Parses the section of a number format for positive numbers, if it has nothing but zeros
/// and literal characters. Source: ECMA-376 part 1, §18.8.31.
fn parse_digit_format(format: &str) -> Option<Vec<FormatPart>> {
    let mut parts = Vec::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '0' => parts.push(FormatPart::Digit),
            ';' => break,
            '\\' => parts.push(FormatPart::Literal(letters.next()?)),
            '"' => {
                let literal = letters.by_ref().take_while(|letter| *letter != '"');
                parts.extend(literal.map(FormatPart::Literal));
            }
            '-' | ' ' | '/' | '(' | ')' | ':' | '+' => parts.push(FormatPart::Literal(letter)),
            _ => return None,
        }
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use calamine::ExcelDateTimeType;

    #[test]
    fn numbers_are_written_as_a_person_sees_them() {
        for (number, format, text) in [
            (4_006_381_333_931.0, None, "4006381333931"),
            (19.899_999_999_999_99, None, "19.9"),
            (0.1 + 0.2, None, "0.3"),
            (-0.0, None, "0"),
            (-12.5, Some("0000"), "-12.5"),
            (1e21, None, "1000000000000000000000"),
            (1e-7, None, "0.0000001"),
            (17.0, Some("00000"), "00017"),
            (123_456.0, Some("0000"), "123456"),
            (17.0, Some("\"ART-\"0000;[Red]-0"), "ART-0017"),
            (123_456.0, Some("000-000"), "123-456"),
            (17.5, Some("00000"), "17.5"),
            (1299.0, Some("#,##0.00"), "1299"),
            (5.0, Some("0"), "5"),
            (5.0, Some("0.00"), "5"),
        ] {
            assert_eq!(cell_text(&DataRef::Float(number), format), text, "{number} in {format:?}");
        }
        assert_eq!(cell_text(&DataRef::Int(17), Some("00000")), "00017");
    }

    #[test]
    fn dates_are_written_in_iso_8601() {
        for (days, text) in [
            (46_354.0, "2026-11-28"),
            (46_354.5, "2026-11-28T12:00:00"),
            (0.25, "06:00:00"),
            (-1.0, "-1"),
            (1e9, "1000000000"),
        ] {
            let date = ExcelDateTime::new(days, ExcelDateTimeType::DateTime, false);
            assert_eq!(cell_text(&DataRef::DateTime(date), Some("yyyy-mm-dd")), text, "{days}");
        }
    }
}
