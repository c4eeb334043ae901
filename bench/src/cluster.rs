//! The whole as several processes on one machine, with the servers that they
//! share: two web nodes, some workers, a sandbox, PostgreSQL, RabbitMQ, Redis.

mod database;
mod node;

pub use database::Database;
pub use node::Node;

use crate::{
    api::{Api, PASSWORD, WHO},
    process::{Outside, free_port},
};
use anyhow::Context;
use node::Role;
use servers::{PostgresNode, Proxy, RabbitNode, RedisNode, SmallDisk};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// How many of each, and how they are set.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub web: usize,
    pub workers: usize,
    /// Of a claim, s.
    pub lease_s: u32,
    /// PostgreSQL's data lies where the disk can be filled, if that can be.
    pub small_disk: bool,
    pub outside: Outside,
}

/// What it has besides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Besides {
    /// Tasks that do nothing are accepted.
    pub noops: bool,
    /// A commit waits for the disk.
    pub durable: bool,
    /// Nodes reach the servers without proxies, which cost time.
    pub straight: bool,
    /// Of every product call at speed 1, s, instead of each channel's own.
    pub latency_s: Option<f64>,
}

/// Ends with this value.
pub struct Cluster {
    pub postgres: PostgresNode,
    pub database: Database,
    pub rabbit: RabbitNode,
    pub redis: RedisNode,
    /// Between every node and the broker.
    pub to_rabbit: Proxy,
    /// Between every node and the database.
    pub to_postgres: Proxy,
    /// Between every node and the gates.
    pub to_redis: Proxy,
    pub sandbox: Node,
    pub web: Vec<Node>,
    pub workers: Vec<Node>,
    folder: TempDir,
}

impl Cluster {
    /// Starts everything and waits until it is ready.
    pub async fn start(binary: &Path, size: Size) -> anyhow::Result<Self> {
        Self::start_with(binary, size, Besides::default()).await
    }

    /// The same, with something besides.
    pub async fn start_with(binary: &Path, size: Size, with: Besides) -> anyhow::Result<Self> {
        let binary = std::path::absolute(binary)?;
        let folder = tempfile::tempdir().context("can't make a data folder")?;
        // Three servers that take their time: together they take the longest.
        let (postgres, rabbit, redis) = tokio::try_join!(
            tokio::task::spawn_blocking(move || match with.durable {
                true => PostgresNode::start_durable(),
                false => PostgresNode::start_on(size.small_disk.then(SmallDisk::mount).flatten()),
            }),
            tokio::task::spawn_blocking(RabbitNode::start),
            tokio::task::spawn_blocking(RedisNode::start),
        )?;
        let to_rabbit = Proxy::start(rabbit.port()).await?;
        let to_postgres = Proxy::start(postgres.port()).await?;
        let to_redis = Proxy::start(redis.port()).await?;
        let port = free_port()?;
        let sandbox_url = format!("http://127.0.0.1:{port}");
        let by = |url: String, port: u16, proxy: &Proxy| match with.straight {
            true => url,
            false => url.replace(&format!(":{port}/"), &format!(":{}/", proxy.port)),
        };
        let Outside { speed, seed, faults } = size.outside;
        let database = Database(postgres.url());
        let shared = [
            ("MEANWHILE_DATABASE", by(database.0.clone(), postgres.port(), &to_postgres)),
            ("MEANWHILE_BROKER", by(rabbit.url(), rabbit.port(), &to_rabbit)),
            ("MEANWHILE_GATE", by(redis.url(), redis.port(), &to_redis)),
            ("MEANWHILE_SANDBOX_URL", sandbox_url),
            ("MEANWHILE_SANDBOX_SPEED", speed.to_string()),
            ("MEANWHILE_LEASE_S", size.lease_s.to_string()),
            ("MEANWHILE_ADMIN_EMAIL", WHO.to_owned()),
            ("MEANWHILE_ADMIN_PASSWORD", PASSWORD.to_owned()),
            ("MEANWHILE_NOOPS", with.noops.to_string()),
        ];
        let mut own = vec![
            ("MEANWHILE_SANDBOX_LISTEN", format!("127.0.0.1:{port}")),
            ("MEANWHILE_SANDBOX_SPEED", speed.to_string()),
            ("MEANWHILE_SANDBOX_SEED", seed.to_string()),
            ("MEANWHILE_SANDBOX_FAULTS", faults.to_string()),
        ];
        own.extend(with.latency_s.map(|s| ("MEANWHILE_SANDBOX_LATENCY_S", s.to_string())));
        let place = |name: String| folder.path().join(name);
        let mut sandbox = Node::new(&binary, Role::Sandbox, port, place("sandbox".into()), &own)?;
        sandbox.spawn().await?;
        let make = |role, number: usize| -> anyhow::Result<Node> {
            let folder: PathBuf = place(format!("{role:?}-{number}").to_lowercase());
            Node::new(&binary, role, free_port()?, folder, &shared)
        };
        let mut web = (0..size.web).map(|n| make(Role::Web, n)).collect::<Result<Vec<_>, _>>()?;
        let mut workers =
            (0..size.workers).map(|n| make(Role::Worker, n)).collect::<Result<Vec<_>, _>>()?;
        for node in web.iter_mut().chain(&mut workers) {
            node.spawn().await?;
        }
        Ok(Self {
            postgres,
            database,
            rabbit,
            redis,
            to_rabbit,
            to_postgres,
            to_redis,
            sandbox,
            web,
            workers,
            folder,
        })
    }

    /// Signed in; one for each web node, all in the same session.
    pub async fn apis(&self) -> anyhow::Result<Vec<Api>> {
        let mut first = Api::new(self.web[0].port, self.sandbox.port);
        first.sign_in().await?;
        let others = self.web[1..].iter().map(|node| {
            let mut api = Api::new(node.port, self.sandbox.port);
            api.cookie.clone_from(&first.cookie);
            api
        });
        Ok([first.clone()].into_iter().chain(others).collect())
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How often the nodes' logs say these words.
    pub fn told(&self, words: &str) -> usize {
        self.web.iter().chain(&self.workers).map(|node| node.told(words)).sum()
    }

    /// The last words of every node's log.
    pub fn logs(&self, lines: usize) -> String {
        let nodes = self.web.iter().chain(&self.workers).chain([&self.sandbox]);
        nodes.map(|node| node.log(lines)).collect()
    }
}
