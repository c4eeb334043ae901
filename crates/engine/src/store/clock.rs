//! The clock that everything in the database is told by, and what is done where
//! it is set back: delays are kept as delays.

use super::{Error, Store, commit, execute, one, persist};
use sea_orm::Value;

/// Less than this, ms, is no step: clocks of machines that keep time differ by
/// milliseconds, and [`Steady`](crate::clock::Steady) never goes back.
const STEP_MS: i64 = 10_000;
/// The time is written down this often, ms.
const WRITTEN_MS: i64 = 60_000;

impl Store {
    /// Asks a database that several machines share what time it is. Returns by
    /// how many ms the time is behind one that was seen before, where somebody
    /// has set the clock back; delays are then set right.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn follow_clock(&self) -> Result<Option<i64>, Error> {
        if !self.is_sqlite() {
            let sql = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now";
            let row = one(&self.reader, sql, []).await?.ok_or(Error::NotFound)?;
            self.clock.follow(row.try_get("", "now")?);
        }
        let now = self.now_ms();
        let sql = "SELECT CAST(value AS BIGINT) AS seen FROM meta WHERE name = 'clock'";
        let seen = one(&self.reader, sql, []).await?;
        let seen: Option<i64> = seen.map(|row| row.try_get("", "seen")).transpose()?;
        match seen {
            Some(seen) if now < seen - STEP_MS => {
                self.keep_delays().await?;
                Ok(Some(seen - now))
            }
            Some(seen) if now < seen + WRITTEN_MS => Ok(None),
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

    /// Sets right what was written under a clock that was ahead: a task waits
    /// from now on for as long as it was to wait then, a lease ends as if it was
    /// renewed now, and nothing is newer than now. Reads all open tasks.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn keep_delays(&self) -> Result<(), Error> {
        persist!(self.try_keep_delays())
    }

    async fn try_keep_delays(&self) -> Result<(), Error> {
        let tx = self.begin().await?;
        let now = self.now_ms();
        let written = format!(
            "UPDATE meta SET value = $1 WHERE name = 'clock'{}",
            if self.is_sqlite() { "" } else { " AND CAST(value AS BIGINT) > CAST($1 AS BIGINT)" }
        );
        execute(&tx, &written, [now.to_string().into()]).await?;
        let late = now + STEP_MS;
        let lease = now + self.lease_ms;
        let statements: [(&str, Vec<Value>); 8] = [
            (
                "UPDATE tasks SET run_after = CASE WHEN run_after > updated_at \
                 THEN $1 + run_after - updated_at ELSE $1 END, updated_at = $1 \
                 WHERE state = 'queued' AND updated_at > $2",
                vec![now.into(), late.into()],
            ),
            (
                "UPDATE tasks SET published_at = $1 WHERE state = 'queued' AND published_at > $2",
                vec![now.into(), late.into()],
            ),
            (
                "UPDATE tasks SET lease_until = $1, started_at = $2 \
                 WHERE state = 'running' AND lease_until > $3",
                vec![lease.into(), now.into(), (lease + STEP_MS).into()],
            ),
            // What is newer wins over what is older: nothing may be newer than
            // what is launched from now on.
            (
                "UPDATE tasks SET created_at = $1 WHERE created_at > $2 \
                 AND job_id IN (SELECT id FROM jobs \
                 WHERE created_at > $2 OR finished_at > $2 OR state = 'running')",
                vec![now.into(), late.into()],
            ),
            (
                "UPDATE jobs SET created_at = CASE WHEN created_at > $2 THEN $1 \
                 ELSE created_at END, finished_at = CASE WHEN finished_at > $2 THEN $1 \
                 ELSE finished_at END WHERE created_at > $2 OR finished_at > $2",
                vec![now.into(), late.into()],
            ),
            (
                "UPDATE closed_accounts SET closed_until = $1 + closed_until - closed_at, \
                 closed_at = $1 WHERE closed_at > $2",
                vec![now.into(), late.into()],
            ),
            // A lower bound may be too low: the relay looks and raises it.
            (
                "UPDATE job_queues SET ready_at = $1, version = version + 1 WHERE ready_at > $2",
                vec![now.into(), late.into()],
            ),
            // A term is shorter than a step.
            ("DELETE FROM seats WHERE until > $1", vec![late.into()]),
        ];
        for (sql, values) in statements {
            execute(&tx, sql, values).await?;
        }
        commit(tx).await
    }
}
