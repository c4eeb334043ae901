//! One-time links, which an admin passes on: an invitation or a password reset.
//! Tokens are stored as hashes. A used link remains, so that a person who opens it
//! again learns that it was used.

use super::{
    Accounts, Actor, Conflict, Error, NewAuditEntry, commit, execute, query_all, query_one,
    retry_on_contention, row::Row,
};
use crate::clock::whole_millis;
use contract::{
    UserId,
    api::{AuditAction, Invitation, Role},
    text,
};
use sea_orm::ConnectionTrait;
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

/// How long an invitation can be used.
pub const INVITATION_LIFETIME: Duration = Duration::from_secs(7 * DAY_S);
/// How long a password reset can be used.
pub const PASSWORD_RESET_LIFETIME: Duration = Duration::from_secs(DAY_S);

const DAY_S: u64 = 24 * 3_600;

/// Purpose of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPurpose {
    /// Creates an account.
    Invitation,
    /// Sets a new password.
    PasswordReset,
}

/// A link that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTimeLink {
    /// What the link does.
    pub purpose: LinkPurpose,
    /// Address of the existing or future account.
    pub email: String,
    /// End of its lifetime, UTC ms.
    pub expires_at: i64,
}

impl Accounts {
    /// Stores an invitation of an address; deletes its earlier unused one.
    ///
    /// # Errors
    /// [`Error::Text`]; [`Error::SignedOut`]; [`Error::NotFound`] where `actor` is
    /// no admin; [`Error::Conflict`] where the address has an account.
    pub async fn invite_user(
        &self,
        actor: impl Into<Actor>,
        email: &str,
        role: Role,
        token_hash: &str,
    ) -> Result<(), Error> {
        let actor = actor.into();
        text::EMAIL.check(email)?;
        retry_on_contention!(self.try_invite_user(&actor, email, role, token_hash))
    }

    async fn try_invite_user(
        &self,
        actor: &Actor,
        email: &str,
        role: Role,
        token_hash: &str,
    ) -> Result<(), Error> {
        let tx = self.db.begin().await?;
        self.db.authorize_admin(&tx, actor).await?;
        if query_one(&tx, "SELECT 1 AS one FROM users WHERE email = $1", [email.into()])
            .await?
            .is_some()
        {
            let email = email.to_owned();
            return Err(Error::Conflict(Conflict::InvitedAddressHasAccount { email }));
        }
        execute(
            &tx,
            "DELETE FROM one_time_links \
             WHERE email = $1 AND user_id IS NULL AND used_at IS NULL",
            [email.into()],
        )
        .await?;
        self.insert_link(&tx, None, email, role, token_hash, INVITATION_LIFETIME).await?;
        let entry = NewAuditEntry {
            after: Some(json!(role)),
            ..NewAuditEntry::new(AuditAction::UserInvited, email)
        };
        self.db.add_audit_entry(&tx, actor, entry).await?;
        commit(tx).await
    }

    /// Stores a password reset; deletes earlier unused ones. The old password works
    /// until the link is used.
    ///
    /// # Errors
    /// [`Error::SignedOut`]; [`Error::NotFound`] where `actor` is no admin or there
    /// is no such user; [`Error::Conflict`] where the account is disabled.
    pub async fn add_password_reset(
        &self,
        actor: impl Into<Actor>,
        user: UserId,
        token_hash: &str,
    ) -> Result<(), Error> {
        let actor = actor.into();
        retry_on_contention!(self.try_add_password_reset(&actor, user, token_hash))
    }

    async fn try_add_password_reset(
        &self,
        actor: &Actor,
        user: UserId,
        token_hash: &str,
    ) -> Result<(), Error> {
        let tx = self.db.begin().await?;
        self.db.authorize_admin(&tx, actor).await?;
        let found = query_one(
            &tx,
            &format!(
                "SELECT email, role, disabled FROM users WHERE id = $1{}",
                self.db.for_update()
            ),
            [user.0.into()],
        )
        .await?
        .ok_or(Error::NotFound)?;
        if found.get("disabled")? {
            return Err(Error::Conflict(Conflict::AccountDisabled));
        }
        delete_password_resets(&tx, user).await?;
        let email: String = found.get("email")?;
        let (role, lifetime) = (found.get("role")?, PASSWORD_RESET_LIFETIME);
        self.insert_link(&tx, Some(user), &email, role, token_hash, lifetime).await?;
        let entry = NewAuditEntry::new(AuditAction::PasswordResetCreated, email);
        self.db.add_audit_entry(&tx, actor, entry).await?;
        commit(tx).await
    }

