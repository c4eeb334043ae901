//! CloudWatch's metric alarms.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::http::StatusCode;

use crate::{
    answer::Answer,
    aws::Service,
    ledger::{Effected, Kept, hold},
    query::{Params, Refusal, document, element, text},
    spec::{CLOUDWATCH, CLOUDWATCH_RATE, Rate},
    world::World,
};

const PUT: &str = "PutMetricAlarm";
const DESCRIBE: &str = "DescribeAlarms";
const NAMESPACE: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";
const NAME: &str = "AlarmName";
const REQUIRED: [&str; 3] = [NAME, "ComparisonOperator", "EvaluationPeriods"];
/// What an alarm's description repeats of its parameters, in AWS's order.
const SHOWN: [&str; 9] = [
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

pub struct CloudWatch {
    world: Arc<World>,
    alarms: Mutex<BTreeMap<String, Alarm>>,
}

/// The parameters that an alarm was last put with.
type Alarm = BTreeMap<String, String>;

impl Service for CloudWatch {
    const ID: &'static str = CLOUDWATCH;
    const VERSION: &'static str = "2010-08-01";
    const RATE: Rate = CLOUDWATCH_RATE;

    fn restored(kept: &Kept, world: Arc<World>) -> Self {
        let alarms = kept
            .effects
            .iter()
            .filter_map(|effect| Some((effect.key.as_deref()?.to_owned(), effect.detail.clone())));
        Self { world, alarms: Mutex::new(alarms.collect()) }
    }

    fn subject(params: &Params) -> (Option<String>, Option<String>) {
        let names = params.list("AlarmNames.member").join(",");
        let key = params.get(NAME).map(str::to_owned).or((!names.is_empty()).then_some(names));
        (key, instance(params).map(str::to_owned))
    }

    fn act(&self, params: &Params) -> Result<String, Refusal> {
        match params.action() {
            PUT => self.put(params),
            DESCRIBE => Ok(self.describe(params)),
            "" => Err(Refusal::missing("Action")),
            other => {
                let message = format!("The action {other} is not valid for this web service.");
                Err(Refusal::bad("InvalidAction", message))
            }
        }
    }

    fn throttled() -> Refusal {
        Refusal::bad("Throttling", "Rate exceeded")
    }

    fn success(action: &str, inner: &str, request_id: &str) -> Answer {
        let metadata = element("ResponseMetadata", &text("RequestId", request_id));
        let root = format!("{action}Response");
        document(StatusCode::OK, &root, Some(NAMESPACE), &(inner.to_owned() + &metadata))
    }

    fn failure(refusal: &Refusal, request_id: &str) -> Answer {
        let side = if refusal.status.is_server_error() { "Receiver" } else { "Sender" };
        let error =
            text("Type", side) + &text("Code", refusal.code) + &text("Message", &refusal.message);
        let inner = element("Error", &error) + &text("RequestId", request_id);
        document(refusal.status, "ErrorResponse", Some(NAMESPACE), &inner)
    }
}

impl CloudWatch {
    /// Makes an alarm, or changes the one that has the name.
    fn put(&self, params: &Params) -> Result<String, Refusal> {
        if let Some(missing) =
            REQUIRED.iter().find(|name| params.get(name).is_none_or(str::is_empty))
        {
            return Err(Refusal::missing(missing));
        }
        let name = params.get(NAME).unwrap_or_default();
        let given = params.iter().filter(|(name, _)| !matches!(*name, "Action" | "Version"));
        let alarm: Alarm = given.map(|(name, value)| (name.into(), value.into())).collect();
        let mut alarms = hold(&self.alarms);
        let effect = Effected {
            at_us: self.world.clock.now(),
            action: PUT.into(),
            key: Some(name.into()),
            sku: instance(params).unwrap_or_default().into(),
            created: !alarms.contains_key(name),
            detail: alarm.clone(),
        };
        self.world.ledger.effect(CLOUDWATCH, effect)?;
        alarms.insert(name.to_owned(), alarm);
        Ok(String::new())
    }

    /// The named alarms that there are, or all.
    fn describe(&self, params: &Params) -> String {
        let wanted = params.list("AlarmNames.member");
        let alarms = hold(&self.alarms);
        let members = alarms
            .iter()
            .filter(|(name, _)| wanted.is_empty() || wanted.contains(&name.as_str()))
            .map(|(name, alarm)| element("member", &described(name, alarm)));
        let alarms = element("MetricAlarms", &members.collect::<String>());
        element("DescribeAlarmsResult", &(alarms + "<CompositeAlarms/>"))
    }
}

/// The instance that an alarm is about, by its dimensions.
fn instance(params: &Params) -> Option<&str> {
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

fn described(name: &str, alarm: &Alarm) -> String {
    let get = |name: &str| alarm.get(name).map(String::as_str);
    let arn = format!("arn:aws:cloudwatch:eu-central-1:123456789012:alarm:{name}");
    let mut inner = text(NAME, name) + &text("AlarmArn", &arn);
    for field in SHOWN {
        inner += &get(field).map(|value| text(field, value)).unwrap_or_default();
    }
    let dimensions = dimensions(get)
        .map(|(name, value)| element("member", &(text("Name", name) + &text("Value", value))));
    inner += &element("Dimensions", &dimensions.collect::<String>());
    inner + &text("StateValue", "INSUFFICIENT_DATA")
}
