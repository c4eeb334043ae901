//! The clock behind all times in the database, and the repair after it is set back:
//! delays keep their length.

use super::{Database, Error, commit, execute, query_one, retry_on_contention, row::missing};
use sea_orm::Value;

/// Smallest difference that counts as a step, in milliseconds: clocks of
/// synchronized machines differ by milliseconds, and
/// [`SlewingClock`](crate::clock::SlewingClock) never goes back.
const CLOCK_STEP_THRESHOLD_MS: i64 = 10_000;
/// Interval at which the time is stored, in milliseconds.
const CLOCK_WRITE_INTERVAL_MS: i64 = 60_000;

impl Database {
    /// Synchronizes the clock with a database that several machines share. Where
    /// the clock was set back, repairs the stored times and returns how many ms the
    /// time is behind one that was seen before.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn sync_clock(&self) -> Result<Option<i64>, Error> {
        if !self.is_sqlite() {
            let sql = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now";
            let row = query_one(&self.reader, sql, []).await?;
            let row = row.ok_or_else(|| missing("time of the database"))?;
            self.clock.sync_to(row.get("now")?);
        }
        let now = self.now_ms();
        let sql = "SELECT CAST(value AS BIGINT) AS seen FROM meta WHERE name = 'clock'";
        let seen = query_one(&self.reader, sql, []).await?;
        let seen: Option<i64> = seen.map(|row| row.get("seen")).transpose()?;
        match seen {
            Some(seen) if now < seen - CLOCK_STEP_THRESHOLD_MS => {
                self.rebase_timestamps().await?;
                Ok(Some(seen - now))
            }
            Some(seen) if now < seen + CLOCK_WRITE_INTERVAL_MS => Ok(None),
            _ => {
                execute(
                    &self.writer,
                    "INSERT INTO meta (name, value) VALUES ('clock', $1) ON CONFLICT (name) \
                     DO UPDATE SET value = excluded.value \
                     WHERE CAST(meta.value AS BIGINT) < CAST(excluded.value AS BIGINT)",
                    [now.to_string().into()],
                )
                .await?;
                Ok(None)
            }
        }
    }

    /// Repairs what was written under a clock that was ahead: a task waits from now
    /// for as long as it was to wait then, a lease ends as if it was renewed now,
    /// and nothing is newer than now. Reads all open tasks.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn rebase_timestamps(&self) -> Result<(), Error> {
        retry_on_contention!(self.try_rebase_timestamps())
    }

    async fn try_rebase_timestamps(&self) -> Result<(), Error> {
        let tx = self.begin().await?;
        let now = self.now_ms();
        let clock_sql = format!(
            "UPDATE meta SET value = $1 WHERE name = 'clock'{}",
            if self.is_sqlite() { "" } else { " AND CAST(value AS BIGINT) > CAST($1 AS BIGINT)" }
        );
        execute(&tx, &clock_sql, [now.to_string().into()]).await?;
        let threshold = now + CLOCK_STEP_THRESHOLD_MS;
        let lease_until = now + self.lease_ms;
        let statements: [(&str, Vec<Value>); 8] = [
            (
                "UPDATE tasks SET run_after = CASE WHEN run_after > updated_at \
                 THEN $1 + run_after - updated_at ELSE $1 END, updated_at = $1 \
                 WHERE state = 'queued' AND updated_at > $2",
                vec![now.into(), threshold.into()],
            ),
            (
                "UPDATE tasks SET published_at = $1 WHERE state = 'queued' AND published_at > $2",
                vec![now.into(), threshold.into()],
            ),
            (
                "UPDATE tasks SET lease_until = $1, started_at = $2 \
                 WHERE state = 'running' AND lease_until > $3",
                vec![
                    lease_until.into(),
                    now.into(),
                    (lease_until + CLOCK_STEP_THRESHOLD_MS).into(),
                ],
            ),
            // A newer task supersedes an older one, so none may be newer than a job
            // that is accepted from now on.
            (
                "UPDATE tasks SET created_at = $1 WHERE created_at > $2 \
                 AND job_id IN (SELECT id FROM jobs \
                 WHERE created_at > $2 OR finished_at > $2 OR state = 'running')",
                vec![now.into(), threshold.into()],
            ),
            (
                "UPDATE jobs SET created_at = CASE WHEN created_at > $2 THEN $1 \
                 ELSE created_at END, finished_at = CASE WHEN finished_at > $2 THEN $1 \
                 ELSE finished_at END WHERE created_at > $2 OR finished_at > $2",
                vec![now.into(), threshold.into()],
            ),
            (
                "UPDATE upstream_cooldowns SET cooldown_until = $1 + cooldown_until - started_at, \
                 started_at = $1 WHERE started_at > $2",
                vec![now.into(), threshold.into()],
            ),
            // `ready_at` is a lower bound and may be too low: the relay then raises
            // it.
            (
                "UPDATE job_queues SET ready_at = $1, version = version + 1 WHERE ready_at > $2",
                vec![now.into(), threshold.into()],
            ),
            // The term of a leader lease is shorter than a step.
            ("DELETE FROM leader_leases WHERE expires_at > $1", vec![threshold.into()]),
        ];
        for (sql, values) in statements {
            execute(&tx, sql, values).await?;
        }
        commit(tx).await
    }
}
