//! Commands: the kind and body of each task, named in the imperative.
//!
//! Within a version, fields are only added, with a default. A change that an
//! old consumer would misread is a new version, hence a new queue; both are
//! consumed for one release.

mod edit;

pub use edit::{CommandEdit, EditError, MAX_EDIT_BYTES, StoredCommand, ValueChange, check_edit};

use crate::product::Product;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// A kind of command: its name in messages and the shape of its body.
pub trait Command: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Name in the catalogue, such as `product.upload`.
    const KIND: &'static str;
    /// Version of the body.
    const VERSION: u16;
    /// [JSON pointers](https://www.rfc-editor.org/rfc/rfc6901) to the fields that [`key`](Self::key)
    /// and [`queue`](Self::queue) are made of. An edit of the command may not change them.
    const IDENTITY: &'static [&'static str];
    /// Returns the name of the queue that carries the command. A kind whose
    /// commands go to several upstreams (sales channels) has one queue for
    /// each, so that a slow upstream delays no other.
    fn queue(&self) -> String {
        queue_name(Self::KIND, None, Self::VERSION)
    }
    /// Returns the key of the thing that the task is about, such as channel and
    /// SKU. Two running tasks of a kind never share a key.
    fn key(&self) -> String;
    /// Returns the title that people see, with the JSON pointer to it, if it is a field of the
    /// body.
    fn title(&self) -> Option<(&'static str, &str)> {
        None
    }
}

/// Returns `meanwhile.q.<kind>[.<suffix>].v<version>`. The suffix tells the queues of one
/// command apart, such as the channels of uploads.
pub fn queue_name(kind: &str, suffix: Option<&str>, version: u16) -> String {
    match suffix {
        Some(suffix) => format!("meanwhile.q.{kind}.{suffix}.v{version}"),
        None => format!("meanwhile.q.{kind}.v{version}"),
    }
}

/// Fields that tell which machine a command is about.
const MACHINE_IDENTITY: &[&str] = &["/instance_id", "/account", "/region"];

/// Returns the queue of a command about machines: each account and region has its own, since
/// each has its own limits.
fn machine_queue<C: Command>(account: &str, region: &str) -> String {
    queue_name(C::KIND, machine_queue_suffix(account, region).as_deref(), C::VERSION)
}

/// Returns the suffix of the queues of an account and region; `None` for the account of the
/// sandbox.
pub fn machine_queue_suffix(account: &str, region: &str) -> Option<String> {
    (!account.is_empty()).then(|| format!("{account}.{region}"))
}

/// Upload one product to one sales channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProductUpload {
    /// Id of the channel, such as `acme`.
    pub channel: String,
    /// The product as the channel gets it.
    pub product: Product,
}

impl Command for ProductUpload {
    const KIND: &'static str = "product.upload";
    const VERSION: u16 = 1;
    const IDENTITY: &'static [&'static str] = &["/channel", "/product/sku"];

    fn queue(&self) -> String {
        queue_name(Self::KIND, Some(&self.channel), Self::VERSION)
    }

    fn key(&self) -> String {
        format!("{}/{}", self.channel, self.product.sku)
    }

    fn title(&self) -> Option<(&'static str, &str)> {
        Some(("/product/title", &self.product.title))
    }
}

/// Start one EC2 machine and see it running.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ec2Start {
    /// EC2's id of the machine, such as `i-0a1b2c3d4e5f60001`.
    pub instance_id: String,
    /// Name tag of the machine, shown to people.
    #[serde(default)]
    pub name: String,
    /// Account that has the machine, as the configuration names it. It is empty for the
    /// account of the sandbox.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// Region of the machine, such as `eu-central-1`. It is empty for the account of the
    /// sandbox.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub region: String,
}

impl Command for Ec2Start {
    const KIND: &'static str = "ec2.start";
    const VERSION: u16 = 1;
    const IDENTITY: &'static [&'static str] = MACHINE_IDENTITY;

    fn queue(&self) -> String {
        machine_queue::<Self>(&self.account, &self.region)
    }

    fn key(&self) -> String {
        self.instance_id.clone()
    }

    fn title(&self) -> Option<(&'static str, &str)> {
        Some(("/name", &self.name))
    }
}

