//! Accounts: who may do what.

use super::{
    Error, Store, all, alone, commit, execute, link::void_resets, one, persist, row, session, write,
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
    /// [`Error::Conflict`] where `by` would demote themselves, or nobody would
    /// be left who can manage people.
    pub async fn set_role(&self, by: UserId, person: UserId, role: Role) -> Result<(), Error> {
        persist!(self.try_set_role(by, person, role))
    }

    async fn try_set_role(&self, by: UserId, person: UserId, role: Role) -> Result<(), Error> {
        let tx = self.begin().await?;
        if role != Role::Admin {
            if by == person {
                return Err(Error::Conflict(
                    "You can't take the admin's role from yourself. Ask another admin.".into(),
                ));
            }
            self.keep_an_admin(&tx, person).await?;
        }
        let changed = execute(
            &tx,
            "UPDATE users SET role = $2 WHERE id = $1",
            [person.0.into(), role.as_str().into()],
        )
        .await?;
        commit(tx).await?;
        if changed == 0 { Err(Error::NotFound) } else { Ok(()) }
    }

    /// Locks `person` out: no session, no link to a new password.
    ///
    /// # Errors
    /// [`Error::Conflict`] where `by` would disable themselves, or nobody would
    /// be left who can manage people.
    pub async fn disable(&self, by: UserId, person: UserId) -> Result<(), Error> {
        if by == person {
            return Err(Error::Conflict(
                "You can't disable your own account. Ask another admin.".into(),
            ));
        }
        persist!(self.try_disable(person))
    }

    async fn try_disable(&self, person: UserId) -> Result<(), Error> {
        let tx = self.begin().await?;
        self.keep_an_admin(&tx, person).await?;
        let changed =
            execute(&tx, "UPDATE users SET disabled = 1 WHERE id = $1", [person.0.into()]).await?;
        execute(&tx, "DELETE FROM sessions WHERE user_id = $1", [person.0.into()]).await?;
        void_resets(&tx, person).await?;
        commit(tx).await?;
        if changed == 0 { Err(Error::NotFound) } else { Ok(()) }
    }

    /// Lets `person` sign in again.
    pub async fn enable(&self, person: UserId) -> Result<(), Error> {
        let changed =
            write(&self.writer, "UPDATE users SET disabled = 0 WHERE id = $1", [person.0.into()])
                .await?;
        if changed == 0 { Err(Error::NotFound) } else { Ok(()) }
    }

    /// Keeps the new password's hash and ends the other sessions; returns their
    /// hashes.
    pub async fn change_password(
        &self,
        user: UserId,
        hash: &str,
        own_session: &str,
    ) -> Result<Vec<String>, Error> {
        persist!(self.try_change_password(user, hash, own_session))
    }

    async fn try_change_password(
        &self,
        user: UserId,
        hash: &str,
        own_session: &str,
    ) -> Result<Vec<String>, Error> {
        let tx = self.begin().await?;
        let changed = execute(
            &tx,
            "UPDATE users SET password_hash = $2 WHERE id = $1 AND disabled = 0",
            [user.0.into(), hash.into()],
        )
        .await?;
        if changed == 0 {
            return Err(Error::NotFound);
        }
        let ended = session::end_others(&tx, user, own_session).await?;
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
