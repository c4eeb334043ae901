//! EC2 and CloudWatch in the [AWS Query protocol](https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html):
//! form-encoded POST, XML back.

pub mod account;

use super::{UNTOLD, body, no_answer, refused, retry_after};
use crate::handler::{Answer, outcome};
use contract::{
    api::Instance,
    text::{MACHINE_ID, MACHINE_NAME, MACHINE_PROPERTY},
};
use serde::Deserialize;
use std::time::SystemTime;

/// Largest answer that is read, in bytes: the description of some 5,000
/// machines.
const LARGEST: usize = 32 << 20;

/// Where the two services are.
#[derive(Clone, Debug)]
pub struct Ec2 {
    pub ec2_url: String,
    pub cloudwatch_url: String,
    pub client: reqwest::Client,
}

#[derive(Deserialize)]
struct Described {
    #[serde(rename = "reservationSet")]
    reservations: Items<Reservation>,
}

#[derive(Deserialize)]
struct Items<T> {
    #[serde(default = "Vec::new")]
    item: Vec<T>,
}

#[derive(Deserialize)]
struct Reservation {
    #[serde(rename = "instancesSet")]
    instances: Items<Machine>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Machine {
    instance_id: String,
    instance_state: State,
    #[serde(default)]
    instance_type: String,
    #[serde(default)]
    placement: Option<Placement>,
    #[serde(default)]
    tag_set: Option<Items<Tag>>,
}

#[derive(Deserialize)]
struct State {
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

impl Ec2 {
    /// Asks EC2 to start a machine; starting a running one changes nothing.
    pub async fn start(&self, id: &str) -> Result<(), Answer> {
        let form = [("Action", "StartInstances"), ("Version", "2016-11-15"), ("InstanceId.1", id)];
        self.call("EC2", &self.ec2_url, &form).await.map(|_| ())
    }

    /// All machines, or those of `ids`.
    pub async fn describe(&self, ids: &[&str]) -> Result<Vec<Instance>, Answer> {
        let names: Vec<String> = (1..=ids.len()).map(|n| format!("InstanceId.{n}")).collect();
        let mut form = vec![("Action", "DescribeInstances"), ("Version", "2016-11-15")];
        form.extend(names.iter().map(String::as_str).zip(ids.iter().copied()));
        let xml = self.call("EC2", &self.ec2_url, &form).await?;
        let described: Described = quick_xml::de::from_str(&xml).map_err(|error| {
            let message = format!("EC2's answer can't be read: {error}.");
            Answer::Retry { outcome: outcome("unreadable_answer", message), unsure: false }
        })?;
        let machines = described.reservations.item.into_iter().flat_map(|r| r.instances.item);
        Ok(machines.map(instance).collect())
    }

    /// Makes the status alarm of a machine; making it again changes nothing.
    pub async fn put_alarm(&self, id: &str, name: &str) -> Result<(), Answer> {
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
        self.call("CloudWatch", &self.cloudwatch_url, &form).await.map(|_| ())
    }

    async fn call(
        &self,
        service: &str,
        url: &str,
        form: &[(&str, &str)],
    ) -> Result<String, Answer> {
        let sent = self.client.post(url).form(form).send().await;
        let response = sent.map_err(|error| no_answer(service, &error))?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = body(service, response, LARGEST).await?;
        let body = String::from_utf8_lossy(&body).into_owned();
        if status == 200 {
            return Ok(body);
        }
        let Ok(said) = quick_xml::de::from_str::<ErrorResponse>(&body) else {
            return Err(refused(service, status, &headers, "no reason given"));
        };
        let AwsError { code, message } = said.errors.error;
        let outcome = outcome(code.clone(), format!("{service}: {message}"));
        Err(match code.as_str() {
            "RequestLimitExceeded" | "Throttling" => {
                let wait = retry_after(&headers, SystemTime::now()).unwrap_or(UNTOLD);
                Answer::Closed { outcome, wait }
            }
            "InsufficientInstanceCapacity" => Answer::Retry { outcome, unsure: false },
            _ if status >= 500 => Answer::Retry { outcome, unsure: false },
            _ => Answer::Failed(outcome),
        })
    }
}

/// The name of a machine's status alarm.
pub fn alarm_name(id: &str, name: &str) -> String {
    if name.is_empty() { format!("status-{id}") } else { format!("status-{name}-{id}") }
}

fn instance(machine: Machine) -> Instance {
    let tags = machine.tag_set.map(|tags| tags.item).unwrap_or_default();
    let name = tags.iter().find(|tag| tag.key == "Name");
    let zone = machine.placement.as_ref();
    Instance {
        name: MACHINE_NAME.clean(name.map_or("", |tag| &tag.value)),
        id: MACHINE_ID.clean(&machine.instance_id),
        state: MACHINE_PROPERTY.clean(&machine.instance_state.name),
        instance_type: MACHINE_PROPERTY.clean(&machine.instance_type),
        zone: MACHINE_PROPERTY.clean(zone.map_or("", |placement| &placement.availability_zone)),
    }
}
