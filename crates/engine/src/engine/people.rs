//! Accounts: what changes who is signed in tells the hubs, so that open pages
//! hear of it at once.

use super::Engine;
use crate::{
    broker::News,
    store::{Error, Purpose},
};
use contract::UserId;

impl Engine {
    /// Locks `person` out at once, on every open page. Their jobs go on.
    ///
    /// # Errors
    /// As [`crate::store::Store::disable`].
    pub async fn disable(&self, by: UserId, person: UserId) -> Result<(), Error> {
        self.store.disable(by, person).await?;
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

    /// Changes the password; of the sessions `own` alone stays.
    pub async fn change_password(&self, user: UserId, hash: &str, own: &str) -> Result<(), Error> {
        let ended = self.store.change_password(user, hash, own).await?;
        self.tell_ended(user, ended);
        Ok(())
    }

    /// Ends all sessions of the user but `own`.
    pub async fn sign_out_elsewhere(&self, user: UserId, own: &str) -> Result<(), Error> {
        let ended = self.store.end_other_sessions(user, own).await?;
        self.tell_ended(user, ended);
        Ok(())
    }

    fn tell_ended(&self, user: UserId, sessions: Vec<String>) {
        for session in sessions {
            self.broker.announce(News::SignedOut { user, session: Some(session) });
        }
    }
}
