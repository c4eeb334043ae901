//! CloudWatch's metric alarms.

use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

use axum::http::StatusCode;

use crate::{
    aws::AwsService,
    environment::Environment,
    ledger::{EffectRow, ServiceHistory},
    profiles::{CLOUDWATCH, CLOUDWATCH_RATE, RateLimit},
    query_protocol::{AwsError, QueryParams, element, text_element, xml_document},
    response::ServiceResponse,
};

const PUT_METRIC_ALARM: &str = "PutMetricAlarm";
const DESCRIBE_ALARMS: &str = "DescribeAlarms";
const NAMESPACE: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";
const ALARM_NAME: &str = "AlarmName";
const REQUIRED_PARAMETERS: [&str; 3] = [ALARM_NAME, "ComparisonOperator", "EvaluationPeriods"];
/// Parameters that an alarm's description repeats, in AWS's order.
const DESCRIBED_PARAMETERS: [&str; 9] = [
    "AlarmDescription",
    "MetricName",
    "Namespace",
    "Statistic",
    "Period",
    "Unit",
    "EvaluationPeriods",
    "Threshold",
    "ComparisonOperator",
];

/// CloudWatch with its alarms.
pub struct CloudWatch {
    environment: Arc<Environment>,
    alarms: Mutex<BTreeMap<String, Alarm>>,
}

/// Parameters of the last `PutMetricAlarm` of an alarm.
type Alarm = BTreeMap<String, String>;

impl AwsService for CloudWatch {
    const ID: &'static str = CLOUDWATCH;
    const VERSION: &'static str = "2010-08-01";
    const RATE: RateLimit = CLOUDWATCH_RATE;

    fn restore(history: &ServiceHistory, environment: Arc<Environment>) -> Self {
        let alarms = history
            .effects
            .iter()
            .filter_map(|effect| Some((effect.key.as_deref()?.to_owned(), effect.detail.clone())));
        Self { environment, alarms: Mutex::new(alarms.collect()) }
    }

    fn ledger_key_and_sku(params: &QueryParams) -> (Option<String>, Option<String>) {
        let names = params.list("AlarmNames.member").join(",");
        let key =
            params.get(ALARM_NAME).map(str::to_owned).or((!names.is_empty()).then_some(names));
        (key, instance_id(params).map(str::to_owned))
    }

    fn handle_action(&self, params: &QueryParams) -> Result<String, AwsError> {
        match params.action() {
            PUT_METRIC_ALARM => self.put_alarm(params),
            DESCRIBE_ALARMS => Ok(self.describe_alarms(params)),
            "" => Err(AwsError::missing_parameter("Action")),
            other => {
                let message = format!("The action {other} is not valid for this web service.");
                Err(AwsError::bad_request("InvalidAction", message))
            }
        }
    }

    fn throttling_error() -> AwsError {
        AwsError::bad_request("Throttling", "Rate exceeded")
    }

    fn success_response(action: &str, inner: &str, request_id: &str) -> ServiceResponse {
        let metadata = element("ResponseMetadata", &text_element("RequestId", request_id));
        let root = format!("{action}Response");
        xml_document(StatusCode::OK, &root, Some(NAMESPACE), &(inner.to_owned() + &metadata))
    }

    fn error_response(error: &AwsError, request_id: &str) -> ServiceResponse {
        let side = if error.status.is_server_error() { "Receiver" } else { "Sender" };
        let detail = text_element("Type", side)
            + &text_element("Code", error.code)
            + &text_element("Message", &error.message);
        let inner = element("Error", &detail) + &text_element("RequestId", request_id);
        xml_document(error.status, "ErrorResponse", Some(NAMESPACE), &inner)
    }
}

impl CloudWatch {
    /// Creates an alarm, or replaces the one with the same name.
    fn put_alarm(&self, params: &QueryParams) -> Result<String, AwsError> {
        if let Some(missing) =
            REQUIRED_PARAMETERS.iter().find(|name| params.get(name).is_none_or(str::is_empty))
        {
            return Err(AwsError::missing_parameter(missing));
        }
        let name = params.get(ALARM_NAME).unwrap_or_default();
        let given = params.iter().filter(|(name, _)| !matches!(*name, "Action" | "Version"));
        let alarm: Alarm = given.map(|(name, value)| (name.into(), value.into())).collect();
        let mut alarms = self.alarms.lock();
        let effect = EffectRow {
            at_us: self.environment.clock.now(),
            action: PUT_METRIC_ALARM.into(),
            key: Some(name.into()),
            sku: instance_id(params).unwrap_or_default().into(),
            created: !alarms.contains_key(name),
            updated: false,
            detail: alarm.clone(),
        };
        self.environment.ledger.record_effect(CLOUDWATCH, effect)?;
        alarms.insert(name.to_owned(), alarm);
        Ok(String::new())
    }

    /// Describes the named alarms that exist; all alarms if none is named.
    fn describe_alarms(&self, params: &QueryParams) -> String {
        let wanted = params.list("AlarmNames.member");
        let alarms = self.alarms.lock();
        let members = alarms
            .iter()
            .filter(|(name, _)| wanted.is_empty() || wanted.contains(&name.as_str()))
            .map(|(name, alarm)| element("member", &alarm_description(name, alarm)));
        let alarms = element("MetricAlarms", &members.collect::<String>());
        element("DescribeAlarmsResult", &(alarms + "<CompositeAlarms/>"))
    }
}

/// Returns the instance id among an alarm's dimensions.
fn instance_id(params: &QueryParams) -> Option<&str> {
    dimensions(|name| params.get(name)).find(|(name, _)| *name == "InstanceId").map(|it| it.1)
}

fn dimensions<'a>(
    get: impl Fn(&str) -> Option<&'a str>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    (1..).map_while(move |number| {
        let name = get(&format!("Dimensions.member.{number}.Name"))?;
        Some((name, get(&format!("Dimensions.member.{number}.Value")).unwrap_or_default()))
    })
}

fn alarm_description(name: &str, alarm: &Alarm) -> String {
    let get = |name: &str| alarm.get(name).map(String::as_str);
    let arn = format!("arn:aws:cloudwatch:eu-central-1:123456789012:alarm:{name}");
    let mut inner = text_element(ALARM_NAME, name) + &text_element("AlarmArn", &arn);
    for field in DESCRIBED_PARAMETERS {
        inner += &get(field).map(|value| text_element(field, value)).unwrap_or_default();
    }
    let dimensions = dimensions(get).map(|(name, value)| {
        element("member", &(text_element("Name", name) + &text_element("Value", value)))
    });
    inner += &element("Dimensions", &dimensions.collect::<String>());
    inner + &text_element("StateValue", "INSUFFICIENT_DATA")
}
