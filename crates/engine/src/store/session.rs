//! Who is signed in, and where. Tokens are kept as hashes.

use super::{
    Actor, Error, Store, all, commit, execute, one, people, people::Identity, persist, write,
};
use contract::{UserId, api::Session};
use sea_orm::ConnectionTrait;

/// How old `seen_at` may be before a request renews it, ms: a request a minute
/// writes, the others only read.
const SEEN_EVERY_MS: i64 = 60_000;

/// Maximum number of sessions of one user; a further one ends the one that was
/// not seen for the longest time.
pub const MAX_SESSIONS: i64 = 50;

impl Store {
    /// Opens a session that lasts until `expires_at` (UTC ms), for somebody
    /// whose password was checked against `password_hash`. `token_hash` is a
    /// hash of the secret that the browser holds. Returns the hashes of the
    /// sessions that ended, because a user has at most [`MAX_SESSIONS`].
    ///
    /// # Errors
    /// [`Error::SignedOut`] where the password was changed since it was
    /// checked, or the account is disabled.
    pub async fn open_session(
        &self,
        token_hash: &str,
        user: UserId,
        password_hash: &str,
        expires_at: i64,
    ) -> Result<Vec<String>, Error> {
        persist!(self.try_open_session(token_hash, user, password_hash, expires_at))
    }

    async fn try_open_session(
        &self,
        token_hash: &str,
        user: UserId,
        password_hash: &str,
        expires_at: i64,
    ) -> Result<Vec<String>, Error> {
        let tx = self.begin().await?;
        // Whoever changes the password at the same time waits for this
        // transaction and then ends its session, or is waited for here.
        let sql = format!(
            "SELECT 1 AS one FROM users WHERE id = $1 AND disabled = 0 AND password_hash = $2{}",
            self.for_update_of_values()
        );
        one(&tx, &sql, [user.0.into(), password_hash.into()]).await?.ok_or(Error::SignedOut)?;
        let ended = all(
            &tx,
            "DELETE FROM sessions WHERE token_hash IN (SELECT token_hash FROM sessions \
             WHERE user_id = $1 ORDER BY \
             CASE WHEN seen_at > created_at THEN seen_at ELSE created_at END DESC, token_hash \
             LIMIT 1000000 OFFSET $2) RETURNING token_hash",
            [user.0.into(), (MAX_SESSIONS - 1).into()],
        )
        .await?;
        insert(&tx, token_hash, user, self.now_ms(), expires_at).await?;
        commit(tx).await?;
        ended.iter().map(|row| Ok(row.try_get("", "token_hash")?)).collect()
    }

    /// Keeps a session for which no password was checked. For tests.
    #[cfg(feature = "testing")]
    pub async fn add_session(
        &self,
        token_hash: &str,
        user: UserId,
        expires_at: i64,
    ) -> Result<(), Error> {
        insert(&self.writer, token_hash, user, self.now_ms(), expires_at).await
    }

    /// Whose session it is, while it lasts and the account is enabled. Keeps
    /// when it was last asked for.
    pub async fn session(&self, token_hash: &str) -> Result<Option<Identity>, Error> {
        let now = self.now_ms();
        let found = one(
            &self.reader,
            "SELECT u.id, u.email, u.role, s.seen_at FROM sessions s \
             JOIN users u ON u.id = s.user_id \
             WHERE s.token_hash = $1 AND s.expires_at > $2 AND u.disabled = 0",
            [token_hash.into(), now.into()],
        )
        .await?;
        let Some(found) = found else { return Ok(None) };
        let identity = people::identity(&found)?;
        if found.try_get::<i64>("", "seen_at")? <= now - SEEN_EVERY_MS
            && let Err(error) = persist!(self.seen(token_hash, identity.user, now))
        {
            tracing::warn!(%error, "when a session was last seen was not kept");
        }
        Ok(Some(identity))
    }

    async fn seen(&self, token_hash: &str, user: UserId, now: i64) -> Result<(), Error> {
        let tx = self.begin().await?;
        // The user first, as whoever ends their sessions does.
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

    /// The user's sessions that last, the one last seen first; `own` is the
    /// hash of the one that asks.
    pub async fn sessions(&self, user: UserId, own: &str) -> Result<Vec<Session>, Error> {
        let found = all(
            &self.reader,
            "SELECT token_hash, created_at, seen_at FROM sessions \
             WHERE user_id = $1 AND expires_at > $2 ORDER BY seen_at DESC, created_at DESC",
            [user.0.into(), self.now_ms().into()],
        )
        .await?;
        let session = |row: &sea_orm::QueryResult| {
            let created_at: i64 = row.try_get("", "created_at")?;
            Ok(Session {
                created_at,
                seen_at: row.try_get::<i64>("", "seen_at")?.max(created_at),
                own: row.try_get::<String>("", "token_hash")? == own,
            })
        };
        found.iter().map(session).collect()
    }

    pub async fn end_session(&self, token_hash: &str) -> Result<(), Error> {
        write(&self.writer, "DELETE FROM sessions WHERE token_hash = $1", [token_hash.into()])
            .await
            .map(|_| ())
    }

    /// Ends all sessions of the actor but `own`; returns their hashes.
    ///
    /// # Errors
    /// [`Error::SignedOut`].
    pub async fn end_other_sessions(
        &self,
        actor: impl Into<Actor>,
        own: &str,
    ) -> Result<Vec<String>, Error> {
        let actor = actor.into();
        persist!(self.try_end_other_sessions(&actor, own))
    }

    async fn try_end_other_sessions(&self, actor: &Actor, own: &str) -> Result<Vec<String>, Error> {
        let tx = self.begin().await?;
        self.authorize(&tx, actor).await?;
        let ended = end_others(&tx, actor.user, own).await?;
        commit(tx).await?;
        Ok(ended)
    }
}

async fn insert<C: ConnectionTrait>(
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
            // The first request is still to come, and is to be seen.
            0.into(),
        ],
    )
    .await
    .map(|_| ())
}

pub(super) async fn end_others<C: ConnectionTrait>(
    c: &C,
    user: UserId,
    own: &str,
) -> Result<Vec<String>, Error> {
    let ended = all(
        c,
        "DELETE FROM sessions WHERE user_id = $1 AND token_hash <> $2 RETURNING token_hash",
        [user.0.into(), own.into()],
    )
    .await?;
    ended.iter().map(|row| Ok(row.try_get("", "token_hash")?)).collect()
}
