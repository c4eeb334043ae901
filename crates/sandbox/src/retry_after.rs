//! The Retry-After of a 429, which a client may obey to the letter and be safe.

use std::time::{Duration, UNIX_EPOCH};

use crate::{clock::Micros, spec::RetryAfter};

const SECOND: Micros = 1_000_000;

/// What lies between the end of a wait and what the client is told, for clients that round a
/// millisecond down.
pub const SLACK: Micros = 20_000;

/// The header's value and the time that it names, at or after `until` + [`SLACK`].
pub fn word(form: RetryAfter, now: Micros, until: Micros) -> (String, Micros) {
    let until = until.max(now).saturating_add(SLACK);
    match form {
        RetryAfter::Seconds => {
            let seconds = (until - now).div_ceil(SECOND).max(1);
            (seconds.to_string(), now.saturating_add(seconds.saturating_mul(SECOND)))
        }
        RetryAfter::Date => {
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
    fn seconds_are_rounded_up_and_never_none() {
        assert_eq!(word(RetryAfter::Seconds, NOW, NOW), ("1".into(), NOW + SECOND));
        let (value, named) = word(RetryAfter::Seconds, NOW, NOW + 3 * SECOND);
        assert_eq!((value.as_str(), named), ("4", NOW + 4 * SECOND), "slack is added, not cut");
    }

    #[test]
    fn a_date_is_rounded_up_to_the_whole_second() {
        let (value, named) = word(RetryAfter::Date, NOW, NOW + SECOND / 10);
        assert_eq!(value, "Tue, 14 Nov 2023 22:13:21 GMT");
        assert_eq!(named, NOW + SECOND);
        let (value, _) = word(RetryAfter::Date, NOW, NOW + SECOND);
        assert_eq!(value, "Tue, 14 Nov 2023 22:13:22 GMT", "a whole second leaves no slack");
    }
}
