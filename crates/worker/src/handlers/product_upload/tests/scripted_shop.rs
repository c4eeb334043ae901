//! Shops that the tests of presets play: each answers as the documents of its service say, and
//! may lose an answer.

use super::{Received, Service, json_response, preset, task, upload_product};
use axum::{body::Body, http::Response};
use contract::product::Product;
use engine::store::{AttemptError, AttemptResult};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use serde_json::Value as Json;
use std::sync::Arc;

/// What a shop stores, and how it answers.
pub trait ScriptedShop: Default + Send + 'static {
    /// Name of the preset's file.
    const PRESET: &'static str;
    /// Settings in place of those of the preset.
    const SETTINGS: &'static [(&'static str, &'static str)] = &[];
    /// Beginning of all paths, which [`TestShop::lines`] leaves out.
    const BASE_PATH: &'static str = "";

    fn answer(&mut self, request: &Received) -> Response<Body>;
}

/// A shop with its service.
pub struct TestShop<S> {
    pub service: Service,
    pub stored: Arc<Mutex<S>>,
    /// Number of the request that is carried out, but whose answer a gateway swallows.
    lost: Arc<Mutex<Option<usize>>>,
}

impl<S: ScriptedShop> TestShop<S> {
    pub async fn new() -> Self {
        let stored = Arc::new(Mutex::new(S::default()));
        let lost: Arc<Mutex<Option<usize>>> = Arc::default();
        let (shared, lost_here) = (Arc::clone(&stored), Arc::clone(&lost));
        let service = Service::start(move |request, number| {
            let response = shared.lock().answer(request);
            match lost_here.lock().take_if(|lost| *lost == number) {
                Some(_) => json_response(504, &Json::Null),
                None => response,
            }
        })
        .await;
        Self { service, stored, lost }
    }

    pub async fn upload(&self, product: &Product) -> AttemptResult {
        self.attempt(product, None).await
    }

    pub async fn attempt(&self, product: &Product, unknown_since: Option<i64>) -> AttemptResult {
        let client = preset::client(S::PRESET, &self.service.url, S::SETTINGS);
        upload_product(client, task(unknown_since), product).await
    }

    /// Uploads a product in two attempts: the answer to the request with the number `lost` does
    /// not arrive, and the second attempt finishes what the first one left.
    pub async fn upload_with_lost_answer(&self, product: &Product, lost: usize) {
        *self.lost.lock() = Some(lost);
        match self.upload(product).await {
            Err(AttemptError::Retry { outcome_unknown: true, .. }) => {}
            other => panic!("{lost}: {other:?}"),
        }
        self.attempt(product, Some(0)).await.unwrap();
    }

    /// Returns methods and paths of the requests since the last call.
    pub fn lines(&self) -> Vec<String> {
        let received = std::mem::take(&mut *self.service.received.lock());
        let line = |request: Received| {
            let line = request.line.split('?').next().unwrap().replacen(S::BASE_PATH, "", 1);
            percent_decode_str(&line).decode_utf8().unwrap().into_owned()
        };
        received.into_iter().map(line).collect()
    }
}
