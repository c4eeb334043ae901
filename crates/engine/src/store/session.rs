//! Sessions: who is signed in, and where. Tokens are stored as hashes.

use super::{
    Accounts, Actor, Error, commit, execute, execute_and_commit, query_all, query_one,
    retry_on_contention, users, users::Identity,
};
use contract::{UserId, api::Session};
use sea_orm::ConnectionTrait;

/// Age of `seen_at` at which a request updates it, in milliseconds: one request a
/// minute writes, the others only read.
const SEEN_AT_RESOLUTION_MS: i64 = 60_000;

/// Maximum number of sessions of one user; a further one ends the one that was
/// unused for longest.
pub const MAX_SESSIONS: i64 = 50;

impl Accounts {
    /// Opens a session until `expires_at` (UTC ms), for a user whose password was
    /// checked against `password_hash`. `token_hash` is the hash of the secret that
    /// the browser gets. Returns the hashes of the sessions that ended, because a
    /// user has at most [`MAX_SESSIONS`].
    ///
    /// # Errors
    /// [`Error::SignedOut`] where the password was changed since it was checked, or
    /// the account is disabled.
    pub async fn open_session(
        &self,
        token_hash: &str,
        user: UserId,
        password_hash: &str,
        expires_at: i64,
    ) -> Result<Vec<String>, Error> {
        retry_on_contention!(self.try_open_session(token_hash, user, password_hash, expires_at))
    }

    async fn try_open_session(
        &self,
        token_hash: &str,
        user: UserId,
        password_hash: &str,
        expires_at: i64,
    ) -> Result<Vec<String>, Error> {
        let tx = self.db.begin().await?;
        // A transaction that changes the password at the same time waits for this
        // one and then ends its session, or this one waits for it.
        let sql = format!(
            "SELECT 1 AS one FROM users WHERE id = $1 AND disabled = 0 AND password_hash = $2{}",
            self.db.for_no_key_update()
        );
        query_one(&tx, &sql, [user.0.into(), password_hash.into()])
            .await?
            .ok_or(Error::SignedOut)?;
        let ended = query_all(
            &tx,
            "DELETE FROM sessions WHERE token_hash IN (SELECT token_hash FROM sessions \
             WHERE user_id = $1 ORDER BY \
             CASE WHEN seen_at > created_at THEN seen_at ELSE created_at END DESC, token_hash \
             LIMIT 1000000 OFFSET $2) RETURNING token_hash",
            [user.0.into(), (MAX_SESSIONS - 1).into()],
        )
        .await?;
        insert_session(&tx, token_hash, user, self.db.now_ms(), expires_at).await?;
        commit(tx).await?;
        ended.iter().map(|row| row.get("token_hash")).collect()
    }

    /// Inserts a session without a password check. For tests.
    ///
    /// # Errors
    /// [`Error::Database`].
    #[cfg(feature = "testing")]
    pub async fn add_session(
        &self,
        token_hash: &str,
        user: UserId,
        expires_at: i64,
    ) -> Result<(), Error> {
        insert_session(&self.db.writer, token_hash, user, self.db.now_ms(), expires_at).await
    }

    /// Returns the user of a session that has not expired and whose account is
    /// enabled. Updates when it was last seen.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn authenticate_session(&self, token_hash: &str) -> Result<Option<Identity>, Error> {
        let now = self.db.now_ms();
        let found = query_one(
            &self.db.reader,
            "SELECT u.id, u.email, u.role, s.seen_at FROM sessions s \
             JOIN users u ON u.id = s.user_id \
             WHERE s.token_hash = $1 AND s.expires_at > $2 AND u.disabled = 0",
            [token_hash.into(), now.into()],
        )
        .await?;
        let Some(found) = found else { return Ok(None) };
        let identity = users::identity_from_row(&found)?;
        if found.get::<i64>("seen_at")? <= now - SEEN_AT_RESOLUTION_MS
            && let Err(error) =
                retry_on_contention!(self.update_seen_at(token_hash, identity.user, now))
        {
            tracing::warn!(%error, "could not update when a session was last seen");
        }
        Ok(Some(identity))
    }

    async fn update_seen_at(&self, token_hash: &str, user: UserId, now: i64) -> Result<(), Error> {
        let tx = self.db.begin().await?;
        // Locks the user first, as transactions that end sessions do.
        execute(&tx, "UPDATE users SET seen_at = $2 WHERE id = $1", [user.0.into(), now.into()])
            .await?;
        execute(
            &tx,
            "UPDATE sessions SET seen_at = $2 WHERE token_hash = $1",
            [token_hash.into(), now.into()],
        )
        .await?;
        commit(tx).await
    }

    /// Returns the user's sessions that have not expired, the last seen first;
    /// `own` is the hash of the requester's own one.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn sessions(&self, user: UserId, own: &str) -> Result<Vec<Session>, Error> {
        let found = query_all(
            &self.db.reader,
            "SELECT token_hash, created_at, seen_at FROM sessions \
             WHERE user_id = $1 AND expires_at > $2 ORDER BY seen_at DESC, created_at DESC",
            [user.0.into(), self.db.now_ms().into()],
        )
        .await?;
        let session = |row: &super::row::Row| {
            let created_at: i64 = row.get("created_at")?;
            Ok(Session {
                created_at,
                seen_at: row.get::<i64>("seen_at")?.max(created_at),
                is_current: row.get::<String>("token_hash")? == own,
            })
        };
        found.iter().map(session).collect()
    }

    /// Ends a session; one that does not exist is no error.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::CommitUnknown`].
    pub async fn end_session(&self, token_hash: &str) -> Result<(), Error> {
        execute_and_commit(
            &self.db.writer,
            "DELETE FROM sessions WHERE token_hash = $1",
            [token_hash.into()],
        )
        .await
        .map(|_| ())
    }

    /// Ends all sessions of the actor except `own`, and returns their hashes.
    ///
    /// # Errors
    /// [`Error::SignedOut`].
    pub async fn end_other_sessions(
        &self,
        actor: impl Into<Actor>,
        own: &str,
    ) -> Result<Vec<String>, Error> {
        let actor = actor.into();
        retry_on_contention!(self.try_end_other_sessions(&actor, own))
    }

    async fn try_end_other_sessions(&self, actor: &Actor, own: &str) -> Result<Vec<String>, Error> {
        let tx = self.db.begin().await?;
        self.db.authorize(&tx, actor).await?;
        let ended = delete_other_sessions(&tx, actor.user, own).await?;
        commit(tx).await?;
        Ok(ended)
    }
}

async fn insert_session<C: ConnectionTrait>(
    c: &C,
    token_hash: &str,
    user: UserId,
    now: i64,
    expires_at: i64,
) -> Result<(), Error> {
    execute(
        c,
        "INSERT INTO sessions (token_hash, user_id, created_at, expires_at, seen_at) \
         VALUES ($1, $2, $3, $4, $5)",
        [
            token_hash.into(),
            user.0.into(),
            now.into(),
            expires_at.into(),
            // The first request then updates it.
            0.into(),
        ],
    )
    .await
    .map(|_| ())
}

pub(super) async fn delete_other_sessions<C: ConnectionTrait>(
    c: &C,
    user: UserId,
    own: &str,
) -> Result<Vec<String>, Error> {
    let ended = query_all(
        c,
        "DELETE FROM sessions WHERE user_id = $1 AND token_hash <> $2 RETURNING token_hash",
        [user.0.into(), own.into()],
    )
    .await?;
    ended.iter().map(|row| row.get("token_hash")).collect()
}
