//! Accounts: who may do what.

use super::{
    Actor, Error, Store, all, alone, commit, execute, link::void_resets, one, persist, row, session,
};
use contract::{
    UserId,
    api::{Role, User},
    text,
};
use sea_orm::{ConnectionTrait, QueryResult};
use uuid::Uuid;

/// Any number that no other user of the database takes.
const FIRST_ACCOUNT_LOCK: i64 = 0x6d65_616e_6669_7273;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub user: UserId,
    pub email: String,
    pub role: Role,
}

/// An account with what is needed to check a password.
#[derive(Clone, Debug)]
pub struct Account {
    pub identity: Identity,
    pub password_hash: Option<String>,
    pub disabled: bool,
}

impl Store {
    /// Whether any account exists; before, the first visitor makes one.
    pub async fn has_accounts(&self) -> Result<bool, Error> {
        Ok(one(&self.reader, "SELECT 1 AS one FROM users LIMIT 1", []).await?.is_some())
    }

    /// Makes the first account, an admin's.
    ///
    /// # Errors
    /// [`Error::Conflict`] where there is an account already.
    pub async fn add_first_account(&self, email: &str, hash: &str) -> Result<Identity, Error> {
        text::EMAIL.check(email)?;
        let id = Uuid::now_v7();
        let tx = self.begin().await?;
        // Of two first visitors one waits here, and then sees the other's
        // account. SQLite's one writer needs no such word.
        if !self.is_sqlite() {
            alone(&tx, FIRST_ACCOUNT_LOCK).await?;
        }
        let made = execute(
            &tx,
            "INSERT INTO users (id, email, role, password_hash, created_at) \
             SELECT $1, $2, 'admin', $3, $4 WHERE NOT EXISTS (SELECT 1 FROM users)",
            [id.into(), email.into(), hash.into(), self.now_ms().into()],
        )
        .await?;
        if made == 0 {
            return Err(Error::Conflict("There is an account already: sign in.".into()));
        }
        commit(tx).await?;
        Ok(Identity { user: UserId(id), email: email.into(), role: Role::Admin })
    }

    /// The account of an address.
    pub async fn account(&self, email: &str) -> Result<Option<Account>, Error> {
        text::EMAIL.check(email)?;
        let found = one(
            &self.reader,
            "SELECT id, email, role, password_hash, disabled FROM users WHERE email = $1",
            [email.into()],
        )
        .await?;
        found
            .map(|found| {
                Ok(Account {
                    identity: identity(&found)?,
                    password_hash: found.try_get("", "password_hash")?,
                    disabled: row::flag(&found, "disabled")?,
                })
            })
            .transpose()
    }

    /// Accounts in the order of their addresses, at most `limit`.
    pub async fn users(&self, limit: i64) -> Result<Vec<User>, Error> {
        let found = all(
            &self.reader,
            "SELECT id, email, role, disabled, created_at, seen_at FROM users \
             ORDER BY email LIMIT $1",
            [limit.into()],
        )
        .await?;
        found.iter().map(user).collect()
    }

