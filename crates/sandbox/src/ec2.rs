//! A small EC2.

mod description;
mod machine;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use axum::http::StatusCode;

use description::{reservation, state_element};
use machine::{MACHINES, Machine, Phase, Quirk, State};

use crate::{
    answer::Answer,
    aws::Service,
    clock::Micros,
    ledger::{Effected, Kept, hold},
    query::{Params, Refusal, document, element, text},
    spec::{EC2, EC2_RATE, Rate},
    world::World,
};

const START: &str = "StartInstances";
const STOP: &str = "StopInstances";
const ACCOUNT: &str = "123456789012";
const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
const STARTS_WITHOUT_CAPACITY: u32 = 2;

pub struct Ec2 {
    world: Arc<World>,
    fleet: Mutex<Fleet>,
}

struct Fleet {
    phases: HashMap<&'static str, Phase>,
    /// How often a start was asked for, done or not.
    starts: HashMap<&'static str, u32>,
}

impl Service for Ec2 {
    const ID: &'static str = EC2;
    const VERSION: &'static str = "2016-11-15";
    const RATE: Rate = EC2_RATE;

    fn restored(kept: &Kept, world: Arc<World>) -> Self {
        Self { world, fleet: Mutex::new(Fleet::restored(kept)) }
    }

    fn subject(params: &Params) -> (Option<String>, Option<String>) {
        let ids = params.list("InstanceId");
        (None, (!ids.is_empty()).then(|| ids.join(",")))
    }

    fn act(&self, params: &Params) -> Result<String, Refusal> {
        match params.action() {
            "DescribeInstances" => self.describe(params),
            START => self.start(params),
            STOP => self.stop(params),
            "" => Err(Refusal::missing("Action")),
            other => {
                let message = format!("The action {other} is not valid for this web service.");
                Err(Refusal::bad("InvalidAction", message))
            }
        }
    }

    fn throttled() -> Refusal {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Refusal::new(status, "RequestLimitExceeded", "Request limit exceeded.")
    }

    fn success(action: &str, inner: &str, request_id: &str) -> Answer {
        let inner = text("requestId", request_id) + inner;
        document(StatusCode::OK, &format!("{action}Response"), Some(NAMESPACE), &inner)
    }

    fn failure(refusal: &Refusal, request_id: &str) -> Answer {
        let error = text("Code", refusal.code) + &text("Message", &refusal.message);
        let errors = element("Errors", &element("Error", &error));
        let inner = errors + &text("RequestID", request_id);
        document(refusal.status, "Response", None, &inner)
    }
}

impl Ec2 {
    fn describe(&self, params: &Params) -> Result<String, Refusal> {
        if params.has_any("Filter") {
            let message = "The sandbox knows no filters; name instances by InstanceId.N";
            return Err(Refusal::bad("UnsupportedOperation", message));
        }
        let wanted = machines(&params.list("InstanceId"))?;
        let now = self.world.clock.now();
        let fleet = hold(&self.fleet);
        let reservations = MACHINES
            .iter()
            .filter(|machine| wanted.is_empty() || wanted.iter().any(|it| it.id == machine.id))
            .map(|machine| {
                let phase = fleet.phase(machine);
                reservation(machine, phase, machine.state(phase, now, &self.world))
            });
        Ok(element("reservationSet", &reservations.collect::<String>()))
    }

    /// All of the named machines or, where one can't, none.
    fn start(&self, params: &Params) -> Result<String, Refusal> {
        let machines = required(params)?;
        let now = self.world.clock.now();
        let mut fleet = hold(&self.fleet);
        let mut outcome = Ok(());
        for machine in &machines {
            let before = fleet.count_start(machine.id);
            let state = machine.state(fleet.phase(machine), now, &self.world);
            let may = self.may_start(machine, state, before);
            outcome = outcome.and(may);
        }
        outcome?;
        self.change(&mut fleet, &machines, now, START)
    }

    fn may_start(&self, machine: &Machine, state: State, before: u32) -> Result<(), Refusal> {
        allowed(machine, START)?;
        match state {
            State::Stopping => Err(wrong_state(machine, "started")),
            State::Stopped
                if machine.quirk == Some(Quirk::NoCapacityAtFirst)
                    && self.world.faults()
                    && before < STARTS_WITHOUT_CAPACITY =>
            {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                let message = format!(
                    "We currently do not have sufficient {} capacity in the Availability Zone \
                     you requested ({}).",
                    machine.kind, machine.zone,
                );
                Err(Refusal::new(status, "InsufficientInstanceCapacity", message))
            }
            _ => Ok(()),
        }
    }

