//! API tokens, for programs. Like those of sessions, they are stored as hashes of a
//! secret.

use super::{
    Accounts, Actor, Conflict, Error, Identity, NewAuditEntry, commit, execute, query_all,
    query_one, retry_on_contention, row::Row, users,
};
use contract::{
    TokenId, UserId,
    api::{AuditAction, DEFAULT_TOKEN_DAYS, Token, TokenScope},
    text,
};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

/// Maximum number of tokens of one user.
pub const MAX_TOKENS: i64 = 50;
/// Resolution of the time of last use, in milliseconds.
const LAST_USED_RESOLUTION_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// What a new token permits, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenTerms {
    /// What it permits.
    pub scope: TokenScope,
    /// Number of days after which it expires; `None` for never.
    pub expires_in_days: Option<u16>,
}

impl Default for TokenTerms {
    fn default() -> Self {
        Self { scope: TokenScope::Launch, expires_in_days: Some(DEFAULT_TOKEN_DAYS) }
    }
}

/// A usable token: whose it is, and what it permits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenGrant {
    /// Id of the token.
    pub id: TokenId,
    /// Owner of the token.
    pub identity: Identity,
    /// What it permits.
    pub scope: TokenScope,
}

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
        terms: TokenTerms,
    ) -> Result<Token, Error> {
        text::TOKEN_NAME.check(name)?;
        let actor = actor.into();
        retry_on_contention!(self.try_add_token(&actor, name, hash, terms))
    }

    async fn try_add_token(
        &self,
        actor: &Actor,
        name: &str,
        hash: &str,
        terms: TokenTerms,
    ) -> Result<Token, Error> {
        let (id, now, scope) = (Uuid::now_v7(), self.db.now_ms(), terms.scope);
        let expires_at = terms.expires_in_days.map(|days| now + i64::from(days) * DAY_MS);
        let user = actor.user;
        let tx = self.db.begin().await?;
        // This also locks the user's row, so that of two at once the second counts
        // the first.
        self.db.authorize(&tx, actor).await?;
        let inserted = execute(
            &tx,
            "INSERT INTO api_tokens (id, user_id, name, token_hash, created_at, scope, expires_at) \
             SELECT $1, $2, $3, $4, $5, $7, $8 WHERE (SELECT COUNT(*) FROM api_tokens \
             WHERE user_id = $2 AND revoked_at IS NULL) < $6",
            [
                id.into(),
                user.0.into(),
                name.into(),
                hash.into(),
                now.into(),
                MAX_TOKENS.into(),
                scope.as_str().into(),
                expires_at.into(),
            ],
        )
        .await?;
        if inserted == 0 {
            return Err(Error::Conflict(Conflict::TooManyTokens));
        }
        let entry = NewAuditEntry::new(AuditAction::TokenCreated, name);
        self.db.add_audit_entry(&tx, actor, entry).await?;
        commit(tx).await?;
        let (id, name) = (TokenId(id), name.into());
        Ok(Token { id, name, scope, created_at: now, last_used_at: None, expires_at })
    }

    /// Returns the user's tokens that are not revoked, newest first, with those that have expired.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn tokens(&self, user: UserId) -> Result<Vec<Token>, Error> {
        query_all(
            &self.db.reader,
            "SELECT id, name, scope, created_at, last_used_at, expires_at FROM api_tokens \
             WHERE user_id = $1 AND revoked_at IS NULL ORDER BY id DESC",
            [user.0.into()],
        )
        .await?
        .iter()
        .map(token_from_row)
        .collect()
    }

    /// Returns the owner and the scope of a token that is not revoked and whose account is
    /// enabled. Updates when it was last used.
    ///
    /// # Errors
    /// [`Error::TokenExpired`], [`Error::Database`], [`Error::Corrupt`].
    pub async fn authenticate_token(&self, hash: &str) -> Result<Option<TokenGrant>, Error> {
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
        grant_from_row(&found).map(Some)
    }

    /// Returns the owner of a token as [`Accounts::authenticate_token`] does, without
    /// an update of its last use.
    ///
    /// # Errors
    /// [`Error::TokenExpired`], [`Error::Database`], [`Error::Corrupt`].
    pub async fn token_owner(&self, hash: &str) -> Result<Option<Identity>, Error> {
        self.find_usable_token(hash).await?.as_ref().map(users::identity_from_row).transpose()
    }

    async fn find_usable_token(&self, hash: &str) -> Result<Option<Row>, Error> {
        let found = query_one(
            &self.db.reader,
            "SELECT u.id, u.email, u.role, t.id AS token_id, t.scope, t.last_used_at, \
             t.expires_at FROM api_tokens t JOIN users u ON u.id = t.user_id \
             WHERE t.token_hash = $1 AND t.revoked_at IS NULL AND u.disabled = 0",
            [hash.into()],
        )
        .await?;
        let Some(found) = found else { return Ok(None) };
        let expires_at: Option<i64> = found.get("expires_at")?;
        match expires_at.is_some_and(|end| end <= self.db.now_ms()) {
            true => Err(Error::TokenExpired),
            false => Ok(Some(found)),
        }
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
        scope: found.get("scope")?,
        created_at: found.get("created_at")?,
        last_used_at: found.get("last_used_at")?,
        expires_at: found.get("expires_at")?,
    })
}

fn grant_from_row(found: &Row) -> Result<TokenGrant, Error> {
    let identity = users::identity_from_row(found)?;
    Ok(TokenGrant { id: found.get("token_id")?, identity, scope: found.get("scope")? })
}
