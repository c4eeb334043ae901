//! CloudWatch: create and look up alarms.

use crate::{
    Client, Error,
    endpoint::Service,
    query::{Params, parse},
};
use serde::{Deserialize, de::IgnoredAny};

/// Alarm about a metric of one machine.
#[derive(Clone, Debug, PartialEq)]
pub struct MachineAlarm<'a> {
    /// Name of the alarm, unique in the account and region.
    pub name: &'a str,
    /// EC2's id of the machine.
    pub machine_id: &'a str,
    /// Metric of the namespace `AWS/EC2`, such as `StatusCheckFailed`.
    pub metric: &'a str,
    /// Statistic, such as `Maximum`.
    pub statistic: &'a str,
    /// Comparison with the threshold, such as `GreaterThanOrEqualToThreshold`.
    pub comparison: &'a str,
    /// Value with which the metric is compared.
    pub threshold: f64,
    /// Length of one period, in seconds.
    pub period_s: u32,
    /// Number of periods after which the alarm is raised.
    pub evaluation_periods: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeAlarmsResponse {
    describe_alarms_result: DescribeAlarmsResult,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeAlarmsResult {
    #[serde(default)]
    metric_alarms: MemberList,
}

#[derive(Default, Deserialize)]
struct MemberList {
    #[serde(default)]
    member: Vec<IgnoredAny>,
}

impl Client {
    /// Creates an alarm, or replaces the one with the same name.
    ///
    /// # Errors
    /// CloudWatch did not create the alarm.
    pub async fn put_machine_alarm(&self, alarm: &MachineAlarm<'_>) -> Result<(), Error> {
        let text = |value: f64| value.to_string().into();
        let params: Params<'_> = vec![
            ("AlarmName".into(), alarm.name.into()),
            ("Namespace".into(), "AWS/EC2".into()),
            ("MetricName".into(), alarm.metric.into()),
            ("Dimensions.member.1.Name".into(), "InstanceId".into()),
            ("Dimensions.member.1.Value".into(), alarm.machine_id.into()),
            ("Statistic".into(), alarm.statistic.into()),
            ("Period".into(), alarm.period_s.to_string().into()),
            ("EvaluationPeriods".into(), alarm.evaluation_periods.to_string().into()),
            ("Threshold".into(), text(alarm.threshold)),
            ("ComparisonOperator".into(), alarm.comparison.into()),
        ];
        self.send(Service::CloudWatch, "PutMetricAlarm", &params).await.map(|_| ())
    }

    /// Returns whether there is an alarm with this name.
    ///
    /// # Errors
    /// The alarms can't be described.
    pub async fn has_alarm(&self, name: &str) -> Result<bool, Error> {
        let params: Params<'_> = vec![("AlarmNames.member.1".into(), name.into())];
        let xml = self.send(Service::CloudWatch, "DescribeAlarms", &params).await?;
        let response: DescribeAlarmsResponse = parse(Service::CloudWatch, &xml, false)?;
        Ok(!response.describe_alarms_result.metric_alarms.member.is_empty())
    }
}
