//! Periods in which reduced prices are in force.

use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};

/// A period in ms since 1970, UTC. An end that is missing is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SalePeriod {
    start: Option<i64>,
    end: Option<i64>,
    /// Whether a date could not be read, so that nobody knows whether the price is in force.
    is_unknown: bool,
}

impl SalePeriod {
    /// Reads a period from its first and last date, or from both in the first text with a `/`
    /// between them, as Google's feeds have them. Times without an offset are UTC.
    pub(super) fn read(start: &str, end: &str) -> Self {
        let (start, end) = match start.split_once('/') {
            Some((start, rest)) if end.is_empty() && rest.len() >= 8 => (start, rest),
            _ => (start, end),
        };
        let mut period = Self::default();
        match (start.trim(), parse(start)) {
            ("", _) => {}
            (_, Some((start, _))) => period.start = Some(start),
            _ => period.is_unknown = true,
        }
        match (end.trim(), parse(end)) {
            ("", _) => {}
            (_, Some((end, _))) => period.end = Some(end),
            _ => period.is_unknown = true,
        }
        // A last day without a time ends at midnight.
        if let Some((end, false)) = parse(end) {
            period.end = Some(end + 24 * 3_600_000 - 1);
        }
        period
    }

    /// Returns whether the period includes a time, in ms since 1970, UTC.
    pub(super) fn includes(self, now: i64) -> bool {
        !self.is_unknown
            && self.start.is_none_or(|start| start <= now)
            && self.end.is_none_or(|end| now <= end)
    }
}

/// Reads a date such as `2026-03-01`, with or without a time and an offset: `T12:30:00+01:00`,
/// ` 12:30`, `T12:30-0800`, `Z`. Returns ms since 1970, and whether there is a time.
fn parse(text: &str) -> Option<(i64, bool)> {
    let text = text.trim();
    let (date, rest) = text.split_at_checked(10)?;
    let mut parts = date.splitn(3, ['-', '/']);
    let year = parts.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let month = Month::try_from(parts.next()?.parse::<u8>().ok()?).ok()?;
    let date = Date::from_calendar_date(year, month, parts.next()?.parse().ok()?).ok()?;
    let rest = rest.trim_start_matches(['T', 't', ' ']);
    let (time, offset) = split_offset(rest)?;
    let time_of_day = if time.is_empty() { Time::MIDNIGHT } else { parse_time(time)? };
    let at = PrimitiveDateTime::new(date, time_of_day).assume_offset(offset);
    Some((at.unix_timestamp() * 1_000, !time.is_empty()))
}

fn split_offset(text: &str) -> Option<(&str, UtcOffset)> {
    if let Some(time) = text.strip_suffix(['Z', 'z']) {
        return Some((time, UtcOffset::UTC));
    }
    let Some(index) = text.rfind(['+', '-']) else { return Some((text, UtcOffset::UTC)) };
    let (time, offset) = text.split_at_checked(index)?;
    let digits: String = offset.chars().filter(char::is_ascii_digit).collect();
    let (hours, minutes) = digits.split_at_checked(2)?;
    let sign: i8 = if offset.starts_with('-') { -1 } else { 1 };
    let minutes = if minutes.is_empty() { 0 } else { minutes.parse::<i8>().ok()? };
    let hours = hours.parse::<i8>().ok()?;
    UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok().map(|offset| (time, offset))
}

fn parse_time(text: &str) -> Option<Time> {
    let mut parts = text.splitn(3, ':').map(|part| part.get(..2)?.parse::<u8>().ok());
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().flatten().unwrap_or(0);
    Time::from_hms(hour, minute, second).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-15 12:00 UTC.
    const NOW: i64 = 1_773_576_000_000;

    #[test]
    fn periods_include_their_last_day() {
        for (start, end, expected) in [
            ("", "", true),
            ("2026-03-01", "", true),
            ("2026-03-16", "", false),
            ("", "2026-03-15", true),
            ("", "2026-03-14", false),
            ("2026-03-15 11:59:59", "2026-03-15T12:00:01", true),
            ("2026-03-15T13:30+02:00", "", true),
            ("2026-03-15T11:30-0100", "", false),
            ("2026-03-01T13:00-0800/2026-03-20T15:30-0800", "", true),
            ("2026-02-01T13:00Z/2026-02-20T15:30Z", "", false),
            ("soon", "", false),
            ("", "2026-13-40", false),
        ] {
            assert_eq!(SalePeriod::read(start, end).includes(NOW), expected, "{start:?} {end:?}");
        }
    }
}
