//! Times as [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) texts in JSON, such as
//! `2026-11-29T17:06:48.123Z`. In Rust they are `i64`: UTC, ms since 1970.
//!
//! `#[serde(with = "crate::timestamp")]` applies to an `i64`, and
//! [`optional`] to an `Option<i64>`. [`strict`] is for requests.

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

const DAY_MS: i64 = 86_400_000;
/// `0000-01-01T00:00:00.000Z`.
const MIN_MS: i64 = -62_167_219_200_000;
/// `9999-12-31T23:59:59.999Z`.
const MAX_MS: i64 = 253_402_300_799_999;

/// A date and a time of day in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime {
    /// Year of the Gregorian calendar.
    pub year: i64,
    /// Month, from 1.
    pub month: i64,
    /// Day of the month, from 1.
    pub day: i64,
    /// Hour, from 0 to 23.
    pub hour: i64,
    /// Minute of the hour.
    pub minute: i64,
    /// Second of the minute.
    pub second: i64,
    /// Millisecond of the second.
    pub millisecond: i64,
}

impl DateTime {
    /// Returns the date and the time of day at `ms`, UTC ms since 1970.
    #[must_use]
    pub const fn at(ms: i64) -> Self {
        // http://howardhinnant.github.io/date_algorithms.html#civil_from_days
        let z = ms.div_euclid(DAY_MS) + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let of_day = ms.rem_euclid(DAY_MS);
        Self {
            year: yoe + era * 400 + if month <= 2 { 1 } else { 0 },
            month,
            day: doy - (153 * mp + 2) / 5 + 1,
            hour: of_day / 3_600_000,
            minute: of_day / 60_000 % 60,
            second: of_day / 1_000 % 60,
            millisecond: of_day % 1_000,
        }
    }

    /// Returns the time in UTC ms since 1970.
    const fn ms(self) -> i64 {
        // http://howardhinnant.github.io/date_algorithms.html#days_from_civil
        let year = if self.month <= 2 { self.year - 1 } else { self.year };
        let era = year.div_euclid(400);
        let yoe = year.rem_euclid(400);
        let doy = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
        let minutes = self.hour * 60 + self.minute;
        (era * 146_097 + doe - 719_468) * DAY_MS
            + (minutes * 60 + self.second) * 1_000
            + self.millisecond
    }
}

/// Reason for which a text is not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTimestamp {
    /// It does not have the form of RFC 3339.
    #[error("a time has to be written like 2026-11-29T17:06:48.123Z")]
    Form,
    /// There is no such day or time of day, such as 30 February.
    #[error("there is no such date or time of day")]
    NoSuchTime,
}

/// Writes a time with milliseconds in UTC. A time outside of the years 0 to 9999, which RFC 3339
/// can't write, becomes the nearest that it can.
#[must_use]
pub fn format(ms: i64) -> String {
    let DateTime { year, month, day, hour, minute, second, millisecond } =
        DateTime::at(ms.clamp(MIN_MS, MAX_MS));
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
}

/// Reads a time in any offset from UTC. Digits after the milliseconds are ignored.
///
/// # Errors
/// [`InvalidTimestamp`] says how a time is written.
pub fn parse(text: &str) -> Result<i64, InvalidTimestamp> {
    let rest = &mut text.as_bytes();
    let (year, month, day) =
        (number(rest, 4, b"-")?, number(rest, 2, b"-")?, number(rest, 2, b"Tt")?);
    let (hour, minute, second) =
        (number(rest, 2, b":")?, number(rest, 2, b":")?, number(rest, 2, b"")?);
    let millisecond = fraction(rest)?;
    let offset_ms = offset_ms(rest)?;
    let date = DateTime { year, month, day, hour: 0, minute: 0, second: 0, millisecond: 0 };
    // Second 60 is a leap second.
    if DateTime::at(date.ms()) != date || hour > 23 || minute > 59 || second > 60 {
        return Err(InvalidTimestamp::NoSuchTime);
    }
    Ok(DateTime { hour, minute, second, millisecond, ..date }.ms() - offset_ms)
}

