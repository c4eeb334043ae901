//! Prometheus's text format, as this process writes it, as metrics of OTLP.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum,
        metric::Data, number_data_point::Value,
    },
};
use std::collections::HashMap;

type Labels = Vec<(String, String)>;

/// Returns the metrics of a text. Counters count from `start_ns`, and everything is as of
/// `now_ns`; both are ns since 1970. A line that can't be read is left out.
pub fn parse(text: &str, start_ns: u64, now_ns: u64) -> Vec<Metric> {
    let mut help: HashMap<&str, &str> = HashMap::new();
    let mut metrics: Vec<Metric> = Vec::new();
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help.extend(described.split_once(' '));
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = typed.split_once(' ') else { continue };
            let Some(data) = empty_data(kind) else { continue };
            metrics.push(Metric {
                name: name.to_owned(),
                description: help.get(name).copied().unwrap_or_default().to_owned(),
                data: Some(data),
                ..Metric::default()
            });
        } else if let (Some((name, labels, value)), Some(metric)) =
            (parse_sample(line), metrics.last_mut())
        {
            // The samples of a metric follow its type.
            let Some(part) = name.strip_prefix(metric.name.as_str()) else { continue };
            match &mut metric.data {
                Some(Data::Sum(sum)) => {
                    sum.data_points.push(number(labels, value, start_ns, now_ns));
                }
                Some(Data::Gauge(gauge)) => {
                    gauge.data_points.push(number(labels, value, 0, now_ns));
                }
                Some(Data::Histogram(histogram)) => {
                    add_to_histogram(histogram, part, labels, value, (start_ns, now_ns));
                }
                _ => {}
            }
        }
    }
    metrics.iter_mut().for_each(finish_histogram);
    metrics
}

fn empty_data(kind: &str) -> Option<Data> {
    let cumulative = AggregationTemporality::Cumulative.into();
    match kind {
        "counter" => Some(Data::Sum(Sum {
            aggregation_temporality: cumulative,
            is_monotonic: true,
            ..Sum::default()
        })),
        "gauge" => Some(Data::Gauge(Gauge::default())),
        "histogram" => Some(Data::Histogram(Histogram {
            aggregation_temporality: cumulative,
            ..Histogram::default()
        })),
        _ => None,
    }
}

fn number(labels: Labels, value: f64, start_ns: u64, now_ns: u64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: start_ns,
        time_unix_nano: now_ns,
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

/// Adds a sample to the point with its labels. Prometheus's buckets contain the smaller ones.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn add_to_histogram(
    histogram: &mut Histogram,
    part: &str,
    mut labels: Labels,
    value: f64,
    (start_ns, now_ns): (u64, u64),
) {
    let bound = labels.iter().position(|(name, _)| name == "le").map(|at| labels.remove(at).1);
    let attributes = attributes(labels);
    let points = &mut histogram.data_points;
    let known = points.iter().position(|point| point.attributes == attributes);
    let at = known.unwrap_or_else(|| {
        points.push(HistogramDataPoint {
            attributes,
            start_time_unix_nano: start_ns,
            time_unix_nano: now_ns,
            ..HistogramDataPoint::default()
        });
        points.len() - 1
    });
    let point = &mut points[at];
    match (part, bound.as_deref()) {
        ("_sum", _) => point.sum = Some(value),
        ("_count", _) => point.count = value as u64,
        ("_bucket", Some("+Inf")) => point.bucket_counts.push(value as u64),
        ("_bucket", Some(bound)) => {
            if let Ok(bound) = bound.parse() {
                point.explicit_bounds.push(bound);
                point.bucket_counts.push(value as u64);
            }
        }
        _ => {}
    }
}

/// Counts in each bucket only what no smaller one contains, as OTLP does.
fn finish_histogram(metric: &mut Metric) {
    let Some(Data::Histogram(histogram)) = &mut metric.data else { return };
    for point in &mut histogram.data_points {
        let mut smaller = 0;
        for count in &mut point.bucket_counts {
            let all = *count;
            *count = all.saturating_sub(smaller);
            smaller = all;
        }
    }
}

fn attributes(labels: Labels) -> Vec<KeyValue> {
    let text = |value| Some(AnyValue { value: Some(any_value::Value::StringValue(value)) });
    let attribute = |(key, value)| KeyValue { key, value: text(value), ..KeyValue::default() };
    labels.into_iter().map(attribute).collect()
}

/// Reads a line such as `name{label="value"} 1.5`.
fn parse_sample(line: &str) -> Option<(&str, Labels, f64)> {
    if line.starts_with('#') {
        return None;
    }
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, labels)) = series.split_once('{') else {
        return Some((series, Labels::new(), value));
    };
    Some((name, parse_labels(labels.strip_suffix('}')?)?, value))
}

/// Reads labels such as `a="b",c="d\"e"`.
fn parse_labels(mut text: &str) -> Option<Labels> {
    let mut labels = Labels::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match characters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        labels.push((name.to_owned(), value));
        text = rest.get(end + 1..)?.trim_start_matches(',');
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP tasks_total Tasks, by state.
# TYPE tasks_total counter
tasks_total{state="done",name="a \"b\", c\\d\n"} 3
tasks_total{state="failed"} 1

# TYPE open gauge
open 2.5

# TYPE wait_seconds histogram
wait_seconds_bucket{queue="a",le="0.1"} 1
wait_seconds_bucket{queue="a",le="1"} 4
wait_seconds_bucket{queue="a",le="+Inf"} 5
wait_seconds_sum{queue="a"} 9.5
wait_seconds_count{queue="a"} 5
wait_seconds_bucket{queue="b",le="0.1"} 0
not a line
"#;

    #[test]
    fn counters_gauges_and_histograms_are_converted() {
        let metrics = parse(TEXT, 1, 2);
        let names: Vec<_> = metrics.iter().map(|metric| metric.name.as_str()).collect();
        assert_eq!(names, ["tasks_total", "open", "wait_seconds"]);
        assert_eq!(metrics[0].description, "Tasks, by state.");
        let Some(Data::Sum(sum)) = &metrics[0].data else { panic!("{:?}", metrics[0]) };
        assert!(sum.is_monotonic);
        let first = &sum.data_points[0];
        assert_eq!((first.start_time_unix_nano, first.time_unix_nano), (1, 2));
        assert_eq!(first.value, Some(Value::AsDouble(3.0)));
        let name = first.attributes[1].value.clone().and_then(|value| value.value);
        assert_eq!(name, Some(any_value::Value::StringValue("a \"b\", c\\d\n".into())));
        let Some(Data::Gauge(gauge)) = &metrics[1].data else { panic!("{:?}", metrics[1]) };
        assert_eq!(gauge.data_points[0].value, Some(Value::AsDouble(2.5)));
        let Some(Data::Histogram(histogram)) = &metrics[2].data else { panic!("no histogram") };
        assert_eq!(histogram.data_points.len(), 2);
        let point = &histogram.data_points[0];
        assert_eq!((point.count, point.sum), (5, Some(9.5)));
        assert_eq!(point.explicit_bounds, [0.1, 1.0]);
        assert_eq!(point.bucket_counts, [1, 3, 1]);
    }
}
