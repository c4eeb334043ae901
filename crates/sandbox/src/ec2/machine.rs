//! The eight machines, and how a machine starts and stops.

use std::time::Duration;

use crate::{
    clock::{Micros, micros},
    environment::Environment,
    faults::SeededRng,
};

/// Constant properties of a machine.
pub struct Machine {
    /// EC2's id.
    pub id: &'static str,
    /// Value of the tag `Name`.
    pub name: &'static str,
    /// Instance type, such as `t3.medium`.
    pub instance_type: &'static str,
    /// Availability zone.
    pub zone: &'static str,
    /// Private IPv4 address.
    pub private_ip: &'static str,
    /// Special behaviour.
    pub quirk: Option<Quirk>,
}

/// Special behaviour of a machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Quirk {
    /// The machine runs from the beginning.
    Running,
    /// Its first two starts fail for lack of capacity, while faults are on.
    NoCapacityAtFirst,
    /// Nobody is authorized to start or stop it.
    NotAllowed,
}

const fn machine(
    id: &'static str,
    name: &'static str,
    instance_type: &'static str,
    zone: &'static str,
    private_ip: &'static str,
) -> Machine {
    Machine { id, name, instance_type, zone, private_ip, quirk: None }
}

const fn with_quirk(machine: Machine, quirk: Quirk) -> Machine {
    Machine { quirk: Some(quirk), ..machine }
}

/// All machines.
pub static MACHINES: [Machine; 8] = [
    with_quirk(
        machine("i-0a1b2c3d4e5f60001", "web-1", "t3.medium", "eu-central-1a", "10.0.1.11"),
        Quirk::Running,
    ),
    machine("i-0a1b2c3d4e5f60002", "web-2", "t3.medium", "eu-central-1b", "10.0.2.12"),
    machine("i-0a1b2c3d4e5f60003", "batch-1", "c6i.2xlarge", "eu-central-1a", "10.0.1.13"),
    machine("i-0a1b2c3d4e5f60004", "batch-2", "c6i.2xlarge", "eu-central-1b", "10.0.2.14"),
    machine("i-0a1b2c3d4e5f60005", "search-1", "r6i.large", "eu-central-1a", "10.0.1.15"),
    machine("i-0a1b2c3d4e5f60006", "reports-1", "m6i.large", "eu-central-1c", "10.0.3.16"),
    with_quirk(
        machine("i-0a1b2c3d4e5f60007", "images-1", "g5.xlarge", "eu-central-1b", "10.0.2.17"),
        Quirk::NoCapacityAtFirst,
    ),
    with_quirk(
        machine("i-0a1b2c3d4e5f60008", "ledger-1", "m6i.xlarge", "eu-central-1c", "10.0.3.18"),
        Quirk::NotAllowed,
    ),
];

/// Returns the machine with this id.
pub fn find_machine(id: &str) -> Option<&'static Machine> {
    MACHINES.iter().find(|machine| machine.id == id)
}

/// The last action on a machine, and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastAction {
    /// Stopped since before the sandbox's first run.
    Stopped,
    /// Started at this time.
    Started(Micros),
    /// Its stop was requested at this time.
    StopRequested(Micros),
}

/// AWS's `instanceState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceState {
    Pending,
    Running,
    Stopping,
    Stopped,
}

impl InstanceState {
    /// Returns AWS's code of the state.
    pub fn code(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::Stopping => 64,
            Self::Stopped => 80,
        }
    }

    /// Returns AWS's name of the state.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

impl Machine {
    /// Returns the last action before the sandbox's first run.
    pub fn initial_action(&self) -> LastAction {
        match self.quirk {
            Some(Quirk::Running) => LastAction::Started(0),
            _ => LastAction::Stopped,
        }
    }

    /// Returns the time from start to running: 25 to 35 s at speed 1.
    fn boot_time(&self, rng: &SeededRng) -> Duration {
        Duration::from_secs_f64(rng.random_fraction("boot", "ec2", self.id, 0).mul_add(10.0, 25.0))
    }

    /// Returns the state at `now` after the last action.
    pub fn state(
        &self,
        last_action: LastAction,
        now: Micros,
        environment: &Environment,
    ) -> InstanceState {
        const STOP_TIME: Duration = Duration::from_secs(10);
        let has_passed = |since: Micros, time: Duration| {
            now.saturating_sub(since) >= micros(environment.scale_duration(time))
        };
        match last_action {
            LastAction::Stopped => InstanceState::Stopped,
            LastAction::Started(since) if has_passed(since, self.boot_time(&environment.rng)) => {
                InstanceState::Running
            }
            LastAction::Started(_) => InstanceState::Pending,
            LastAction::StopRequested(since) if has_passed(since, STOP_TIME) => {
                InstanceState::Stopped
            }
            LastAction::StopRequested(_) => InstanceState::Stopping,
        }
    }
}
