//! Leader leases, each with one holder at a time.

use super::{Coordination, Error, execute, query_one};
use crate::clock::whole_millis;
use std::time::Duration;

impl Coordination {
    /// Acquires or renews a lease for `term`, if it is free or belongs to
    /// `holder`. Returns whether it does now.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn acquire_leader_lease(
        &self,
        name: &str,
        holder: &str,
        term: Duration,
    ) -> Result<bool, Error> {
        let now = self.db.now_ms();
        let acquired = execute(
            &self.db.writer,
            "INSERT INTO leader_leases (name, holder, expires_at) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at \
             WHERE leader_leases.holder = excluded.holder OR leader_leases.expires_at < $4",
            [name.into(), holder.into(), (now + whole_millis(term)).into(), now.into()],
        )
        .await?;
        Ok(acquired == 1)
    }

    /// Returns a holder of any lease other than `holder`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn other_leader_lease_holder(&self, holder: &str) -> Result<Option<String>, Error> {
        let sql =
            "SELECT holder FROM leader_leases WHERE holder <> $1 AND expires_at >= $2 LIMIT 1";
        let other =
            query_one(&self.db.reader, sql, [holder.into(), self.db.now_ms().into()]).await?;
        other.map(|row| row.get("holder")).transpose()
    }

    /// Releases a lease if it belongs to `holder`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn release_leader_lease(&self, name: &str, holder: &str) -> Result<(), Error> {
        execute(
            &self.db.writer,
            "DELETE FROM leader_leases WHERE name = $1 AND holder = $2",
            [name.into(), holder.into()],
        )
        .await
        .map(|_| ())
    }
}