/// Takes a number of `length` digits, and one of the bytes `ends`, if there are any, behind it.
fn number(rest: &mut &[u8], length: usize, ends: &[u8]) -> Result<i64, InvalidTimestamp> {
    let mut number = 0;
    for _ in 0..length {
        let digit = take(rest, |byte| byte.is_ascii_digit()).ok_or(InvalidTimestamp::Form)?;
        number = number * 10 + i64::from(digit - b'0');
    }
    if !ends.is_empty() {
        take(rest, |byte| ends.contains(&byte)).ok_or(InvalidTimestamp::Form)?;
    }
    Ok(number)
}

/// Takes the fraction of a second, if there is one, and returns its milliseconds.
fn fraction(rest: &mut &[u8]) -> Result<i64, InvalidTimestamp> {
    if take(rest, |byte| byte == b'.').is_none() {
        return Ok(0);
    }
    let (mut milliseconds, mut unit) = (number(rest, 1, b"")? * 100, 10);
    while let Some(digit) = take(rest, |byte| byte.is_ascii_digit()) {
        milliseconds += i64::from(digit - b'0') * unit;
        unit /= 10;
    }
    Ok(milliseconds)
}

/// Reads the offset from UTC, which is all that is left.
fn offset_ms(rest: &mut &[u8]) -> Result<i64, InvalidTimestamp> {
    let offset = match take(rest, |byte| b"Zz+-".contains(&byte)) {
        Some(b'Z' | b'z') => 0,
        Some(sign) => {
            let (hours, minutes) = (number(rest, 2, b":")?, number(rest, 2, b"")?);
            if hours > 23 || minutes > 59 {
                return Err(InvalidTimestamp::NoSuchTime);
            }
            let minutes = hours * 60 + minutes;
            60_000 * if sign == b'-' { -minutes } else { minutes }
        }
        None => return Err(InvalidTimestamp::Form),
    };
    if rest.is_empty() { Ok(offset) } else { Err(InvalidTimestamp::Form) }
}

fn take(rest: &mut &[u8], accepts: impl FnOnce(u8) -> bool) -> Option<u8> {
    let (&first, others) = rest.split_first()?;
    accepts(first).then(|| {
        *rest = others;
        first
    })
}

/// Writes a time as text.
///
/// # Errors
/// Those of the serializer.
#[allow(clippy::trivially_copy_pass_by_ref)]
pub fn serialize<S: Serializer>(ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*ms))
}

/// Reads a time.
///
/// # Errors
/// The value is not a time, or those of the deserializer.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    Stored::deserialize(deserializer)?.ms().map_err(D::Error::custom)
}

/// A time as it is read. Rows that were stored before times became texts have numbers; a browser
/// never sees them.
#[cfg(not(target_family = "wasm"))]
#[derive(Deserialize)]
#[serde(untagged, expecting = "a time has to be a text like 2026-11-29T17:06:48.123Z")]
enum Stored {
    Text(String),
    Number(i64),
}

#[cfg(not(target_family = "wasm"))]
impl Stored {
    fn ms(&self) -> Result<i64, InvalidTimestamp> {
        match self {
            Self::Text(text) => parse(text),
            Self::Number(ms) => Ok(*ms),
        }
    }
}

#[cfg(target_family = "wasm")]
#[derive(Deserialize)]
#[serde(transparent)]
struct Stored(String);

#[cfg(target_family = "wasm")]
impl Stored {
    fn ms(&self) -> Result<i64, InvalidTimestamp> {
        parse(&self.0)
    }
}

/// Times that may be missing.
pub mod optional {
    use super::{Stored, format};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    /// Writes a time as text, or `null`.
    ///
    /// # Errors
    /// Those of the serializer.
    #[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref)]
    pub fn serialize<S: Serializer>(ms: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
        ms.map(format).serialize(serializer)
    }

    /// Reads a time or `null`.
    ///
    /// # Errors
    /// The value is neither, or those of the deserializer.
    pub fn deserialize<'de, D>(deserializer: D) -> Result<Option<i64>, D::Error>
    where
        D: Deserializer<'de>,
    {
        let stored = Option::<Stored>::deserialize(deserializer)?;
        stored.map(|stored| stored.ms()).transpose().map_err(D::Error::custom)
    }
}

