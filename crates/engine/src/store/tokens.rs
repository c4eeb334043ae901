//! API tokens, for programs. Like those of sessions, they are stored as hashes of a
//! secret.

use super::{
    Accounts, Actor, Conflict, Error, Identity, NewAuditEntry, commit, execute, query_all,
    query_one, retry_on_contention, row::Row, users,
};
use contract::{
    TokenId, UserId,
    api::{AuditAction, Token},
    text,
};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

/// Maximum number of tokens of one user.
pub const MAX_TOKENS: i64 = 50;
/// Resolution of the time of last use, in milliseconds.
const LAST_USED_RESOLUTION_MS: i64 = 60_000;

impl Accounts {
    /// Stores a token. `hash` is the hash of the secret that the program gets.
    ///
    /// # Errors
    /// [`Error::Text`]; [`Error::SignedOut`]; [`Error::Conflict`] where the user
    /// has [`MAX_TOKENS`].
    pub async fn add_token(
        &self,
        actor: impl Into<Actor>,
        name: &str,
        hash: &str,
    ) -> Result<Token, Error> {
        text::TOKEN_NAME.check(name)?;
        let actor = actor.into();
        retry_on_contention!(self.try_add_token(&actor, name, hash))
    }

    async fn try_add_token(&self, actor: &Actor, name: &str, hash: &str) -> Result<Token, Error> {
        let (id, now) = (Uuid::now_v7(), self.db.now_ms());
        let user = actor.user;
        let tx = self.db.begin().await?;
        // This also locks the user's row, so that of two at once the second counts
        // the first.
        self.db.authorize(&tx, actor).await?;
        let inserted = execute(
            &tx,
            "INSERT INTO api_tokens (id, user_id, name, token_hash, created_at) \
             SELECT $1, $2, $3, $4, $5 WHERE (SELECT COUNT(*) FROM api_tokens \
             WHERE user_id = $2 AND revoked_at IS NULL) < $6",
            [id.into(), user.0.into(), name.into(), hash.into(), now.into(), MAX_TOKENS.into()],
        )
        .await?;
        if inserted == 0 {
            return Err(Error::Conflict(Conflict::TooManyTokens));
        }
        let entry = NewAuditEntry::new(AuditAction::TokenCreated, name);
        self.db.add_audit_entry(&tx, actor, entry).await?;
        commit(tx).await?;
        Ok(Token { id: TokenId(id), name: name.into(), created_at: now, last_used_at: None })
    }

    /// Returns the user's tokens that are not revoked, newest first.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn tokens(&self, user: UserId) -> Result<Vec<Token>, Error> {
        query_all(
            &self.db.reader,
            "SELECT id, name, created_at, last_used_at FROM api_tokens \
             WHERE user_id = $1 AND revoked_at IS NULL ORDER BY id DESC",
            [user.0.into()],
        )
        .await?
        .iter()
        .map(token_from_row)
        .collect()
    }

    /// Returns the owner of a token that is not revoked and whose account is
    /// enabled. Updates when it was last used.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn authenticate_token(&self, hash: &str) -> Result<Option<Identity>, Error> {
        let Some(found) = self.find_usable_token(hash).await? else { return Ok(None) };
        let now = self.db.now_ms();
        let used: Option<i64> = found.get("last_used_at")?;
        if used.is_none_or(|used| used + LAST_USED_RESOLUTION_MS <= now) {
            // A token also works where nothing can be written.
            let used = execute(
                &self.db.writer,
                "UPDATE api_tokens SET last_used_at = $2 WHERE token_hash = $1",
                [hash.into(), now.into()],
            );
            if let Err(error) = used.await {
                tracing::warn!(%error, "could not update when a token was last used");
            }
        }
        users::identity_from_row(&found).map(Some)
    }

    /// Returns the owner of a token as [`Accounts::authenticate_token`] does, without
    /// an update of its last use.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn token_owner(&self, hash: &str) -> Result<Option<Identity>, Error> {
        self.find_usable_token(hash).await?.as_ref().map(users::identity_from_row).transpose()
    }

    async fn find_usable_token(&self, hash: &str) -> Result<Option<Row>, Error> {
        query_one(
            &self.db.reader,
            "SELECT u.id, u.email, u.role, t.last_used_at FROM api_tokens t \
             JOIN users u ON u.id = t.user_id \
             WHERE t.token_hash = $1 AND t.revoked_at IS NULL AND u.disabled = 0",
            [hash.into()],
        )
        .await
    }

    /// Revokes a token, and returns the hash of its secret.
    ///
    /// # Errors
    /// [`Error::SignedOut`]; [`Error::NotFound`], also where it was revoked before.
    pub async fn revoke_token(
        &self,
        actor: impl Into<Actor>,
        id: TokenId,
    ) -> Result<String, Error> {
        let actor = actor.into();
        retry_on_contention!(self.try_revoke_token(&actor, id))
    }

    async fn try_revoke_token(&self, actor: &Actor, id: TokenId) -> Result<String, Error> {
        let tx = self.db.begin().await?;
        self.db.authorize(&tx, actor).await?;
        let revoked = query_one(
            &tx,
            "UPDATE api_tokens SET revoked_at = $3 \
             WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL RETURNING token_hash, name",
            [id.0.into(), actor.user.0.into(), self.db.now_ms().into()],
        )
        .await?
        .ok_or(Error::NotFound)?;
        let name: String = revoked.get("name")?;
        let entry = NewAuditEntry::new(AuditAction::TokenRevoked, name);
        self.db.add_audit_entry(&tx, actor, entry).await?;
        commit(tx).await?;
        revoked.get("token_hash")
    }

    /// Revokes all tokens of `user`, and returns the hashes of their secrets.
    pub(super) async fn revoke_all_tokens<C: ConnectionTrait>(
        &self,
        c: &C,
        user: UserId,
    ) -> Result<Vec<String>, Error> {
        let revoked = query_all(
            c,
            "UPDATE api_tokens SET revoked_at = $2 \
             WHERE user_id = $1 AND revoked_at IS NULL RETURNING token_hash",
            [user.0.into(), self.db.now_ms().into()],
        )
        .await?;
        revoked.iter().map(|row| row.get("token_hash")).collect()
    }
}

fn token_from_row(found: &Row) -> Result<Token, Error> {
    Ok(Token {
        id: found.get("id")?,
        name: found.get("name")?,
        created_at: found.get("created_at")?,
        last_used_at: found.get("last_used_at")?,
    })
}
