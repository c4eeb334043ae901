//! Rate limiters in Redis, shared by all workers. Each step is one script that
//! uses the server's clock.
//!
//! Redis may lose all its data. The limiter then starts without burst credit: the
//! first permit comes a full interval later, and earlier permits are recognised by
//! their generation and discarded.

use super::{
    ADAPTIVE_WINDOW, CONCURRENCY_SLOT_TTL, Error, LimiterState, MIN_RATE_FACTOR,
    RATE_SAFETY_FACTOR, RateLimiter, RatePermit, Reservation, UpstreamLimits,
};
use async_trait::async_trait;
use redis::{AsyncConnectionConfig, Client, Script, ScriptInvocation, aio::MultiplexedConnection};
use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tls::TlsFailure;
use tokio::{sync::Mutex, time::Instant};
use uuid::Uuid;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum wait for an answer. A step without one is an error, and may have
/// happened.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Minimum interval between two log lines about errors that a person has to fix.
const ERROR_LOG_INTERVAL: Duration = Duration::from_secs(30);

const RESERVE_SCRIPT: &str = include_str!("redis/reserve.lua");
const CONFIRM_SCRIPT: &str = include_str!("redis/confirm.lua");
const RENEW_SCRIPT: &str = include_str!("redis/renew.lua");
const START_COOLDOWN_SCRIPT: &str = include_str!("redis/start_cooldown.lua");
const STATE_SCRIPT: &str = include_str!("redis/state.lua");

struct Scripts {
    reserve: Script,
    confirm: Script,
    renew: Script,
    start_cooldown: Script,
    state: Script,
}

struct OpenConnection {
    connection: MultiplexedConnection,
    id: u64,
}

/// The rate limiters on a Redis server. Connects when it is first used, and
/// reconnects after an error.
pub struct RedisLimiter {
    client: Client,
    scripts: Scripts,
    current_connection: Mutex<Option<OpenConnection>>,
    connections_opened: AtomicU64,
    /// Number of errors so far. A server that was away may have come back with an
    /// older snapshot: each error starts an epoch, in which the state of every
    /// upstream is reset once.
    error_epoch: AtomicU64,
    /// Epoch in which an upstream was last reset; absent if it never was.
    reset_epochs: parking_lot::Mutex<HashMap<String, u64>>,
    /// When an error that a person has to fix was last logged.
    last_logged: parking_lot::Mutex<Option<Instant>>,
}

