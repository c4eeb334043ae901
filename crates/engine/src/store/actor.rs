//! The user on whose behalf something is changed. The transaction that makes the
//! change checks again whether the user still may: a request can take long, and the
//! user may be signed out or disabled meanwhile.

use super::{Database, Error, query_one};
use contract::{UserId, api::Role};
use sea_orm::ConnectionTrait;

/// A user, with the credential of their request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The user.
    pub user: UserId,
    /// Credential of the request.
    pub credential: Credential,
}

/// Credential that authenticated a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A browser's session, as the hash of its secret.
    Session(String),
    /// An API token, as the hash of its secret.
    ApiToken(String),
    /// No credential, only an enabled account. For tests.
    #[cfg(feature = "testing")]
    Unchecked,
}

#[cfg(feature = "testing")]
impl From<UserId> for Actor {
    fn from(user: UserId) -> Self {
        Self { user, credential: Credential::Unchecked }
    }
}

impl Database {
    /// Checks that `actor` may still act, locks the rows that say so until the
    /// transaction ends, and returns the actor's role: a transaction that ends the
    /// session, revokes the token or disables the account at the same time commits
    /// before this one or after it.
    ///
    /// A transaction on tasks locks the user's row last, so it calls this
    /// immediately before its commit. A transaction on accounts calls it before it
    /// changes anything, because it could change the actor itself.
    ///
    /// # Errors
    /// [`Error::SignedOut`] where the credential has ended or the account is
    /// disabled: the transaction must be rolled back.
    pub(super) async fn authorize<C: ConnectionTrait>(
        &self,
        c: &C,
        actor: &Actor,
    ) -> Result<Role, Error> {
        let user = actor.user.0;
        let sql = format!(
            "SELECT role FROM users WHERE id = $1 AND disabled = 0{}",
            self.for_no_key_update()
        );
        let found = query_one(c, &sql, [user.into()]).await?.ok_or(Error::SignedOut)?;
        let is_valid = match &actor.credential {
            Credential::Session(hash) => {
                // FOR KEY SHARE does not block a request that renews `seen_at`
                // meanwhile.
                let lock = if self.is_sqlite() { "" } else { " FOR KEY SHARE" };
                let sql = format!(
                    "SELECT 1 AS one FROM sessions \
                     WHERE token_hash = $1 AND user_id = $2 AND expires_at > $3{lock}"
                );
                let values = [hash.as_str().into(), user.into(), self.now_ms().into()];
                query_one(c, &sql, values).await?.is_some()
            }
            Credential::ApiToken(hash) => {
                let lock = if self.is_sqlite() { "" } else { " FOR SHARE" };
                let sql = format!(
                    "SELECT 1 AS one FROM api_tokens \
                     WHERE token_hash = $1 AND user_id = $2 AND revoked_at IS NULL \
                     AND (expires_at IS NULL OR expires_at > $3){lock}"
                );
                let values = [hash.as_str().into(), user.into(), self.now_ms().into()];
                query_one(c, &sql, values).await?.is_some()
            }
            #[cfg(feature = "testing")]
            Credential::Unchecked => true,
        };
        if is_valid { found.get("role") } else { Err(Error::SignedOut) }
    }

    /// Checks, as [`Database::authorize`] does, that `actor` may still act, and that
    /// they may manage users.
    ///
    /// # Errors
    /// [`Error::SignedOut`]; [`Error::NotFound`] where the actor is not (or no
    /// longer) an admin, or acts with an API token.
    pub(super) async fn authorize_admin<C: ConnectionTrait>(
        &self,
        c: &C,
        actor: &Actor,
    ) -> Result<(), Error> {
        let role = self.authorize(c, actor).await?;
        if role != Role::Admin || matches!(actor.credential, Credential::ApiToken(_)) {
            return Err(Error::NotFound);
        }
        Ok(())
    }
}
