//! A sandbox for one test, with a client.

use std::{path::Path, time::Duration};

use reqwest::Response;
use sandbox::{Options, SAMPLE_CHANNELS, Sandbox, ServiceRecord};
use serde_json::{Value, json};
use tempfile::TempDir;

pub struct TestClient {
    pub sandbox: Sandbox,
    pub http: reqwest::Client,
    folder: TempDir,
}

pub async fn sandbox_in(folder: &Path, speed: f64) -> Result<Sandbox, sandbox::Error> {
    let ledger = folder.join("ledger.jsonl");
    let listen = "127.0.0.1:0".parse().unwrap();
    let channels = SAMPLE_CHANNELS.to_vec();
    let options =
        Options { listen, ledger, speed, seed: 1, faults: false, latency: None, channels };
    Sandbox::start(options).await
}

/// Returns a client that fails when a response is long overdue.
fn http() -> reqwest::Client {
    tls::install_provider();
    reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap()
}

impl TestClient {
    /// Starts a sandbox without random faults.
    pub async fn start(speed: f64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = sandbox_in(folder.path(), speed).await.unwrap();
        Self { sandbox, http: http(), folder }
    }

    /// Starts a new sandbox with the same ledger.
    pub async fn restart(self, speed: f64) -> Self {
        self.restart_after(speed, |_| ()).await
    }

    /// Restarts, and calls `between` with the ledger's path while no sandbox runs.
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

    pub async fn create_product(&self, channel: &str, key: Option<&str>, sku: &str) -> Response {
        self.request(channel, key, &product(sku)).send().await.unwrap()
    }

    pub async fn send_product(&self, channel: &str, key: Option<&str>, body: &Value) -> Response {
        self.request(channel, key, body).send().await.unwrap()
    }

    pub async fn update_product(&self, channel: &str, id: &str, body: &Value) -> Response {
        let url = format!("{}/channels/{channel}/products/{id}", self.sandbox.base_url());
        self.http.put(url).json(body).send().await.unwrap()
    }

    /// Sends a request that gets its response at once, for tests with a very low speed.
    pub async fn post_empty_product(&self, channel: &str) -> Response {
        self.request(channel, None, &json!({})).send().await.unwrap()
    }

    pub async fn find_products(&self, channel: &str, sku: &str) -> Value {
        let url = format!("{}/channels/{channel}/products", self.sandbox.base_url());
        let response = self.http.get(url).query(&[("sku", sku)]).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.json::<Value>().await.unwrap()["items"].take()
    }

    /// Sends a GraphQL operation to Depot.
    pub async fn graphql(&self, query: &str, variables: Value) -> Response {
        let url = format!("{}/channels/depot/graphql.json", self.sandbox.base_url());
        let body = json!({ "query": query, "variables": variables });
        self.http.post(url).json(&body).send().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.sandbox.base_url());
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    pub fn service_record(&self, service: &str) -> ServiceRecord {
        self.sandbox.ledger()[service].clone()
    }

    /// Waits until the record is `ready`, and returns it.
    pub async fn wait_for_record(
        &self,
        service: &str,
        ready: impl Fn(&ServiceRecord) -> bool,
    ) -> ServiceRecord {
        let wait = async {
            loop {
                let record = self.service_record(service);
                if ready(&record) {
                    return record;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
        waited.unwrap_or_else(|_| panic!("{:?}", self.service_record(service)))
    }
}

pub fn product(sku: &str) -> Value {
    json!({ "sku": sku, "title": "Desk lamp", "price": "42.99" })
}

pub async fn status_and_json(response: Response) -> (u16, Value) {
    (response.status().as_u16(), response.json().await.unwrap())
}

pub fn retry_after(response: &Response) -> &str {
    response.headers()["retry-after"].to_str().unwrap()
}
