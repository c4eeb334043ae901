//! Stored products.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::operation::Identifier;
use crate::{
    clock::Micros,
    ledger::{EffectRow, ServiceHistory},
};

const ID: &str = "id";
const HANDLE: &str = "handle";
const CONTENT: &str = "product";
/// Name of the operation that changes products, in the ledger.
const SET: &str = "Set";

/// Products by handle and by the SKUs of their variants.
#[derive(Default)]
pub struct Catalogue {
    channel: &'static str,
    products: Vec<StoredProduct>,
    by_handle: HashMap<Box<str>, usize>,
    by_sku: HashMap<Box<str>, Vec<usize>>,
    write_counts: HashMap<Box<str>, u32>,
}

#[derive(Clone, Debug)]
struct StoredProduct {
    id: Box<str>,
    handle: Box<str>,
    content: Map<String, Value>,
    created_at: Micros,
    updated_at: Micros,
}

/// The content of a product as `productSet` takes it: members that are not there leave what is
/// stored as it is, and lists replace the stored ones.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ProductInput(Map<String, Value>);

/// What a search has found.
pub struct Found {
    by_handle: Option<Value>,
    /// The products with a variant that has the SKU.
    by_sku: Vec<Value>,
    sku: Box<str>,
}

/// A change that is ready to be applied.
pub struct Change {
    product: StoredProduct,
    kind: ChangeKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ChangeKind {
    Create,
    Update,
    /// The product is as it is to be.
    None,
}

impl ProductInput {
    fn text(&self, member: &str) -> Option<&str> {
        self.0.get(member)?.as_str()
    }

    /// Returns the title.
    pub fn title(&self) -> Option<&str> {
        self.text("title").map(str::trim).filter(|title| !title.is_empty())
    }

    /// Returns the SKU of the first variant.
    pub fn first_sku(&self) -> Option<&str> {
        skus(&self.0).next()
    }

    /// Returns the number of variants.
    pub fn variant_count(&self) -> usize {
        self.0.get("variants").and_then(Value::as_array).map_or(0, Vec::len)
    }
}

/// Returns the SKUs of the variants of a product.
fn skus(content: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let variants = content.get("variants").and_then(Value::as_array);
    let skus = variants.into_iter().flatten().filter_map(|variant| variant["sku"].as_str());
    skus.filter(|sku| !sku.trim().is_empty())
}

impl Catalogue {
    /// Restores the products from the ledger of earlier runs.
    pub fn restore(channel: &'static str, history: &ServiceHistory) -> Self {
        let mut catalogue = Self { channel, ..Self::default() };
        for (request, _) in &history.requests {
            if let Some(sku) = request.sku.as_deref()
                && request.is_admitted()
                && &*request.action == SET
            {
                catalogue.count_write(sku);
            }
        }
        for effect in &history.effects {
            let detail = |name| effect.detail.get(name).map(String::as_str).unwrap_or_default();
            let handle = detail(HANDLE);
            let known = catalogue.by_handle.get(handle).and_then(|&at| catalogue.products.get(at));
            let product = StoredProduct {
                id: detail(ID).into(),
                handle: handle.into(),
                content: serde_json::from_str(detail(CONTENT)).unwrap_or_default(),
                created_at: known.map_or(effect.at_us, |known| known.created_at),
                updated_at: effect.at_us,
            };
            let kind = if effect.updated { ChangeKind::Update } else { ChangeKind::Create };
            catalogue.apply(Change { product, kind });
        }
        catalogue
    }

    /// Counts a request that writes `sku` and returns the number of earlier ones.
    pub fn count_write(&mut self, sku: &str) -> u32 {
        let writes = self.write_counts.entry(sku.into()).or_default();
        let before = *writes;
        *writes += 1;
        before
    }

    /// Returns the product with this handle, and those that have a variant with this SKU.
    pub fn find(&self, handle: &str, sku: &str) -> Found {
        let product = |at: &usize| self.products.get(*at).map(StoredProduct::to_json);
        Found {
            by_handle: self.by_handle.get(handle).and_then(product),
            by_sku: self.by_sku.get(sku).into_iter().flatten().filter_map(product).collect(),
            sku: sku.into(),
        }
    }

