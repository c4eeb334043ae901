//! Machines of EC2, what can be done with them, and the templates that new ones are launched from.

use crate::state::string_enum;
use serde::{Deserialize, Serialize};

/// An EC2 machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Instance {
    /// EC2's id, such as `i-0a1b2c3d4e5f60001`.
    pub id: String,
    /// Name tag of the machine.
    pub name: String,
    /// EC2's name of its state: `stopped`, `pending`, `running` …
    pub state: String,
    /// Instance type, such as `t3.medium`.
    pub instance_type: String,
    /// Availability zone, such as `eu-central-1a`.
    pub zone: String,
    /// Account that has the machine, as the configuration names it; empty for the account of the
    /// sandbox.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// Region of the machine; empty for the account of the sandbox.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub region: String,
}

/// The machines of all accounts that could be listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InstanceList {
    /// The machines, by name.
    pub items: Vec<Instance>,
    /// Accounts and regions whose machines are missing because they could not be listed.
    pub problems: Vec<ListProblem>,
}

/// The launch templates of all accounts that could be listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LaunchTemplateList {
    /// The templates.
    pub items: Vec<LaunchTemplate>,
    /// Accounts and regions whose templates are missing because they could not be listed.
    pub problems: Vec<ListProblem>,
}

/// Account and region that could not be listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ListProblem {
    /// Account, as the configuration names it; empty for the account of the sandbox.
    pub account: String,
    /// Region; empty for the account of the sandbox.
    pub region: String,
    /// What happened and what to do, in a sentence.
    pub detail: String,
}

/// A launch template of EC2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LaunchTemplate {
    /// EC2's id, such as `lt-0a1b2c3d4e5f60001`.
    pub id: String,
    /// Name of the template.
    pub name: String,
    /// Number of the version that the template's owner has chosen.
    pub default_version: u64,
    /// Number of the newest version.
    pub latest_version: u64,
    /// Account that has the template, as the configuration names it.
    pub account: String,
    /// Region of the template.
    pub region: String,
}

string_enum!(
    /// What can be done with a machine, which depends on its state.
    MachineAction {
        /// Starts a stopped machine.
        Start = "start",
        /// Stops a running machine.
        Stop = "stop",
    }
);

impl MachineAction {
    /// Returns what can be done with a machine in EC2's state `state`. One that is between two
    /// states has to arrive first, and a terminated one is gone.
    pub fn for_state(state: &str) -> Option<Self> {
        match state {
            "stopped" => Some(Self::Start),
            "running" => Some(Self::Stop),
            _ => None,
        }
    }
}
