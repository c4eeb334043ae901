//! Store, task queue, event bus and rate limiter, chosen by their URLs.

use crate::config::{BrokerUrl, Config, DatabaseUrl, LimiterUrl, ProcessRole};
use anyhow::{Context, anyhow, bail};
use engine::{
    clock,
    election::acquire_exclusive_lease,
    engine::Parts,
    event_bus::{EventBus, embedded::EmbeddedEventBus, rabbitmq::RabbitMqEventBus},
    limiter::{Limiters, RateLimiter, embedded, redis::RedisLimiter},
    rabbitmq::RabbitMqServer,
    store::{self, OpenFailure, Store},
    task_queue::{TaskQueue, embedded::EmbeddedTaskQueue, rabbitmq::RabbitMqTaskQueue},
};
use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
    sync::Arc,
};

/// Store, queues, event bus and rate limiters of this process.
pub struct Backends {
    pub store: Store,
    pub task_queue: Arc<dyn TaskQueue>,
    pub event_bus: Arc<dyn EventBus>,
    pub limiters: Limiters,
    /// Whether no other process may use this database, because the queues are inside
    /// this one. Tasks that the previous process left running then have no worker.
    pub owns_database: bool,
}

impl Backends {
    /// Opens the backends that `config` selects.
    ///
    /// # Errors
    /// The database can't be opened, or a URL can't be parsed.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let url = config.database_url()?;
        let clock: clock::SharedClock = match url {
            DatabaseUrl::Sqlite(_) => Arc::new(clock::SlewingClock::default()),
            DatabaseUrl::Postgres(_) => Arc::new(clock::DatabaseClock::default()),
        };
        let speed = config.sandbox.sandbox_speed;
        let store = Store::open(url.expose_secret(), clock, speed)
            .await
            .context("can't open the database: is MEANWHILE_DATABASE right, and does it run?")?
            .with_lease(config.lease)
            .with_open_limits(config.open_limits.into());
        let (task_queue, event_bus) = open_broker(config)?;
        let limiter: Arc<dyn RateLimiter> = match &config.limiter {
            LimiterUrl::Embedded => Arc::new(embedded::EmbeddedLimiter::default()),
            LimiterUrl::Redis(url) => Arc::new(
                RedisLimiter::new(url.expose_secret())
                    .context("MEANWHILE_LIMITER can't be read")?,
            ),
        };
        let limiters = Limiters::new(limiter, Some(store.clone()));
        let owns_database = config.broker == BrokerUrl::Embedded;
        Ok(Self { store, task_queue, event_bus, limiters, owns_database })
    }

    /// Returns the parts that operators see.
    pub fn parts(&self, config: &Config, queues: Vec<String>) -> Parts {
        const EMBEDDED: &str = "in this process";
        Parts {
            task_queue: Arc::clone(&self.task_queue),
            queues,
            broker: match config.broker {
                BrokerUrl::Embedded => EMBEDDED,
                BrokerUrl::RabbitMq(_) => "RabbitMQ",
            },
            limiter: match config.limiter {
                LimiterUrl::Embedded => EMBEDDED,
                LimiterUrl::Redis(_) => "Redis",
            },
        }
    }
}

/// Opens the task queue and the event bus, which use one broker.
///
/// # Errors
/// The URL can't be parsed.
fn open_broker(config: &Config) -> anyhow::Result<(Arc<dyn TaskQueue>, Arc<dyn EventBus>)> {
    let BrokerUrl::RabbitMq(url) = &config.broker else {
        let event_bus = Arc::new(EmbeddedEventBus::default());
        return Ok((Arc::new(EmbeddedTaskQueue::default()), event_bus));
    };
    let server =
        RabbitMqServer::new(url.expose_secret()).context("MEANWHILE_BROKER can't be read")?;
    let mut event_bus = RabbitMqEventBus::new(server.clone());
    if config.role == Some(ProcessRole::Work) {
        event_bus = event_bus.worker_only();
    }
    Ok((Arc::new(RabbitMqTaskQueue::new(server)), Arc::new(event_bus)))
}

/// Rejects combinations of options that can't work.
///
/// # Errors
/// Says which variables to set.
pub fn check_combination(config: &Config) -> anyhow::Result<()> {
    let Some(role @ (ProcessRole::Serve | ProcessRole::Work)) = &config.role else {
        return Ok(());
    };
    let mut missing = Vec::new();
    if config.database_url()?.sqlite_path().is_some() {
        missing.push("MEANWHILE_DATABASE to postgres://…");
    }
    if config.broker == BrokerUrl::Embedded {
        missing.push("MEANWHILE_BROKER to amqps://…");
    }
    if config.limiter == LimiterUrl::Embedded {
        missing.push("MEANWHILE_LIMITER to rediss://…");
    }
    // With channels of its own, nothing is simulated.
    if config.channels.is_none() && config.sandbox.sandbox_url.is_none() {
        missing.push("MEANWHILE_SANDBOX_URL to where `meanwhile sandbox` runs");
    }
    if !missing.is_empty() {
        let word = if *role == ProcessRole::Serve { "serve" } else { "work" };
        bail!(
            "`meanwhile {word}` is one of several processes, and they must share what they work \
             with. Set {}; or run `meanwhile` alone for all in one process.",
            missing.join(", ")
        );
    }
    Ok(())
}

