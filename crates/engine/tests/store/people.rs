//! Accounts, sessions and one-time links.

use crate::world::{START, World};
use contract::{UserId, api::Role};
use engine::store::{Error, INVITATION_LIFE_MS, Purpose, RESET_LIFE_MS};

impl World {
    async fn sign_in(&self, user: UserId, token: &str) {
        let expires_at = self.store.now_ms() + 1_000_000_000_000;
        self.store.add_session(token, user, expires_at).await.unwrap();
    }

    async fn is_signed_in(&self, token: &str) -> bool {
        self.store.session(token).await.unwrap().is_some()
    }

    async fn password(&self, email: &str) -> String {
        self.store.account(email).await.unwrap().unwrap().password_hash.unwrap()
    }
}

fn words<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Conflict(words)) => words,
        other => panic!("{other:?}"),
    }
}

pub async fn an_invitation_makes_one_account_with_its_role(world: World) {
    let store = &world.store;
    store.invite(world.user, "bob@example.com", Role::Admin, "token").await.unwrap();
    let pending = store.invitations().await.unwrap();
    assert_eq!((pending[0].email.as_str(), pending[0].role), ("bob@example.com", Role::Admin));
    assert_eq!(pending[0].expires_at, START + 7 * 24 * 3600 * 1000);
    assert_eq!(store.link("token").await.unwrap().email, "bob@example.com");

    let (_, bob) = store.redeem("token", "secret").await.unwrap();
    assert_eq!(store.user(bob).await.unwrap().role, Role::Admin);
    assert_eq!(world.password("bob@example.com").await, "secret");
    assert!(store.invitations().await.unwrap().is_empty());
    assert!(words(store.link("token").await).contains("used already"));
    assert!(words(store.redeem("token", "another").await).contains("used already"));
    assert_eq!(world.password("bob@example.com").await, "secret");
    assert!(
        words(store.invite(world.user, "bob@example.com", Role::User, "t").await)
            .contains("has an account")
    );
}

pub async fn an_invitation_ends_by_time_by_revocation_and_by_the_next_one(world: World) {
    let store = &world.store;
    store.invite(world.user, "bob@example.com", Role::User, "first").await.unwrap();
    store.invite(world.user, "bob@example.com", Role::User, "second").await.unwrap();
    assert!(matches!(store.link("first").await, Err(Error::NotFound)));
    store.link("second").await.unwrap();

    world.clock.advance(INVITATION_LIFE_MS - 1);
    store.link("second").await.unwrap();
    world.clock.advance(1);
    assert!(words(store.link("second").await).contains("too old"));
    assert!(words(store.redeem("second", "hash").await).contains("too old"));
    assert!(store.invitations().await.unwrap().is_empty());

    store.invite(world.user, "bob@example.com", Role::User, "third").await.unwrap();
    let id = store.invitations().await.unwrap()[0].id;
    store.revoke(world.user, id).await.unwrap();
    assert!(matches!(store.redeem("third", "hash").await, Err(Error::NotFound)));
    assert!(words(store.revoke(world.user, id).await).contains("meanwhile"));
    assert!(store.account("bob@example.com").await.unwrap().is_none());
}

pub async fn two_invitations_of_one_address_cannot_make_two_accounts(world: World) {
    world.store.invite(world.user, "bob@example.com", Role::User, "token").await.unwrap();
    let (a, b) =
        tokio::join!(world.store.redeem("token", "first"), world.other.redeem("token", "second"));
    assert_eq!(u8::from(a.is_ok()) + u8::from(b.is_ok()), 1);
    assert_eq!(world.store.users(10).await.unwrap().len(), 2);
}

pub async fn who_is_disabled_is_out_at_once_and_in_again_when_enabled(world: World) {
    let store = &world.store;
    let bob = world.join("bob@example.com", Role::User).await;
    world.sign_in(bob, "laptop").await;
    store.add_reset(world.user, bob, "reset").await.unwrap();

    store.disable(world.user, bob).await.unwrap();
    assert!(!world.is_signed_in("laptop").await);
    assert!(matches!(store.redeem("reset", "new").await, Err(Error::NotFound)));
    assert!(words(store.add_reset(world.user, bob, "another").await).contains("disabled"));
    world.sign_in(bob, "late").await;
    assert!(!world.is_signed_in("late").await, "a session that came in late is none");

    store.enable(world.user, bob).await.unwrap();
    assert!(!world.is_signed_in("laptop").await, "the old sessions stay ended");
    world.sign_in(bob, "again").await;
    assert!(world.is_signed_in("again").await);
}

