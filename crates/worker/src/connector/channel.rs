//! A sales channel: `POST /products`, `GET /products?sku=`.

use super::{body, no_answer, refused, unreadable};
use crate::handler::{Answer, outcome};
use contract::{api::Outcome, product::Product};
use serde::Deserialize;

/// Largest answer of a channel that is read, in bytes.
const LARGEST: usize = 1 << 20;

/// Where a channel is, and what it can do.
#[derive(Clone, Debug)]
pub struct Channel {
    pub name: String,
    /// Such as `http://127.0.0.1:9000/channels/acme`.
    pub base_url: String,
    /// The same key gets the same answer: a repeated call has one effect.
    pub idempotency_keys: bool,
    pub client: reqwest::Client,
}

#[derive(Deserialize)]
struct Stored {
    id: String,
}

#[derive(Deserialize)]
struct Found {
    items: Vec<Stored>,
}

#[derive(Deserialize, Default)]
struct Refusal {
    #[serde(default)]
    error: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    id: Option<String>,
}

impl Channel {
    /// The channel's id of the product with that SKU, or `None`.
    ///
    /// # Errors
    /// The answer to give where the channel can't tell.
    pub async fn find(&self, sku: &str) -> Result<Option<String>, Answer> {
        let url = format!("{}/products", self.base_url);
        let sent = self.client.get(url).query(&[("sku", sku)]).send().await;
        let response = sent.map_err(|error| still_unsure(no_answer(&self.name, &error)))?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(still_unsure(refused(&self.name, status, response.headers(), "")));
        }
        let body = body(&self.name, response, LARGEST).await.map_err(still_unsure)?;
        let found: Found =
            serde_json::from_slice(&body).map_err(|_| still_unsure(unreadable(&self.name)))?;
        Ok(found.items.into_iter().next().map(|item| item.id))
    }

    /// Uploads `product`; `key` is the same for every try at it.
    pub async fn upload(&self, product: &Product, key: &str) -> Answer {
        let mut request = self.client.post(format!("{}/products", self.base_url)).json(product);
        if self.idempotency_keys {
            request = request.header("Idempotency-Key", key);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return no_answer(&self.name, &error),
        };
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = body(&self.name, response, LARGEST).await;
        if matches!(status, 200 | 201) {
            return match body.map(|body| serde_json::from_slice::<Stored>(&body)) {
                Ok(Ok(stored)) => done(stored_as(&self.name, "created", "stored it", stored.id)),
                Ok(Err(_)) => unreadable(&self.name),
                Err(answer) => answer,
            };
        }
        let said = body.ok().and_then(|body| serde_json::from_slice::<Refusal>(&body).ok());
        let said = said.unwrap_or_default();
        match (status, said.id) {
            (409, Some(id)) if said.error == "duplicate_sku" => {
                done(stored_as(&self.name, "found", "has this SKU already", id))
            }
            (422, _) => Answer::Failed(outcome(
                "rejected",
                format!("{} rejected it: {}", self.name, said.reason),
            )),
            _ => refused(&self.name, status, &headers, &said.error),
        }
    }
}

/// The product was found by its SKU after a call without an answer.
pub fn found(name: &str, id: String) -> Answer {
    done(stored_as(name, "found", "had stored it, though its answer was lost", id))
}

fn stored_as(name: &str, code: &str, what: &str, id: String) -> Outcome {
    Outcome { reference: Some(id), ..outcome(code, format!("{name} {what}.")) }
}

fn done(outcome: Outcome) -> Answer {
    Answer::Done { outcome, follow_ups: Vec::new() }
}

/// Asking changed nothing: what was unsure before still is.
fn still_unsure(answer: Answer) -> Answer {
    match answer {
        Answer::Retry { outcome, .. } => Answer::Retry { outcome, unsure: true },
        Answer::Failed(outcome) => Answer::NeedsPerson(outcome),
        other => other,
    }
}