    fn stop(&self, params: &Params) -> Result<String, Refusal> {
        let machines = required(params)?;
        let now = self.world.clock.now();
        let mut fleet = hold(&self.fleet);
        for machine in &machines {
            allowed(machine, STOP)?;
            if machine.state(fleet.phase(machine), now, &self.world) == State::Pending {
                return Err(wrong_state(machine, "stopped"));
            }
        }
        self.change(&mut fleet, &machines, now, STOP)
    }

    /// Starts or stops each machine, unless it is so already, and writes that down.
    fn change(
        &self,
        fleet: &mut Fleet,
        machines: &[&'static Machine],
        now: Micros,
        action: &str,
    ) -> Result<String, Refusal> {
        let mut items = String::new();
        for machine in machines {
            let previous = machine.state(fleet.phase(machine), now, &self.world);
            let created = match previous {
                State::Pending | State::Running => action == STOP,
                State::Stopping | State::Stopped => action == START,
            };
            self.world.ledger.effect(EC2, effect(machine, action, now, created))?;
            if created {
                fleet.done(machine.id, action, now);
            }
            let current = machine.state(fleet.phase(machine), now, &self.world);
            let item = text("instanceId", machine.id)
                + &state_element("currentState", current)
                + &state_element("previousState", previous);
            items += &element("item", &item);
        }
        Ok(element("instancesSet", &items))
    }
}

impl Fleet {
    fn restored(kept: &Kept) -> Self {
        let mut fleet = Self { phases: HashMap::new(), starts: HashMap::new() };
        let starts = kept.requests.iter().map(|(arrived, _)| arrived);
        for arrived in starts.filter(|row| row.admitted() && &*row.action == START) {
            let ids = arrived.sku.as_deref().unwrap_or_default().split(',');
            for machine in ids.filter_map(machine::find) {
                fleet.count_start(machine.id);
            }
        }
        for effect in kept.effects.iter().filter(|effect| effect.created) {
            if let Some(machine) = machine::find(&effect.sku) {
                fleet.done(machine.id, &effect.action, effect.at_us);
            }
        }
        fleet
    }

    fn phase(&self, machine: &Machine) -> Phase {
        self.phases.get(machine.id).copied().unwrap_or_else(|| machine.first_phase())
    }

    fn count_start(&mut self, id: &'static str) -> u32 {
        let starts = self.starts.entry(id).or_default();
        let before = *starts;
        *starts += 1;
        before
    }

    fn done(&mut self, id: &'static str, action: &str, at: Micros) {
        let phase = if action == STOP { Phase::StopCalled(at) } else { Phase::Started(at) };
        self.phases.insert(id, phase);
    }
}

fn effect(machine: &Machine, action: &str, at: Micros, created: bool) -> Effected {
    Effected {
        at_us: at,
        action: action.into(),
        key: None,
        sku: machine.id.into(),
        created,
        detail: BTreeMap::new(),
    }
}

fn required(params: &Params) -> Result<Vec<&'static Machine>, Refusal> {
    let ids = params.list("InstanceId");
    if ids.is_empty() {
        return Err(Refusal::missing("InstanceId"));
    }
    machines(&ids)
}

fn machines(ids: &[&str]) -> Result<Vec<&'static Machine>, Refusal> {
    let machine = |id: &&str| {
        machine::find(id).ok_or_else(|| match id.starts_with("i-") {
            true => {
                let message = format!("The instance ID '{id}' does not exist");
                Refusal::bad("InvalidInstanceID.NotFound", message)
            }
            false => Refusal::bad("InvalidInstanceID.Malformed", format!("Invalid id: \"{id}\"")),
        })
    };
    ids.iter().map(machine).collect()
}

fn allowed(machine: &Machine, action: &str) -> Result<(), Refusal> {
    if machine.quirk != Some(Quirk::NotAllowed) {
        return Ok(());
    }
    let message = format!(
        "You are not authorized to perform this operation. User: \
         arn:aws:iam::{ACCOUNT}:user/sandbox is not authorized to perform: ec2:{action} on \
         resource: arn:aws:ec2:eu-central-1:{ACCOUNT}:instance/{}",
        machine.id,
    );
    Err(Refusal::new(StatusCode::FORBIDDEN, "UnauthorizedOperation", message))
}

fn wrong_state(machine: &Machine, verb: &str) -> Refusal {
    let id = machine.id;
    let message = format!("The instance '{id}' is not in a state from which it can be {verb}.");
    Refusal::bad("IncorrectInstanceState", message)
}
