//! Choices of a person about how files with the same header are read, which the team shares.

use super::{Actor, ColumnChoices, Error, commit, execute, query_one, retry_on_contention};

/// Choice that is stored under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnChoice {
    /// Columns that were assigned to fields, as
    /// [`ColumnMapping`](contract::feed::ColumnMapping) writes them, or the name of a sheet.
    pub choice: String,
    /// Email address of the person who chose.
    pub chosen_by: String,
    /// Time of the choice, UTC in milliseconds.
    pub chosen_at: i64,
}

impl ColumnChoices {
    /// Returns the choice that is stored under `key`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn find(&self, key: &str) -> Result<Option<ColumnChoice>, Error> {
        let found = query_one(
            &self.db.reader,
            "SELECT c.choice, c.chosen_at, u.email FROM column_choices c \
             JOIN users u ON u.id = c.user_id WHERE c.key = $1",
            [key.into()],
        )
        .await?;
        let Some(row) = found else { return Ok(None) };
        Ok(Some(ColumnChoice {
            choice: row.get("choice")?,
            chosen_by: row.get("email")?,
            chosen_at: row.get("chosen_at")?,
        }))
    }

    /// Stores a choice under `key` in place of an earlier one. The person who made the same
    /// choice first stays the one who chose.
    ///
    /// # Errors
    /// [`Error::SignedOut`], [`Error::Database`]: nothing was stored.
    /// [`Error::CommitUnknown`]: it may have been.
    pub async fn store(
        &self,
        actor: impl Into<Actor>,
        key: &str,
        choice: &str,
    ) -> Result<(), Error> {
        let actor = actor.into();
        retry_on_contention!(self.try_store(&actor, key, choice))
    }

    async fn try_store(&self, actor: &Actor, key: &str, choice: &str) -> Result<(), Error> {
        let tx = self.db.begin().await?;
        self.db.authorize(&tx, actor).await?;
        execute(
            &tx,
            "INSERT INTO column_choices (key, choice, user_id, chosen_at) \
             VALUES ($1, $2, $3, $4) \
             ON CONFLICT (key) DO UPDATE SET choice = excluded.choice, \
             user_id = excluded.user_id, chosen_at = excluded.chosen_at \
             WHERE column_choices.choice <> excluded.choice",
            [key.into(), choice.into(), actor.user.0.into(), self.db.now_ms().into()],
        )
        .await?;
        commit(tx).await
    }

    /// Deletes the choice that is stored under `key`, if there is one.
    ///
    /// # Errors
    /// [`Error::SignedOut`], [`Error::Database`]: nothing was deleted.
    /// [`Error::CommitUnknown`]: it may have been.
    pub async fn delete(&self, actor: impl Into<Actor>, key: &str) -> Result<(), Error> {
        let actor = actor.into();
        retry_on_contention!(self.try_delete(&actor, key))
    }

    async fn try_delete(&self, actor: &Actor, key: &str) -> Result<(), Error> {
        let tx = self.db.begin().await?;
        self.db.authorize(&tx, actor).await?;
        execute(&tx, "DELETE FROM column_choices WHERE key = $1", [key.into()]).await?;
        commit(tx).await
    }
}