pub async fn nobody_removes_themselves_or_the_last_admin(world: World) {
    let store = &world.store;
    let bob = world.join("bob@example.com", Role::Admin).await;
    assert!(words(store.disable(world.user, world.user).await).contains("your own"));
    assert!(words(store.set_role(world.user, world.user, Role::User).await).contains("yourself"));

    // Both admins act at once: one comes late.
    let (a, b) = tokio::join!(store.disable(world.user, bob), world.other.disable(bob, world.user));
    let refused = if a.is_ok() { b } else { a };
    assert!(words(refused).contains("last admin"));
    let left = store.users(10).await.unwrap();
    assert_eq!(left.iter().filter(|user| !user.disabled).count(), 1);
}

pub async fn a_demoted_admin_is_a_user_and_a_disabled_one_counts_for_nothing(world: World) {
    let store = &world.store;
    let bob = world.join("bob@example.com", Role::Admin).await;
    let eve = world.join("eve@example.com", Role::Admin).await;
    store.set_role(world.user, bob, Role::User).await.unwrap();
    assert_eq!(store.user(bob).await.unwrap().role, Role::User);
    store.disable(world.user, eve).await.unwrap();
    assert!(words(store.set_role(eve, world.user, Role::User).await).contains("last admin"));
    let nobody = UserId(uuid::Uuid::now_v7());
    assert!(matches!(store.set_role(world.user, nobody, Role::Admin).await, Err(Error::NotFound)));
}

pub async fn a_reset_ends_the_sessions_when_it_is_used_and_not_before(world: World) {
    let store = &world.store;
    let bob = world.join("bob@example.com", Role::User).await;
    world.sign_in(bob, "laptop").await;
    world.sign_in(world.user, "adas").await;
    store.add_reset(world.user, bob, "first").await.unwrap();
    store.add_reset(world.user, bob, "second").await.unwrap();
    assert!(matches!(store.link("first").await, Err(Error::NotFound)));
    assert!(store.invitations().await.unwrap().is_empty());
    assert!(world.is_signed_in("laptop").await);
    assert_eq!(world.password("bob@example.com").await, "hash");

    assert_eq!(store.redeem("second", "new").await.unwrap(), (Purpose::Reset, bob));
    assert!(!world.is_signed_in("laptop").await);
    assert!(world.is_signed_in("adas").await);
    assert_eq!(world.password("bob@example.com").await, "new");
    assert!(words(store.redeem("second", "newer").await).contains("used already"));

    store.add_reset(world.user, bob, "third").await.unwrap();
    world.clock.advance(RESET_LIFE_MS);
    assert!(words(store.redeem("third", "newer").await).contains("too old"));
}

pub async fn a_new_password_ends_the_other_sessions_and_links_to_another(world: World) {
    let store = &world.store;
    for token in ["laptop", "phone", "desk"] {
        world.sign_in(world.user, token).await;
    }
    store.add_reset(world.user, world.user, "reset").await.unwrap();
    let mut ended = store.change_password(world.user, "hash", "new", "desk", false).await.unwrap();
    ended.sort();
    assert_eq!(ended, ["laptop", "phone"]);
    assert!(world.is_signed_in("desk").await);
    assert!(matches!(store.link("reset").await, Err(Error::NotFound)));
    assert_eq!(world.password("ada@example.com").await, "new");
}

pub async fn when_a_session_was_last_seen_is_kept_to_the_minute(world: World) {
    let store = &world.store;
    assert_eq!(store.user(world.user).await.unwrap().seen_at, None);
    world.sign_in(world.user, "laptop").await;
    let seen = async || store.sessions(world.user, "laptop").await.unwrap()[0].seen_at;
    for (advance, kept) in [(0, 0), (59_999, 0), (1, 60_000), (120_000, 180_000)] {
        world.clock.advance(advance);
        assert!(world.is_signed_in("laptop").await);
        assert_eq!(seen().await, START + kept, "after {advance} ms more");
        assert_eq!(store.user(world.user).await.unwrap().seen_at, Some(START + kept));
    }
    world.sign_in(world.user, "phone").await;
    let sessions = store.sessions(world.user, "phone").await.unwrap();
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions.iter().filter(|session| session.own).count(), 1);
    assert_eq!(store.end_other_sessions(world.user, "phone").await.unwrap(), ["laptop"]);
    assert!(!world.is_signed_in("laptop").await);
}
