//! Which traces are recorded: `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`, see
//! [OpenTelemetry](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).

use super::settings::{SettingsError, unsupported, variable};
use contract::trace_context::TraceContext;

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
const SUPPORTED: &str = "always_on, always_off, traceidratio, parentbased_always_on, \
    parentbased_always_off, parentbased_traceidratio";

/// Decides which spans are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// Whether a span with a parent is recorded as its parent is.
    is_parent_based: bool,
    /// Share of the other traces, from 0 to 1.
    ratio: f64,
}

impl Sampler {
    /// Reads the environment. The default is `parentbased_always_on`.
    ///
    /// # Errors
    /// The sampler is unknown, or its ratio is not a number from 0 to 1.
    pub fn from_environment() -> Result<Self, SettingsError> {
        Self::parse(variable(SAMPLER).as_deref(), variable(SAMPLER_ARGUMENT).as_deref())
    }

    fn parse(name: Option<&str>, argument: Option<&str>) -> Result<Self, SettingsError> {
        let name = name.unwrap_or("parentbased_always_on");
        let (is_parent_based, kind) = match name.strip_prefix("parentbased_") {
            Some(kind) => (true, kind),
            None => (false, name),
        };
        let ratio = match kind {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => match argument {
                None => 1.0,
                Some(text) => {
                    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
                    ratio.ok_or_else(|| unsupported(SAMPLER_ARGUMENT, text, "a ratio, 0 to 1"))?
                }
            },
            _ => return Err(unsupported(SAMPLER, name, SUPPORTED)),
        };
        Ok(Self { is_parent_based, ratio })
    }

    /// Decides whether a new span is recorded. Every process decides the same about a trace.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
    pub fn decide(self, parent: Option<TraceContext>, trace_id: u128) -> bool {
        match parent {
            Some(parent) if self.is_parent_based => parent.is_sampled,
            _ if self.ratio >= 1.0 => true,
            // As OpenTelemetry's SDKs decide, by the low half of the id, which is random.
            _ => (trace_id as u64 >> 1) < (self.ratio * (1_u64 << 63) as f64) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(name: &str, argument: Option<&str>) -> Sampler {
        Sampler::parse(Some(name), argument).unwrap()
    }

    #[test]
    fn the_decision_of_a_parent_counts_where_the_sampler_says_so() {
        let parent = |is_sampled| Some(TraceContext { trace_id: 1, span_id: 2, is_sampled });
        for (name, alone, sampled_parent, other_parent) in [
            ("always_on", true, true, true),
            ("always_off", false, false, false),
            ("parentbased_always_on", true, true, false),
            ("parentbased_always_off", false, true, false),
        ] {
            let sampler = sampler(name, None);
            let decisions = [None, parent(true), parent(false)].map(|it| sampler.decide(it, 1));
            assert_eq!(decisions, [alone, sampled_parent, other_parent], "{name}");
        }
        assert_eq!(Sampler::parse(None, None).unwrap(), sampler("parentbased_always_on", None));
    }

    #[test]
    fn a_ratio_is_a_share_of_the_traces() {
        let quarter = sampler("traceidratio", Some("0.25"));
        let ids = (0..1000_u128).map(|n| (n << 64) | (n * u128::from(u64::MAX / 1000)));
        let count = ids.filter(|id| quarter.decide(None, *id)).count();
        assert!((250..=251).contains(&count), "{count}");
    }

    #[test]
    fn an_unknown_sampler_is_refused() {
        assert_eq!(Sampler::parse(Some("sometimes"), None).unwrap_err().value, "sometimes");
        for ratio in ["2", "-1", "half", "NaN"] {
            let error = Sampler::parse(Some("traceidratio"), Some(ratio)).unwrap_err();
            assert_eq!(error.variable, SAMPLER_ARGUMENT);
        }
    }
}
