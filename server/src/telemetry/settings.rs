//! OpenTelemetry's environment variables that decide whether anything is exported. The exporters
//! read the others themselves.

use percent_encoding::percent_decode_str;
use std::time::Duration;

/// Time for one request to the collector, unless the environment says another one.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// A variable whose value is not supported.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is {value:?}; supported: {supported}")]
pub struct SettingsError {
    /// Name of the variable.
    pub variable: String,
    /// Its value.
    pub value: String,
    /// Supported values.
    pub supported: &'static str,
}

/// What can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    const fn name(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }

    /// Returns the path below the endpoint of all signals.
    const fn path(self) -> &'static str {
        match self {
            Self::Traces => "v1/traces",
            Self::Metrics => "v1/metrics",
            Self::Logs => "v1/logs",
        }
    }
}

/// Collector of a signal.
#[derive(Debug, PartialEq, Eq)]
struct Collector {
    signal: Signal,
    /// URL of the signal, with its path.
    endpoint: String,
    headers: Option<String>,
}

/// What the environment says about the export.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    collectors: Vec<Collector>,
    /// Time for one request to the collector.
    pub timeout: Duration,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// A variable has a value that is not supported.
    pub fn from_environment() -> Result<Self, SettingsError> {
        Self::read(variable)
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let disabled =
            variable("OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true"));
        let mut settings = Self { collectors: Vec::new(), timeout: DEFAULT_TIMEOUT };
        if disabled {
            return Ok(settings);
        }
        for signal in Signal::ALL {
            let own = |suffix: &str| format!("OTEL_EXPORTER_OTLP_{}_{suffix}", signal.name());
            let of_signal = |suffix: &str| {
                let shared = format!("OTEL_EXPORTER_OTLP_{suffix}");
                let find = |name: String| variable(&name).map(|value| (name, value));
                find(own(suffix)).or_else(|| find(shared))
            };
            let Some((name, endpoint)) = of_signal("ENDPOINT") else { continue };
            let exporter = format!("OTEL_{}_EXPORTER", signal.name());
            match variable(&exporter).as_deref() {
                None | Some("otlp") => {}
                Some("none") => continue,
                Some(value) => return Err(unsupported(exporter, value, "otlp, none")),
            }
            if let Some((name, value)) = of_signal("PROTOCOL")
                && value != "http/protobuf"
            {
                return Err(unsupported(name, &value, "http/protobuf"));
            }
            if let Some((name, value)) = of_signal("TIMEOUT") {
                let timeout = value.parse().map(Duration::from_millis);
                let timeout =
                    timeout.map_err(|_| unsupported(name, &value, "a number of milliseconds"))?;
                settings.timeout = timeout;
            }
            // Only the variable of all signals needs a path.
            let endpoint = match name == own("ENDPOINT") {
                true => endpoint,
                false => format!("{}/{}", endpoint.trim_end_matches('/'), signal.path()),
            };
            let headers = of_signal("HEADERS").map(|(_, headers)| headers);
            settings.collectors.push(Collector { signal, endpoint, headers });
        }
        Ok(settings)
    }

    /// Whether there is a collector for a signal.
    pub fn exports(&self, signal: Signal) -> bool {
        self.collector(signal).is_some()
    }

    /// Returns the URL to which a signal is sent.
    pub fn endpoint(&self, signal: Signal) -> Option<String> {
        self.collector(signal).map(|collector| collector.endpoint.clone())
    }

    /// Returns the headers with which a signal is sent, by name.
    pub fn headers(&self, signal: Signal) -> Vec<(String, String)> {
        let list = self.collector(signal).and_then(|collector| collector.headers.as_deref());
        let headers = list.unwrap_or_default().split(',');
        let headers = headers.filter_map(|header| header.split_once('='));
        let decode = |text: &str| percent_decode_str(text.trim()).decode_utf8_lossy().into_owned();
        headers.map(|(name, value)| (decode(name), decode(value))).collect()
    }

    fn collector(&self, signal: Signal) -> Option<&Collector> {
        self.collectors.iter().find(|collector| collector.signal == signal)
    }
}

/// Returns the error of a variable with a value that is not supported.
pub fn unsupported(
    variable: impl Into<String>,
    value: &str,
    supported: &'static str,
) -> SettingsError {
    SettingsError { variable: variable.into(), value: value.to_owned(), supported }
}

/// Returns a variable of the environment; an empty one counts as one that is not set.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::read(|name| {
            let found = variables.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");

    #[test]
    fn only_signals_with_an_endpoint_are_exported() {
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://localhost:4318/v1/traces");
        for (variables, exported) in [
            (&[][..], &[][..]),
            (&[("OTEL_TRACES_EXPORTER", "otlp")], &[]),
            (&[ENDPOINT], &Signal::ALL),
            (&[traces], &[Signal::Traces]),
            (&[ENDPOINT, ("OTEL_LOGS_EXPORTER", "none")], &[Signal::Traces, Signal::Metrics]),
            (&[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")], &[]),
            (&[ENDPOINT, ("OTEL_SDK_DISABLED", "false")], &Signal::ALL),
        ] {
            let settings = read(variables).unwrap();
            let found = Signal::ALL.into_iter().filter(|signal| settings.exports(*signal));
            assert_eq!(found.collect::<Vec<_>>(), exported, "{variables:?}");
        }
    }

    #[test]
    fn the_path_of_a_signal_follows_the_endpoint_of_all_only() {
        let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://localhost:9/own");
        let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc, x-team = shop");
        let settings = read(&[ENDPOINT, headers]).unwrap();
        let endpoint = settings.endpoint(Signal::Metrics).unwrap();
        assert_eq!(endpoint, "http://localhost:4318/v1/metrics");
        let headers = [("authorization", "Bearer abc"), ("x-team", "shop")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(settings.headers(Signal::Metrics), headers);
        let settings = read(&[ENDPOINT, own]).unwrap();
        assert_eq!(settings.endpoint(Signal::Metrics).unwrap(), "http://localhost:9/own");
        assert!(settings.headers(Signal::Metrics).is_empty());
    }

    #[test]
    fn a_value_that_is_not_supported_is_named() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ] {
            let error = read(&[ENDPOINT, (name, value)]).unwrap_err();
            assert_eq!((error.variable.as_str(), error.value.as_str()), (name, value));
            // Without an endpoint it does not matter.
            assert!(read(&[(name, value)]).is_ok());
        }
        let timeout = ("OTEL_EXPORTER_OTLP_TIMEOUT", "700");
        assert_eq!(read(&[ENDPOINT, timeout]).unwrap().timeout, Duration::from_millis(700));
    }
}
