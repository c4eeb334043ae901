//! Cooldowns of upstreams and their causes, which outlive the rate limiters'
//! memory.

use super::{Error, Store, execute, query_one};
use contract::text;

/// The last cooldown of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamCooldown {
    /// End of the cooldown, UTC ms; it may be over.
    pub until: i64,
    /// Code of the response that started it, where it is known.
    pub cause: Option<String>,
}

impl Store {
    /// Stores a cooldown of `upstream` until `until`, UTC ms, because it answered
    /// with `cause`. It never shortens a longer one.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn record_cooldown(
        &self,
        upstream: &str,
        until: i64,
        cause: &str,
    ) -> Result<(), Error> {
        execute(
            &self.writer,
            "INSERT INTO upstream_cooldowns (upstream, cooldown_until, cause, started_at) \
             VALUES ($1, $2, $3, $4) \
             ON CONFLICT (upstream) DO UPDATE SET cooldown_until = excluded.cooldown_until, \
             cause = excluded.cause, started_at = excluded.started_at \
             WHERE upstream_cooldowns.cooldown_until < excluded.cooldown_until",
            [
                upstream.into(),
                until.into(),
                text::OUTCOME_CODE.clean(cause).into(),
                self.now_ms().into(),
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
            &self.reader,
            "SELECT cooldown_until, cause FROM upstream_cooldowns WHERE upstream = $1",
            [upstream.into()],
        )
        .await?;
        let Some(row) = found else { return Ok(None) };
        let (until, cause) = (row.get("cooldown_until")?, row.get("cause")?);
        Ok(Some(UpstreamCooldown { until, cause }))
    }
}
