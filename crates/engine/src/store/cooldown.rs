//! Cooldowns of upstreams and their reasons, which outlive the rate limiters'
//! memory.

use super::{Coordination, Error, execute, query_one};
use contract::{api::CooldownReason, text};

/// The last cooldown of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamCooldown {
    /// End of the cooldown, UTC ms; it may be over.
    pub until: i64,
    /// Answer of the upstream that started it.
    pub reason: CooldownReason,
    /// What happened and what to do, for people whose items wait.
    pub message: Option<String>,
}

impl Coordination {
    /// Stores a cooldown of `upstream` until `until`, UTC ms, because of
    /// `reason`. It never shortens a longer one. `message` is for people whose items wait.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn record_cooldown(
        &self,
        upstream: &str,
        until: i64,
        reason: CooldownReason,
        message: Option<&str>,
    ) -> Result<(), Error> {
        let message = message.map(|message| text::OUTCOME_MESSAGE.clean(message));
        execute(
            &self.db.writer,
            "INSERT INTO upstream_cooldowns \
             (upstream, cooldown_until, reason, message, started_at) \
             VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (upstream) DO UPDATE SET cooldown_until = excluded.cooldown_until, \
             reason = excluded.reason, message = excluded.message, \
             started_at = excluded.started_at \
             WHERE upstream_cooldowns.cooldown_until < excluded.cooldown_until",
            [
                upstream.into(),
                until.into(),
                reason.as_str().into(),
                message.into(),
                self.db.now_ms().into(),
            ],
        )
        .await
        .map(|_| ())
    }

    /// Returns the current or last cooldown of `upstream`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn last_cooldown(&self, upstream: &str) -> Result<Option<UpstreamCooldown>, Error> {
        let found = query_one(
            &self.db.reader,
            "SELECT cooldown_until, reason, message FROM upstream_cooldowns WHERE upstream = $1",
            [upstream.into()],
        )
        .await?;
        let Some(row) = found else { return Ok(None) };
        let (until, reason) = (row.get("cooldown_until")?, row.get("reason")?);
        Ok(Some(UpstreamCooldown { until, reason, message: row.get("message")? }))
    }
}
