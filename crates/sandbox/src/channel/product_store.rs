//! Stored products of a channel, and its idempotency keys.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::watch;

use super::{POST, PUT, ProductDraft};
use crate::{
    clock::Micros,
    ledger::{EffectRow, ServiceHistory},
    response::ServiceResponse,
};

const ID: &str = "id";
const CONTENT: &str = "product";
const FINGERPRINT: &str = "fingerprint";

/// Products, idempotency keys and numbers of writes of one channel.
#[derive(Default)]
pub struct ProductStore {
    stored_count: usize,
    products: HashMap<Box<str>, Vec<Product>>,
    keys: HashMap<Box<str>, KeyEntry>,
    write_counts: HashMap<Box<str>, u32>,
}

/// A stored product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Id of the product, such as `acme-000001`.
    pub id: Box<str>,
    /// SKU of the product.
    pub sku: Box<str>,
    /// The whole product as JSON, as the last write sent it.
    pub content: Arc<str>,
    /// Number of writes so far: 1 for a product that was never changed.
    pub revision: u32,
    /// Time of the last write.
    pub updated_at: Micros,
}

/// A product as a search returns it.
#[derive(Serialize)]
pub struct FoundProduct {
    id: Box<str>,
    sku: Box<str>,
    revision: u32,
    /// Time of the last write, in milliseconds since 1970.
    updated_at_ms: u64,
    /// The product as the last write sent it.
    product: Option<Box<RawValue>>,
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteResult {
    /// The product was stored under a new id.
    Created,
    /// A stored product was changed.
    Updated,
    /// The stored product was the same already.
    Unchanged,
}

/// A finished write, as it is repeated for a request with the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Id of the product.
    pub id: Box<str>,
    /// What the write did.
    pub result: WriteResult,
}

struct KeyEntry {
    fingerprint: u64,
    state: KeyState,
}

enum KeyState {
    /// The first request runs. If its sender is dropped, nothing was stored and the key is free.
    InFlight(watch::Receiver<Option<ServiceResponse>>),
    Completed(Write),
}

/// Result of claiming an idempotency key.
pub enum KeyClaim {
    /// The request is the first; the sender passes its response to the others.
    New(watch::Sender<Option<ServiceResponse>>),
    /// Another request with the key runs; the receiver gets its response.
    InFlight(watch::Receiver<Option<ServiceResponse>>),
    /// An earlier request with the key has completed.
    Completed(Write),
    /// The key was used with another body.
    BodyMismatch,
}

impl ProductStore {
    /// Restores the products and keys from the ledger of earlier runs.
    pub fn restore(history: &ServiceHistory) -> Self {
        let mut store = Self::default();
        for (request, _) in &history.requests {
            if let Some(sku) = request.sku.as_deref()
                && request.is_admitted()
                && matches!(&*request.action, POST | PUT)
            {
                store.count_write(sku);
            }
        }
        for effect in &history.effects {
            let detail = |name| effect.detail.get(name).map(String::as_str).unwrap_or_default();
            let (id, content) = (detail(ID), detail(CONTENT).into());
            let result = match effect.updated {
                true => WriteResult::Updated,
                false => WriteResult::Created,
            };
            match result {
                WriteResult::Created => store.insert(Product {
                    id: id.into(),
                    sku: effect.sku.clone(),
                    content,
                    revision: 1,
                    updated_at: effect.at_us,
                }),
                _ => store.change(&effect.sku, id, content, effect.at_us),
            }
            let fingerprint = u64::from_str_radix(detail(FINGERPRINT), 16).ok();
            if let Some((key, fingerprint)) = effect.key.as_deref().zip(fingerprint) {
                store.complete_key(key, fingerprint, Write { id: id.into(), result });
            }
        }
        store
    }

    /// Counts a request that writes `sku` and returns the number of earlier ones.
    pub fn count_write(&mut self, sku: &str) -> u32 {
        let writes = self.write_counts.entry(sku.into()).or_default();
        let before = *writes;
        *writes += 1;
        before
    }

    /// Claims an idempotency key for a request whose body has this fingerprint.
    pub fn claim_key(&mut self, key: &str, fingerprint: u64) -> KeyClaim {
        match self.keys.get(key) {
            Some(KeyEntry { state: KeyState::InFlight(response), .. })
                if response.has_changed().is_err() => {}
            Some(key) if key.fingerprint != fingerprint => return KeyClaim::BodyMismatch,
            Some(KeyEntry { state: KeyState::InFlight(response), .. }) => {
                return KeyClaim::InFlight(response.clone());
            }
            Some(KeyEntry { state: KeyState::Completed(write), .. }) => {
                return KeyClaim::Completed(write.clone());
            }
            None => {}
        }
        let (sender, response) = watch::channel(None);
        let state = KeyState::InFlight(response);
        self.keys.insert(key.into(), KeyEntry { fingerprint, state });
        KeyClaim::New(sender)
    }

    /// Keeps what the first request with a key did.
    pub fn complete_key(&mut self, key: &str, fingerprint: u64, write: Write) {
        let state = KeyState::Completed(write);
        self.keys.insert(key.into(), KeyEntry { fingerprint, state });
    }

    /// Returns the oldest product with this SKU.
    pub fn first_with_sku(&self, sku: &str) -> Option<&Product> {
        self.products.get(sku)?.first()
    }

    /// Returns the product with this SKU and id.
    pub fn find(&self, sku: &str, id: &str) -> Option<&Product> {
        self.products.get(sku)?.iter().find(|product| &*product.id == id)
    }

    /// Returns all products with this SKU, oldest first.
    pub fn all_with_sku(&self, sku: &str) -> Vec<FoundProduct> {
        self.products.get(sku).into_iter().flatten().map(FoundProduct::from).collect()
    }

    /// Returns the id of the next product.
    pub fn next_id(&self, channel: &str) -> String {
        format!("{channel}-{:06}", self.stored_count + 1)
    }

    /// Stores a new product.
    pub fn insert(&mut self, product: Product) {
        self.stored_count += 1;
        self.products.entry(product.sku.clone()).or_default().push(product);
    }

    /// Changes a stored product.
    pub fn change(&mut self, sku: &str, id: &str, content: Arc<str>, at: Micros) {
        let products = self.products.get_mut(sku).into_iter().flatten();
        for product in products.filter(|product| &*product.id == id) {
            product.content = Arc::clone(&content);
            product.revision += 1;
            product.updated_at = at;
        }
    }
}

impl From<&Product> for FoundProduct {
    fn from(product: &Product) -> Self {
        Self {
            id: product.id.clone(),
            sku: product.sku.clone(),
            revision: product.revision,
            updated_at_ms: product.updated_at / 1_000,
            product: RawValue::from_string(product.content.to_string()).ok(),
        }
    }
}

/// Returns the row of a write, from which [`ProductStore::restore`] restores the product.
pub fn effect_row(
    id: &str,
    draft: &ProductDraft,
    action: &str,
    at: Micros,
    key: Option<&str>,
    result: WriteResult,
) -> EffectRow {
    let detail = [
        (ID, id.to_owned()),
        (CONTENT, draft.content.to_string()),
        (FINGERPRINT, format!("{:016x}", draft.fingerprint)),
    ];
    EffectRow {
        at_us: at,
        action: action.into(),
        key: key.map(Into::into),
        sku: draft.sku.clone(),
        created: result == WriteResult::Created,
        updated: result == WriteResult::Updated,
        detail: detail
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
    }
}
