//! The faults, and what is required during and after each.

use anyhow::Context;
use rand::{SeedableRng, rngs::StdRng};
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    None,
    WebKilledAfter202,
    WebKilledBefore202,
    WorkerKilled,
    WorkerFrozen,
    BrokerKilled,
    BrokerRestarted,
    BrokerWiped,
    BrokerSilent,
    BrokerMemoryAlarm,
    ConfirmsLost,
    RedisKilled,
    RedisFlushed,
    RedisSilent,
    PostgresKilled,
    PostgresSilent,
    DiskFull,
    DiskFullEmbedded,
    ClockSkew,
    RateLimitStorm,
    PermanentFailure,
    RollingRestart,
    PoisonMessages,
}

impl Fault {
    pub const ALL: [Self; 23] = [
        Self::None,
        Self::WebKilledAfter202,
        Self::WebKilledBefore202,
        Self::WorkerKilled,
        Self::WorkerFrozen,
        Self::BrokerKilled,
        Self::BrokerRestarted,
        Self::BrokerWiped,
        Self::BrokerSilent,
        Self::BrokerMemoryAlarm,
        Self::ConfirmsLost,
        Self::RedisKilled,
        Self::RedisFlushed,
        Self::RedisSilent,
        Self::PostgresKilled,
        Self::PostgresSilent,
        Self::DiskFull,
        Self::DiskFullEmbedded,
        Self::ClockSkew,
        Self::RateLimitStorm,
        Self::PermanentFailure,
        Self::RollingRestart,
        Self::PoisonMessages,
    ];