    async fn insert_link<C: ConnectionTrait>(
        &self,
        c: &C,
        user: Option<UserId>,
        email: &str,
        role: Role,
        token_hash: &str,
        lifetime: Duration,
    ) -> Result<(), Error> {
        let now = self.db.now_ms();
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
                (now + whole_millis(lifetime)).into(),
            ],
        )
        .await
        .map(|_| ())
    }

    /// Returns the invitations that can still be used, newest first.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn invitations(&self) -> Result<Vec<Invitation>, Error> {
        let found = query_all(
            &self.db.reader,
            "SELECT id, email, role, created_at, expires_at FROM one_time_links \
             WHERE user_id IS NULL AND used_at IS NULL AND expires_at > $1 ORDER BY id DESC",
            [self.db.now_ms().into()],
        )
        .await?;
        let invitation = |found: &Row| {
            Ok(Invitation {
                id: found.get("id")?,
                email: found.get("email")?,
                role: found.get("role")?,
                created_at: found.get("created_at")?,
                expires_at: found.get("expires_at")?,
            })
        };
        found.iter().map(invitation).collect()
    }

    /// Deletes an unused invitation; its link is then unknown.
    ///
    /// # Errors
    /// [`Error::SignedOut`]; [`Error::NotFound`] where `actor` is no admin;
    /// [`Error::Conflict`] where it was used or revoked meanwhile.
    pub async fn revoke_invitation(
        &self,
        actor: impl Into<Actor>,
        invitation: Uuid,
    ) -> Result<(), Error> {
        let actor = actor.into();
        retry_on_contention!(self.try_revoke_invitation(&actor, invitation))
    }

    async fn try_revoke_invitation(&self, actor: &Actor, invitation: Uuid) -> Result<(), Error> {
        let tx = self.db.begin().await?;
        self.db.authorize_admin(&tx, actor).await?;
        let deleted = query_one(
            &tx,
            "DELETE FROM one_time_links WHERE id = $1 AND user_id IS NULL AND used_at IS NULL \
             RETURNING email",
            [invitation.into()],
        )
        .await?;
        let email: String =
            deleted.ok_or(Error::Conflict(Conflict::InvitationGone))?.get("email")?;
        let entry = NewAuditEntry::new(AuditAction::InvitationRevoked, email);
        self.db.add_audit_entry(&tx, actor, entry).await?;
        commit(tx).await
    }

    /// Returns the link of this token if it can be used.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such link (any more);
    /// [`Error::Conflict`] where it was used or has expired.
    pub async fn usable_link(&self, token_hash: &str) -> Result<OneTimeLink, Error> {
        Ok(self.find_usable_link(&self.db.reader, token_hash, "").await?.0)
    }

    /// Uses the link: creates the account, or changes its password, ends its
    /// sessions and revokes its API tokens.
    ///
    /// # Errors
    /// Those of [`Accounts::usable_link`]; [`Error::Conflict`] where the address has
    /// an account by now, or the account is disabled.
    pub async fn redeem_link(
        &self,
        token_hash: &str,
        password_hash: &str,
    ) -> Result<(LinkPurpose, UserId), Error> {
        retry_on_contention!(self.try_redeem_link(token_hash, password_hash))
    }

    async fn try_redeem_link(
        &self,
        token_hash: &str,
        password_hash: &str,
    ) -> Result<(LinkPurpose, UserId), Error> {
        let tx = self.db.begin().await?;
        let (link, user, role) =
            self.find_usable_link(&tx, token_hash, self.db.for_update()).await?;
        let id = user.unwrap_or_else(|| UserId(Uuid::now_v7()));
        let now = self.db.now_ms();
        let changed = match link.purpose {
            LinkPurpose::Invitation => {
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
            LinkPurpose::PasswordReset => {
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
                LinkPurpose::Invitation => Conflict::AccountExists { email: link.email },
                LinkPurpose::PasswordReset => Conflict::OwnAccountDisabled,
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

    async fn find_usable_link<C: ConnectionTrait>(
        &self,
        c: &C,
        token_hash: &str,
        lock: &str,
    ) -> Result<(OneTimeLink, Option<UserId>, Role), Error> {
        let found = query_one(
            c,
            &format!(
                "SELECT user_id, email, role, expires_at, used_at FROM one_time_links \
                 WHERE token_hash = $1{lock}"
            ),
            [token_hash.into()],
        )
        .await?
        .ok_or(Error::NotFound)?;
        if found.get::<Option<i64>>("used_at")?.is_some() {
            return Err(Error::Conflict(Conflict::LinkUsed));
        }
        let expires_at: i64 = found.get("expires_at")?;
        if expires_at <= self.db.now_ms() {
            return Err(Error::Conflict(Conflict::LinkExpired));
        }
        let user: Option<UserId> = found.get("user_id")?;
        let purpose =
            if user.is_some() { LinkPurpose::PasswordReset } else { LinkPurpose::Invitation };
        let link = OneTimeLink { purpose, email: found.get("email")?, expires_at };
        Ok((link, user, found.get("role")?))
    }
}

/// Deletes the unused password resets of `user`.
pub(super) async fn delete_password_resets<C: ConnectionTrait>(
    c: &C,
    user: UserId,
) -> Result<(), Error> {
    execute(c, "DELETE FROM one_time_links WHERE user_id = $1 AND used_at IS NULL", [user.0.into()])
        .await
        .map(|_| ())
}
