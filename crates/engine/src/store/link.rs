//! One-time links, which an admin hands on: an invitation, or a new password.
//! Their tokens are kept as hashes. A used link stays, so that whoever opens it
//! again is told so.

use super::{Actor, Error, Store, all, commit, execute, one, persist, row};
use contract::{
    UserId,
    api::{Invitation, Role},
    text,
};
use sea_orm::{ConnectionTrait, QueryResult};
use uuid::Uuid;

/// An invitation can be used for so long, ms.
pub const INVITATION_LIFE_MS: i64 = 7 * DAY_MS;
/// A link to a new password can be used for so long, ms.
pub const RESET_LIFE_MS: i64 = DAY_MS;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// What a link is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To make an account.
    Invitation,
    /// To choose a new password.
    Reset,
}

/// A link that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub purpose: Purpose,
    /// Of the account, the one that is or will be.
    pub email: String,
    /// UTC ms.
    pub expires_at: i64,
}

impl Store {
    /// Invites an address; an earlier invitation of it is void.
    ///
    /// # Errors
    /// [`Error::SignedOut`]; [`Error::NotFound`] where `actor` is no admin;
    /// [`Error::Conflict`] where the address has an account.
    pub async fn invite(
        &self,
        actor: impl Into<Actor>,
        email: &str,
        role: Role,
        token_hash: &str,
    ) -> Result<(), Error> {
        let actor = actor.into();
        text::EMAIL.check(email)?;
        persist!(self.try_invite(&actor, email, role, token_hash))
    }

    async fn try_invite(
        &self,
        actor: &Actor,
        email: &str,
        role: Role,
        token_hash: &str,
    ) -> Result<(), Error> {
        let tx = self.begin().await?;
        self.authorize_admin(&tx, actor).await?;
        if one(&tx, "SELECT 1 AS one FROM users WHERE email = $1", [email.into()]).await?.is_some()
        {
            return Err(Error::Conflict(format!(
                "{email} has an account already. To help someone who can't sign in, reset the \
                 password."
            )));
        }
        execute(
            &tx,
            "DELETE FROM one_time_links \
             WHERE email = $1 AND user_id IS NULL AND used_at IS NULL",
            [email.into()],
        )
        .await?;
        let life = INVITATION_LIFE_MS;
        self.add_link(&tx, None, email, role, token_hash, life).await?;
        commit(tx).await
    }

    /// Makes a link to a new password; earlier ones are void. The old password
    /// works until the link is used.
    ///
    /// # Errors
    /// [`Error::SignedOut`]; [`Error::NotFound`] where `actor` is no admin;
    /// [`Error::Conflict`] where the account is disabled.
    pub async fn add_reset(
        &self,
        actor: impl Into<Actor>,
        person: UserId,
        token_hash: &str,
    ) -> Result<(), Error> {
        let actor = actor.into();
        persist!(self.try_add_reset(&actor, person, token_hash))
    }

    async fn try_add_reset(
        &self,
        actor: &Actor,
        person: UserId,
        token_hash: &str,
    ) -> Result<(), Error> {
        let tx = self.begin().await?;
        self.authorize_admin(&tx, actor).await?;
        let found = one(
            &tx,
            &format!("SELECT email, role, disabled FROM users WHERE id = $1{}", self.for_update()),
            [person.0.into()],
        )
        .await?
        .ok_or(Error::NotFound)?;
        if row::flag(&found, "disabled")? {
            return Err(Error::Conflict("This account is disabled. Enable it first.".into()));
        }
        void_resets(&tx, person).await?;
        let email: String = found.try_get("", "email")?;
        let (role, life) = (row::word(&found, "role")?, RESET_LIFE_MS);
        self.add_link(&tx, Some(person), &email, role, token_hash, life).await?;
        commit(tx).await
    }

