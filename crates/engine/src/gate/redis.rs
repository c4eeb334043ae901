//! Gates on Redis, shared by all workers: each step is one script, by the
//! server's own clock.
//!
//! Redis may lose all it holds. Then it begins anew without credit: the first
//! slot comes a full window later, and slots of the time before are known by
//! their generation and given up.

use super::{AHEAD, Condition, Error, Gate, LEAST, Limits, PLACE_LIFE, Reserved, STORM, Slot};
use async_trait::async_trait;
use redis::{AsyncConnectionConfig, Client, Script, ScriptInvocation, aio::MultiplexedConnection};
use std::{
    collections::HashMap,
    sync::{
        PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Mutex, time::Instant};
use uuid::Uuid;

const CONNECT: Duration = Duration::from_secs(2);
/// A step without an answer within this time counts as taken.
const ANSWER: Duration = Duration::from_secs(1);

/// Between two log lines about what a person has to mend.
const REMINDER: Duration = Duration::from_secs(30);

const RESERVE: &str = include_str!("redis/reserve.lua");
const CONFIRM: &str = include_str!("redis/confirm.lua");
const KEEP: &str = include_str!("redis/keep.lua");
const CLOSE: &str = include_str!("redis/close.lua");
const CONDITION: &str = include_str!("redis/condition.lua");

struct Scripts {
    reserve: Script,
    confirm: Script,
    keep: Script,
    close: Script,
    condition: Script,
}

struct Open {
    connection: MultiplexedConnection,
    number: u64,
}

/// Gates on a Redis server. Connects when it is needed, anew when it broke.
pub struct Redis {
    client: Client,
    scripts: Scripts,
    open: Mutex<Option<Open>>,
    opened: AtomicU64,
    /// A server that was away may have come back with an older memory: each
    /// error begins an age in which every account has to begin anew once.
    age: AtomicU64,
    /// The age in which an account last began anew; 0 where it never had to.
    begun: std::sync::Mutex<HashMap<String, u64>>,
    /// When an error was last logged that a person has to mend.
    logged: std::sync::Mutex<Option<Instant>>,
}

impl From<redis::RedisError> for Error {
    fn from(error: redis::RedisError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// Tells what only a person can mend from what may pass. An error of a script
/// has its code in the middle of its words, depending on Redis' version.
fn classified(error: &redis::RedisError, account: &str) -> Error {
    let words = error.to_string();
    let says = |code: &str| error.code() == Some(code) || words.contains(code);
    let refused = error.kind() == redis::ErrorKind::AuthenticationFailed;
    Error::Unusable(if refused || says("WRONGPASS") {
        "Redis refused the user or the password of our pace keeper. Check both in MEANWHILE_GATE."
            .into()
    // What is longer than ten words is a protocol error to who is not known.
    } else if says("NOAUTH") || words.contains("unauthenticated") {
        "Redis asks for a password for our pace keeper. Set it in MEANWHILE_GATE.".into()
    } else if says("NOPERM") {
        "The Redis user of our pace keeper lacks a permission. Allow it EVAL, EVALSHA, SCRIPT, \
         TIME, EXPIRE, the commands of hashes and sorted sets, and keys that begin with \
         meanwhile:gate:."
            .into()
    } else if says("WRONGTYPE") {
        let (state, places) = (state(account), places(account));
        format!(
            "A key of our pace keeper in Redis holds a value of another type. Delete {state} and \
             {places}."
        )
    } else {
        return Error::Unreachable(words);
    })
}

impl Redis {
    /// `url` as in `redis://[user:password@]host:port/database`. Nothing is
    /// connected yet.
    ///
    /// # Errors
    /// The URL can't be read.
    pub fn new(url: &str) -> Result<Self, Error> {
        Ok(Self {
            client: Client::open(url)?,
            scripts: Scripts {
                reserve: Script::new(RESERVE),
                confirm: Script::new(CONFIRM),
                keep: Script::new(KEEP),
                close: Script::new(CLOSE),
                condition: Script::new(CONDITION),
            },
            open: Mutex::default(),
            opened: AtomicU64::default(),
            age: AtomicU64::default(),
            begun: std::sync::Mutex::default(),
            logged: std::sync::Mutex::default(),
        })
    }

    async fn connection(&self) -> Result<(MultiplexedConnection, u64), redis::RedisError> {
        let mut open = self.open.lock().await;
        if let Some(open) = &*open {
            return Ok((open.connection.clone(), open.number));
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER));
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let number = self.opened.fetch_add(1, Ordering::SeqCst) + 1;
        *open = Some(Open { connection: connection.clone(), number });
        Ok((connection, number))
    }

    /// Whether what the server holds of `account` may be older than what it
    /// said in an earlier age.
    fn suspects(&self, account: &str, age: u64) -> bool {
        self.begun().get(account).copied().unwrap_or_default() < age
    }

    fn begun(&self) -> std::sync::MutexGuard<'_, HashMap<String, u64>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run<T: redis::FromRedisValue>(
        &self,
        account: &str,
        call: &ScriptInvocation<'_>,
    ) -> Result<T, Error> {
        let (mut connection, number) =
            self.connection().await.map_err(|error| self.told(&error, account))?;
        match call.invoke_async(&mut connection).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.age.fetch_add(1, Ordering::SeqCst);
                // Of many callers the first lets go of a broken connection.
                let mut open = self.open.lock().await;
                if open.as_ref().is_some_and(|open| open.number == number) {
                    *open = None;
                }
                drop(open);
                Err(self.told(&error, account))
            }
        }
    }

    /// Returns the error for whoever asked, and logs one that a person has to
    /// mend, at most once in [`REMINDER`].
    fn told(&self, error: &redis::RedisError, account: &str) -> Error {
        let told = classified(error, account);
        if let Error::Unusable(what_to_do) = &told {
            let mut last = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_none_or(|last| last.elapsed() >= REMINDER) {
                *last = Some(Instant::now());
                tracing::error!(account, %error, "nothing is called: {what_to_do}");
            }
        }
        told
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn state(account: &str) -> String {
    // The braces keep both keys of an account on one node of a cluster.
    format!("meanwhile:gate:{{{account}}}")
}

fn places(account: &str) -> String {
    format!("meanwhile:gate:{{{account}}}:places")
}

#[async_trait]
impl Gate for Redis {
    async fn reserve(
        &self,
        account: &str,
        limits: &Limits,
        place: Uuid,
    ) -> Result<Reserved, Error> {
        // Read before the call: an error meanwhile begins a later age.
        let age = self.age.load(Ordering::SeqCst);
        let suspect = self.suspects(account, age);
        let mut call = self.scripts.reserve.prepare_invoke();
        call.key(state(account))
            .key(places(account))
            .arg(micros(limits.interval()))
            .arg(micros(AHEAD))
            .arg(limits.concurrency)
            .arg(place.simple().to_string())
            .arg(micros(PLACE_LIFE))
            .arg(micros(STORM))
            .arg(u8::from(suspect));
        let (word, wait, rest): (String, i64, String) = self.run(account, &call).await?;
        let wait = Duration::from_micros(u64::try_from(wait).unwrap_or_default());
        Ok(match word.as_str() {
            "slot" => Reserved::Slot(Slot { wait, generation: rest }),
            "later" => Reserved::Later { wait, closed: rest == "closed" },
            "full" => Reserved::Full,
            _ => {
                self.begun().insert(account.into(), age);
                Reserved::Anew
            }
        })
    }

    async fn confirm(&self, account: &str, generation: &str) -> Result<bool, Error> {
        let mut call = self.scripts.confirm.prepare_invoke();
        call.key(state(account)).arg(generation);
        let confirmed: bool = self.run(account, &call).await?;
        // An older memory may hold the generation still, and no closing.
        Ok(confirmed && !self.suspects(account, self.age.load(Ordering::SeqCst)))
    }

    async fn keep(&self, account: &str, held: &[Uuid]) -> Result<(), Error> {
        let mut call = self.scripts.keep.prepare_invoke();
        call.key(places(account)).arg(micros(PLACE_LIFE));
        for place in held {
            call.arg(place.simple().to_string());
        }
        self.run(account, &call).await
    }

    async fn release(&self, account: &str, place: Uuid) -> Result<(), Error> {
        let told = |error: redis::RedisError| self.told(&error, account);
        let (mut connection, _) = self.connection().await.map_err(told)?;
        redis::cmd("ZREM")
            .arg(places(account))
            .arg(place.simple().to_string())
            .exec_async(&mut connection)
            .await
            .map_err(told)
    }

    async fn close(&self, account: &str, wait: Duration, refused: bool) -> Result<(), Error> {
        let mut call = self.scripts.close.prepare_invoke();
        call.key(state(account))
            .arg(micros(wait))
            .arg(u8::from(refused))
            .arg(micros(STORM))
            .arg(LEAST);
        self.run(account, &call).await
    }

    async fn condition(&self, account: &str, limits: &Limits) -> Result<Condition, Error> {
        let mut call = self.scripts.condition.prepare_invoke();
        call.key(state(account)).key(places(account)).arg(micros(STORM));
        let (factor, closed, in_flight): (String, u64, u32) = self.run(account, &call).await?;
        let factor: f64 = factor.parse().unwrap_or(1.0);
        Ok(Condition {
            pace: limits.rate * super::SHARE * factor,
            closed_for: (closed > 0).then(|| Duration::from_micros(closed)),
            in_flight,
        })
    }
}
