//! Use cases of user accounts. Every way in which a session or an API token ends is here
//! and is announced to the hubs, so that open pages and sockets react at once.

use super::Engine;
use crate::{
    event_bus::HubEvent,
    store::{Actor, Error, LinkPurpose},
};
use contract::{TokenId, UserId};

impl Engine {
    /// Ends a session of `user` whose token has the hash `session`, and closes its
    /// WebSockets.
    ///
    /// # Errors
    /// Same as [`crate::store::Store::end_session`].
    pub async fn end_session(&self, user: UserId, session: &str) -> Result<(), Error> {
        self.store.accounts.end_session(session).await?;
        self.announce_ended_sessions(user, [session.to_owned()]);
        Ok(())
    }

    /// Disables the account of `user` and signs them out at once, on every open page.
    /// Their jobs continue.
    ///
    /// # Errors
    /// Same as [`crate::store::Store::disable_user`].
    pub async fn disable_user(&self, actor: impl Into<Actor>, user: UserId) -> Result<(), Error> {
        let actor = actor.into();
        let by = actor.user;
        self.store.accounts.disable_user(actor, user).await?;
        self.announce_sign_out(user);
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
        let (purpose, user) = self.store.accounts.redeem_link(token_hash, password_hash).await?;
        if purpose == LinkPurpose::PasswordReset {
            self.announce_sign_out(user);
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
        let ended =
            self.store.accounts.open_session(token_hash, user, password_hash, expires_at).await?;
        self.announce_ended_sessions(user, ended);
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
        let ended = self
            .store
            .accounts
            .change_password(actor, old, new, current_session, revoke_tokens)
            .await?;
        self.announce_ended_sessions(user, ended);
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
        let ended = self.store.accounts.end_other_sessions(actor, current_session).await?;
        self.announce_ended_sessions(user, ended);
        Ok(())
    }

    /// Revokes an API token and closes its WebSockets.
    ///
    /// # Errors
    /// Same as [`crate::store::Store::revoke_token`].
    pub async fn revoke_token(&self, actor: impl Into<Actor>, token: TokenId) -> Result<(), Error> {
        let actor = actor.into();
        let user = actor.user;
        let hash = self.store.accounts.revoke_token(actor, token).await?;
        self.announce_ended_sessions(user, [hash]);
        Ok(())
    }

    /// Announces that all sessions and API tokens of `user` have ended.
    fn announce_sign_out(&self, user: UserId) {
        self.event_bus.broadcast(HubEvent::SignedOut { user, session: None });
    }

    /// Announces that these sessions or API tokens of `user`, given by the hashes of
    /// their secrets, have ended.
    fn announce_ended_sessions(&self, user: UserId, sessions: impl IntoIterator<Item = String>) {
        for session in sessions {
            self.event_bus.broadcast(HubEvent::SignedOut { user, session: Some(session) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::ManualClock,
        event_bus::{EventBus, embedded::EmbeddedEventBus},
        limiter::{Limiters, embedded::EmbeddedLimiter},
        relay::RelayWaker,
        store::{MAX_SESSIONS, Store, TokenTerms},
    };
    use contract::api::Role;
    use std::sync::Arc;
    use tokio::sync::broadcast::Receiver;

    /// Returns the sign-outs that were announced since the last call.
    fn announced(events: &mut Receiver<Arc<HubEvent>>) -> Vec<(UserId, Option<String>)> {
        let mut found = Vec::new();
        while let Ok(event) = events.try_recv() {
            if let HubEvent::SignedOut { user, session } = &*event {
                found.push((*user, session.clone()));
            }
        }
        found
    }

    #[tokio::test]
    async fn every_way_to_end_a_session_is_announced() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
        let store = Store::open(&url, ManualClock::at(0), 1.0).await.unwrap();
        let event_bus = Arc::new(EmbeddedEventBus::default());
        let mut events = event_bus.subscribe();
        let limiters = Limiters::new(Arc::new(EmbeddedLimiter::default()), None);
        let engine =
            Engine::new(store.clone(), event_bus, RelayWaker::default(), limiters, Vec::new());
        let admin = store.accounts.add_first_user("ada@example.com", "hash").await.unwrap().user;
        store
            .accounts
            .invite_user(admin, "bob@example.com", Role::User, "invitation")
            .await
            .unwrap();
        let bob = engine.redeem_link("invitation", "hash").await.unwrap();
        let open = async |session: &str, password: &str| {
            engine.open_session(session, bob, password, i64::MAX).await.unwrap();
        };
        open("laptop", "hash").await;
        assert_eq!(announced(&mut events), []);

        engine.end_session(bob, "laptop").await.unwrap();
        assert_eq!(announced(&mut events), [(bob, Some("laptop".into()))]);

        open("laptop", "hash").await;
        open("phone", "hash").await;
        engine.end_other_sessions(bob, "laptop").await.unwrap();
        assert_eq!(announced(&mut events), [(bob, Some("phone".into()))]);

        open("phone", "hash").await;
        engine.change_password(bob, "hash", "new", "laptop", false).await.unwrap();
        assert_eq!(announced(&mut events), [(bob, Some("phone".into()))]);

        for n in 0..MAX_SESSIONS {
            open(&n.to_string(), "new").await;
        }
        assert_eq!(announced(&mut events), [(bob, Some("laptop".into()))]);

        let token = store
            .accounts
            .add_token(bob, "backup", "token hash", TokenTerms::default())
            .await
            .unwrap();
        engine.revoke_token(bob, token.id).await.unwrap();
        assert_eq!(announced(&mut events), [(bob, Some("token hash".into()))]);

        store.accounts.add_password_reset(admin, bob, "reset").await.unwrap();
        engine.redeem_link("reset", "hash").await.unwrap();
        assert_eq!(announced(&mut events), [(bob, None)]);

        engine.disable_user(admin, bob).await.unwrap();
        assert_eq!(announced(&mut events), [(bob, None)]);
    }
}