    async fn add_link<C: ConnectionTrait>(
        &self,
        c: &C,
        user: Option<UserId>,
        email: &str,
        role: Role,
        token_hash: &str,
        life_ms: i64,
    ) -> Result<(), Error> {
        let now = self.now_ms();
        execute(
            c,
            "INSERT INTO one_time_links \
             (id, token_hash, user_id, email, role, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            [
                Uuid::now_v7().into(),
                token_hash.into(),
                user.map(|user| user.0).into(),
                email.into(),
                role.as_str().into(),
                now.into(),
                (now + life_ms).into(),
            ],
        )
        .await
        .map(|_| ())
    }

    /// Invitations that can still be used, newest first.
    pub async fn invitations(&self) -> Result<Vec<Invitation>, Error> {
        let found = all(
            &self.reader,
            "SELECT id, email, role, created_at, expires_at FROM one_time_links \
             WHERE user_id IS NULL AND used_at IS NULL AND expires_at > $1 ORDER BY id DESC",
            [self.now_ms().into()],
        )
        .await?;
        let invitation = |found: &QueryResult| {
            Ok(Invitation {
                id: found.try_get("", "id")?,
                email: found.try_get("", "email")?,
                role: row::word(found, "role")?,
                created_at: found.try_get("", "created_at")?,
                expires_at: found.try_get("", "expires_at")?,
            })
        };
        found.iter().map(invitation).collect()
    }

    /// Takes an unused invitation back; its link is unknown from then on.
    ///
    /// # Errors
    /// [`Error::SignedOut`]; [`Error::NotFound`] where `actor` is no admin;
    /// [`Error::Conflict`] where it was used or taken back meanwhile.
    pub async fn revoke(&self, actor: impl Into<Actor>, invitation: Uuid) -> Result<(), Error> {
        let actor = actor.into();
        persist!(self.try_revoke(&actor, invitation))
    }

    async fn try_revoke(&self, actor: &Actor, invitation: Uuid) -> Result<(), Error> {
        let tx = self.begin().await?;
        self.authorize_admin(&tx, actor).await?;
        let gone = execute(
            &tx,
            "DELETE FROM one_time_links WHERE id = $1 AND user_id IS NULL AND used_at IS NULL",
            [invitation.into()],
        )
        .await?;
        if gone == 0 {
            return Err(Error::Conflict(
                "This invitation was used or revoked meanwhile. Look at the accounts.".into(),
            ));
        }
        commit(tx).await
    }

    /// What the link of this token is good for.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such link (any more);
    /// [`Error::Conflict`] where it was used or is too old, in words.
    pub async fn link(&self, token_hash: &str) -> Result<Link, Error> {
        Ok(self.usable(&self.reader, token_hash, "").await?.0)
    }

    /// Uses the link: makes the account, or changes its password, ends its
    /// sessions and revokes its API tokens.
    ///
    /// # Errors
    /// As [`Store::link`]; [`Error::Conflict`] where the address has got an
    /// account meanwhile.
    pub async fn redeem(
        &self,
        token_hash: &str,
        password_hash: &str,
    ) -> Result<(Purpose, UserId), Error> {
        persist!(self.try_redeem(token_hash, password_hash))
    }

    async fn try_redeem(
        &self,
        token_hash: &str,
        password_hash: &str,
    ) -> Result<(Purpose, UserId), Error> {
        let tx = self.begin().await?;
        let (link, user, role) = self.usable(&tx, token_hash, self.for_update()).await?;
        let id = user.unwrap_or_else(|| UserId(Uuid::now_v7()));
        let now = self.now_ms();
        let changed = match link.purpose {
            Purpose::Invitation => {
                execute(
                    &tx,
                    "INSERT INTO users (id, email, role, password_hash, created_at) \
                     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (email) DO NOTHING",
                    [
                        id.0.into(),
                        link.email.as_str().into(),
                        role.as_str().into(),
                        password_hash.into(),
                        now.into(),
                    ],
                )
                .await?
            }
            Purpose::Reset => {
                let changed = execute(
                    &tx,
                    "UPDATE users SET password_hash = $2 WHERE id = $1 AND disabled = 0",
                    [id.0.into(), password_hash.into()],
                )
                .await?;
                execute(&tx, "DELETE FROM sessions WHERE user_id = $1", [id.0.into()]).await?;
                self.revoke_all_tokens(&tx, id).await?;
                changed
            }
        };
        if changed == 0 {
            return Err(Error::Conflict(match link.purpose {
                Purpose::Invitation => {
                    format!("{} has an account already. Sign in with it.", link.email)
                }
                Purpose::Reset => "This account is disabled. Ask an admin.".into(),
            }));
        }
        execute(
            &tx,
            "UPDATE one_time_links SET used_at = $2 WHERE token_hash = $1",
            [token_hash.into(), now.into()],
        )
        .await?;
        commit(tx).await?;
        Ok((link.purpose, id))
    }

    async fn usable<C: ConnectionTrait>(
        &self,
        c: &C,
        token_hash: &str,
        lock: &str,
    ) -> Result<(Link, Option<UserId>, Role), Error> {
        let found = one(
            c,
            &format!(
                "SELECT user_id, email, role, expires_at, used_at FROM one_time_links \
                 WHERE token_hash = $1{lock}"
            ),
            [token_hash.into()],
        )
        .await?
        .ok_or(Error::NotFound)?;
        if found.try_get::<Option<i64>>("", "used_at")?.is_some() {
            return Err(Error::Conflict(
                "This link was used already. Sign in with the password that was chosen then, or \
                 ask an admin for a new link."
                    .into(),
            ));
        }
        let expires_at: i64 = found.try_get("", "expires_at")?;
        if expires_at <= self.now_ms() {
            return Err(Error::Conflict(
                "This link is too old. Ask an admin for a new one.".into(),
            ));
        }
        let user = found.try_get::<Option<Uuid>>("", "user_id")?.map(UserId);
        let purpose = if user.is_some() { Purpose::Reset } else { Purpose::Invitation };
        let link = Link { purpose, email: found.try_get("", "email")?, expires_at };
        Ok((link, user, row::word(&found, "role")?))
    }
}

/// Unused links to a new password of `user` do nothing any more.
pub(super) async fn void_resets<C: ConnectionTrait>(c: &C, user: UserId) -> Result<(), Error> {
    execute(c, "DELETE FROM one_time_links WHERE user_id = $1 AND used_at IS NULL", [user.0.into()])
        .await
        .map(|_| ())
}
