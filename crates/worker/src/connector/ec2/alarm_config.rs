//! Alarm that each machine gets once it runs.

use aws::cloudwatch::MachineAlarm;
use std::fmt;

/// Maximum length of an alarm's name.
/// See [`PutMetricAlarm`](https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html).
const MAX_NAME_CHARS: usize = 255;
/// Characters between the parts of a name, one of which is left out with the name.
const SEPARATORS: [char; 5] = ['-', '_', '/', '.', ' '];

/// Alarm that each machine of an account gets once it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmConfig {
    /// Name, in which `{id}` and `{name}` stand for those of the machine. A machine without a
    /// name leaves out `{name}` with one of the separators beside it.
    pub name: String,
    /// Metric of the namespace `AWS/EC2`.
    pub metric: String,
    /// Statistic of the metric.
    pub statistic: String,
    /// Comparison of the metric with the threshold.
    pub comparison: String,
    /// Threshold, in the unit of the metric.
    pub threshold: f64,
    /// Length of one period, in seconds.
    pub period_s: u32,
    /// Number of periods after which the alarm is raised.
    pub evaluation_periods: u32,
}

impl Default for AlarmConfig {
    /// The status checks of the machine have failed for two minutes.
    fn default() -> Self {
        Self {
            name: "status-{name}-{id}".into(),
            metric: "StatusCheckFailed".into(),
            statistic: "Maximum".into(),
            comparison: "GreaterThanOrEqualToThreshold".into(),
            threshold: 1.0,
            period_s: 60,
            evaluation_periods: 2,
        }
    }
}

impl AlarmConfig {
    /// Returns the name of a machine's alarm. A long name of a machine is truncated.
    pub fn alarm_name(&self, id: &str, name: &str) -> String {
        let with_id = |text: &str| text.replace("{id}", id);
        let Some((before, after)) = self.name.split_once("{name}") else {
            return with_id(&self.name);
        };
        let (before, after) = match (name.is_empty(), after.strip_prefix(SEPARATORS)) {
            (false, _) => (before, after),
            (true, Some(after)) => (before, after),
            (true, None) => (before.strip_suffix(SEPARATORS).unwrap_or(before), after),
        };
        let (before, after) = (with_id(before), with_id(after));
        let room = MAX_NAME_CHARS.saturating_sub(before.chars().count() + after.chars().count());
        let name: String = name.chars().take(room).collect();
        format!("{before}{name}{after}")
    }

    pub(super) fn alarm<'a>(&'a self, name: &'a str, machine_id: &'a str) -> MachineAlarm<'a> {
        MachineAlarm {
            name,
            machine_id,
            metric: &self.metric,
            statistic: &self.statistic,
            comparison: &self.comparison,
            threshold: self.threshold,
            period_s: self.period_s,
            evaluation_periods: self.evaluation_periods,
        }
    }
}

impl fmt::Display for AlarmConfig {
    /// Says for people what the alarm is called and when it is raised.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, metric, threshold, .. } = self;
        let statistic = self.statistic.to_lowercase();
        let comparison = match self.comparison.as_str() {
            "GreaterThanOrEqualToThreshold" => "at least",
            "GreaterThanThreshold" => "more than",
            "LessThanOrEqualToThreshold" => "at most",
            "LessThanThreshold" => "less than",
            other => other,
        };
        let seconds = u64::from(self.period_s) * u64::from(self.evaluation_periods);
        let time = match seconds {
            0..120 => format!("{seconds} s"),
            _ if seconds % 60 == 0 => format!("{} min", seconds / 60),
            _ => format!("{seconds} s"),
        };
        write!(
            f,
            "“{name}”, raised when the {statistic} of {metric} is {comparison} {threshold} for {time}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_say_when_the_alarm_is_raised() {
        let words = "“status-{name}-{id}”, raised when the maximum of StatusCheckFailed is at \
                     least 1 for 2 min";
        assert_eq!(AlarmConfig::default().to_string(), words);
        let busy = AlarmConfig {
            name: "cpu-{id}".into(),
            metric: "CPUUtilization".into(),
            statistic: "Average".into(),
            comparison: "GreaterThanThreshold".into(),
            threshold: 92.5,
            period_s: 30,
            evaluation_periods: 3,
        };
        let words =
            "“cpu-{id}”, raised when the average of CPUUtilization is more than 92.5 for 90 s";
        assert_eq!(busy.to_string(), words);
    }

    #[test]
    fn a_machine_without_a_name_leaves_out_one_separator() {
        for (template, name, expected) in [
            ("status-{name}-{id}", "web", "status-web-i-1"),
            ("status-{name}-{id}", "", "status-i-1"),
            ("{id} {name}", "", "i-1"),
            ("{name}{id}", "", "i-1"),
            ("cpu/{id}", "web", "cpu/i-1"),
            ("status-{name}-{id}", "{id}", "status-{id}-i-1"),
        ] {
            let config = AlarmConfig { name: template.into(), ..AlarmConfig::default() };
            assert_eq!(config.alarm_name("i-1", name), expected, "{template}");
        }
        let long = AlarmConfig::default().alarm_name("i-1", &"ä".repeat(300));
        assert_eq!(long.chars().count(), MAX_NAME_CHARS);
        assert!(long.ends_with("-i-1"));
    }
}
