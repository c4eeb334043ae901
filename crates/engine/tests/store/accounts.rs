//! Accounts, when two act at once.

use crate::world::World;
use contract::api::Role;
use engine::store::Error;
use sea_orm::{ConnectionTrait, TransactionTrait};

const LONG: i64 = 1_000_000_000_000;

pub async fn of_two_first_accounts_one_is_made(world: World) {
    for _ in 0..20 {
        world.execute("DELETE FROM users").await;
        let (a, b) = tokio::join!(
            world.store.add_first_account("ada@example.com", "hash"),
            world.other.add_first_account("bob@example.com", "hash")
        );
        let late = if a.is_ok() { b } else { a };
        assert!(matches!(late, Err(Error::Conflict(_))), "{late:?}");
        assert_eq!(world.store.users(10).await.unwrap().len(), 1);
    }
}

/// Whoever disables an account waits for one that has a session of it and
/// waits for the account: PostgreSQL ends one of them.
pub async fn whoever_is_locked_out_while_they_act_is_out(world: World) {
    let bob = world.join("bob@example.com", Role::User).await;
    world.store.add_session("laptop", bob, LONG).await.unwrap();
    let raw = world.raw().await;
    let act = raw.begin().await.unwrap();
    act.execute_unprepared("UPDATE sessions SET seen_at = 1").await.unwrap();
    let (disabled, ()) = tokio::join!(world.other.disable(world.user, bob), async {
        world.until_one_waits().await;
        let sql = "UPDATE users SET seen_at = 1 WHERE email = 'bob@example.com'";
        act.execute_unprepared(sql).await.unwrap();
        act.commit().await.unwrap();
    });
    disabled.unwrap();
    assert_eq!(world.store.session("laptop").await.unwrap(), None);
    assert!(world.store.user(bob).await.unwrap().disabled);
}

pub async fn when_a_session_was_seen_is_kept_in_the_order_that_ends_it(world: World) {
    if world.store.has_one_process() {
        // A file has one writer, and no order of rows.
        return;
    }
    world.store.add_session("laptop", world.user, LONG).await.unwrap();
    let raw = world.raw().await;
    let ends = raw.begin().await.unwrap();
    ends.execute_unprepared("UPDATE users SET disabled = 0").await.unwrap();
    let (seen, ()) = tokio::join!(world.other.session("laptop"), async {
        world.until_one_waits().await;
        // Who waits for the user has not locked the session.
        ends.execute_unprepared("SELECT 1 FROM sessions FOR UPDATE NOWAIT").await.unwrap();
        ends.commit().await.unwrap();
    });
    assert!(seen.unwrap().is_some());
    assert_ne!(world.store.sessions(world.user, "laptop").await.unwrap()[0].seen_at, 0);
}
