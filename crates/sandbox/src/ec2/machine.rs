//! The eight machines and how one starts and stops.

use std::time::Duration;

use crate::{
    clock::{Micros, micros},
    faults::Dice,
    world::World,
};

/// What never changes about a machine.
pub struct Machine {
    pub id: &'static str,
    pub name: &'static str,
    pub kind: &'static str,
    pub zone: &'static str,
    pub address: &'static str,
    pub quirk: Option<Quirk>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Quirk {
    /// It runs from the beginning.
    Running,
    /// Its first two starts find no capacity, while faults are on.
    NoCapacityAtFirst,
    /// Nobody may start or stop it.
    NotAllowed,
}

const fn machine(
    id: &'static str,
    name: &'static str,
    kind: &'static str,
    zone: &'static str,
    address: &'static str,
) -> Machine {
    Machine { id, name, kind, zone, address, quirk: None }
}

const fn odd(machine: Machine, quirk: Quirk) -> Machine {
    Machine { quirk: Some(quirk), ..machine }
}

pub static MACHINES: [Machine; 8] = [
    odd(
        machine("i-0a1b2c3d4e5f60001", "web-1", "t3.medium", "eu-central-1a", "10.0.1.11"),
        Quirk::Running,
    ),
    machine("i-0a1b2c3d4e5f60002", "web-2", "t3.medium", "eu-central-1b", "10.0.2.12"),
    machine("i-0a1b2c3d4e5f60003", "batch-1", "c6i.2xlarge", "eu-central-1a", "10.0.1.13"),
    machine("i-0a1b2c3d4e5f60004", "batch-2", "c6i.2xlarge", "eu-central-1b", "10.0.2.14"),
    machine("i-0a1b2c3d4e5f60005", "search-1", "r6i.large", "eu-central-1a", "10.0.1.15"),
    machine("i-0a1b2c3d4e5f60006", "reports-1", "m6i.large", "eu-central-1c", "10.0.3.16"),
    odd(
        machine("i-0a1b2c3d4e5f60007", "images-1", "g5.xlarge", "eu-central-1b", "10.0.2.17"),
        Quirk::NoCapacityAtFirst,
    ),
    odd(
        machine("i-0a1b2c3d4e5f60008", "ledger-1", "m6i.xlarge", "eu-central-1c", "10.0.3.18"),
        Quirk::NotAllowed,
    ),
];

pub fn find(id: &str) -> Option<&'static Machine> {
    MACHINES.iter().find(|machine| machine.id == id)
}

/// The last thing that was done to a machine, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Stopped,
    Started(Micros),
    StopCalled(Micros),
}

/// AWS's `instanceState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    Running,
    Stopping,
    Stopped,
}

impl State {
    pub fn code(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::Stopping => 64,
            Self::Stopped => 80,
        }
    }

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
    pub fn first_phase(&self) -> Phase {
        match self.quirk {
            Some(Quirk::Running) => Phase::Started(0),
            _ => Phase::Stopped,
        }
    }

    /// From 25 to 35 s at speed 1.
    fn boot(&self, dice: &Dice) -> Duration {
        Duration::from_secs_f64(dice.fraction("boot", "ec2", self.id, 0).mul_add(10.0, 25.0))
    }

    pub fn state(&self, phase: Phase, now: Micros, world: &World) -> State {
        const STOP: Duration = Duration::from_secs(10);
        let over =
            |since: Micros, time: Duration| now.saturating_sub(since) >= micros(world.scaled(time));
        match phase {
            Phase::Stopped => State::Stopped,
            Phase::Started(since) if over(since, self.boot(&world.dice)) => State::Running,
            Phase::Started(_) => State::Pending,
            Phase::StopCalled(since) if over(since, STOP) => State::Stopped,
            Phase::StopCalled(_) => State::Stopping,
        }
    }
}
