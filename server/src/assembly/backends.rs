//! Store, broker and gates, chosen by their URLs.

use crate::config::{Config, Role};
use anyhow::{Context, anyhow, bail, ensure};
use engine::{
    broker::{self, Broker, rabbit::Rabbit},
    clock,
    election::until_alone,
    gate::{self, Gate, Gates, redis::Redis},
    store::{self, OpenFailure, Store},
};
use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
    sync::Arc,
};

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
    let file = File::create(&path).map_err(|error| cannot_write(&config.data, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => bail!(
            "another Meanwhile uses {}: stop it, or set MEANWHILE_DATA to another folder",
            config.data.display()
        ),
        Err(TryLockError::Error(error)) => bail!(
            "can't lock {}: set MEANWHILE_DATA to a folder on a disk of this machine ({error})",
            path.display()
        ),
    }
}

/// Makes the data folder where there is none.
pub fn make_folder(data: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(data).map_err(|error| cannot_write(data, &error))
}

fn cannot_write(data: &Path, error: &io::Error) -> anyhow::Error {
    anyhow!(
        "the data folder {} can't be made or written: let the account that runs Meanwhile write \
         there, or set MEANWHILE_DATA to another folder ({error})",
        data.display()
    )
}

/// Says in one sentence what is wrong with the database and what to do, where
/// that is why the start failed.
pub fn explain(config: &Config, error: anyhow::Error) -> anyhow::Error {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<store::Error>());
    let Some((cause, failure)) = causes.find_map(|cause| Some((cause, cause.open_failure()?)))
    else {
        return error;
    };
    let place = match database(config) {
        Ok(url) if is_sqlite(&url) => {
            let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
            format!("the database {}", path.split('?').next().unwrap_or(path))
        }
        // A URL may hold a password.
        _ => "the database of MEANWHILE_DATABASE".to_owned(),
    };
    let sentence = match failure {
        OpenFailure::UnknownMigration(name) => {
            return anyhow!(
                "{place} holds a migration, {name}, that this release does not know: start the \
                 release that made it, or restore a backup of this one's"
            );
        }
        OpenFailure::Damaged => {
            "is damaged, or is no database at all: restore a backup, or move the file away to \
             begin with an empty one"
        }
        OpenFailure::ReadOnly => {
            "can't be written: let the account that runs Meanwhile write to the file and its folder"
        }
        OpenFailure::CannotOpen => {
            "can't be opened: let the account that runs Meanwhile read and write the file and its \
             folder"
        }
        OpenFailure::NoRoom => "has no room left on its disk: make room, and start again",
        OpenFailure::DiskFails => {
            "can't be read or written: look after its disk, and start again when that works"
        }
        OpenFailure::Locked => "is locked by another program: close that, and start again",
    };
    anyhow!("{place} {sentence} ({})", cause.reason())
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
