//! User accounts and their roles.

use super::{
    Accounts, Actor, Conflict, Error, NewAuditEntry, advisory_lock, commit, execute,
    one_time_link::delete_password_resets, query_all, query_one, retry_on_contention, row::Row,
    session,
};
use contract::{
    UserId,
    api::{AuditAction, Role, User},
    text,
};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use uuid::Uuid;

/// Number of an advisory lock, arbitrary but used by no other program on the
/// database.
const FIRST_USER_LOCK: i64 = 0x6d65_616e_6669_7273;

/// The user behind a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Id of the user.
    pub user: UserId,
    /// Address of the account.
    pub email: String,
    /// Role of the user.
    pub role: Role,
}

/// A user with what a password check needs.
#[derive(Clone, Debug)]
pub struct UserAccount {
    /// Id, address and role.
    pub identity: Identity,
    /// Hash of the password, where there is one.
    pub password_hash: Option<String>,
    /// Whether the account is disabled.
    pub disabled: bool,
}

impl Accounts {
    /// Whether any user exists; until then, the first visitor creates one.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn has_users(&self) -> Result<bool, Error> {
        Ok(query_one(&self.db.reader, "SELECT 1 AS one FROM users LIMIT 1", []).await?.is_some())
    }

    /// Creates the first user, an admin.
    ///
    /// # Errors
    /// [`Error::Text`]; [`Error::Conflict`] where there is a user already.
    pub async fn add_first_user(&self, email: &str, hash: &str) -> Result<Identity, Error> {
        text::EMAIL.check(email)?;
        let id = Uuid::now_v7();
        let tx = self.db.begin().await?;
        // Of two first visitors one waits here, and then sees the other's account.
        // SQLite has one writer and needs no lock.
        if !self.db.is_sqlite() {
            advisory_lock(&tx, FIRST_USER_LOCK).await?;
        }
        let inserted = execute(
            &tx,
            "INSERT INTO users (id, email, role, password_hash, created_at) \
             SELECT $1, $2, 'admin', $3, $4 WHERE NOT EXISTS (SELECT 1 FROM users)",
            [id.into(), email.into(), hash.into(), self.db.now_ms().into()],
        )
        .await?;
        if inserted == 0 {
            return Err(Error::Conflict(Conflict::FirstUserExists));
        }
        commit(tx).await?;
        Ok(Identity { user: UserId(id), email: email.into(), role: Role::Admin })
    }

    /// Returns the account of an address.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`], [`Error::Text`].
    pub async fn user_account_by_email(&self, email: &str) -> Result<Option<UserAccount>, Error> {
        text::EMAIL.check(email)?;
        let found = query_one(
            &self.db.reader,
            "SELECT id, email, role, password_hash, disabled FROM users WHERE email = $1",
            [email.into()],
        )
        .await?;
        found
            .map(|found| {
                Ok(UserAccount {
                    identity: identity_from_row(&found)?,
                    password_hash: found.get("password_hash")?,
                    disabled: found.get("disabled")?,
                })
            })
            .transpose()
    }

    /// Returns users in the order of their addresses, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn users(&self, limit: i64) -> Result<Vec<User>, Error> {
        let found = query_all(
            &self.db.reader,
            "SELECT id, email, role, disabled, created_at, seen_at FROM users \
             ORDER BY email LIMIT $1",
            [limit.into()],
        )
        .await?;
        found.iter().map(user_from_row).collect()
    }

    /// Returns one user.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn user(&self, id: UserId) -> Result<User, Error> {
        let found = query_one(
            &self.db.reader,
            "SELECT id, email, role, disabled, created_at, seen_at FROM users WHERE id = $1",
            [id.0.into()],
        )
        .await?;
        user_from_row(&found.ok_or(Error::NotFound)?)
    }

    /// Sets the role of `user`.
    ///
    /// # Errors
    /// [`Error::Conflict`] where `actor` would demote themselves, or no admin would
    /// be left; [`Error::SignedOut`]; [`Error::NotFound`], also where `actor` is no
    /// admin.
    pub async fn set_user_role(
        &self,
        actor: impl Into<Actor>,
        user: UserId,
        role: Role,
    ) -> Result<(), Error> {
        let actor = actor.into();
        retry_on_contention!(self.try_set_user_role(&actor, user, role))
    }

    async fn try_set_user_role(
        &self,
        actor: &Actor,
        user: UserId,
        role: Role,
    ) -> Result<(), Error> {
        let tx = self.db.begin().await?;
        if role != Role::Admin {
            if actor.user == user {
                return Err(Error::Conflict(Conflict::OwnRole));
            }
            self.require_another_admin(&tx, user).await?;
        }
        // This comes before the change, which could concern the actor.
        self.db.authorize_admin(&tx, actor).await?;
        let before =
            query_one(&tx, "SELECT role FROM users WHERE id = $1", [user.0.into()]).await?;
        let before: Role = before.ok_or(Error::NotFound)?.get("role")?;
        let changed = execute(
            &tx,
            "UPDATE users SET role = $2 WHERE id = $1",
            [user.0.into(), role.as_str().into()],
        )
        .await?;
        if changed == 0 {
            return Err(Error::NotFound);
        }
        let (before, after) = (Some(json!(before)), Some(json!(role)));
        self.add_account_entry(&tx, actor, user, AuditAction::RoleChanged, before, after).await?;
        commit(tx).await
    }

    /// Disables `user`: ends their sessions, revokes their API tokens and deletes
    /// their password resets.
    ///
    /// # Errors
    /// [`Error::Conflict`] where `actor` would disable themselves, or no admin
    /// would be left; [`Error::SignedOut`]; [`Error::NotFound`], also where `actor`
    /// is no admin.
    pub async fn disable_user(&self, actor: impl Into<Actor>, user: UserId) -> Result<(), Error> {
        let actor = actor.into();
        if actor.user == user {
            return Err(Error::Conflict(Conflict::OwnAccount));
        }
        retry_on_contention!(self.try_disable_user(&actor, user))
    }

    async fn try_disable_user(&self, actor: &Actor, user: UserId) -> Result<(), Error> {
        let tx = self.db.begin().await?;
        self.require_another_admin(&tx, user).await?;
        self.db.authorize_admin(&tx, actor).await?;
        let changed =
            execute(&tx, "UPDATE users SET disabled = 1 WHERE id = $1", [user.0.into()]).await?;
        execute(&tx, "DELETE FROM sessions WHERE user_id = $1", [user.0.into()]).await?;
        self.revoke_all_tokens(&tx, user).await?;
        delete_password_resets(&tx, user).await?;
        if changed == 0 {
            return Err(Error::NotFound);
        }
        self.add_account_entry(&tx, actor, user, AuditAction::UserDisabled, None, None).await?;
        commit(tx).await
    }

    /// Enables `user` to sign in again.
    ///
    /// # Errors
    /// [`Error::SignedOut`]; [`Error::NotFound`], also where `actor` is no admin.
    pub async fn enable_user(&self, actor: impl Into<Actor>, user: UserId) -> Result<(), Error> {
        let actor = actor.into();
        retry_on_contention!(self.try_enable_user(&actor, user))
    }

    async fn try_enable_user(&self, actor: &Actor, user: UserId) -> Result<(), Error> {
        let tx = self.db.begin().await?;
        self.db.authorize_admin(&tx, actor).await?;
        let changed =
            execute(&tx, "UPDATE users SET disabled = 0 WHERE id = $1", [user.0.into()]).await?;
        if changed == 0 {
            return Err(Error::NotFound);
        }
        self.add_account_entry(&tx, actor, user, AuditAction::UserEnabled, None, None).await?;
        commit(tx).await
    }

    /// Stores the hash of the new password and ends the other sessions and, with
    /// `revoke_tokens`, the API tokens. Returns the hashes of all that ended. `old`
    /// is the hash that the current password was checked against.
    ///
    /// # Errors
    /// [`Error::SignedOut`], also where the password was changed since it was
    /// checked.
    pub async fn change_password(
        &self,
        actor: impl Into<Actor>,
        old: &str,
        new: &str,
        own_session: &str,
        revoke_tokens: bool,
    ) -> Result<Vec<String>, Error> {
        let actor = actor.into();
        retry_on_contention!(self.try_change_password(&actor, old, new, own_session, revoke_tokens))
    }

    async fn try_change_password(
        &self,
        actor: &Actor,
        old: &str,
        new: &str,
        own_session: &str,
        revoke_tokens: bool,
    ) -> Result<Vec<String>, Error> {
        let user = actor.user;
        let tx = self.db.begin().await?;
        self.db.authorize(&tx, actor).await?;
        let changed = execute(
            &tx,
            "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2",
            [user.0.into(), old.into(), new.into()],
        )
        .await?;
        if changed == 0 {
            return Err(Error::SignedOut);
        }
        let mut ended = session::delete_other_sessions(&tx, user, own_session).await?;
        if revoke_tokens {
            ended.extend(self.revoke_all_tokens(&tx, user).await?);
        }
        delete_password_resets(&tx, user).await?;
        self.add_account_entry(&tx, actor, user, AuditAction::PasswordChanged, None, None).await?;
        commit(tx).await?;
        Ok(ended)
    }

    /// Adds an entry about an account in the transaction of the change.
    async fn add_account_entry<C: ConnectionTrait>(
        &self,
        c: &C,
        actor: &Actor,
        user: UserId,
        action: AuditAction,
        before: Option<Value>,
        after: Option<Value>,
    ) -> Result<(), Error> {
        let found = query_one(c, "SELECT email FROM users WHERE id = $1", [user.0.into()]).await?;
        let email: String = found.ok_or(Error::NotFound)?.get("email")?;
        let entry = NewAuditEntry { before, after, ..NewAuditEntry::new(action, email) };
        self.db.add_audit_entry(c, actor, entry).await
    }

    /// Checks that another enabled admin than `user` exists.
    async fn require_another_admin<C: ConnectionTrait>(
        &self,
        c: &C,
        user: UserId,
    ) -> Result<(), Error> {
        // Locks all admins: of two who disable each other, the second is rejected.
        let admins = query_all(
            c,
            &format!(
                "SELECT id FROM users WHERE role = 'admin' AND disabled = 0 ORDER BY id{}",
                self.db.for_update()
            ),
            [],
        )
        .await?;
        let mut has_other_admin = false;
        for admin in &admins {
            has_other_admin |= admin.get::<Uuid>("id")? != user.0;
        }
        if has_other_admin {
            return Ok(());
        }
        Err(Error::Conflict(Conflict::LastAdmin))
    }
}

pub(super) fn identity_from_row(found: &Row) -> Result<Identity, Error> {
    Ok(Identity { user: found.get("id")?, email: found.get("email")?, role: found.get("role")? })
}

fn user_from_row(found: &Row) -> Result<User, Error> {
    Ok(User {
        id: found.get("id")?,
        email: found.get("email")?,
        role: found.get("role")?,
        disabled: found.get("disabled")?,
        created_at: found.get("created_at")?,
        seen_at: found.get("seen_at")?,
    })
}
