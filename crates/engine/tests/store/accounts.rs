//! Accounts, when two transactions change them at once.

use crate::fixture::StoreFixture;
use contract::api::Role;
use engine::store::Error;
use sea_orm::{ConnectionTrait, TransactionTrait};

const FAR_FUTURE_MS: i64 = 1_000_000_000_000;

pub async fn concurrent_first_sign_ups_create_one_user(fixture: StoreFixture) {
    for _ in 0..20 {
        fixture.execute("DELETE FROM users").await;
        let (a, b) = tokio::join!(
            fixture.store.accounts.add_first_user("ada@example.com", "hash"),
            fixture.other_store.accounts.add_first_user("bob@example.com", "hash")
        );
        let late = if a.is_ok() { b } else { a };
        assert!(matches!(late, Err(Error::Conflict(_))), "{late:?}");
        assert_eq!(fixture.store.accounts.users(10).await.unwrap().len(), 1);
    }
}

/// The transaction that disables the user waits for one that has locked a session
/// and waits for the user: PostgreSQL aborts one of them.
pub async fn a_user_disabled_during_a_request_is_signed_out(fixture: StoreFixture) {
    let bob = fixture.add_user("bob@example.com", Role::User).await;
    fixture.store.accounts.add_session("laptop", bob, FAR_FUTURE_MS).await.unwrap();
    let raw = fixture.raw_connection().await;
    let act = raw.begin().await.unwrap();
    act.execute_unprepared("UPDATE sessions SET seen_at = 1").await.unwrap();
    let (disabled, ()) =
        tokio::join!(fixture.other_store.accounts.disable_user(fixture.user, bob), async {
            fixture.wait_for_blocked_transaction().await;
            let sql = "UPDATE users SET seen_at = 1 WHERE email = 'bob@example.com'";
            act.execute_unprepared(sql).await.unwrap();
            act.commit().await.unwrap();
        });
    disabled.unwrap();
    assert_eq!(fixture.store.accounts.authenticate_session("laptop").await.unwrap(), None);
    assert!(fixture.store.accounts.user(bob).await.unwrap().disabled);
}

pub async fn updating_seen_at_locks_the_user_before_the_session(fixture: StoreFixture) {
    if fixture.store.database.is_single_process() {
        // SQLite has one writer, and no locks of rows.
        return;
    }
    fixture.store.accounts.add_session("laptop", fixture.user, FAR_FUTURE_MS).await.unwrap();
    let raw = fixture.raw_connection().await;
    let ending = raw.begin().await.unwrap();
    ending.execute_unprepared("UPDATE users SET disabled = 0").await.unwrap();
    let (seen, ()) =
        tokio::join!(fixture.other_store.accounts.authenticate_session("laptop"), async {
            fixture.wait_for_blocked_transaction().await;
            // A transaction that waits for the user has not locked the session.
            ending.execute_unprepared("SELECT 1 FROM sessions FOR UPDATE NOWAIT").await.unwrap();
            ending.commit().await.unwrap();
        });
    assert!(seen.unwrap().is_some());
    assert_ne!(
        fixture.store.accounts.sessions(fixture.user, "laptop").await.unwrap()[0].seen_at,
        0
    );
}