/// Locks the data folder of a SQLite database, since two processes with
/// embedded queues on one database would run every task twice.
///
/// # Errors
/// Another process holds the lock, or the file can't be locked.
pub fn lock_data_folder(config: &Config) -> anyhow::Result<Option<File>> {
    if config.database_url()?.sqlite_path().is_none() {
        return Ok(None);
    }
    let path = config.data.join("lock");
    let file = File::create(&path).map_err(|error| data_folder_error(&config.data, &error))?;
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

/// Creates the data folder if there is none.
///
/// # Errors
/// The folder can't be created.
pub fn create_data_folder(data: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(data).map_err(|error| data_folder_error(data, &error))
}

fn data_folder_error(data: &Path, error: &io::Error) -> anyhow::Error {
    anyhow!(
        "the data folder {} can't be made or written: let the account that runs Meanwhile write \
         there, or set MEANWHILE_DATA to another folder ({error})",
        data.display()
    )
}

/// Returns an error that says what is wrong with the database and what to do, if
/// the database is why the start failed; otherwise `error`.
pub fn explain_open_failure(config: &Config, error: anyhow::Error) -> anyhow::Error {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<store::Error>());
    let Some((cause, failure)) = causes.find_map(|cause| Some((cause, cause.open_failure()?)))
    else {
        return error;
    };
    let url = config.database_url().ok();
    let database = match url.as_ref().and_then(DatabaseUrl::sqlite_path) {
        Some(path) => format!("the database {}", path.display()),
        // A URL may contain a password.
        None => "the database of MEANWHILE_DATABASE".to_owned(),
    };
    let sentence = match failure {
        OpenFailure::UnknownMigration(name) => {
            return anyhow!(
                "{database} holds a migration, {name}, that this release does not know: start the \
                 release that made it, or restore a backup of this one's"
            );
        }
        OpenFailure::Tls(failure) => {
            return anyhow!("{database} can't be reached over TLS: {failure}");
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
        OpenFailure::DiskFull => "has no room left on its disk: make room, and start again",
        OpenFailure::DiskError => {
            "can't be read or written: look after its disk, and start again when that works"
        }
        OpenFailure::Locked => "is locked by another program: close that, and start again",
    };
    anyhow!("{database} {sentence} ({})", cause.database_message())
}

/// Acquires the exclusive lease on a database server, where no file lock helps.
///
/// # Errors
/// Another process holds the lease, or the database fails.
pub async fn ensure_only_process(store: &Store, name: &str) -> anyhow::Result<()> {
    if store.database.is_single_process() {
        return Ok(());
    }
    if let Some(other) = acquire_exclusive_lease(store, name).await? {
        bail!(
            "another Meanwhile ({other}) works on this database. Stop it; or set MEANWHILE_BROKER \
             to amqp://… for both, so that they share their queues, and run `meanwhile serve` and \
             `meanwhile work`."
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;

    fn error_for(arguments: &[&str]) -> Option<String> {
        let all = ["meanwhile"].iter().chain(arguments);
        check_combination(&Config::try_parse_from(all).unwrap())
            .err()
            .map(|error| error.to_string())
    }

    #[test]
    fn unworkable_configuration_is_rejected_with_what_to_set() {
        assert_eq!(error_for(&[]), None);
        assert_eq!(error_for(&["--broker", "amqp://localhost"]), None);
        let words = error_for(&["--database", "postgres://localhost/m", "work"]).unwrap();
        for part in ["`meanwhile work`", "MEANWHILE_BROKER", "MEANWHILE_LIMITER", "SANDBOX_URL"] {
            assert!(words.contains(part), "{words}");
        }
        assert!(!words.contains("MEANWHILE_DATABASE"), "{words}");
        let all =
            ["--database", "postgres://x/m", "--broker", "amqp://x", "--limiter", "redis://x"];
        let beside = |more: [&'static str; 3]| [&all[..], &more].concat();
        assert_eq!(error_for(&beside(["--sandbox-url", "http://127.0.0.1:9000", "serve"])), None);
        assert_eq!(error_for(&beside(["--channels", "/etc/meanwhile/channels", "serve"])), None);
    }
}
