//! Commands: events that request one task, named in the imperative.
//!
//! Within a version, fields are only added, with a default. A change that an
//! old consumer would misread is a new version, hence a new queue; both are
//! consumed for one release.

use crate::product::Product;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// A kind of command: its name in messages and the shape of its body.
pub trait Command: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Name in the catalogue, such as `product.upload`.
    const KIND: &'static str;
    /// Version of the body.
    const VERSION: u16;
    /// Returns the name of the queue that carries the command. A kind whose
    /// commands go to several upstreams (sales channels) has one queue for
    /// each, so that a slow upstream delays no other.
    fn queue(&self) -> String {
        queue_name(Self::KIND, None, Self::VERSION)
    }
    /// Returns the key of the thing that the task is about, such as channel and
    /// SKU. Two running tasks never share a key.
    fn key(&self) -> String;
}

/// Returns `meanwhile.q.<kind>[.<upstream>].v<version>`.
pub fn queue_name(kind: &str, upstream: Option<&str>, version: u16) -> String {
    match upstream {
        Some(upstream) => format!("meanwhile.q.{kind}.{upstream}.v{version}"),
        None => format!("meanwhile.q.{kind}.v{version}"),
    }
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
    /// EC2's id of the machine, such as `i-0a1b2c3d4e5f60001`.
    pub instance_id: String,
    /// Name tag of the machine, shown to people.
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

/// Create the status alarm of one machine. Reusable: any chain that ends with
/// a running machine may cause it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AlarmCreate {
    /// EC2's id of the machine.
    pub instance_id: String,
    /// Name tag of the machine, shown to people.
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

    fn key(&self) -> String {
        format!("{}/{}", self.launch, self.number)
    }
}
