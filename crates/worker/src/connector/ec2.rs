//! Client of EC2 and CloudWatch in the [AWS Query protocol](https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html):
//! form-encoded POST, XML back.

pub mod machine_source;

use super::{DEFAULT_COOLDOWN, error_for_status, parse_retry_after, read_body, request_error};
use contract::{
    api::{CooldownReason, Instance, Outcome},
    text::{MACHINE_ID, MACHINE_NAME, MACHINE_PROPERTY},
};
use engine::store::AttemptError;
use serde::Deserialize;
use std::time::SystemTime;

/// Maximum size of a response, in bytes: the description of some 5,000 machines.
const MAX_RESPONSE_BYTES: usize = 32 << 20;

/// Client of EC2 and CloudWatch.
#[derive(Clone, Debug)]
pub struct Ec2Client {
    /// URL of EC2.
    pub ec2_url: String,
    /// URL of CloudWatch.
    pub cloudwatch_url: String,
    /// HTTP client that all connectors share.
    pub http_client: reqwest::Client,
}

#[derive(Deserialize)]
struct DescribeInstancesResponse {
    #[serde(rename = "reservationSet")]
    reservations: ItemList<Reservation>,
}

#[derive(Deserialize)]
struct ItemList<T> {
    #[serde(default = "Vec::new")]
    item: Vec<T>,
}

#[derive(Deserialize)]
struct Reservation {
    #[serde(rename = "instancesSet")]
    instances: ItemList<InstanceXml>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InstanceXml {
    instance_id: String,
    instance_state: InstanceStateXml,
    #[serde(default)]
    instance_type: String,
    #[serde(default)]
    placement: Option<Placement>,
    #[serde(default)]
    tag_set: Option<ItemList<Tag>>,
}

#[derive(Deserialize)]
struct InstanceStateXml {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Placement {
    #[serde(default)]
    availability_zone: String,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorResponse {
    errors: Errors,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Errors {
    error: AwsError,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AwsError {
    code: String,
    message: String,
}

impl Ec2Client {
    /// Starts a machine; starting a running one changes nothing.
    ///
    /// # Errors
    /// EC2 did not accept the request.
    pub async fn start_instance(&self, instance_id: &str) -> Result<(), AttemptError> {
        let form = [
            ("Action", "StartInstances"),
            ("Version", "2016-11-15"),
            ("InstanceId.1", instance_id),
        ];
        self.send_query("EC2", &self.ec2_url, &form).await.map(|_| ())
    }

    /// Describes the machines `ids`, or all machines if `ids` is empty.
    ///
    /// # Errors
    /// The machines can't be described.
    pub async fn describe_instances(&self, ids: &[&str]) -> Result<Vec<Instance>, AttemptError> {
        let names: Vec<String> = (1..=ids.len()).map(|n| format!("InstanceId.{n}")).collect();
        let mut form = vec![("Action", "DescribeInstances"), ("Version", "2016-11-15")];
        form.extend(names.iter().map(String::as_str).zip(ids.iter().copied()));
        let xml = self.send_query("EC2", &self.ec2_url, &form).await?;
        let response: DescribeInstancesResponse =
            quick_xml::de::from_str(&xml).map_err(|error| {
                let message = format!("EC2's response can't be read: {error}.");
                AttemptError::retry("unreadable_response", message)
            })?;
        let machines = response.reservations.item.into_iter().flat_map(|r| r.instances.item);
        Ok(machines.map(instance_from_xml).collect())
    }

    /// Creates the status alarm of a machine; creating it again changes nothing.
    ///
    /// # Errors
    /// CloudWatch did not create the alarm.
    pub async fn put_status_alarm(&self, id: &str, name: &str) -> Result<(), AttemptError> {
        let alarm = alarm_name(id, name);
        let form = [
            ("Action", "PutMetricAlarm"),
            ("Version", "2010-08-01"),
            ("AlarmName", alarm.as_str()),
            ("Namespace", "AWS/EC2"),
            ("MetricName", "StatusCheckFailed"),
            ("Dimensions.member.1.Name", "InstanceId"),
            ("Dimensions.member.1.Value", id),
            ("Statistic", "Maximum"),
            ("Period", "60"),
            ("EvaluationPeriods", "2"),
            ("Threshold", "1"),
            ("ComparisonOperator", "GreaterThanOrEqualToThreshold"),
        ];
        self.send_query("CloudWatch", &self.cloudwatch_url, &form).await.map(|_| ())
    }

    async fn send_query(
        &self,
        service: &str,
        url: &str,
        form: &[(&str, &str)],
    ) -> Result<String, AttemptError> {
        let send_result = self.http_client.post(url).form(form).send().await;
        let response = send_result.map_err(|error| request_error(service, &error))?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = read_body(service, response, MAX_RESPONSE_BYTES).await?;
        let body = String::from_utf8_lossy(&body).into_owned();
        if status == 200 {
            return Ok(body);
        }
        let Ok(error_response) = quick_xml::de::from_str::<ErrorResponse>(&body) else {
            return Err(error_for_status(service, status, &headers, "no reason given"));
        };
        let AwsError { code, message } = error_response.errors.error;
        let outcome = Outcome::new(code.clone(), format!("{service}: {message}"));
        Err(match code.as_str() {
            "RequestLimitExceeded" | "Throttling" => {
                let wait =
                    parse_retry_after(&headers, SystemTime::now()).unwrap_or(DEFAULT_COOLDOWN);
                AttemptError::Cooldown { outcome, reason: CooldownReason::Throttled, wait }
            }
            "InsufficientInstanceCapacity" => {
                AttemptError::Retry { outcome, outcome_unknown: false }
            }
            _ if status >= 500 => AttemptError::Retry { outcome, outcome_unknown: false },
            _ => AttemptError::Failed(outcome),
        })
    }
}

/// Returns the name of a machine's status alarm.
pub fn alarm_name(id: &str, name: &str) -> String {
    if name.is_empty() { format!("status-{id}") } else { format!("status-{name}-{id}") }
}

fn instance_from_xml(instance: InstanceXml) -> Instance {
    let tags = instance.tag_set.map(|tags| tags.item).unwrap_or_default();
    let name = tags.iter().find(|tag| tag.key == "Name");
    let placement = instance.placement.as_ref();
    Instance {
        name: MACHINE_NAME.clean(name.map_or("", |tag| &tag.value)),
        id: MACHINE_ID.clean(&instance.instance_id),
        state: MACHINE_PROPERTY.clean(&instance.instance_state.name),
        instance_type: MACHINE_PROPERTY.clean(&instance.instance_type),
        zone: MACHINE_PROPERTY
            .clean(placement.map_or("", |placement| &placement.availability_zone)),
    }
}
