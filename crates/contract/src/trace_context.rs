//! The context of a trace, as [W3C Trace Context](https://www.w3.org/TR/trace-context/) defines
//! its header `traceparent`.

use std::fmt;

/// Name of the header, of the field of the envelope and of the columns that hold a context.
pub const TRACEPARENT: &str = "traceparent";
/// Length of a `traceparent` of version `00`.
const LENGTH: usize = 55;
/// Flag: the caller may have recorded the trace.
const SAMPLED: u8 = 0x01;

/// A span of a trace, as what it causes refers to it.
///
/// ```
/// use contract::trace_context::TraceContext;
///
/// let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let context = TraceContext::parse(text).unwrap();
/// assert!(context.is_sampled);
/// assert_eq!(context.to_string(), text);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Id of the trace, 16 bytes; not 0.
    pub trace_id: u128,
    /// Id of the span, 8 bytes; not 0.
    pub span_id: u64,
    /// Whether the spans of the trace are recorded.
    pub is_sampled: bool,
}

impl TraceContext {
    /// Parses a `traceparent`. Returns `None` if it is not valid: the receiver then begins a new
    /// trace. Of a higher version than `00`, the fields of version `00` are read.
    pub fn parse(text: &str) -> Option<Self> {
        let version = hex(text.get(..2)?)?;
        let is_whole = match version {
            0 => text.len() == LENGTH,
            0xff => false,
            _ => text.len() == LENGTH || text.as_bytes().get(LENGTH) == Some(&b'-'),
        };
        let dashes = [2, 35, 52].into_iter().all(|at| text.as_bytes().get(at) == Some(&b'-'));
        if !is_whole || !dashes {
            return None;
        }
        let trace_id = hex(text.get(3..35)?).filter(|id| *id != 0)?;
        let span_id = hex(text.get(36..52)?).filter(|id| *id != 0)?;
        let flags = hex(text.get(53..55)?)?;
        Some(Self {
            trace_id,
            span_id: u64::try_from(span_id).ok()?,
            is_sampled: flags & u128::from(SAMPLED) != 0,
        })
    }

    /// Returns the id of the trace as people and tools write it: 32 hexadecimal digits.
    pub fn trace_id_text(&self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.is_sampled) * SAMPLED;
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.trace_id, self.span_id)
    }
}

/// Reads hexadecimal digits, which the specification allows in lower case only.
fn hex(digits: &str) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    digits.bytes().all(is_digit).then(|| u128::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_context_round_trips() {
        let context = TraceContext::parse(VALID).unwrap();
        assert_eq!(context.to_string(), VALID);
        assert_eq!(context.trace_id_text(), "0af7651916cd43dd8448eb211c80319c");
        let not_sampled = VALID.replace("-01", "-00");
        let context = TraceContext::parse(&not_sampled).unwrap();
        assert!(!context.is_sampled);
        assert_eq!(context.to_string(), not_sampled);
    }

    #[test]
    fn unknown_flags_and_later_versions_are_read_as_far_as_they_are_known() {
        let later = format!("{}-what.the-future", VALID.replacen("00-", "cc-", 1));
        for text in [VALID.replace("-01", "-ff"), VALID.replacen("00-", "01-", 1), later] {
            assert_eq!(TraceContext::parse(&text).unwrap().to_string(), VALID, "{text}");
        }
    }

    #[test]
    fn an_invalid_context_is_ignored() {
        let upper_case = VALID.to_uppercase();
        let long = format!("{VALID}-00");
        let no_dash = format!("{}x", VALID.replacen("00-", "01-", 1));
        for text in [
            "",
            "00",
            &VALID[..54],
            &long,
            &no_dash,
            &upper_case,
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0é",
            "00-0af7651916cd43dd8448eb211c80319é-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
    }
}
