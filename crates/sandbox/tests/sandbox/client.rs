//! A sandbox of a test's own, and a client of it.

use std::{path::Path, time::Duration};

use reqwest::Response;
use sandbox::{Options, Record, Sandbox};
use serde_json::{Value, json};
use tempfile::TempDir;

pub struct Client {
    pub sandbox: Sandbox,
    pub http: reqwest::Client,
    folder: TempDir,
}

pub async fn sandbox_in(folder: &Path, speed: f64) -> Result<Sandbox, sandbox::Error> {
    let ledger = folder.join("ledger.jsonl");
    let listen = "127.0.0.1:0".parse().unwrap();
    Sandbox::start(Options { listen, ledger, speed, seed: 1, faults: false, latency: None }).await
}

/// Gives up where an answer should long have come.
fn http() -> reqwest::Client {
    reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap()
}

impl Client {
    /// Faults off.
    pub async fn start(speed: f64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = sandbox_in(folder.path(), speed).await.unwrap();
        Self { sandbox, http: http(), folder }
    }

    /// The same ledger in a new sandbox.
    pub async fn restart(self, speed: f64) -> Self {
        self.restart_after(speed, |_| ()).await
    }

    /// `between` gets the ledger's path while nothing runs.
    pub async fn restart_after(self, speed: f64, between: impl FnOnce(&Path)) -> Self {
        let Self { sandbox, folder, .. } = self;
        sandbox.stop().await;
        between(&folder.path().join("ledger.jsonl"));
        let sandbox = sandbox_in(folder.path(), speed).await.unwrap();
        Self { sandbox, http: http(), folder }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn request(
        &self,
        channel: &str,
        key: Option<&str>,
        body: &Value,
    ) -> reqwest::RequestBuilder {
        let url = format!("{}/channels/{channel}/products", self.sandbox.base_url());
        let request = self.http.post(url).json(body);
        match key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        }
    }

    pub async fn make(&self, channel: &str, key: Option<&str>, sku: &str) -> Response {
        self.request(channel, key, &product(sku)).send().await.unwrap()
    }

    /// Answered at once, for tests in which time stands all but still.
    pub async fn make_nothing(&self, channel: &str) -> Response {
        self.request(channel, None, &json!({})).send().await.unwrap()
    }

    pub async fn find(&self, channel: &str, sku: &str) -> Value {
        let url = format!("{}/channels/{channel}/products", self.sandbox.base_url());
        let response = self.http.get(url).query(&[("sku", sku)]).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.json::<Value>().await.unwrap()["items"].take()
    }

    pub async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.sandbox.base_url());
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    pub fn record(&self, service: &str) -> Record {
        self.sandbox.ledger()[service].clone()
    }

    /// Waits until the record is as it should be, and gives it.
    pub async fn record_when(&self, service: &str, ready: impl Fn(&Record) -> bool) -> Record {
        let wait = async {
            loop {
                let record = self.record(service);
                if ready(&record) {
                    return record;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
        waited.unwrap_or_else(|_| panic!("{:?}", self.record(service)))
    }
}

pub fn product(sku: &str) -> Value {
    json!({ "sku": sku, "title": "Desk lamp", "price": "42.99" })
}

pub async fn json_of(response: Response) -> (u16, Value) {
    (response.status().as_u16(), response.json().await.unwrap())
}

pub fn retry_after(response: &Response) -> &str {
    response.headers()["retry-after"].to_str().unwrap()
}