/// Times of requests: texts only.
pub mod strict {
    pub use super::serialize;
    use serde::{Deserialize, Deserializer, de::Error as _};

    /// Reads a time.
    ///
    /// # Errors
    /// The value is not a text of RFC 3339, or those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        super::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Schema of a time.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[schemars(inline, extend("format" = "date-time"))]
#[allow(dead_code)]
pub struct Rfc3339(String);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde::Serialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Times {
        #[serde(with = "super")]
        at: i64,
        #[serde(default, with = "optional")]
        until: Option<i64>,
    }

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_827_696_789, "2000-02-29T12:34:56.789Z"),
            (1_795_487_628_823, "2026-11-24T02:33:48.823Z"),
            (MAX_MS, "9999-12-31T23:59:59.999Z"),
            (MIN_MS, "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(format(ms), text);
            assert_eq!(parse(text), Ok(ms));
        }
        assert_eq!((format(i64::MAX), format(i64::MIN)), (format(MAX_MS), format(MIN_MS)));
    }

    #[test]
    fn other_offsets_and_precisions_are_read() {
        for (text, utc) in [
            ("2026-11-29T18:06:48+01:00", "2026-11-29T17:06:48.000Z"),
            ("2026-11-29t10:36:48.1-06:30", "2026-11-29T17:06:48.100Z"),
            ("2026-11-29T17:06:48.123999999z", "2026-11-29T17:06:48.123Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(parse(text).map(format).as_deref(), Ok(utc), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_in_words() {
        for text in [
            "",
            "yesterday",
            "1795487628823",
            "2026-11-29",
            "2026-11-29T17:06:48",
            "2026-11-29 17:06:48Z",
            "2026-11-29T17:06Z",
            "2026-11-29T17:06:48.Z",
            "2026-11-29T17:06:48Z ",
            "2026-11-29T17:06:48+01",
            "2026-11-29T17:06:48+0100",
            "+026-11-29T17:06:48Z",
            "2026-11-29T17:06:48.1🕛Z",
        ] {
            assert_eq!(parse(text), Err(InvalidTimestamp::Form), "{text}");
        }
        for text in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:61Z",
            "2026-01-01T00:00:00+24:00",
        ] {
            assert_eq!(parse(text), Err(InvalidTimestamp::NoSuchTime), "{text}");
        }
        let error = serde_json::from_str::<Times>(r#"{"at":"soon"}"#).unwrap_err().to_string();
        assert!(error.starts_with("a time has to be written like 2026-"), "{error}");
        let error = serde_json::from_str::<Times>(r#"{"at":true}"#).unwrap_err().to_string();
        assert!(error.starts_with("a time has to be a text like 2026-"), "{error}");
    }

    #[test]
    fn rows_of_before_have_numbers_and_requests_may_not() {
        #[derive(Debug, Deserialize)]
        struct Request {
            #[serde(deserialize_with = "strict::deserialize")]
            #[allow(dead_code)]
            until: i64,
        }
        let stored = r#"{"at":1795487628823,"until":7}"#;
        let times = Times { at: 1_795_487_628_823, until: Some(7) };
        assert_eq!(serde_json::from_str::<Times>(stored).unwrap(), times);
        serde_json::from_str::<Request>(r#"{"until":7}"#).unwrap_err();
        serde_json::from_str::<Request>(r#"{"until":"2026-11-29T17:06:48Z"}"#).unwrap();
        assert_eq!(serde_json::from_str::<Times>(r#"{"at":7}"#).unwrap().until, None);
    }

    proptest! {
        #[test]
        fn every_time_is_read_as_it_is_written(at in 0..=MAX_MS, until in proptest::option::of(0..=MAX_MS)) {
            prop_assert_eq!(parse(&format(at)), Ok(at));
            let times = Times { at, until };
            let json = serde_json::to_string(&times).unwrap();
            prop_assert_eq!(serde_json::from_str::<Times>(&json).unwrap(), times);
        }

        #[test]
        fn any_text_is_a_time_or_an_error(text in "\\PC{0,40}|[0-9TZ:.+-]{0,30}") {
            if let Ok(ms) = parse(&text) {
                prop_assert!((MIN_MS - DAY_MS..=MAX_MS + DAY_MS).contains(&ms));
            }
        }
    }
}
