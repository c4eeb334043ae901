//! OpenTelemetry's environment variables about the collectors. The exporters of spans and log lines
//! read some of them again, but skip values that they can't use, so all are checked here.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use std::time::Duration;
use url::Url;

/// Time for one request to the collector, unless the environment says another one.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Value of a variable with credentials in an error.
const MASK: &str = "***";

/// A variable whose value is not supported.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is {value:?}; supported: {supported}")]
pub struct SettingsError {
    /// Name of the variable.
    pub variable: String,
    /// Its value, masked if it may be a credential.
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

    /// Returns the name in log lines, in paths and, in capitals, in variables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }
}

/// Collector of a signal.
#[derive(Debug, PartialEq, Eq)]
pub struct Collector {
    signal: Signal,
    /// URL of the signal, with its path.
    pub endpoint: Uri,
    /// Headers with which the signal is sent.
    pub headers: HeaderMap,
    /// Time for one request.
    pub timeout: Duration,
}

/// What the environment says about the export.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    collectors: Vec<Collector>,
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
        let mut settings = Self { collectors: Vec::new() };
        if disabled {
            return Ok(settings);
        }
        for signal in Signal::ALL {
            let capitals = signal.name().to_ascii_uppercase();
            let own = |suffix: &str| format!("OTEL_EXPORTER_OTLP_{capitals}_{suffix}");
            let of_signal = |suffix: &str| {
                let shared = format!("OTEL_EXPORTER_OTLP_{suffix}");
                let find = |name: String| variable(&name).map(|value| (name, value));
                find(own(suffix)).or_else(|| find(shared))
            };
            let Some((name, endpoint)) = of_signal("ENDPOINT") else { continue };
            let exporter = format!("OTEL_{capitals}_EXPORTER");
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
            let timeout = match of_signal("TIMEOUT") {
                None => DEFAULT_TIMEOUT,
                Some((name, value)) => {
                    let timeout = value.parse().map(Duration::from_millis);
                    timeout.map_err(|_| unsupported(name, &value, "a number of milliseconds"))?
                }
            };
            // Only the variable of all signals needs a path.
            let url = match name == own("ENDPOINT") {
                true => endpoint.clone(),
                false => format!("{}/v1/{}", endpoint.trim_end_matches('/'), signal.name()),
            };
            let endpoint = parse_endpoint(&url)
                .ok_or_else(|| unsupported(name, &endpoint, "an http:// or https:// URL"))?;
            let headers = match of_signal("HEADERS") {
                None => HeaderMap::new(),
                Some((name, list)) => parse_headers(&list).ok_or_else(|| {
                    unsupported(name, MASK, "headers, such as authorization=Bearer%20secret")
                })?,
            };
            settings.collectors.push(Collector { signal, endpoint, headers, timeout });
        }
        Ok(settings)
    }

    /// Returns the collector of a signal, if the signal is exported.
    pub fn collector(&self, signal: Signal) -> Option<&Collector> {
        self.collectors.iter().find(|collector| collector.signal == signal)
    }
}

/// Returns a URL to which HTTP requests can be sent. Both parsers have to accept it, because the
/// exporters use one and the HTTP client the other.
fn parse_endpoint(text: &str) -> Option<Uri> {
    let url = Url::parse(text).ok()?;
    let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
    is_http.then(|| text.parse().ok()).flatten()
}

/// Returns the headers of a list `name=value,…` with percent-encoded values, unless one of them
/// can't be sent.
fn parse_headers(list: &str) -> Option<HeaderMap> {
    let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let headers = entries.map(|entry| {
        let (name, value) = entry.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        Some((name.trim().parse::<HeaderName>().ok()?, value))
    });
    headers.collect()
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
            let found =
                Signal::ALL.into_iter().filter(|signal| settings.collector(*signal).is_some());
            assert_eq!(found.collect::<Vec<_>>(), exported, "{variables:?}");
        }
    }

    #[test]
    fn the_path_of_a_signal_follows_the_endpoint_of_all_only() {
        let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://localhost:9/own");
        let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc, x-team = shop");
        let settings = read(&[ENDPOINT, headers]).unwrap();
        let collector = settings.collector(Signal::Metrics).unwrap();
        assert_eq!(collector.endpoint, "http://localhost:4318/v1/metrics");
        assert_eq!(collector.headers.len(), 2);
        assert_eq!(collector.headers["authorization"], "Bearer abc");
        assert_eq!(collector.headers["x-team"], "shop");
        let settings = read(&[ENDPOINT, own]).unwrap();
        let collector = settings.collector(Signal::Metrics).unwrap();
        assert_eq!(collector.endpoint, "http://localhost:9/own");
        assert!(collector.headers.is_empty());
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
    }

    #[test]
    fn an_endpoint_that_is_not_an_http_url_is_refused_for_every_signal() {
        for value in ["localhost:4318", "localhost", "//localhost", "grpc://localhost", "http://"] {
            let error = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", value)]).unwrap_err();
            assert_eq!(error.variable, "OTEL_EXPORTER_OTLP_ENDPOINT");
            assert_eq!(error.value, value);
            for signal in ["TRACES", "METRICS", "LOGS"] {
                let name = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
                let error = read(&[(name.as_str(), value)]).unwrap_err();
                assert_eq!((error.variable, error.value.as_str()), (name, value));
            }
        }
    }

    #[test]
    fn a_header_that_cannot_be_sent_is_refused_and_not_shown() {
        for list in ["x team=hush", "hush", "=hush", "x-team=hush%0A", "x-team=%FF", "a=b,hush"] {
            for signal in ["", "TRACES_", "METRICS_", "LOGS_"] {
                let name = format!("OTEL_EXPORTER_OTLP_{signal}HEADERS");
                let error = read(&[ENDPOINT, (name.as_str(), list)]).unwrap_err();
                assert_eq!(error.variable, name, "{list:?}");
                assert!(!error.to_string().contains("hush"), "{error}");
            }
        }
        // An empty entry is no header.
        let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "x-team=shop, ");
        let settings = read(&[ENDPOINT, headers]).unwrap();
        assert_eq!(settings.collector(Signal::Logs).unwrap().headers.len(), 1);
    }

    #[test]
    fn the_timeout_of_a_signal_is_its_own() {
        let shared = ("OTEL_EXPORTER_OTLP_TIMEOUT", "700");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "100");
        let logs = ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "300");
        for (variables, expected) in [
            (&[ENDPOINT][..], [10_000, 10_000, 10_000]),
            (&[ENDPOINT, shared], [700, 700, 700]),
            (&[ENDPOINT, logs], [10_000, 10_000, 300]),
            (&[ENDPOINT, traces, shared], [100, 700, 700]),
        ] {
            let settings = read(variables).unwrap();
            let timeouts = Signal::ALL.map(|signal| settings.collector(signal).unwrap().timeout);
            assert_eq!(timeouts, expected.map(Duration::from_millis), "{variables:?}");
        }
    }
}
