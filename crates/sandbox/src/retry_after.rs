//! The Retry-After of a 429. A client that obeys it to the letter is safe.

use std::time::{Duration, UNIX_EPOCH};

use crate::{clock::Micros, profiles::RetryAfterFormat};

const SECOND: Micros = 1_000_000;

/// Time between the end of a wait and the time in the header, for clients that round a millisecond
/// down.
pub const SAFETY_MARGIN: Micros = 20_000;

/// Returns the header's value and the time that it names, at or after `until` + [`SAFETY_MARGIN`].
pub fn header_value(format: RetryAfterFormat, now: Micros, until: Micros) -> (String, Micros) {
    let until = until.max(now).saturating_add(SAFETY_MARGIN);
    match format {
        RetryAfterFormat::Seconds => {
            let seconds = (until - now).div_ceil(SECOND).max(1);
            (seconds.to_string(), now.saturating_add(seconds.saturating_mul(SECOND)))
        }
        RetryAfterFormat::Date => {
            let second = until.div_ceil(SECOND);
            let date = UNIX_EPOCH + Duration::from_secs(second);
            (httpdate::fmt_http_date(date), second.saturating_mul(SECOND))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14 22:13:20 UTC.
    const NOW: Micros = 1_700_000_000 * SECOND;

    #[test]
    fn seconds_are_rounded_up_to_at_least_one() {
        assert_eq!(header_value(RetryAfterFormat::Seconds, NOW, NOW), ("1".into(), NOW + SECOND));
        let (value, named) = header_value(RetryAfterFormat::Seconds, NOW, NOW + 3 * SECOND);
        assert_eq!(
            (value.as_str(), named),
            ("4", NOW + 4 * SECOND),
            "the margin is added, not cut"
        );
    }

    #[test]
    fn a_date_is_rounded_up_to_the_whole_second() {
        let (value, named) = header_value(RetryAfterFormat::Date, NOW, NOW + SECOND / 10);
        assert_eq!(value, "Tue, 14 Nov 2023 22:13:21 GMT");
        assert_eq!(named, NOW + SECOND);
        let (value, _) = header_value(RetryAfterFormat::Date, NOW, NOW + SECOND);
        assert_eq!(value, "Tue, 14 Nov 2023 22:13:22 GMT", "a whole second leaves no margin");
    }
}
