//! Store, broker and gates, chosen by their URLs.

use crate::config::{Config, Role};
use anyhow::{Context, bail, ensure};
use engine::{
    broker::{self, Broker, rabbit::Rabbit},
    clock,
    election::until_alone,
    gate::{self, Gate, Gates, redis::Redis},
    store::Store,
};
use std::{fs::File, sync::Arc};

pub const EMBEDDED: &str = "embedded:";

pub struct Backends {
    pub store: Store,
    pub broker: Arc<dyn Broker>,
    pub gates: Gates,
    /// No other process works on this database: what it left running is lost.
    pub alone: bool,
}

impl Backends {
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let url = database(config)?;
        let clock: clock::Shared = match is_sqlite(&url) {
            true => Arc::new(clock::Steady::default()),
            false => Arc::new(clock::Followed::default()),
        };
        let speed = config.sandbox.sandbox_speed;
        let store = Store::open(&url, clock, speed)
            .await
            .context("can't open the database: is MEANWHILE_DATABASE right, and does it run?")?
            .with_lease(i64::from(config.lease_s) * 1000)
            .with_max_open(config.most.into());
        let broker: Arc<dyn Broker> = match &*config.broker {
            EMBEDDED => Arc::new(broker::embedded::Embedded::default()),
            url => {
                let rabbit = Rabbit::new(url).context("MEANWHILE_BROKER can't be read")?;
                let works_only = config.role == Some(Role::Work);
                Arc::new(if works_only { rabbit.for_work() } else { rabbit })
            }
        };
        let gate: Arc<dyn Gate> = match &*config.gate {
            EMBEDDED => Arc::new(gate::embedded::Embedded::default()),
            url => Arc::new(Redis::new(url).context("MEANWHILE_GATE can't be read")?),
        };
        let gates = Gates::new(gate, Some(store.clone()));
        Ok(Self { store, broker, gates, alone: &*config.broker == EMBEDDED })
    }
}

/// Refuses what can't work, and says what to set.
pub fn check(config: &Config) -> anyhow::Result<()> {
    let database = database(config)?;
    ensure!(
        is_sqlite(&database)
            || ["postgres://", "postgresql://"].iter().any(|scheme| database.starts_with(scheme)),
        "MEANWHILE_DATABASE is neither sqlite://… nor postgres://…"
    );
    ensure!(
        &*config.broker == EMBEDDED || config.broker.starts_with("amqp://"),
        "MEANWHILE_BROKER is neither embedded: nor amqp://… (amqps:// is not spoken: use a tunnel)"
    );
    ensure!(
        &*config.gate == EMBEDDED || config.gate.starts_with("redis://"),
        "MEANWHILE_GATE is neither embedded: nor redis://…"
    );
    let Some(role @ (Role::Serve | Role::Work)) = config.role else { return Ok(()) };
    let mut missing = Vec::new();
    if is_sqlite(&database) {
        missing.push("MEANWHILE_DATABASE to postgres://…");
    }
    if &*config.broker == EMBEDDED {
        missing.push("MEANWHILE_BROKER to amqp://…");
    }
    if &*config.gate == EMBEDDED {
        missing.push("MEANWHILE_GATE to redis://…");
    }
    if config.sandbox.sandbox_url.is_none() {
        missing.push("MEANWHILE_SANDBOX_URL to where `meanwhile sandbox` runs");
    }
    if !missing.is_empty() {
        let word = if role == Role::Serve { "serve" } else { "work" };
        bail!(
            "`meanwhile {word}` is one of several processes, and they must share what they work \
             with. Set {}; or run `meanwhile` alone for all in one process.",
            missing.join(", ")
        );
    }
    Ok(())
}

/// Two processes with queues of their own on one database would run every
/// task twice.
pub fn lock(config: &Config) -> anyhow::Result<Option<File>> {
    if !is_sqlite(&database(config)?) {
        return Ok(None);
    }
    let path = config.data.join("lock");
    let file = File::create(&path).with_context(|| format!("can't make {}", path.display()))?;
    if file.try_lock().is_err() {
        bail!(
            "another Meanwhile uses {}: stop it, or set MEANWHILE_DATA to another folder",
            config.data.display()
        );
    }
    Ok(Some(file))
}

/// The same on a database that is not a file of this machine.
pub async fn only_one(store: &Store, name: &str) -> anyhow::Result<()> {
    if store.has_one_process() {
        return Ok(());
    }
    if let Some(other) = until_alone(store, name).await? {
        bail!(
            "another Meanwhile ({other}) works on this database. Stop it; or set MEANWHILE_BROKER \
             to amqp://… for both, so that they share their queues, and run `meanwhile serve` and \
             `meanwhile work`."
        );
    }
    Ok(())
}

fn database(config: &Config) -> anyhow::Result<String> {
    if let Some(url) = &config.database {
        return Ok(url.to_string());
    }
    let path = std::path::absolute(config.data.join("meanwhile.sqlite"))?;
    Ok(format!("sqlite://{}", path.display()))
}

fn is_sqlite(url: &str) -> bool {
    url.starts_with("sqlite:")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;

    fn told(arguments: &[&str]) -> Option<String> {
        let all = ["meanwhile"].iter().chain(arguments);
        check(&Config::try_parse_from(all).unwrap()).err().map(|error| error.to_string())
    }

    #[test]
    fn what_cannot_work_is_refused_with_what_to_set() {
        assert_eq!(told(&[]), None);
        assert_eq!(told(&["--broker", "amqp://localhost"]), None);
        let words = told(&["--database", "postgres://localhost/m", "work"]).unwrap();
        for part in ["`meanwhile work`", "MEANWHILE_BROKER", "MEANWHILE_GATE", "SANDBOX_URL"] {
            assert!(words.contains(part), "{words}");
        }
        assert!(!words.contains("MEANWHILE_DATABASE"), "{words}");
        for (flag, value) in
            [("--database", "mysql://x"), ("--broker", "kafka://x"), ("--gate", "memcached://x")]
        {
            assert!(told(&[flag, value]).unwrap().contains("neither"), "{flag}");
        }
        let all = ["--database", "postgres://x/m", "--broker", "amqp://x", "--gate", "redis://x"];
        let mut all = all.to_vec();
        all.extend(["--sandbox-url", "http://127.0.0.1:9000", "serve"]);
        assert_eq!(told(&all), None);
    }
}