    /// One account.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn user(&self, id: UserId) -> Result<User, Error> {
        let found = one(
            &self.reader,
            "SELECT id, email, role, disabled, created_at, seen_at FROM users WHERE id = $1",
            [id.0.into()],
        )
        .await?;
        user(&found.ok_or(Error::NotFound)?)
    }

    /// Gives `person` a role.
    ///
    /// # Errors
    /// [`Error::Conflict`] where `actor` would demote themselves, or nobody
    /// would be left who can manage people; [`Error::SignedOut`];
    /// [`Error::NotFound`], also where `actor` is no admin.
    pub async fn set_role(
        &self,
        actor: impl Into<Actor>,
        person: UserId,
        role: Role,
    ) -> Result<(), Error> {
        let actor = actor.into();
        persist!(self.try_set_role(&actor, person, role))
    }

    async fn try_set_role(&self, actor: &Actor, person: UserId, role: Role) -> Result<(), Error> {
        let tx = self.begin().await?;
        if role != Role::Admin {
            if actor.user == person {
                return Err(Error::Conflict(
                    "You can't take the admin's role from yourself. Ask another admin.".into(),
                ));
            }
            self.keep_an_admin(&tx, person).await?;
        }
        // Before the change, which could be one of the actor's own role.
        self.authorize_admin(&tx, actor).await?;
        let changed = execute(
            &tx,
            "UPDATE users SET role = $2 WHERE id = $1",
            [person.0.into(), role.as_str().into()],
        )
        .await?;
        commit(tx).await?;
        if changed == 0 { Err(Error::NotFound) } else { Ok(()) }
    }

    /// Locks `person` out: no session, no API token, no link to a new password.
    ///
    /// # Errors
    /// [`Error::Conflict`] where `actor` would disable themselves, or nobody
    /// would be left who can manage people; [`Error::SignedOut`];
    /// [`Error::NotFound`], also where `actor` is no admin.
    pub async fn disable(&self, actor: impl Into<Actor>, person: UserId) -> Result<(), Error> {
        let actor = actor.into();
        if actor.user == person {
            return Err(Error::Conflict(
                "You can't disable your own account. Ask another admin.".into(),
            ));
        }
        persist!(self.try_disable(&actor, person))
    }

    async fn try_disable(&self, actor: &Actor, person: UserId) -> Result<(), Error> {
        let tx = self.begin().await?;
        self.keep_an_admin(&tx, person).await?;
        self.authorize_admin(&tx, actor).await?;
        let changed =
            execute(&tx, "UPDATE users SET disabled = 1 WHERE id = $1", [person.0.into()]).await?;
        execute(&tx, "DELETE FROM sessions WHERE user_id = $1", [person.0.into()]).await?;
        self.revoke_all_tokens(&tx, person).await?;
        void_resets(&tx, person).await?;
        commit(tx).await?;
        if changed == 0 { Err(Error::NotFound) } else { Ok(()) }
    }

    /// Lets `person` sign in again.
    ///
    /// # Errors
    /// [`Error::SignedOut`]; [`Error::NotFound`], also where `actor` is no
    /// admin.
    pub async fn enable(&self, actor: impl Into<Actor>, person: UserId) -> Result<(), Error> {
        let actor = actor.into();
        persist!(self.try_enable(&actor, person))
    }

    async fn try_enable(&self, actor: &Actor, person: UserId) -> Result<(), Error> {
        let tx = self.begin().await?;
        self.authorize_admin(&tx, actor).await?;
        let changed =
            execute(&tx, "UPDATE users SET disabled = 0 WHERE id = $1", [person.0.into()]).await?;
        commit(tx).await?;
        if changed == 0 { Err(Error::NotFound) } else { Ok(()) }
    }

    /// Stores the hash of the new password and ends the other sessions, and
    /// with `revoke_tokens` the API tokens; returns the hashes of all that
    /// ended. `old` is the hash that the current password was checked against.
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
        persist!(self.try_change_password(&actor, old, new, own_session, revoke_tokens))
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
        let tx = self.begin().await?;
        self.authorize(&tx, actor).await?;
        let changed = execute(
            &tx,
            "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2",
            [user.0.into(), old.into(), new.into()],
        )
        .await?;
        if changed == 0 {
            return Err(Error::SignedOut);
        }
        let mut ended = session::end_others(&tx, user, own_session).await?;
        if revoke_tokens {
            ended.extend(self.revoke_all_tokens(&tx, user).await?);
        }
        void_resets(&tx, user).await?;
        commit(tx).await?;
        Ok(ended)
    }

    /// Somebody else than `person` has to be an admin who can sign in.
    async fn keep_an_admin<C: ConnectionTrait>(&self, c: &C, person: UserId) -> Result<(), Error> {
        // All admins are locked: of two who disable each other, one comes late.
        let admins = all(
            c,
            &format!(
                "SELECT id FROM users WHERE role = 'admin' AND disabled = 0 ORDER BY id{}",
                self.for_update()
            ),
            [],
        )
        .await?;
        let mut others = false;
        for admin in &admins {
            others |= admin.try_get::<Uuid>("", "id")? != person.0;
        }
        if others {
            return Ok(());
        }
        Err(Error::Conflict("This is the last admin. Make somebody else an admin first.".into()))
    }
}

pub(super) fn identity(found: &QueryResult) -> Result<Identity, Error> {
    Ok(Identity {
        user: UserId(found.try_get("", "id")?),
        email: found.try_get("", "email")?,
        role: row::word(found, "role")?,
    })
}

fn user(found: &QueryResult) -> Result<User, Error> {
    Ok(User {
        id: UserId(found.try_get("", "id")?),
        email: found.try_get("", "email")?,
        role: row::word(found, "role")?,
        disabled: row::flag(found, "disabled")?,
        created_at: found.try_get("", "created_at")?,
        seen_at: found.try_get("", "seen_at")?,
    })
}