impl From<redis::RedisError> for Error {
    fn from(error: redis::RedisError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// Separates errors that only a person can fix from those that may pass. In some
/// versions of Redis, the code of a script's error is in the middle of its message.
fn classify_error(error: &redis::RedisError, upstream: &str) -> Error {
    let message = error.to_string();
    let has_code = |code: &str| error.code() == Some(code) || message.contains(code);
    if let Some(failure) = TlsFailure::find(error) {
        return Error::Misconfigured(format!("Redis can't be reached over TLS: {failure}."));
    }
    let is_auth_failure = error.kind() == redis::ErrorKind::AuthenticationFailed;
    Error::Misconfigured(if is_auth_failure || has_code("WRONGPASS") {
        "Redis refused the user or the password of the rate limiter. Check both in \
         MEANWHILE_LIMITER."
            .into()
    // More than ten words of an unauthenticated client are a protocol error to Redis.
    } else if has_code("NOAUTH") || message.contains("unauthenticated") {
        "Redis asks for a password for the rate limiter. Set it in MEANWHILE_LIMITER.".into()
    } else if has_code("NOPERM") {
        "The Redis user of the rate limiter lacks a permission. Allow it EVAL, EVALSHA, SCRIPT, \
         TIME, EXPIRE, the commands of hashes and sorted sets, and keys that begin with \
         meanwhile:limiter:."
            .into()
    } else if has_code("WRONGTYPE") {
        let (state, slots) = (state_key(upstream), slots_key(upstream));
        format!(
            "A key of the rate limiter in Redis holds a value of another type. Delete {state} and \
             {slots}."
        )
    } else {
        return Error::Unreachable(message);
    })
}

impl RedisLimiter {
    /// Creates the limiter without connecting yet. `url` has the form
    /// `redis://[user:password@]host:port/database`, or `rediss://` for TLS.
    ///
    /// # Errors
    /// The URL can't be parsed.
    pub fn new(url: &str) -> Result<Self, Error> {
        tls::install_provider();
        Ok(Self {
            client: Client::open(url)?,
            scripts: Scripts {
                reserve: Script::new(RESERVE_SCRIPT),
                confirm: Script::new(CONFIRM_SCRIPT),
                renew: Script::new(RENEW_SCRIPT),
                start_cooldown: Script::new(START_COOLDOWN_SCRIPT),
                state: Script::new(STATE_SCRIPT),
            },
            current_connection: Mutex::default(),
            connections_opened: AtomicU64::default(),
            error_epoch: AtomicU64::default(),
            reset_epochs: parking_lot::Mutex::default(),
            last_logged: parking_lot::Mutex::default(),
        })
    }

    async fn connection(&self) -> Result<(MultiplexedConnection, u64), redis::RedisError> {
        let mut current = self.current_connection.lock().await;
        if let Some(open) = &*current {
            return Ok((open.connection.clone(), open.id));
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let connection_id = self.connections_opened.fetch_add(1, Ordering::SeqCst) + 1;
        *current = Some(OpenConnection { connection: connection.clone(), id: connection_id });
        Ok((connection, connection_id))
    }

    /// Returns whether the server's state of `upstream` may be older than what it
    /// answered in an earlier epoch.
    fn is_suspect(&self, upstream: &str, epoch: u64) -> bool {
        self.lock_reset_epochs().get(upstream).copied().unwrap_or_default() < epoch
    }

    fn lock_reset_epochs(&self) -> parking_lot::MutexGuard<'_, HashMap<String, u64>> {
        self.reset_epochs.lock()
    }

    async fn run<T: redis::FromRedisValue>(
        &self,
        upstream: &str,
        call: &ScriptInvocation<'_>,
    ) -> Result<T, Error> {
        let (mut connection, connection_id) =
            self.connection().await.map_err(|error| self.report_error(&error, upstream))?;
        match call.invoke_async(&mut connection).await {
            Ok(result) => Ok(result),
            Err(error) => {
                self.error_epoch.fetch_add(1, Ordering::SeqCst);
                // Another caller may have replaced the broken connection already.
                let mut current = self.current_connection.lock().await;
                if current.as_ref().is_some_and(|open| open.id == connection_id) {
                    *current = None;
                }
                drop(current);
                Err(self.report_error(&error, upstream))
            }
        }
    }

    /// Classifies an error, and logs one that a person has to fix, at most once per
    /// [`ERROR_LOG_INTERVAL`].
    fn report_error(&self, error: &redis::RedisError, upstream: &str) -> Error {
        let classified = classify_error(error, upstream);
        if let Error::Misconfigured(what_to_do) = &classified {
            let mut last_logged = self.last_logged.lock();
            if last_logged.is_none_or(|last| last.elapsed() >= ERROR_LOG_INTERVAL) {
                *last_logged = Some(Instant::now());
                // The sentence says all of a failure of TLS.
                let error = TlsFailure::find(error).is_none().then(|| error.to_string());
                tracing::error!(upstream, error, "nothing is called: {what_to_do}");
            }
        }
        classified
    }
}

fn as_micros_u64(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn state_key(upstream: &str) -> String {
    // The braces keep both keys of an upstream on one node of a cluster.
    format!("meanwhile:limiter:{{{upstream}}}")
}

fn slots_key(upstream: &str) -> String {
    format!("meanwhile:limiter:{{{upstream}}}:slots")
}

#[async_trait]
impl RateLimiter for RedisLimiter {
    async fn reserve(
        &self,
        upstream: &str,
        limits: &UpstreamLimits,
        slot: Uuid,
        max_ahead: Duration,
    ) -> Result<Reservation, Error> {
        // Read before the call, because an error meanwhile starts a later epoch.
        let epoch = self.error_epoch.load(Ordering::SeqCst);
        let is_suspect = self.is_suspect(upstream, epoch);
        let mut call = self.scripts.reserve.prepare_invoke();
        call.key(state_key(upstream))
            .key(slots_key(upstream))
            .arg(as_micros_u64(limits.permit_interval()))
            .arg(as_micros_u64(max_ahead))
            .arg(limits.concurrency)
            .arg(slot.simple().to_string())
            .arg(as_micros_u64(CONCURRENCY_SLOT_TTL))
            .arg(as_micros_u64(ADAPTIVE_WINDOW))
            .arg(u8::from(is_suspect));
        let (status, wait, detail): (String, i64, String) = self.run(upstream, &call).await?;
        let wait = Duration::from_micros(u64::try_from(wait).unwrap_or_default());
        Ok(match status.as_str() {
            "granted" => Reservation::Granted(RatePermit { wait, generation: detail }),
            "retry_after" => Reservation::RetryAfter { wait, in_cooldown: detail == "cooldown" },
            "no_slot" => Reservation::NoConcurrencySlot,
            // "state_lost"
            _ => {
                self.lock_reset_epochs().insert(upstream.into(), epoch);
                Reservation::StateLost
            }
        })
    }

    async fn confirm(&self, upstream: &str, generation: &str) -> Result<bool, Error> {
        let mut call = self.scripts.confirm.prepare_invoke();
        call.key(state_key(upstream)).arg(generation);
        let confirmed: bool = self.run(upstream, &call).await?;
        // An older snapshot may have the generation but lack a cooldown.
        Ok(confirmed && !self.is_suspect(upstream, self.error_epoch.load(Ordering::SeqCst)))
    }

    async fn renew(&self, upstream: &str, slots: &[Uuid]) -> Result<(), Error> {
        let mut call = self.scripts.renew.prepare_invoke();
        call.key(slots_key(upstream)).arg(as_micros_u64(CONCURRENCY_SLOT_TTL));
        for slot in slots {
            call.arg(slot.simple().to_string());
        }
        self.run(upstream, &call).await
    }

    async fn release(&self, upstream: &str, slot: Uuid) -> Result<(), Error> {
        let report = |error: redis::RedisError| self.report_error(&error, upstream);
        let (mut connection, _) = self.connection().await.map_err(report)?;
        redis::cmd("ZREM")
            .arg(slots_key(upstream))
            .arg(slot.simple().to_string())
            .exec_async(&mut connection)
            .await
            .map_err(report)
    }

    async fn start_cooldown(
        &self,
        upstream: &str,
        wait: Duration,
        is_new_refusal: bool,
    ) -> Result<(), Error> {
        let mut call = self.scripts.start_cooldown.prepare_invoke();
        call.key(state_key(upstream))
            .arg(as_micros_u64(wait))
            .arg(u8::from(is_new_refusal))
            .arg(as_micros_u64(ADAPTIVE_WINDOW))
            .arg(MIN_RATE_FACTOR);
        self.run(upstream, &call).await
    }

    async fn state(&self, upstream: &str, limits: &UpstreamLimits) -> Result<LimiterState, Error> {
        let mut call = self.scripts.state.prepare_invoke();
        call.key(state_key(upstream)).key(slots_key(upstream)).arg(as_micros_u64(ADAPTIVE_WINDOW));
        let (factor, cooldown_micros, in_flight): (String, u64, u32) =
            self.run(upstream, &call).await?;
        let factor: f64 = factor.parse().unwrap_or(1.0);
        Ok(LimiterState {
            current_rate: limits.rate * RATE_SAFETY_FACTOR * factor,
            cooldown_remaining: (cooldown_micros > 0)
                .then(|| Duration::from_micros(cooldown_micros)),
            in_flight,
        })
    }
}
