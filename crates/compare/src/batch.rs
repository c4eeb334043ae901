//! What is launched: some products, and a machine.

use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Channel that the products are uploaded to. It has neither idempotency keys nor unique SKUs,
/// as many shops have not: whoever creates a product twice has two.
pub const CHANNEL: &str = "corner";
/// Service that starts machines, in the ledger.
pub const EC2: &str = "ec2";
/// Service of the alarms, in the ledger.
pub const CLOUDWATCH: &str = "cloudwatch";

/// Machines of the sandbox that are stopped, one for each person.
const MACHINES: [&str; 4] =
    ["i-0a1b2c3d4e5f60002", "i-0a1b2c3d4e5f60003", "i-0a1b2c3d4e5f60004", "i-0a1b2c3d4e5f60005"];

/// Number of people who launch at once: each has a machine of their own.
pub const PEOPLE: usize = MACHINES.len();

/// What one person launches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Machine to start; when it runs, it gets an alarm.
    pub machine: String,
    /// Products to upload.
    pub products: Vec<Product>,
}

/// A product as the channel takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// SKU by which people identify it.
    pub sku: String,
    /// Title for people.
    pub title: String,
    /// Price as a decimal number.
    pub price: String,
}

/// Something that has to be done once: the service that records its effect, and what it is about.
pub type Item = (&'static str, String);

impl Batch {
    /// Returns a batch for each of `people` people, at most [`PEOPLE`], with `products` products.
    #[must_use]
    pub fn for_people(people: usize, products: usize) -> Vec<Self> {
        let batch = |(person, machine): (usize, &&str)| Self {
            machine: (*machine).to_owned(),
            products: (1..=products).map(|number| Product::sample(person + 1, number)).collect(),
        };
        MACHINES.iter().enumerate().take(people).map(batch).collect()
    }

    /// Returns the items that have to come of it: the products, the start of the machine, and
    /// its alarm.
    pub fn items(&self) -> impl Iterator<Item = Item> {
        let products = self.products.iter().map(|product| (CHANNEL, product.sku.clone()));
        products.chain([(EC2, self.machine.clone()), (CLOUDWATCH, self.machine.clone())])
    }

    /// Returns the products as the file that a person uploads.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut csv = String::from("sku,title,price\n");
        for Product { sku, title, price } in &self.products {
            // Writing to a string can't fail.
            let _ = writeln!(csv, "{sku},{title},{price}");
        }
        csv
    }
}

impl Product {
    fn sample(person: usize, number: usize) -> Self {
        Self {
            sku: format!("LAMP-{person}-{number:02}"),
            title: format!("Oak lamp {number}"),
            price: "19.90".into(),
        }
    }
}