    /// Finds out what `productSet` has to change.
    ///
    /// # Errors
    /// Returns the code and the words of a user error.
    pub fn prepare(
        &self,
        identifier: &Identifier,
        input: &ProductInput,
        now: Micros,
    ) -> Result<Change, (&'static str, &'static str)> {
        let stored = match identifier {
            Identifier::Id(id) => {
                // The last part of an id is the product's place, counted from 1.
                let number = id.rsplit('/').next().and_then(|number| number.parse::<usize>().ok());
                let found = number.and_then(|number| self.products.get(number.checked_sub(1)?));
                let found = found.filter(|product| product.id == *id);
                Some(found.ok_or(("PRODUCT_DOES_NOT_EXIST", "Product does not exist"))?)
            }
            Identifier::Handle(handle) if input.text(HANDLE) != Some(&**handle) => {
                return Err(("INPUT_MISMATCH", "The handles of identifier and input differ"));
            }
            Identifier::Handle(handle) => {
                self.by_handle.get(handle).and_then(|&at| self.products.get(at))
            }
        };
        let mut content = stored.map(|stored| stored.content.clone()).unwrap_or_default();
        content.extend(input.0.clone().into_iter().filter(|(name, _)| name != HANDLE));
        if content.get("title").and_then(Value::as_str).is_none_or(|title| title.trim().is_empty())
        {
            return Err(("MISSING_FIELD_REQUIRED", "Title can't be blank"));
        }
        if skus(&content).next().is_none() {
            return Err(("VARIANTS_INPUT_MISSING", "A variant with a SKU is needed"));
        }
        let (kind, product) = match (stored, identifier) {
            (Some(stored), _) => {
                let kind = match stored.content == content {
                    true => ChangeKind::None,
                    false => ChangeKind::Update,
                };
                (kind, StoredProduct { content, updated_at: now, ..stored.clone() })
            }
            (None, Identifier::Handle(handle) | Identifier::Id(handle)) => {
                let id = format!("gid://{}/Product/{}", self.channel, self.products.len() + 1);
                let (id, handle) = (id.into(), handle.clone());
                let (created_at, updated_at) = (now, now);
                let product = StoredProduct { id, handle, content, created_at, updated_at };
                (ChangeKind::Create, product)
            }
        };
        Ok(Change { product, kind })
    }

    /// Applies a change, and returns the id of the product.
    pub fn apply(&mut self, change: Change) -> Box<str> {
        let Change { product, kind } = change;
        let id = product.id.clone();
        let known = self.by_handle.get(&product.handle).copied();
        if kind == ChangeKind::None {
            return id;
        }
        let at = known.unwrap_or(self.products.len());
        if let Some(before) = self.products.get(at) {
            for sku in skus(&before.content) {
                if let Some(places) = self.by_sku.get_mut(sku) {
                    places.retain(|place| *place != at);
                }
            }
        }
        for sku in skus(&product.content) {
            let places = self.by_sku.entry(sku.into()).or_default();
            if !places.contains(&at) {
                places.push(at);
            }
        }
        self.by_handle.insert(product.handle.clone(), at);
        match self.products.get_mut(at) {
            Some(stored) => *stored = product,
            None => self.products.push(product),
        }
        id
    }
}

impl Found {
    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.by_handle.is_none() && self.by_sku.is_empty()
    }

    /// Returns the data of the answer.
    pub fn into_json(self) -> Value {
        let sku = &*self.sku;
        let node = |product| json!({ "sku": sku, "product": product });
        let nodes: Vec<_> = self.by_sku.into_iter().map(node).collect();
        json!({ "product": self.by_handle, "bySku": { "nodes": nodes } })
    }
}

impl StoredProduct {
    fn to_json(&self) -> Value {
        let mut json = self.content.clone();
        for (name, value) in [(ID, &self.id), (HANDLE, &self.handle)] {
            json.insert(name.into(), Value::from(&**value));
        }
        for (name, at) in [("createdAt", self.created_at), ("updatedAt", self.updated_at)] {
            let at = i64::try_from(at).ok().and_then(|at| Timestamp::from_microsecond(at).ok());
            json.insert(name.into(), Value::from(at.map(|at| at.to_string())));
        }
        let variants = json.remove("variants").unwrap_or_default();
        json.insert("variants".into(), json!({ "nodes": variants }));
        Value::Object(json)
    }
}

impl Change {
    /// Returns the row of the change, from which [`Catalogue::restore`] restores the product;
    /// `None` if nothing changes.
    pub fn effect_row(&self) -> Option<EffectRow> {
        let Self { product, kind } = self;
        if *kind == ChangeKind::None {
            return None;
        }
        let detail = [
            (ID, product.id.to_string()),
            (HANDLE, product.handle.to_string()),
            (CONTENT, Value::Object(product.content.clone()).to_string()),
        ];
        Some(EffectRow {
            at_us: product.updated_at,
            action: SET.into(),
            key: None,
            sku: skus(&product.content).next().unwrap_or_default().into(),
            created: *kind == ChangeKind::Create,
            updated: *kind == ChangeKind::Update,
            detail: detail
                .map(|(name, value)| (name.to_owned(), value))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
        })
    }
}
