//! A small EC2.

mod description;
mod machine;

use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use axum::http::StatusCode;

use description::{reservation_element, state_element};
use machine::{InstanceState, LastAction, MACHINES, Machine, Quirk};

use crate::{
    aws::AwsService,
    clock::Micros,
    environment::Environment,
    ledger::{EffectRow, ServiceHistory},
    profiles::{EC2, EC2_RATE, RateLimit},
    query_protocol::{AwsError, QueryParams, element, text_element, xml_document},
    response::ServiceResponse,
};

const START_INSTANCES: &str = "StartInstances";
const STOP_INSTANCES: &str = "StopInstances";
const ACCOUNT_ID: &str = "123456789012";
const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
const FAILED_STARTS_WITHOUT_CAPACITY: u32 = 2;

/// EC2 with eight machines.
pub struct Ec2 {
    environment: Arc<Environment>,
    fleet: Mutex<Fleet>,
}

struct Fleet {
    last_actions: HashMap<&'static str, LastAction>,
    /// Number of requested starts, successful or not.
    start_counts: HashMap<&'static str, u32>,
}

impl AwsService for Ec2 {
    const ID: &'static str = EC2;
    const VERSION: &'static str = "2016-11-15";
    const RATE: RateLimit = EC2_RATE;

    fn restore(history: &ServiceHistory, environment: Arc<Environment>) -> Self {
        Self { environment, fleet: Mutex::new(Fleet::restore(history)) }
    }

    fn ledger_key_and_sku(params: &QueryParams) -> (Option<String>, Option<String>) {
        let ids = params.list("InstanceId");
        (None, (!ids.is_empty()).then(|| ids.join(",")))
    }

    fn handle_action(&self, params: &QueryParams) -> Result<String, AwsError> {
        match params.action() {
            "DescribeInstances" => self.describe_instances(params),
            START_INSTANCES => self.start_instances(params),
            STOP_INSTANCES => self.stop_instances(params),
            "" => Err(AwsError::missing_parameter("Action")),
            other => {
                let message = format!("The action {other} is not valid for this web service.");
                Err(AwsError::bad_request("InvalidAction", message))
            }
        }
    }

    fn throttling_error() -> AwsError {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        AwsError::new(status, "RequestLimitExceeded", "Request limit exceeded.")
    }

    fn success_response(action: &str, inner: &str, request_id: &str) -> ServiceResponse {
        let inner = text_element("requestId", request_id) + inner;
        xml_document(StatusCode::OK, &format!("{action}Response"), Some(NAMESPACE), &inner)
    }

    fn error_response(error: &AwsError, request_id: &str) -> ServiceResponse {
        let detail = text_element("Code", error.code) + &text_element("Message", &error.message);
        let errors = element("Errors", &element("Error", &detail));
        let inner = errors + &text_element("RequestID", request_id);
        xml_document(error.status, "Response", None, &inner)
    }
}

impl Ec2 {
    fn describe_instances(&self, params: &QueryParams) -> Result<String, AwsError> {
        let ids = params.list("InstanceId");
        let wanted = find_machines(&ids)?;
        let filter = instance_id_filter(params)?;
        if !ids.is_empty() && params.get("MaxResults").is_some() {
            let message = "The parameter instancesSet cannot be used with the parameter maxResults";
            return Err(AwsError::bad_request("InvalidParameterCombination", message));
        }
        let now = self.environment.clock.now();
        let fleet = self.fleet.lock();
        let reservations = MACHINES
            .iter()
            .filter(|machine| wanted.is_empty() || wanted.iter().any(|it| it.id == machine.id))
            .filter(|machine| filter.as_ref().is_none_or(|ids| ids.contains(&machine.id)))
            .map(|machine| {
                let last_action = fleet.last_action(machine);
                reservation_element(
                    machine,
                    last_action,
                    machine.state(last_action, now, &self.environment),
                )
            });
        Ok(element("reservationSet", &reservations.collect::<String>()))
    }

    /// Starts all of the named machines, or none if one can't be started.
    fn start_instances(&self, params: &QueryParams) -> Result<String, AwsError> {
        let machines = requested_machines(params)?;
        let now = self.environment.clock.now();
        let mut fleet = self.fleet.lock();
        let mut outcome = Ok(());
        for machine in &machines {
            let earlier_starts = fleet.count_start(machine.id);
            let state = machine.state(fleet.last_action(machine), now, &self.environment);
            let checked = self.check_can_start(machine, state, earlier_starts);
            outcome = outcome.and(checked);
        }
        outcome?;
        self.apply_action(&mut fleet, &machines, now, START_INSTANCES)
    }

    fn check_can_start(
        &self,
        machine: &Machine,
        state: InstanceState,
        earlier_starts: u32,
    ) -> Result<(), AwsError> {
        check_permission(machine, START_INSTANCES)?;
        match state {
            InstanceState::Stopping => Err(incorrect_state_error(machine, "started")),
            InstanceState::Stopped
                if machine.quirk == Some(Quirk::NoCapacityAtFirst)
                    && self.environment.faults_enabled()
                    && earlier_starts < FAILED_STARTS_WITHOUT_CAPACITY =>
            {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                let message = format!(
                    "We currently do not have sufficient {} capacity in the Availability Zone \
                     you requested ({}).",
                    machine.instance_type, machine.zone,
                );
                Err(AwsError::new(status, "InsufficientInstanceCapacity", message))
            }
            _ => Ok(()),
        }
    }

