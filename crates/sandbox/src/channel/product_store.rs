//! Stored products of a channel, and its idempotency keys.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use tokio::sync::watch;

use super::{POST, ProductDraft};
use crate::{
    clock::Micros,
    ledger::{EffectRow, ServiceHistory},
    response::ServiceResponse,
};

const ID: &str = "id";
const TITLE: &str = "title";
const FINGERPRINT: &str = "fingerprint";

/// Products, idempotency keys and numbers of posts of one channel.
#[derive(Default)]
pub struct ProductStore {
    stored_count: usize,
    products: HashMap<Box<str>, Vec<Product>>,
    keys: HashMap<Box<str>, KeyEntry>,
    post_counts: HashMap<Box<str>, u32>,
}

/// A stored product, as a search returns it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Product {
    /// Id of the product, such as `acme-000001`.
    pub id: Box<str>,
    /// SKU of the product.
    pub sku: Box<str>,
    /// Title of the product.
    pub title: Box<str>,
}

struct KeyEntry {
    fingerprint: u64,
    state: KeyState,
}

enum KeyState {
    /// The first request runs. If its sender is dropped, nothing was stored and the key is free.
    InFlight(watch::Receiver<Option<ServiceResponse>>),
    Completed(Product),
}

/// Result of claiming an idempotency key.
pub enum KeyClaim {
    /// The request is the first; the sender passes its response to the others.
    New(watch::Sender<Option<ServiceResponse>>),
    /// Another request with the key runs; the receiver gets its response.
    InFlight(watch::Receiver<Option<ServiceResponse>>),
    /// An earlier request with the key has stored this product.
    Completed(Product),
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
                && &*request.action == POST
            {
                store.count_post(sku);
            }
        }
        for effect in &history.effects {
            let detail = |name| effect.detail.get(name).map(String::as_str).unwrap_or_default();
            let product = Product {
                id: detail(ID).into(),
                sku: effect.sku.clone(),
                title: detail(TITLE).into(),
            };
            let fingerprint = u64::from_str_radix(detail(FINGERPRINT), 16).ok();
            store.insert(product, effect.key.as_deref().zip(fingerprint));
        }
        store
    }

    /// Counts a request to create `sku` and returns the number of earlier ones.
    pub fn count_post(&mut self, sku: &str) -> u32 {
        let posts = self.post_counts.entry(sku.into()).or_default();
        let before = *posts;
        *posts += 1;
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
            Some(KeyEntry { state: KeyState::Completed(product), .. }) => {
                return KeyClaim::Completed(product.clone());
            }
            None => {}
        }
        let (sender, response) = watch::channel(None);
        let state = KeyState::InFlight(response);
        self.keys.insert(key.into(), KeyEntry { fingerprint, state });
        KeyClaim::New(sender)
    }

    /// Returns the oldest product with this SKU.
    pub fn first_with_sku(&self, sku: &str) -> Option<&Product> {
        self.products.get(sku)?.first()
    }

    /// Returns all products with this SKU, oldest first.
    pub fn all_with_sku(&self, sku: &str) -> Vec<Product> {
        self.products.get(sku).cloned().unwrap_or_default()
    }

    /// Returns the id of the next product.
    pub fn next_id(&self, channel: &str) -> String {
        format!("{channel}-{:06}", self.stored_count + 1)
    }

    /// Stores a product. `key` comes with the fingerprint of its request's body.
    pub fn insert(&mut self, product: Product, key: Option<(&str, u64)>) {
        self.stored_count += 1;
        if let Some((key, fingerprint)) = key {
            let state = KeyState::Completed(product.clone());
            self.keys.insert(key.into(), KeyEntry { fingerprint, state });
        }
        self.products.entry(product.sku.clone()).or_default().push(product);
    }
}

impl Product {
    /// Returns the product that a request creates.
    pub fn new(id: &str, draft: &ProductDraft) -> Self {
        Self { id: id.into(), sku: draft.sku.clone(), title: draft.title.clone() }
    }

    /// Returns the row from which [`ProductStore::restore`] restores this product.
    pub fn effect_row(
        &self,
        action: &str,
        at: Micros,
        key: Option<&str>,
        fingerprint: u64,
    ) -> EffectRow {
        let detail = [
            (ID, self.id.to_string()),
            (TITLE, self.title.to_string()),
            (FINGERPRINT, format!("{fingerprint:016x}")),
        ];
        EffectRow {
            at_us: at,
            action: action.into(),
            key: key.map(Into::into),
            sku: self.sku.clone(),
            created: true,
            detail: detail
                .map(|(name, value)| (name.to_owned(), value))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
        }
    }
}
