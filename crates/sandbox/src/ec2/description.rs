//! Machines in the shapes of `DescribeInstances`.

use jiff::Timestamp;

use super::{
    ACCOUNT,
    machine::{Machine, Phase, State},
};
use crate::{
    clock::Micros,
    query::{element, text},
};

/// The `item` of a `reservationSet`: one machine.
pub fn reservation(machine: &Machine, phase: Phase, state: State) -> String {
    let tag = element("item", &(text("key", "Name") + &text("value", machine.name)));
    let placement = text("availabilityZone", machine.zone) + &text("tenancy", "default");
    let instance = text("instanceId", machine.id)
        + &text("imageId", "ami-0a1b2c3d4e5f60000")
        + &state_element("instanceState", state)
        + &text("instanceType", machine.kind)
        + &text("launchTime", &launch_time(phase))
        + &element("placement", &placement)
        + &text("privateIpAddress", machine.address)
        + &text("architecture", "x86_64")
        + &element("tagSet", &tag);
    let number = machine.id.trim_start_matches("i-");
    let reservation = text("reservationId", &format!("r-{number}"))
        + &text("ownerId", ACCOUNT)
        + "<groupSet/>"
        + &element("instancesSet", &element("item", &instance));
    element("item", &reservation)
}

pub fn state_element(name: &str, state: State) -> String {
    element(name, &(text("code", &state.code().to_string()) + &text("name", state.name())))
}

/// Machines that were not started here show the day on which they were set up.
fn launch_time(phase: Phase) -> String {
    const SET_UP: Micros = 1_767_600_000_000_000;
    let at = match phase {
        Phase::Started(at) if at > 0 => at,
        _ => SET_UP,
    };
    let time = i64::try_from(at).ok().and_then(|at| Timestamp::from_microsecond(at).ok());
    format!("{:.3}", time.unwrap_or(Timestamp::UNIX_EPOCH))
}
