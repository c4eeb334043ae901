//! Accounts, sessions and one-time links.

use crate::fixture::{START, StoreFixture};
use contract::{UserId, api::Role};
use engine::{
    clock::whole_millis,
    store::{Conflict, Error, INVITATION_LIFETIME, LinkPurpose, PASSWORD_RESET_LIFETIME},
};

impl StoreFixture {
    async fn sign_in(&self, user: UserId, token: &str) {
        let expires_at = self.store.database.now_ms() + 1_000_000_000_000;
        self.store.accounts.add_session(token, user, expires_at).await.unwrap();
    }

    async fn is_signed_in(&self, token: &str) -> bool {
        self.store.accounts.authenticate_session(token).await.unwrap().is_some()
    }

    async fn password(&self, email: &str) -> String {
        self.store
            .accounts
            .user_account_by_email(email)
            .await
            .unwrap()
            .unwrap()
            .password_hash
            .unwrap()
    }
}

fn conflict<T: std::fmt::Debug>(result: Result<T, Error>) -> Conflict {
    match result {
        Err(Error::Conflict(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

pub async fn an_invitation_makes_one_account_with_its_role(fixture: StoreFixture) {
    let store = &fixture.store;
    store
        .accounts
        .invite_user(fixture.user, "bob@example.com", Role::Admin, "token")
        .await
        .unwrap();
    let pending = store.accounts.invitations().await.unwrap();
    assert_eq!((pending[0].email.as_str(), pending[0].role), ("bob@example.com", Role::Admin));
    assert_eq!(pending[0].expires_at, START + 7 * 24 * 3600 * 1000);
    assert_eq!(store.accounts.usable_link("token").await.unwrap().email, "bob@example.com");

    let (_, bob) = store.accounts.redeem_link("token", "secret").await.unwrap();
    assert_eq!(store.accounts.user(bob).await.unwrap().role, Role::Admin);
    assert_eq!(fixture.password("bob@example.com").await, "secret");
    assert!(store.accounts.invitations().await.unwrap().is_empty());
    assert_eq!(conflict(store.accounts.usable_link("token").await), Conflict::LinkUsed);
    assert_eq!(conflict(store.accounts.redeem_link("token", "another").await), Conflict::LinkUsed);
    assert_eq!(fixture.password("bob@example.com").await, "secret");
    assert_eq!(
        conflict(
            store.accounts.invite_user(fixture.user, "bob@example.com", Role::User, "t").await
        ),
        Conflict::InvitedAddressHasAccount { email: "bob@example.com".into() }
    );
}

pub async fn an_invitation_ends_by_time_by_revocation_and_by_the_next_one(fixture: StoreFixture) {
    let store = &fixture.store;
    store.accounts.invite_user(fixture.user, "bob@example.com", Role::User, "first").await.unwrap();
    store
        .accounts
        .invite_user(fixture.user, "bob@example.com", Role::User, "second")
        .await
        .unwrap();
    assert!(matches!(store.accounts.usable_link("first").await, Err(Error::NotFound)));
    store.accounts.usable_link("second").await.unwrap();

    fixture.clock.advance(whole_millis(INVITATION_LIFETIME) - 1);
    store.accounts.usable_link("second").await.unwrap();
    fixture.clock.advance(1);
    assert_eq!(conflict(store.accounts.usable_link("second").await), Conflict::LinkExpired);
    assert_eq!(conflict(store.accounts.redeem_link("second", "hash").await), Conflict::LinkExpired);
    assert!(store.accounts.invitations().await.unwrap().is_empty());

    store.accounts.invite_user(fixture.user, "bob@example.com", Role::User, "third").await.unwrap();
    let id = store.accounts.invitations().await.unwrap()[0].id;
    store.accounts.revoke_invitation(fixture.user, id).await.unwrap();
    assert!(matches!(store.accounts.redeem_link("third", "hash").await, Err(Error::NotFound)));
    assert_eq!(
        conflict(store.accounts.revoke_invitation(fixture.user, id).await),
        Conflict::InvitationGone
    );
    assert!(store.accounts.user_account_by_email("bob@example.com").await.unwrap().is_none());
}

pub async fn two_invitations_of_one_address_cannot_make_two_accounts(fixture: StoreFixture) {
    fixture
        .store
        .accounts
        .invite_user(fixture.user, "bob@example.com", Role::User, "token")
        .await
        .unwrap();
    let (a, b) = tokio::join!(
        fixture.store.accounts.redeem_link("token", "first"),
        fixture.other_store.accounts.redeem_link("token", "second")
    );
    assert_eq!(u8::from(a.is_ok()) + u8::from(b.is_ok()), 1);
    assert_eq!(fixture.store.accounts.users(10).await.unwrap().len(), 2);
}

pub async fn a_disabled_user_is_signed_out_at_once_and_can_sign_in_when_enabled(
    fixture: StoreFixture,
) {
    let store = &fixture.store;
    let bob = fixture.add_user("bob@example.com", Role::User).await;
    fixture.sign_in(bob, "laptop").await;
    store.accounts.add_password_reset(fixture.user, bob, "reset").await.unwrap();

    store.accounts.disable_user(fixture.user, bob).await.unwrap();
    assert!(!fixture.is_signed_in("laptop").await);
    assert!(matches!(store.accounts.redeem_link("reset", "new").await, Err(Error::NotFound)));
    assert_eq!(
        conflict(store.accounts.add_password_reset(fixture.user, bob, "another").await),
        Conflict::AccountDisabled
    );
    fixture.sign_in(bob, "late").await;
    assert!(!fixture.is_signed_in("late").await, "a late session is not valid");

    store.accounts.enable_user(fixture.user, bob).await.unwrap();
    assert!(!fixture.is_signed_in("laptop").await, "the old sessions stay ended");
    fixture.sign_in(bob, "again").await;
    assert!(fixture.is_signed_in("again").await);
}

pub async fn nobody_removes_themselves_or_the_last_admin(fixture: StoreFixture) {
    let store = &fixture.store;
    let bob = fixture.add_user("bob@example.com", Role::Admin).await;
    assert_eq!(
        conflict(store.accounts.disable_user(fixture.user, fixture.user).await),
        Conflict::OwnAccount
    );
    assert_eq!(
        conflict(store.accounts.set_user_role(fixture.user, fixture.user, Role::User).await),
        Conflict::OwnRole
    );

    // Both admins act at once, and the second is rejected.
    let (a, b) = tokio::join!(
        store.accounts.disable_user(fixture.user, bob),
        fixture.other_store.accounts.disable_user(bob, fixture.user)
    );
    let refused = if a.is_ok() { b } else { a };
    assert_eq!(conflict(refused), Conflict::LastAdmin);
    let left = store.accounts.users(10).await.unwrap();
    assert_eq!(left.iter().filter(|user| !user.disabled).count(), 1);
}

pub async fn demoted_and_disabled_admins_do_not_count_as_admins(fixture: StoreFixture) {
    let store = &fixture.store;
    let bob = fixture.add_user("bob@example.com", Role::Admin).await;
    let eve = fixture.add_user("eve@example.com", Role::Admin).await;
    store.accounts.set_user_role(fixture.user, bob, Role::User).await.unwrap();
    assert_eq!(store.accounts.user(bob).await.unwrap().role, Role::User);
    store.accounts.disable_user(fixture.user, eve).await.unwrap();
    assert_eq!(
        conflict(store.accounts.set_user_role(eve, fixture.user, Role::User).await),
        Conflict::LastAdmin
    );
    let nobody = UserId(uuid::Uuid::now_v7());
    assert!(matches!(
        store.accounts.set_user_role(fixture.user, nobody, Role::Admin).await,
        Err(Error::NotFound)
    ));
}

pub async fn a_password_reset_ends_sessions_only_when_it_is_redeemed(fixture: StoreFixture) {
    let store = &fixture.store;
    let bob = fixture.add_user("bob@example.com", Role::User).await;
    fixture.sign_in(bob, "laptop").await;
    fixture.sign_in(fixture.user, "adas").await;
    store.accounts.add_password_reset(fixture.user, bob, "first").await.unwrap();
    store.accounts.add_password_reset(fixture.user, bob, "second").await.unwrap();
    assert!(matches!(store.accounts.usable_link("first").await, Err(Error::NotFound)));
    assert!(store.accounts.invitations().await.unwrap().is_empty());
    assert!(fixture.is_signed_in("laptop").await);
    assert_eq!(fixture.password("bob@example.com").await, "hash");

    assert_eq!(
        store.accounts.redeem_link("second", "new").await.unwrap(),
        (LinkPurpose::PasswordReset, bob)
    );
    assert!(!fixture.is_signed_in("laptop").await);
    assert!(fixture.is_signed_in("adas").await);
    assert_eq!(fixture.password("bob@example.com").await, "new");
    assert_eq!(conflict(store.accounts.redeem_link("second", "newer").await), Conflict::LinkUsed);

    store.accounts.add_password_reset(fixture.user, bob, "third").await.unwrap();
    fixture.clock.advance(whole_millis(PASSWORD_RESET_LIFETIME));
    assert_eq!(conflict(store.accounts.redeem_link("third", "newer").await), Conflict::LinkExpired);
}

pub async fn a_password_change_ends_other_sessions_and_pending_resets(fixture: StoreFixture) {
    let store = &fixture.store;
    for token in ["laptop", "phone", "desk"] {
        fixture.sign_in(fixture.user, token).await;
    }
    store.accounts.add_password_reset(fixture.user, fixture.user, "reset").await.unwrap();
    let mut ended =
        store.accounts.change_password(fixture.user, "hash", "new", "desk", false).await.unwrap();
    ended.sort();
    assert_eq!(ended, ["laptop", "phone"]);
    assert!(fixture.is_signed_in("desk").await);
    assert!(matches!(store.accounts.usable_link("reset").await, Err(Error::NotFound)));
    assert_eq!(fixture.password("ada@example.com").await, "new");
}

pub async fn seen_at_is_updated_at_most_once_a_minute(fixture: StoreFixture) {
    let store = &fixture.store;
    assert_eq!(store.accounts.user(fixture.user).await.unwrap().seen_at, None);
    fixture.sign_in(fixture.user, "laptop").await;
    let seen = async || store.accounts.sessions(fixture.user, "laptop").await.unwrap()[0].seen_at;
    for (advance, stored) in [(0, 0), (59_999, 0), (1, 60_000), (120_000, 180_000)] {
        fixture.clock.advance(advance);
        assert!(fixture.is_signed_in("laptop").await);
        assert_eq!(seen().await, START + stored, "after {advance} ms more");
        assert_eq!(store.accounts.user(fixture.user).await.unwrap().seen_at, Some(START + stored));
    }
    fixture.sign_in(fixture.user, "phone").await;
    let sessions = store.accounts.sessions(fixture.user, "phone").await.unwrap();
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions.iter().filter(|session| session.is_current).count(), 1);
    assert_eq!(store.accounts.end_other_sessions(fixture.user, "phone").await.unwrap(), ["laptop"]);
    assert!(!fixture.is_signed_in("laptop").await);
}
