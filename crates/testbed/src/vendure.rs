//! Vendure, a shop system that others wrote: it has no unique SKU, and a product takes several
//! calls.

use super::{ManagedProcess, free_port, npm};
use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::{
    fs::File,
    path::Path,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// User of the Admin API.
pub const VENDURE_USER: &str = "superadmin";
/// Password of that user.
pub const VENDURE_PASSWORD: &str = "superadmin-of-the-test";

/// Time within which Vendure creates its tables and starts, on a busy machine.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(180);
const PAGE: usize = 100;

/// A Vendure server with an empty catalogue, and a client of its Admin API; dropping it ends
/// the process.
pub struct Vendure {
    process: ManagedProcess,
    port: u16,
    folder: TempDir,
    client: reqwest::Client,
    token: String,
}

/// A product as Vendure stores it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VendureProduct {
    pub id: String,
    pub name: String,
    pub slug: String,
    pub description: String,
    pub enabled: bool,
    pub option_groups: Vec<VendureName>,
    pub variants: Vec<VendureVariant>,
}

/// A variant as Vendure stores it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VendureVariant {
    pub id: String,
    pub sku: String,
    pub name: String,
    /// Price in minor units.
    pub price: u64,
    pub stock_levels: Vec<VendureStock>,
    pub options: Vec<VendureName>,
}

/// Something that has a name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct VendureName {
    pub name: String,
}

/// Stock of a variant at one location.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VendureStock {
    pub stock_on_hand: i64,
}

impl Vendure {
    /// Starts a server, waits until it answers, and gives its channel the tax zone and the
    /// default tax category without which Vendure creates no variants.
    ///
    /// # Errors
    /// It does not start; the error has the end of its log.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = free_port();
        let log = File::create(folder.path().join("log"))?;
        let mut command = npm::node_command("vendure");
        command
            .args(["-e", include_str!("vendure.js")])
            .env("PORT", port.to_string())
            .env("SUPERADMIN", VENDURE_USER)
            .env("SUPERADMIN_PASSWORD", VENDURE_PASSWORD)
            .current_dir(folder.path())
            .stdout(log.try_clone()?)
            .stderr(log);
        let process = ManagedProcess::spawn(&mut command).context("can't start Node")?;
        tls::install_provider();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build()?;
        let mut vendure = Self { process, port, folder, client, token: String::new() };
        vendure.wait_until_ready().await?;
        vendure.token = vendure.login().await?;
        vendure.seed().await?;
        Ok(vendure)
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let url = format!("http://127.0.0.1:{}/health", self.port);
        let start = Instant::now();
        while !self.client.get(&url).send().await.is_ok_and(|answer| answer.status() == 200) {
            let ended = self.process.try_wait()?;
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            ensure!(ended.is_none(), "Vendure ended at once: {log}");
            ensure!(start.elapsed() < STARTUP_TIMEOUT, "Vendure was not ready in time: {log}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn login(&self) -> anyhow::Result<String> {
        let query = "mutation($user: String!, $password: String!) { \
                     login(username: $user, password: $password) { __typename } }";
        let body = json!({
            "query": query,
            "variables": {"user": VENDURE_USER, "password": VENDURE_PASSWORD},
        });
        let answer = self.client.post(self.admin_api()).json(&body).send().await?;
        let token = answer.headers().get("vendure-auth-token").context("no token")?;
        Ok(token.to_str()?.to_owned())
    }

    async fn seed(&self) -> anyhow::Result<()> {
        let create_zone = r#"mutation { createZone(input: {name: "Zone"}) { id } }"#;
        let zone = self.call(create_zone, &json!({})).await?["createZone"]["id"].clone();
        self.call(
            r#"mutation($zone: ID!, $channel: ID!) {
                createTaxCategory(input: {name: "Standard", isDefault: true}) { id }
                updateChannel(input: {
                    id: $channel, defaultTaxZoneId: $zone, defaultShippingZoneId: $zone
                }) { __typename }
            }"#,
            &json!({"zone": zone, "channel": "1"}),
        )
        .await?;
        Ok(())
    }

    /// Calls the Admin API, and returns `data` of the answer.
    ///
    /// # Errors
    /// There is no answer, or it has errors.
    pub async fn call(&self, query: &str, variables: &Json) -> anyhow::Result<Json> {
        let body = json!({"query": query, "variables": variables});
        let request = self.client.post(self.admin_api()).bearer_auth(&self.token).json(&body);
        let mut answer: Json = request.send().await?.json().await?;
        ensure!(answer.get("errors").is_none(), "Vendure answered {answer}");
        Ok(answer["data"].take())
    }

    /// Returns all products.
    ///
    /// # Errors
    /// There is no answer, or an unexpected one.
    pub async fn products(&self) -> anyhow::Result<Vec<VendureProduct>> {
        let query = "query($skip: Int!, $take: Int!) {
            products(options: {skip: $skip, take: $take, sort: {id: ASC}}) {
                items {
                    id name slug description enabled
                    optionGroups { name }
                    variants { id sku name price stockLevels { stockOnHand } options { name } }
                }
            }
        }";
        let mut all = Vec::new();
        loop {
            let mut data = self.call(query, &json!({"skip": all.len(), "take": PAGE})).await?;
            let page: Vec<VendureProduct> =
                serde_json::from_value(data["products"]["items"].take())?;
            let count = page.len();
            all.extend(page);
            if count < PAGE {
                return Ok(all);
            }
        }
    }

    /// Returns the number of option groups, attached to a product or not.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn count_option_groups(&self) -> anyhow::Result<u64> {
        let data = self.call("{ productOptionGroups { totalItems } }", &json!({})).await?;
        data["productOptionGroups"]["totalItems"].as_u64().context("no total")
    }

    /// Returns the port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL without the path of an API.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn admin_api(&self) -> String {
        format!("{}/admin-api", self.url())
    }

    /// Returns its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