    /// Returns the name that `--only` takes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::WebKilledAfter202 => "web-killed-after-202",
            Self::WebKilledBefore202 => "web-killed-before-202",
            Self::WorkerKilled => "worker-killed",
            Self::WorkerFrozen => "worker-frozen",
            Self::BrokerKilled => "broker-killed",
            Self::BrokerRestarted => "broker-restarted",
            Self::BrokerWiped => "broker-wiped",
            Self::BrokerSilent => "broker-silent",
            Self::BrokerMemoryAlarm => "broker-memory-alarm",
            Self::ConfirmsLost => "confirms-lost",
            Self::RedisKilled => "redis-killed",
            Self::RedisFlushed => "redis-flushed",
            Self::RedisSilent => "redis-silent",
            Self::PostgresKilled => "postgres-killed",
            Self::PostgresSilent => "postgres-silent",
            Self::DiskFull => "disk-full",
            Self::DiskFullEmbedded => "disk-full-embedded",
            Self::ClockSkew => "clock-skew",
            Self::RateLimitStorm => "rate-limit-storm",
            Self::PermanentFailure => "permanent-failure",
            Self::RollingRestart => "rolling-restart",
            Self::PoisonMessages => "poison-messages",
        }
    }

    /// Returns what is required, as it appears in `docs/FAULTS.md`.
    pub const fn requirement(self) -> &'static str {
        match self {
            Self::None => "Nothing fails, but sockets are cut as in every round.",
            Self::WebKilledAfter202 => {
                "`kill -9` of both web nodes after a 202, before anything is published: the job runs."
            }
            Self::WebKilledBefore202 => {
                "`kill -9` of a web node that leaves a launch without an answer; the client repeats \
                 it with the same key: one job."
            }
            Self::WorkerKilled => {
                "`kill -9` of a worker during calls: its tasks are reconciled and run again within \
                 40 s of the end of its leases and concurrency slots."
            }
            Self::WorkerFrozen => {
                "SIGSTOP of a worker until its leases have expired: its late results are discarded."
            }
            Self::BrokerKilled => {
                "`kill -9` of RabbitMQ, which comes back later: the backlog drains; launches get \
                 their 202 in the meantime."
            }
            Self::BrokerRestarted => "RabbitMQ is restarted: the backlog drains.",
            Self::BrokerWiped => "RabbitMQ is killed and its data deleted: the backlog drains.",
            Self::BrokerSilent => {
                "Connections to RabbitMQ, old and new, stay open and carry nothing, not even a \
                 close: they are detected as dead and opened again."
            }
            Self::BrokerMemoryAlarm => {
                "RabbitMQ's memory alarm blocks publishers until confirms are overdue: launches get \
                 their 202."
            }
            Self::ConfirmsLost => {
                "RabbitMQ's answers are lost: tasks that are published twice run once."
            }
            Self::RedisKilled => {
                "`kill -9` of Redis, which comes back without its data: no request over a limit."
            }
            Self::RedisFlushed => "Redis is flushed: no request over a limit.",
            Self::RedisSilent => {
                "Connections to Redis stay open and carry nothing, twice; what was sent arrives late \
                 the first time and never the second: no request over a limit."
            }
            Self::PostgresKilled => {
                "`kill -9` of PostgreSQL: 503 and never a false 202; work resumes without help."
            }
            Self::PostgresSilent => {
                "Connections to PostgreSQL stay open and carry nothing, the old ones for ever: 503 \
                 and never a false 202; work resumes without help, on new connections."
            }
            Self::DiskFull => {
                "PostgreSQL's disk is full: 503 that says so, never a false 202, nothing partly \
                 stored; work resumes without help when there is room."
            }
            Self::DiskFullEmbedded => {
                "The disk of one process with SQLite is full during launches, claims and finishes, \
                 at three moments each: 503 that says so, never a false 202; work resumes without \
                 help when there is room, and every accepted job survives a restart."
            }
            Self::ClockSkew => {
                "The clocks of a worker and of a web node are an hour off, one ahead and the other \
                 behind: nothing happens early or late."
            }
            Self::RateLimitStorm => {
                "A channel answers 429 unexpectedly: this costs no attempts, and its cooldown is obeyed."
            }
            Self::PermanentFailure => {
                "A product that always fails: every attempt is recorded, the other products finish, \
                 and it can be retried."
            }
            Self::RollingRestart => {
                "SIGTERM of every node in turn: each drains, no call is cut off, and each socket of \
                 a web node is closed with 4200."
            }
            Self::PoisonMessages => {
                "Unreadable messages in the command queues: each is saved once as rejected, and \
                 the tasks around it finish."
            }
        }
    }

    /// Returns the random generator of a round's moments: the same for the same
    /// seed, whichever other rounds run.
    pub fn round_rng(self, seed: u64, round: u64) -> StdRng {
        let id = Uuid::new_v5(&Uuid::from_u64_pair(seed, round), self.name().as_bytes());
        StdRng::seed_from_u64(id.as_u64_pair().0)
    }

    /// Returns the prefix of the SKUs, so that no two faults share one.
    pub fn sku_prefix(self) -> String {
        let index = Self::ALL.iter().position(|fault| *fault == self).unwrap_or_default();
        format!("F{index:02}R")
    }

    pub fn from_name(name: &str) -> anyhow::Result<Self> {
        let found = Self::ALL.into_iter().find(|fault| fault.name() == name);
        found.with_context(|| {
            let names: Vec<_> = Self::ALL.iter().map(|fault| fault.name()).collect();
            format!("there is no fault {name:?}; known: {}", names.join(", "))
        })
    }

    /// Returns more rows of the first batch, for faults that a product causes.
    pub fn extra_rows(self, prefix: &str) -> String {
        let row = |word: &str, n: usize| format!("{prefix}-{word}-{n},Lamp,19.90,\n");
        match self {
            // A Retry-After that is a date must not be compared with a wrong clock.
            Self::RateLimitStorm | Self::ClockSkew => {
                (0..5).map(|n| row("SBX-429ONCE", n)).collect()
            }
            Self::PermanentFailure => row("SBX-500ALWAYS", 0),
            _ => String::new(),
        }
    }
}
