//! Commands: events that ask for a task to be done. Imperative by name.
//!
//! Within a version fields are only added, with a default. A change that an
//! old consumer would misread is a new version, hence a new queue; both are
//! consumed for one release.

use crate::product::Product;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// A kind of command: its name on the wire and the shape of its body.
pub trait Command: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Name in the catalogue, such as `product.upload`.
    const KIND: &'static str;
    /// Version of the body.
    const VERSION: u16;
    /// The queue that carries it. Commands about one external account of
    /// many (a channel) have a queue for each, so that a slow one holds up
    /// no other.
    fn queue(&self) -> String {
        queue_name(Self::KIND, None, Self::VERSION)
    }
    /// What the task is about, such as channel and SKU. Two running tasks
    /// never share a key.
    fn key(&self) -> String;
}

/// `meanwhile.q.<kind>[.<part>].v<version>`.
pub fn queue_name(kind: &str, part: Option<&str>, version: u16) -> String {
    match part {
        Some(part) => format!("meanwhile.q.{kind}.{part}.v{version}"),
        None => format!("meanwhile.q.{kind}.v{version}"),
    }
}

/// Upload one product to one sales channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProductUpload {
    /// Id of the channel, such as `acme`.
    pub channel: String,
    pub product: Product,
}

impl Command for ProductUpload {
    const KIND: &'static str = "product.upload";
    const VERSION: u16 = 1;

    fn queue(&self) -> String {
        queue_name(Self::KIND, Some(&self.channel), Self::VERSION)
    }

    fn key(&self) -> String {
        format!("{}/{}", self.channel, self.product.sku)
    }
}

/// Start one EC2 machine and see it running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ec2Start {
    /// Such as `i-0a1b2c3d4e5f60001`.
    pub instance_id: String,
    /// The machine's name tag, for people.
    #[serde(default)]
    pub name: String,
}

impl Command for Ec2Start {
    const KIND: &'static str = "ec2.start";
    const VERSION: u16 = 1;

    fn key(&self) -> String {
        self.instance_id.clone()
    }
}

/// Make the status alarm of one machine. Reusable: any chain that ends with
/// a running machine may cause it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AlarmCreate {
    pub instance_id: String,
    #[serde(default)]
    pub name: String,
}

impl Command for AlarmCreate {
    const KIND: &'static str = "alarm.create";
    const VERSION: u16 = 1;

    fn key(&self) -> String {
        format!("alarm/{}", self.instance_id)
    }
}

/// Do nothing, through everything that a task goes through: what measures the
/// whole, and shows an operator that it works. Consumed only where the
/// configuration asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NoopRun {
    /// Names the launch: no two no-ops are about the same thing.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub launch: Uuid,
    /// Within the launch, from 1.
    pub number: u32,
}

impl Command for NoopRun {
    const KIND: &'static str = "noop.run";
    const VERSION: u16 = 1;

    fn key(&self) -> String {
        format!("{}/{}", self.launch, self.number)
    }
}