/// Create the alarm of one machine. Reusable: any chain that ends with
/// a running machine may cause it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AlarmCreate {
    /// EC2's id of the machine.
    pub instance_id: String,
    /// Name tag of the machine, shown to people.
    #[serde(default)]
    pub name: String,
    /// Account that has the machine, as the configuration names it. It is empty for the
    /// account of the sandbox.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// Region of the machine, such as `eu-central-1`. It is empty for the account of the
    /// sandbox.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub region: String,
}

impl Command for AlarmCreate {
    const KIND: &'static str = "alarm.create";
    const VERSION: u16 = 1;
    const IDENTITY: &'static [&'static str] = MACHINE_IDENTITY;

    fn queue(&self) -> String {
        machine_queue::<Self>(&self.account, &self.region)
    }

    fn key(&self) -> String {
        format!("alarm/{}", self.instance_id)
    }

    fn title(&self) -> Option<(&'static str, &str)> {
        Some(("/name", &self.name))
    }
}

/// Stop one EC2 machine and see it stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ec2Stop {
    /// EC2's id of the machine.
    pub instance_id: String,
    /// Name tag of the machine, shown to people.
    #[serde(default)]
    pub name: String,
    /// Account that has the machine; empty for the account of the sandbox.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// Region of the machine; empty for the account of the sandbox.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub region: String,
}

impl Command for Ec2Stop {
    const KIND: &'static str = "ec2.stop";
    const VERSION: u16 = 1;
    const IDENTITY: &'static [&'static str] = MACHINE_IDENTITY;

    fn queue(&self) -> String {
        machine_queue::<Self>(&self.account, &self.region)
    }

    fn key(&self) -> String {
        self.instance_id.clone()
    }

    fn title(&self) -> Option<(&'static str, &str)> {
        Some(("/name", &self.name))
    }
}

/// Launch one EC2 machine from a launch template and see it running.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ec2Launch {
    /// Id of the launch of all machines of a job; with it no two tasks have the same key.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub launch: Uuid,
    /// Number within the launch, from 1.
    pub number: u32,
    /// EC2's id of the launch template.
    pub template_id: String,
    /// Number of the template's version, which was resolved when the launch was accepted.
    pub template_version: u64,
    /// Name tag of the machine; empty for what the template has.
    #[serde(default)]
    pub name: String,
    /// Account that the machine is launched in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// Region that the machine is launched in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub region: String,
}

impl Command for Ec2Launch {
    const KIND: &'static str = "ec2.launch";
    const VERSION: u16 = 1;
    const IDENTITY: &'static [&'static str] = &["/launch", "/number", "/account", "/region"];

    fn queue(&self) -> String {
        machine_queue::<Self>(&self.account, &self.region)
    }

    fn key(&self) -> String {
        format!("{}/{}", self.launch, self.number)
    }
}

/// Do nothing, but take the path of every task: measures the whole system, and
/// shows an operator that it works. Consumed only where the configuration
/// enables it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NoopRun {
    /// Id of the launch; with it no two no-ops have the same key.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub launch: Uuid,
    /// Number within the launch, from 1.
    pub number: u32,
}

impl Command for NoopRun {
    const KIND: &'static str = "noop.run";
    const VERSION: u16 = 1;
    const IDENTITY: &'static [&'static str] = &["/launch", "/number"];

    fn key(&self) -> String {
        format!("{}/{}", self.launch, self.number)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_command_without_account_is_the_sandbox_s_and_keeps_its_queue_and_body() {
        let body = serde_json::json!({ "instance_id": "i-1", "name": "web" });
        let start: Ec2Start = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(start.queue(), "meanwhile.q.ec2.start.v1");
        assert_eq!(serde_json::to_value(&start).unwrap(), body);
        let alarm: AlarmCreate = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(alarm.queue(), "meanwhile.q.alarm.create.v1");
        assert_eq!(serde_json::to_value(&alarm).unwrap(), body);
    }

    #[test]
    fn each_account_and_region_has_its_queue() {
        let start = Ec2Start {
            instance_id: "i-1".into(),
            name: String::new(),
            account: "ops".into(),
            region: "eu-west-1".into(),
        };
        assert_eq!(start.queue(), "meanwhile.q.ec2.start.ops.eu-west-1.v1");
    }
}
