//! Machines as XML elements of `DescribeInstances`.

use jiff::Timestamp;

use super::{
    ACCOUNT_ID,
    machine::{InstanceState, LastAction, Machine},
};
use crate::{
    clock::Micros,
    query_protocol::{element, text_element},
};

/// Returns the `item` of a `reservationSet`: one machine.
pub fn reservation_element(
    machine: &Machine,
    last_action: LastAction,
    state: InstanceState,
) -> String {
    let tag =
        element("item", &(text_element("key", "Name") + &text_element("value", machine.name)));
    let placement =
        text_element("availabilityZone", machine.zone) + &text_element("tenancy", "default");
    let instance = text_element("instanceId", machine.id)
        + &text_element("imageId", "ami-0a1b2c3d4e5f60000")
        + &state_element("instanceState", state)
        + &text_element("instanceType", machine.instance_type)
        + &text_element("launchTime", &launch_time(last_action))
        + &element("placement", &placement)
        + &text_element("privateIpAddress", machine.private_ip)
        + &text_element("architecture", "x86_64")
        + &element("tagSet", &tag);
    let number = machine.id.trim_start_matches("i-");
    let reservation = text_element("reservationId", &format!("r-{number}"))
        + &text_element("ownerId", ACCOUNT_ID)
        + "<groupSet/>"
        + &element("instancesSet", &element("item", &instance));
    element("item", &reservation)
}

/// Returns an element with the code and the name of a state.
pub fn state_element(name: &str, state: InstanceState) -> String {
    element(
        name,
        &(text_element("code", &state.code().to_string()) + &text_element("name", state.name())),
    )
}

/// Returns the time of the last start. Machines that were never started here show the day on which
/// they were set up.
fn launch_time(last_action: LastAction) -> String {
    const SETUP_TIME: Micros = 1_767_600_000_000_000;
    let at = match last_action {
        LastAction::Started(at) if at > 0 => at,
        _ => SETUP_TIME,
    };
    let time = i64::try_from(at).ok().and_then(|at| Timestamp::from_microsecond(at).ok());
    format!("{:.3}", time.unwrap_or(Timestamp::UNIX_EPOCH))
}
