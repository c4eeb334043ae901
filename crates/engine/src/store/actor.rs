//! The person on whose behalf something is changed. Whether they still may is
//! checked again in the transaction that makes the change: a request can take
//! long, and its person may be signed out or disabled meanwhile.

use super::{Error, Store, one, row};
use contract::{UserId, api::Role};
use sea_orm::ConnectionTrait;

/// A person, with the credential that their request brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    pub user: UserId,
    pub credential: Credential,
}

/// What a request brought to show whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A browser's session, by the hash of its secret.
    Session(String),
    /// An API token, by the hash of its secret.
    ApiToken(String),
    /// No credential: the account alone has to be enabled. For tests.
    #[cfg(feature = "testing")]
    Account,
}

#[cfg(feature = "testing")]
impl From<UserId> for Actor {
    fn from(user: UserId) -> Self {
        Self { user, credential: Credential::Account }
    }
}

impl Store {
    /// Checks that `actor` may still act, and locks what says so until the
    /// transaction ends: whoever ends the session, revokes the token or
    /// disables the account at the same time comes before this transaction or
    /// after it. Returns the actor's role.
    ///
    /// A transaction on tasks locks the user's row last, so it calls this
    /// immediately before its commit. A transaction on accounts calls it before
    /// it changes anything, because it could change the actor itself.
    ///
    /// # Errors
    /// [`Error::SignedOut`] where the credential has ended or the account is
    /// disabled: the transaction has to be given up.
    pub(super) async fn authorize<C: ConnectionTrait>(
        &self,
        c: &C,
        actor: &Actor,
    ) -> Result<Role, Error> {
        let user = actor.user.0;
        let sql = format!(
            "SELECT role FROM users WHERE id = $1 AND disabled = 0{}",
            self.for_update_of_values()
        );
        let found = one(c, &sql, [user.into()]).await?.ok_or(Error::SignedOut)?;
        let good = match &actor.credential {
            Credential::Session(hash) => {
                // A request that renews `seen_at` meanwhile does not wait.
                let lock = if self.is_sqlite() { "" } else { " FOR KEY SHARE" };
                let sql = format!(
                    "SELECT 1 AS one FROM sessions \
                     WHERE token_hash = $1 AND user_id = $2 AND expires_at > $3{lock}"
                );
                let values = [hash.as_str().into(), user.into(), self.now_ms().into()];
                one(c, &sql, values).await?.is_some()
            }
            Credential::ApiToken(hash) => {
                let lock = if self.is_sqlite() { "" } else { " FOR SHARE" };
                let sql = format!(
                    "SELECT 1 AS one FROM api_tokens \
                     WHERE token_hash = $1 AND user_id = $2 AND revoked_at IS NULL{lock}"
                );
                one(c, &sql, [hash.as_str().into(), user.into()]).await?.is_some()
            }
            #[cfg(feature = "testing")]
            Credential::Account => true,
        };
        if good { row::word(&found, "role") } else { Err(Error::SignedOut) }
    }

    /// Checks as [`Store::authorize`] does that `actor` may manage people.
    ///
    /// # Errors
    /// [`Error::SignedOut`]; [`Error::NotFound`] where they are no admin (any
    /// more) or act by an API token.
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
