//! Use cases of user accounts. Changes to who is signed in are broadcast to the hubs, so
//! that open pages react at once.

use super::Engine;
use crate::{
    event_bus::HubEvent,
    store::{Actor, Error, LinkPurpose},
};
use contract::{TokenId, UserId};

impl Engine {
    /// Disables the account of `user` and signs them out at once, on every open page.
    /// Their jobs continue.
    ///
    /// # Errors
    /// Same as [`crate::store::Store::disable_user`].
    pub async fn disable_user(&self, actor: impl Into<Actor>, user: UserId) -> Result<(), Error> {
        let actor = actor.into();
        let by = actor.user;
        self.store.disable_user(actor, user).await?;
        self.event_bus.broadcast(HubEvent::SignedOut { user, session: None });
        tracing::info!(%by, %user, "an account was disabled");
        Ok(())
    }

    /// Redeems a one-time link. If it was for a new password, all sessions of the user
    /// end.
    ///
    /// # Errors
    /// Same as [`crate::store::Store::redeem_link`].
    pub async fn redeem_link(
        &self,
        token_hash: &str,
        password_hash: &str,
    ) -> Result<UserId, Error> {
        let (purpose, user) = self.store.redeem_link(token_hash, password_hash).await?;
        if purpose == LinkPurpose::PasswordReset {
            self.event_bus.broadcast(HubEvent::SignedOut { user, session: None });
        }
        tracing::info!(%user, ?purpose, "a one-time link was used");
        Ok(user)
    }

    /// Opens a session; see [`crate::store::Store::open_session`].
    ///
    /// # Errors
    /// Same as [`crate::store::Store::open_session`].
    pub async fn open_session(
        &self,
        token_hash: &str,
        user: UserId,
        password_hash: &str,
        expires_at: i64,
    ) -> Result<(), Error> {
        let ended = self.store.open_session(token_hash, user, password_hash, expires_at).await?;
        self.broadcast_sessions_ended(user, ended);
        Ok(())
    }

    /// Changes the password and ends all sessions but `current_session`. Revokes API tokens
    /// only if `revoke_tokens` is set.
    ///
    /// # Errors
    /// Same as [`crate::store::Store::change_password`].
    pub async fn change_password(
        &self,
        actor: impl Into<Actor>,
        old: &str,
        new: &str,
        current_session: &str,
        revoke_tokens: bool,
    ) -> Result<(), Error> {
        let actor = actor.into();
        let user = actor.user;
        let ended =
            self.store.change_password(actor, old, new, current_session, revoke_tokens).await?;
        self.broadcast_sessions_ended(user, ended);
        Ok(())
    }

    /// Ends all sessions of the actor but `current_session`.
    ///
    /// # Errors
    /// Same as [`crate::store::Store::end_other_sessions`].
    pub async fn end_other_sessions(
        &self,
        actor: impl Into<Actor>,
        current_session: &str,
    ) -> Result<(), Error> {
        let actor = actor.into();
        let user = actor.user;
        let ended = self.store.end_other_sessions(actor, current_session).await?;
        self.broadcast_sessions_ended(user, ended);
        Ok(())
    }

    /// Revokes an API token and closes its WebSockets.
    ///
    /// # Errors
    /// Same as [`crate::store::Store::revoke_token`].
    pub async fn revoke_token(&self, actor: impl Into<Actor>, token: TokenId) -> Result<(), Error> {
        let actor = actor.into();
        let user = actor.user;
        let hash = self.store.revoke_token(actor, token).await?;
        self.broadcast_sessions_ended(user, vec![hash]);
        Ok(())
    }

    fn broadcast_sessions_ended(&self, user: UserId, sessions: Vec<String>) {
        for session in sessions {
            self.event_bus.broadcast(HubEvent::SignedOut { user, session: Some(session) });
        }
    }
}
