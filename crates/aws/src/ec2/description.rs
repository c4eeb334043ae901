//! EC2's description of machines.

use serde::Deserialize;

/// A machine as EC2 describes it. The texts are those of EC2, of any length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// EC2's id, such as `i-0a1b2c3d4e5f60001`.
    pub id: String,
    /// Value of the tag `Name`; empty without it.
    pub name: String,
    /// EC2's name of its state: `stopped`, `pending`, `running` …
    pub state: String,
    /// Instance type, such as `t3.medium`.
    pub instance_type: String,
    /// Availability zone, such as `eu-central-1a`.
    pub zone: String,
}

/// A page of machines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachinePage {
    /// The machines; none on a page does not mean that there are no further pages.
    pub machines: Vec<Machine>,
    /// Where the next page begins; `None` on the last one.
    pub next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescribeInstancesResponse {
    reservation_set: ItemList<Reservation>,
    next_token: Option<String>,
}

/// A reservation is what one call has launched.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunInstancesResponse {
    instances_set: ItemList<InstanceXml>,
}

impl RunInstancesResponse {
    /// Returns the first machine.
    pub fn into_machine(self) -> Option<Machine> {
        self.instances_set.item.into_iter().next().map(Machine::from)
    }
}

#[derive(Deserialize)]
pub(super) struct ItemList<T> {
    #[serde(default = "Vec::new")]
    pub item: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reservation {
    instances_set: ItemList<InstanceXml>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InstanceXml {
    instance_id: String,
    instance_state: InstanceStateXml,
    #[serde(default)]
    instance_type: String,
    placement: Option<Placement>,
    tag_set: Option<ItemList<Tag>>,
}

#[derive(Deserialize)]
struct InstanceStateXml {
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

impl From<DescribeInstancesResponse> for MachinePage {
    fn from(response: DescribeInstancesResponse) -> Self {
        let reservations = response.reservation_set.item.into_iter();
        Self {
            machines: reservations
                .flat_map(|it| it.instances_set.item)
                .map(Machine::from)
                .collect(),
            next_token: response.next_token.filter(|token| !token.is_empty()),
        }
    }
}

impl From<InstanceXml> for Machine {
    fn from(instance: InstanceXml) -> Self {
        let tags = instance.tag_set.map(|tags| tags.item).unwrap_or_default();
        let name = tags.into_iter().find(|tag| tag.key == "Name");
        Self {
            id: instance.instance_id,
            name: name.map(|tag| tag.value).unwrap_or_default(),
            state: instance.instance_state.name,
            instance_type: instance.instance_type,
            zone: instance.placement.map(|it| it.availability_zone).unwrap_or_default(),
        }
    }
}
