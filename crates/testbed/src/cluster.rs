//! Several processes on one host with the servers that they share: web nodes,
//! workers, a sandbox, PostgreSQL, RabbitMQ and Redis.

use crate::{
    Database, Node, PostgresNode, Proxy, RabbitNode, RedisNode, Role, SandboxConfig, SmallDisk,
    api::{ADMIN_EMAIL, ApiClient, PASSWORD},
    free_port,
};
use anyhow::Context;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Number of nodes and their configuration.
#[derive(Clone, Copy, Debug)]
pub struct ClusterConfig {
    pub web: usize,
    pub workers: usize,
    /// Lease of a claim, s.
    pub lease_s: u32,
    /// Whether PostgreSQL's data goes on a small disk that can be filled, where one can be
    /// mounted.
    pub small_disk: bool,
    pub sandbox_config: SandboxConfig,
}

/// Optional settings of a cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterOptions {
    /// Whether tasks that do nothing are accepted.
    pub noops: bool,
    /// Whether a commit waits for the disk.
    pub durable: bool,
    /// Whether nodes connect to the servers directly, because proxies cost time.
    pub without_proxies: bool,
    /// Latency of every product call at speed 1, s, in place of each channel's own.
    pub latency_s: Option<f64>,
    /// Further environment variables of every node.
    pub env: Vec<(&'static str, String)>,
}

/// A running cluster; dropping it ends all processes.
pub struct Cluster {
    pub postgres: PostgresNode,
    pub database: Database,
    pub rabbit: RabbitNode,
    pub redis: RedisNode,
    /// Between every node and the broker.
    pub rabbit_proxy: Proxy,
    /// Between every node and the database.
    pub postgres_proxy: Proxy,
    /// Between every node and Redis, which holds the rate limiters.
    pub redis_proxy: Proxy,
    pub sandbox: Node,
    pub web: Vec<Node>,
    pub workers: Vec<Node>,
    folder: TempDir,
}

impl Cluster {
    /// Starts everything and waits until it is ready.
    pub async fn start(binary: &Path, config: ClusterConfig) -> anyhow::Result<Self> {
        Self::start_with(binary, config, ClusterOptions::default()).await
    }

    /// Starts a cluster with `options` and waits until it is ready.
    pub async fn start_with(
        binary: &Path,
        config: ClusterConfig,
        options: ClusterOptions,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("can't make a data folder")?;
        let durable = options.durable;
        // The servers start in parallel, because each is slow.
        let (postgres, rabbit, redis) = tokio::try_join!(
            tokio::task::spawn_blocking(move || match durable {
                true => PostgresNode::start_durable(),
                false =>
                    PostgresNode::start_on_disk(config.small_disk.then(SmallDisk::mount).flatten()),
            }),
            tokio::task::spawn_blocking(RabbitNode::start),
            tokio::task::spawn_blocking(RedisNode::start),
        )?;
        let rabbit_proxy = Proxy::start(rabbit.port()).await?;
        let postgres_proxy = Proxy::start(postgres.port()).await?;
        let redis_proxy = Proxy::start(redis.port()).await?;
        let port = free_port();
        let sandbox_url = format!("http://127.0.0.1:{port}");
        let proxied = |url: String, port: u16, proxy: &Proxy| match options.without_proxies {
            true => url,
            false => url.replace(&format!(":{port}/"), &format!(":{}/", proxy.port)),
        };
        let database = Database(postgres.create_database());
        // All nodes have one environment and one data folder, as on a machine whose
        // systemd units share a file of variables: each ignores those of the others.
        let mut shared = vec![
            ("MEANWHILE_DATA", folder.path().join("data").display().to_string()),
            ("MEANWHILE_DATABASE", proxied(database.0.clone(), postgres.port(), &postgres_proxy)),
            ("MEANWHILE_BROKER", proxied(rabbit.url(), rabbit.port(), &rabbit_proxy)),
            ("MEANWHILE_LIMITER", proxied(redis.url(), redis.port(), &redis_proxy)),
            ("MEANWHILE_SANDBOX_URL", sandbox_url),
            ("MEANWHILE_LEASE_S", config.lease_s.to_string()),
            ("MEANWHILE_ADMIN_EMAIL", ADMIN_EMAIL.to_owned()),
            ("MEANWHILE_ADMIN_PASSWORD", PASSWORD.to_owned()),
            ("MEANWHILE_NOOPS", options.noops.to_string()),
        ];
        shared.extend(config.sandbox_config.env());
        let latency = options.latency_s.map(|s| ("MEANWHILE_SANDBOX_LATENCY_S", s.to_string()));
        shared.extend(latency);
        shared.extend(options.env);
        let mut sandbox_env = shared.clone();
        sandbox_env.push(("MEANWHILE_SANDBOX_LISTEN", format!("127.0.0.1:{port}")));
        let node_folder = |name: String| folder.path().join(name);
        let mut sandbox =
            Node::new(binary, Role::Sandbox, port, node_folder("sandbox".into()), &sandbox_env)?;
        sandbox.spawn().await?;
        let make = |role, number: usize| -> anyhow::Result<Node> {
            let folder: PathBuf = node_folder(format!("{role:?}-{number}").to_lowercase());
            Node::new(binary, role, free_port(), folder, &shared)
        };
        let mut web = (0..config.web).map(|n| make(Role::Web, n)).collect::<Result<Vec<_>, _>>()?;
        let mut workers =
            (0..config.workers).map(|n| make(Role::Worker, n)).collect::<Result<Vec<_>, _>>()?;
        for node in web.iter_mut().chain(&mut workers) {
            node.spawn().await?;
        }
        Ok(Self {
            postgres,
            database,
            rabbit,
            redis,
            rabbit_proxy,
            postgres_proxy,
            redis_proxy,
            sandbox,
            web,
            workers,
            folder,
        })
    }

    /// Returns a signed-in client for each web node, all in the same session.
    pub async fn signed_in_clients(&self) -> anyhow::Result<Vec<ApiClient>> {
        let mut first = ApiClient::new(self.web[0].port, self.sandbox.port);
        first.sign_in().await?;
        let others = self.web[1..].iter().map(|node| {
            let mut api = ApiClient::new(node.port, self.sandbox.port);
            api.cookie.clone_from(&first.cookie);
            api
        });
        Ok([first.clone()].into_iter().chain(others).collect())
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Counts occurrences of `text` in the nodes' logs.
    pub fn count_in_logs(&self, text: &str) -> usize {
        self.web.iter().chain(&self.workers).map(|node| node.count_in_log(text)).sum()
    }

    /// Returns the last lines of every node's log.
    pub fn log_tails(&self, lines: usize) -> String {
        let nodes = self.web.iter().chain(&self.workers).chain([&self.sandbox]);
        nodes.map(|node| node.log_tail(lines)).collect()
    }
}
