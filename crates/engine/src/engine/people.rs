//! Accounts: what changes who is signed in tells the hubs, so that open pages
//! hear of it at once.

use super::Engine;
use crate::{
    broker::News,
    store::{Actor, Error, Purpose},
};
use contract::{TokenId, UserId};

impl Engine {
    /// Locks `person` out at once, on every open page. Their jobs go on.
    ///
    /// # Errors
    /// As [`crate::store::Store::disable`].
    pub async fn disable(&self, actor: impl Into<Actor>, person: UserId) -> Result<(), Error> {
        let actor = actor.into();
        let by = actor.user;
        self.store.disable(actor, person).await?;
        self.broker.announce(News::SignedOut { user: person, session: None });
        tracing::info!(%by, %person, "an account was disabled");
        Ok(())
    }

    /// Uses a one-time link; where it was for a new password, whoever was
    /// signed in is not any more.
    ///
    /// # Errors
    /// As [`crate::store::Store::redeem`].
    pub async fn redeem(&self, token_hash: &str, password_hash: &str) -> Result<UserId, Error> {
        let (purpose, user) = self.store.redeem(token_hash, password_hash).await?;
        if purpose == Purpose::Reset {
            self.broker.announce(News::SignedOut { user, session: None });
        }
        tracing::info!(person = %user, ?purpose, "a one-time link was used");
        Ok(user)
    }

    /// Opens a session; see [`crate::store::Store::open_session`].
    ///
    /// # Errors
    /// As [`crate::store::Store::open_session`].
    pub async fn open_session(
        &self,
        token_hash: &str,
        user: UserId,
        password_hash: &str,
        expires_at: i64,
    ) -> Result<(), Error> {
        let ended = self.store.open_session(token_hash, user, password_hash, expires_at).await?;
        self.tell_ended(user, ended);
        Ok(())
    }

    /// Changes the password; of the sessions `own` alone stays. API tokens stay
    /// unless `revoke_tokens` is set.
    ///
    /// # Errors
    /// As [`crate::store::Store::change_password`].
    pub async fn change_password(
        &self,
        actor: impl Into<Actor>,
        old: &str,
        new: &str,
        own: &str,
        revoke_tokens: bool,
    ) -> Result<(), Error> {
        let actor = actor.into();
        let user = actor.user;
        let ended = self.store.change_password(actor, old, new, own, revoke_tokens).await?;
        self.tell_ended(user, ended);
        Ok(())
    }

    /// Ends all sessions of the actor but `own`.
    ///
    /// # Errors
    /// As [`crate::store::Store::end_other_sessions`].
    pub async fn sign_out_elsewhere(
        &self,
        actor: impl Into<Actor>,
        own: &str,
    ) -> Result<(), Error> {
        let actor = actor.into();
        let user = actor.user;
        let ended = self.store.end_other_sessions(actor, own).await?;
        self.tell_ended(user, ended);
        Ok(())
    }

    /// Revokes an API token and closes its sockets.
    ///
    /// # Errors
    /// As [`crate::store::Store::revoke_token`].
    pub async fn revoke_token(&self, actor: impl Into<Actor>, token: TokenId) -> Result<(), Error> {
        let actor = actor.into();
        let user = actor.user;
        let hash = self.store.revoke_token(actor, token).await?;
        self.tell_ended(user, vec![hash]);
        Ok(())
    }

    fn tell_ended(&self, user: UserId, sessions: Vec<String>) {
        for session in sessions {
            self.broker.announce(News::SignedOut { user, session: Some(session) });
        }
    }
}
