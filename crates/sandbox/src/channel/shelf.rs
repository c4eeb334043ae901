//! What a channel has stored and what it remembers of its requests.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use tokio::sync::watch;

use super::{Draft, POST};
use crate::{
    answer::Answer,
    clock::Micros,
    ledger::{Effected, Kept},
};

const ID: &str = "id";
const TITLE: &str = "title";
const FINGERPRINT: &str = "fingerprint";

#[derive(Default)]
pub struct Shelf {
    stored: usize,
    products: HashMap<Box<str>, Vec<Product>>,
    keys: HashMap<Box<str>, Key>,
    posts: HashMap<Box<str>, u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Product {
    pub id: Box<str>,
    pub sku: Box<str>,
    pub title: Box<str>,
}

struct Key {
    fingerprint: u64,
    state: KeyState,
}

enum KeyState {
    /// Free again when the sender is gone: then nothing was stored.
    InFlight(watch::Receiver<Option<Answer>>),
    Known(Product),
}

/// What a request with an idempotency key finds.
pub enum Claim {
    /// It is the first; its answer goes to the others through this.
    New(watch::Sender<Option<Answer>>),
    InFlight(watch::Receiver<Option<Answer>>),
    Known(Product),
    OtherBody,
}

impl Shelf {
    pub fn restored(kept: &Kept) -> Self {
        let mut shelf = Self::default();
        for (arrived, _) in &kept.requests {
            if let Some(sku) = arrived.sku.as_deref()
                && arrived.admitted()
                && &*arrived.action == POST
            {
                shelf.count(sku);
            }
        }
        for effect in &kept.effects {
            let detail = |name| effect.detail.get(name).map(String::as_str).unwrap_or_default();
            let product = Product {
                id: detail(ID).into(),
                sku: effect.sku.clone(),
                title: detail(TITLE).into(),
            };
            let fingerprint = u64::from_str_radix(detail(FINGERPRINT), 16).ok();
            shelf.add(product, effect.key.as_deref().zip(fingerprint));
        }
        shelf
    }

    /// Counts a request to make `sku` and says how many came before.
    pub fn count(&mut self, sku: &str) -> u32 {
        let posts = self.posts.entry(sku.into()).or_default();
        let before = *posts;
        *posts += 1;
        before
    }

    pub fn claim(&mut self, key: &str, fingerprint: u64) -> Claim {
        match self.keys.get(key) {
            Some(Key { state: KeyState::InFlight(answer), .. })
                if answer.has_changed().is_err() => {}
            Some(key) if key.fingerprint != fingerprint => return Claim::OtherBody,
            Some(Key { state: KeyState::InFlight(answer), .. }) => {
                return Claim::InFlight(answer.clone());
            }
            Some(Key { state: KeyState::Known(product), .. }) => {
                return Claim::Known(product.clone());
            }
            None => {}
        }
        let (first, answer) = watch::channel(None);
        let state = KeyState::InFlight(answer);
        self.keys.insert(key.into(), Key { fingerprint, state });
        Claim::New(first)
    }

    pub fn first(&self, sku: &str) -> Option<&Product> {
        self.products.get(sku)?.first()
    }

    pub fn find(&self, sku: &str) -> Vec<Product> {
        self.products.get(sku).cloned().unwrap_or_default()
    }

    pub fn next_id(&self, channel: &str) -> String {
        format!("{channel}-{:06}", self.stored + 1)
    }

    /// `key` with the fingerprint of the body that it came with.
    pub fn add(&mut self, product: Product, key: Option<(&str, u64)>) {
        self.stored += 1;
        if let Some((key, fingerprint)) = key {
            let state = KeyState::Known(product.clone());
            self.keys.insert(key.into(), Key { fingerprint, state });
        }
        self.products.entry(product.sku.clone()).or_default().push(product);
    }
}

impl Product {
    pub fn new(id: &str, draft: &Draft) -> Self {
        Self { id: id.into(), sku: draft.sku.clone(), title: draft.title.clone() }
    }

    /// The row from which [`Shelf::restored`] knows this product again.
    pub fn effect(&self, action: &str, at: Micros, key: Option<&str>, print: u64) -> Effected {
        let detail = [
            (ID, self.id.to_string()),
            (TITLE, self.title.to_string()),
            (FINGERPRINT, format!("{print:016x}")),
        ];
        Effected {
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
