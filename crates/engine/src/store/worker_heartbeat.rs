//! The workers that run, from the heartbeats that they write.

use super::{
    Coordination, Error, execute,
    row::{FromRow, Row, rows},
};
use crate::clock::whole_millis;
use std::time::Duration;
use uuid::Uuid;

/// Time after which a worker that was killed is no longer listed.
const FORGET_AFTER: Duration = Duration::from_hours(1);

/// What a worker says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerIdentity {
    /// Id, unique to one run of a process.
    pub id: Uuid,
    /// Name in the history of attempts.
    pub name: String,
    /// Version of its release.
    pub version: String,
}

/// A worker and its last heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerHeartbeat {
    /// Name in the history of attempts.
    pub name: String,
    /// Version of its release.
    pub version: String,
    /// Time of its first heartbeat, UTC ms.
    pub started_at: i64,
    /// Time of its last heartbeat, UTC ms.
    pub seen_at: i64,
    /// Whether it finishes what it holds, and takes nothing new.
    pub draining: bool,
}

impl Coordination {
    /// Records that a worker runs, and forgets those that have been silent for an hour.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn record_heartbeat(
        &self,
        worker: &WorkerIdentity,
        draining: bool,
    ) -> Result<(), Error> {
        let now = self.db.now_ms();
        execute(
            &self.db.writer,
            "INSERT INTO workers (id, name, version, started_at, seen_at, draining) \
             VALUES ($1, $2, $3, $4, $4, $5) \
             ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, draining = excluded.draining",
            [
                worker.id.into(),
                worker.name.as_str().into(),
                worker.version.as_str().into(),
                now.into(),
                i64::from(draining).into(),
            ],
        )
        .await?;
        let silent_since = now - whole_millis(FORGET_AFTER);
        let sql = "DELETE FROM workers WHERE seen_at < $1";
        execute(&self.db.writer, sql, [silent_since.into()]).await.map(|_| ())
    }

    /// Forgets a worker that has ended.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn forget_worker(&self, id: Uuid) -> Result<(), Error> {
        let sql = "DELETE FROM workers WHERE id = $1";
        execute(&self.db.writer, sql, [id.into()]).await.map(|_| ())
    }

    /// Returns the workers that run, or were killed within the last hour, by name.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn workers(&self) -> Result<Vec<WorkerHeartbeat>, Error> {
        let sql = "SELECT name, version, started_at, seen_at, draining FROM workers \
                   ORDER BY name, started_at";
        rows(&self.db.reader, sql, []).await
    }
}

impl FromRow for WorkerHeartbeat {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            name: row.get("name")?,
            version: row.get("version")?,
            started_at: row.get("started_at")?,
            seen_at: row.get("seen_at")?,
            draining: row.get("draining")?,
        })
    }
}