    fn stop_instances(&self, params: &QueryParams) -> Result<String, AwsError> {
        let machines = requested_machines(params)?;
        let now = self.environment.clock.now();
        let mut fleet = self.fleet.lock();
        for machine in &machines {
            check_permission(machine, STOP_INSTANCES)?;
            if machine.state(fleet.last_action(machine), now, &self.environment)
                == InstanceState::Pending
            {
                return Err(incorrect_state_error(machine, "stopped"));
            }
        }
        self.apply_action(&mut fleet, &machines, now, STOP_INSTANCES)
    }

    /// Starts or stops each machine that is not yet in the desired state, and records the effects.
    fn apply_action(
        &self,
        fleet: &mut Fleet,
        machines: &[&'static Machine],
        now: Micros,
        action: &str,
    ) -> Result<String, AwsError> {
        let mut items = String::new();
        for machine in machines {
            let previous = machine.state(fleet.last_action(machine), now, &self.environment);
            let created = match previous {
                InstanceState::Pending | InstanceState::Running => action == STOP_INSTANCES,
                InstanceState::Stopping | InstanceState::Stopped => action == START_INSTANCES,
            };
            self.environment
                .ledger
                .record_effect(EC2, effect_row(machine, action, now, created))?;
            if created {
                fleet.record_action(machine.id, action, now);
            }
            let current = machine.state(fleet.last_action(machine), now, &self.environment);
            let item = text_element("instanceId", machine.id)
                + &state_element("currentState", current)
                + &state_element("previousState", previous);
            items += &element("item", &item);
        }
        Ok(element("instancesSet", &items))
    }
}

impl Fleet {
    fn restore(history: &ServiceHistory) -> Self {
        let mut fleet = Self { last_actions: HashMap::new(), start_counts: HashMap::new() };
        let starts = history.requests.iter().map(|(request, _)| request);
        for request in starts.filter(|row| row.is_admitted() && &*row.action == START_INSTANCES) {
            let ids = request.sku.as_deref().unwrap_or_default().split(',');
            for machine in ids.filter_map(machine::find_machine) {
                fleet.count_start(machine.id);
            }
        }
        for effect in history.effects.iter().filter(|effect| effect.created) {
            if let Some(machine) = machine::find_machine(&effect.sku) {
                fleet.record_action(machine.id, &effect.action, effect.at_us);
            }
        }
        fleet
    }

    fn last_action(&self, machine: &Machine) -> LastAction {
        self.last_actions.get(machine.id).copied().unwrap_or_else(|| machine.initial_action())
    }

    /// Counts a requested start and returns the number of earlier ones.
    fn count_start(&mut self, id: &'static str) -> u32 {
        let starts = self.start_counts.entry(id).or_default();
        let before = *starts;
        *starts += 1;
        before
    }

    fn record_action(&mut self, id: &'static str, action: &str, at: Micros) {
        let last_action = if action == STOP_INSTANCES {
            LastAction::StopRequested(at)
        } else {
            LastAction::Started(at)
        };
        self.last_actions.insert(id, last_action);
    }
}

fn effect_row(machine: &Machine, action: &str, at: Micros, created: bool) -> EffectRow {
    EffectRow {
        at_us: at,
        action: action.into(),
        key: None,
        sku: machine.id.into(),
        created,
        updated: false,
        detail: BTreeMap::new(),
    }
}

fn requested_machines(params: &QueryParams) -> Result<Vec<&'static Machine>, AwsError> {
    let ids = params.list("InstanceId");
    if ids.is_empty() {
        return Err(AwsError::missing_parameter("InstanceId"));
    }
    find_machines(&ids)
}

fn find_machines(ids: &[&str]) -> Result<Vec<&'static Machine>, AwsError> {
    let machine = |id: &&str| {
        machine::find_machine(id).ok_or_else(|| match id.starts_with("i-") {
            true => {
                let message = format!("The instance ID '{id}' does not exist");
                AwsError::bad_request("InvalidInstanceID.NotFound", message)
            }
            false => AwsError::bad_request(
                "InvalidInstanceID.Malformed",
                format!("Invalid id: \"{id}\""),
            ),
        })
    };
    ids.iter().map(machine).collect()
}

/// Returns the ids of a filter by id; unknown ones are no error. The sandbox has no other filter.
fn instance_id_filter(params: &QueryParams) -> Result<Option<Vec<&str>>, AwsError> {
    match params.get("Filter.1.Name") {
        None if !params.has_any("Filter") => Ok(None),
        Some("instance-id") if !params.has_any("Filter.2") => {
            Ok(Some(params.list("Filter.1.Value")))
        }
        _ => {
            let message = "The sandbox supports one filter only, instance-id";
            Err(AwsError::bad_request("UnsupportedOperation", message))
        }
    }
}

fn check_permission(machine: &Machine, action: &str) -> Result<(), AwsError> {
    if machine.quirk != Some(Quirk::NotAllowed) {
        return Ok(());
    }
    let message = format!(
        "You are not authorized to perform this operation. User: \
         arn:aws:iam::{ACCOUNT_ID}:user/sandbox is not authorized to perform: ec2:{action} on \
         resource: arn:aws:ec2:eu-central-1:{ACCOUNT_ID}:instance/{}",
        machine.id,
    );
    Err(AwsError::new(StatusCode::FORBIDDEN, "UnauthorizedOperation", message))
}

fn incorrect_state_error(machine: &Machine, verb: &str) -> AwsError {
    let id = machine.id;
    let message = format!("The instance '{id}' is not in a state from which it can be {verb}.");
    AwsError::bad_request("IncorrectInstanceState", message)
}
