//! What may fail, and what is required meanwhile and afterwards.

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
    BrokerAlarm,
    ConfirmsLost,
    RedisKilled,
    RedisFlushed,
    RedisSilent,
    PostgresKilled,
    PostgresSilent,
    DiskFull,
    DiskFullEmbedded,
    ClockOff,
    Storm,
    AlwaysFails,
    RollingRestart,
    Poison,
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
        Self::BrokerAlarm,
        Self::ConfirmsLost,
        Self::RedisKilled,
        Self::RedisFlushed,
        Self::RedisSilent,
        Self::PostgresKilled,
        Self::PostgresSilent,
        Self::DiskFull,
        Self::DiskFullEmbedded,
        Self::ClockOff,
        Self::Storm,
        Self::AlwaysFails,
        Self::RollingRestart,
        Self::Poison,
    ];

    /// As `--only` takes it.
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
            Self::BrokerAlarm => "broker-alarm",
            Self::ConfirmsLost => "confirms-lost",
            Self::RedisKilled => "redis-killed",
            Self::RedisFlushed => "redis-flushed",
            Self::RedisSilent => "redis-silent",
            Self::PostgresKilled => "postgres-killed",
            Self::PostgresSilent => "postgres-silent",
            Self::DiskFull => "disk-full",
            Self::DiskFullEmbedded => "disk-full-embedded",
            Self::ClockOff => "clock-off",
            Self::Storm => "storm",
            Self::AlwaysFails => "always-fails",
            Self::RollingRestart => "rolling-restart",
            Self::Poison => "poison",
        }
    }

    pub const fn required(self) -> &'static str {
        match self {
            Self::None => "Nothing fails, and sockets are cut as in every round.",
            Self::WebKilledAfter202 => {
                "`kill -9` of both web nodes with a 202, before anything is published: the job runs."
            }
            Self::WebKilledBefore202 => {
                "`kill -9` of a web node that leaves a launch without an answer; the client repeats \
                 it with the same key: one job."
            }
            Self::WorkerKilled => {
                "`kill -9` of a worker in the middle of calls: reconciled, and run again within 15 s \
                 of the end of its leases and places."
            }
            Self::WorkerFrozen => {
                "SIGSTOP of a worker past its lease: its late result is discarded."
            }
            Self::BrokerKilled => {
                "`kill -9` of RabbitMQ, and it comes back: the backlog drains; meanwhile launches \
                 get their 202."
            }
            Self::BrokerRestarted => "RabbitMQ is restarted: the backlog drains.",
            Self::BrokerWiped => "RabbitMQ is killed and its data wiped: the backlog drains.",
            Self::BrokerSilent => {
                "Connections to RabbitMQ, old and new, stay open and carry nothing, not even a \
                 close: they are found dead and made anew."
            }
            Self::BrokerAlarm => {
                "RabbitMQ's memory alarm blocks publishers until confirms are overdue: launches get \
                 their 202."
            }
            Self::ConfirmsLost => {
                "What RabbitMQ answers is lost: what was published twice is done once."
            }
            Self::RedisKilled => {
                "`kill -9` of Redis with all it held, and it comes back: no request over a limit."
            }
            Self::RedisFlushed => "Redis is flushed: no request over a limit.",
            Self::RedisSilent => {
                "Connections to Redis stay open and carry nothing, twice; what was said arrives late, \
                 then never: no request over a limit."
            }
            Self::PostgresKilled => {
                "`kill -9` of PostgreSQL: 503 and never a false 202; goes on by itself."
            }
            Self::PostgresSilent => {
                "Connections to PostgreSQL stay open and carry nothing, the old ones for ever: 503 \
                 and never a false 202; goes on by itself, with connections made anew."
            }
            Self::DiskFull => {
                "PostgreSQL's disk is full: 503 that says so, never a false 202, nothing half \
                 stored; goes on by itself when there is room."
            }
            Self::DiskFullEmbedded => {
                "The disk of one process with SQLite is full when launches, claims and ends of calls \
                 meet it, at three moments each: 503 that says so, never a false 202; goes on by \
                 itself when there is room, and a restart knows every job that was accepted."
            }
            Self::ClockOff => {
                "The clocks of a worker and of a web node are an hour off, the one ahead and the other \
                 behind: nothing is early or late."
            }
            Self::Storm => "A channel answers 429 out of the blue: no attempts spent, and obeyed.",
            Self::AlwaysFails => {
                "A product that always fails: kept with every attempt, its neighbours finish, and it \
                 can be retried."
            }
            Self::RollingRestart => {
                "SIGTERM of every node in turn: all drains, no call is cut, and each socket of a web \
                 node is told 4200."
            }
            Self::Poison => {
                "Messages in the command queues that nobody can read: each is kept once, and its \
                 neighbours are done."
            }
        }
    }

    /// Of a round's moments: the same for the same seed, whichever other
    /// rounds there are.
    pub fn dice(self, seed: u64, round: u64) -> StdRng {
        let id = Uuid::new_v5(&Uuid::from_u64_pair(seed, round), self.name().as_bytes());
        StdRng::seed_from_u64(id.as_u64_pair().0)
    }

    /// Of the SKUs, so that no two rounds share one.
    pub fn prefix(self) -> String {
        let place = Self::ALL.iter().position(|fault| *fault == self).unwrap_or_default();
        format!("F{place:02}R")
    }

    pub fn named(name: &str) -> anyhow::Result<Self> {
        let found = Self::ALL.into_iter().find(|fault| fault.name() == name);
        found.with_context(|| {
            let names: Vec<_> = Self::ALL.iter().map(|fault| fault.name()).collect();
            format!("there is no fault {name:?}; known: {}", names.join(", "))
        })
    }

    /// Further rows of the first batch, for what depends on the product.
    pub fn rows(self, prefix: &str) -> String {
        let row = |word: &str, n: usize| format!("{prefix}-{word}-{n},Lamp,19.90,\n");
        match self {
            // A Retry-After that is a date must not be read by a clock that is off.
            Self::Storm | Self::ClockOff => (0..5).map(|n| row("SBX-429ONCE", n)).collect(),
            Self::AlwaysFails => row("SBX-500ALWAYS", 0),
            _ => String::new(),
        }
    }
}
