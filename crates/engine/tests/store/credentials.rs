//! Credentials that end during a request.

use crate::fixture::{StoreFixture, new_upload_job};
use contract::{
    UserId,
    api::{Resolution, RetryRequest, Role, TokenScope},
};
use engine::store::{Actor, Credential, Error, JobControl, MAX_SESSIONS, Store, TokenTerms};
use sea_orm::{ConnectionTrait, TransactionTrait};

const FAR_FUTURE_MS: i64 = 1_000_000_000_000;
/// Number of rounds of each race.
const ROUNDS: u32 = 30;

fn session(user: UserId, hash: &str) -> Actor {
    Actor { user, credential: Credential::Session(hash.into()) }
}

fn api_token(user: UserId, hash: &str) -> Actor {
    Actor { user, credential: Credential::ApiToken(hash.into()) }
}

async fn open(store: &Store, token: &str, user: UserId, checked: &str) -> Result<(), Error> {
    store.accounts.open_session(token, user, checked, FAR_FUTURE_MS).await.map(|_| ())
}

pub async fn a_session_is_opened_only_for_the_password_that_was_checked(fixture: StoreFixture) {
    let (store, bob) = (&fixture.store, fixture.add_user("bob@example.com", Role::User).await);
    open(store, "first", bob, "hash").await.unwrap();
    store.accounts.change_password(bob, "hash", "new", "first", false).await.unwrap();
    assert!(matches!(open(store, "late", bob, "hash").await, Err(Error::SignedOut)));
    let late = store.accounts.change_password(bob, "hash", "newer", "first", false).await;
    assert!(matches!(late, Err(Error::SignedOut)), "{late:?}");
    open(store, "second", bob, "new").await.unwrap();
    store.accounts.disable_user(fixture.user, bob).await.unwrap();
    assert!(matches!(open(store, "late", bob, "new").await, Err(Error::SignedOut)));
    store.accounts.enable_user(fixture.user, bob).await.unwrap();
    assert!(store.accounts.sessions(bob, "").await.unwrap().is_empty());
}

/// Sign-ins that checked the password before it was changed, or before the account
/// was disabled, and open their sessions meanwhile.
pub async fn no_session_outlives_what_ends_it(fixture: StoreFixture) {
    for round in 0..ROUNDS {
        let email = format!("p{round}@example.com");
        let bob = fixture.add_user(&email, Role::User).await;
        let own = format!("own {round}");
        open(&fixture.store, &own, bob, "hash").await.unwrap();
        let tokens: Vec<_> = (0..4).map(|n| format!("{round} {n}")).collect();
        let sign_ins = tokens.iter().enumerate().map(async |(n, token)| {
            let store = if n % 2 == 0 { &fixture.store } else { &fixture.other_store };
            open(store, token, bob, "hash").await
        });
        let sign_ins = futures_util::future::join_all(sign_ins);
        let ends = async {
            match round % 3 {
                0 => {
                    let change = fixture
                        .other_store
                        .accounts
                        .change_password(bob, "hash", "new", &own, false)
                        .await;
                    change.unwrap();
                }
                1 => {
                    let link = format!("reset {round}");
                    fixture
                        .other_store
                        .accounts
                        .add_password_reset(fixture.user, bob, &link)
                        .await
                        .unwrap();
                    fixture.other_store.accounts.redeem_link(&link, "new").await.unwrap();
                }
                _ => {
                    fixture.other_store.accounts.disable_user(fixture.user, bob).await.unwrap();
                    fixture.other_store.accounts.enable_user(fixture.user, bob).await.unwrap();
                }
            }
        };
        let (opened, ()) = tokio::join!(sign_ins, ends);
        for opened in opened {
            assert!(matches!(opened, Ok(()) | Err(Error::SignedOut)), "{opened:?}");
        }
        let left = fixture.store.accounts.sessions(bob, &own).await.unwrap();
        // A sign-in after the account was enabled again is allowed.
        if round % 3 < 2 {
            let others = left.iter().filter(|session| !session.is_current).count();
            assert_eq!(others, 0, "round {round}: {left:?}");
        }
    }
}

pub async fn the_oldest_session_ends_above_the_maximum(fixture: StoreFixture) {
    let store = &fixture.store;
    for n in 0..MAX_SESSIONS {
        fixture.clock.advance(1_000);
        let ended = store
            .accounts
            .open_session(&n.to_string(), fixture.user, "hash", FAR_FUTURE_MS)
            .await
            .unwrap();
        assert!(ended.is_empty());
    }
    // The first one is used, so the second is the oldest.
    fixture.clock.advance(60_000);
    assert!(store.accounts.authenticate_session("0").await.unwrap().is_some());
    let ended =
        store.accounts.open_session("further", fixture.user, "hash", FAR_FUTURE_MS).await.unwrap();
    assert_eq!(ended, ["1"]);
    let left = store.accounts.sessions(fixture.user, "").await.unwrap();
    assert_eq!(left.len(), usize::try_from(MAX_SESSIONS).unwrap());
    assert!(store.accounts.authenticate_session("further").await.unwrap().is_some());
}

fn assert_signed_out<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(matches!(result, Err(Error::SignedOut)), "{result:?}");
}

async fn assert_everything_is_refused(store: &Store, actor: &Actor, user: UserId) {
    let actor = || actor.clone();
    let job = engine::store::NewJob { actor: actor(), ..new_upload_job(user, 1) };
    assert_signed_out(Box::pin(store.tasks.accept(job)).await);
    assert_signed_out(Box::pin(store.journal.mark_notifications_read(actor(), 10)).await);
    assert_signed_out(
        Box::pin(store.accounts.add_token(actor(), "more", "more", TokenTerms::default())).await,
    );
    assert_signed_out(Box::pin(store.accounts.end_other_sessions(actor(), "")).await);
    assert_signed_out(
        Box::pin(store.accounts.change_password(actor(), "hash", "new", "", true)).await,
    );
    let email = "more@example.com";
    assert_signed_out(
        Box::pin(store.accounts.invite_user(actor(), email, Role::Admin, "more")).await,
    );
    assert_signed_out(Box::pin(store.accounts.add_password_reset(actor(), user, "reset")).await);
    assert_signed_out(Box::pin(store.accounts.set_user_role(actor(), user, Role::Admin)).await);
    assert_signed_out(Box::pin(store.accounts.disable_user(actor(), user)).await);
}

pub async fn a_signed_out_user_cannot_change_anything(fixture: StoreFixture) {
    let (store, ada) = (&fixture.store, fixture.user);
    let bob = fixture.add_user("bob@example.com", Role::User).await;
    let eve = fixture.add_user("eve@example.com", Role::User).await;
    store.accounts.disable_user(ada, eve).await.unwrap();
    store.accounts.invite_user(ada, "new@example.com", Role::User, "invitation").await.unwrap();
    let invitation = store.accounts.invitations().await.unwrap()[0].id;
    let token = store.accounts.add_token(ada, "kept", "kept", TokenTerms::default()).await.unwrap();
    let job = store.tasks.accept(new_upload_job(ada, 1)).await.unwrap().job.id;
    let state = async || {
        let jobs = store.jobs.jobs(ada, None, 10).await.unwrap();
        let head = store.journal.journal_head(ada).await.unwrap();
        let tokens = store.accounts.tokens(ada).await.unwrap();
        let users = store.accounts.users(10).await.unwrap();
        (jobs, head, tokens, users, store.accounts.invitations().await.unwrap())
    };
    open(store, "gone", ada, "hash").await.unwrap();
    open(store, "other", ada, "hash").await.unwrap();
    store.accounts.end_session("gone").await.unwrap();
    let before = Box::pin(state()).await;
    store.accounts.add_token(bob, "of another", "bobs", TokenTerms::default()).await.unwrap();
    for actor in [session(ada, "gone"), session(bob, "other"), api_token(ada, "bobs")] {
        if actor.user == ada {
            for control in [JobControl::Cancel, JobControl::Pause, JobControl::Resume] {
                assert_signed_out(store.tasks.control_job(actor.clone(), job, control).await);
            }
        }
        assert_signed_out(store.accounts.revoke_token(actor.clone(), token.id).await);
        assert_signed_out(store.accounts.revoke_invitation(actor.clone(), invitation).await);
        assert_signed_out(store.accounts.enable_user(actor.clone(), eve).await);
        Box::pin(assert_everything_is_refused(store, &actor, eve)).await;
        assert_eq!(Box::pin(state()).await, before);
    }
    assert!(store.accounts.authenticate_session("other").await.unwrap().is_some());
    store.tasks.control_job(session(ada, "other"), job, JobControl::Cancel).await.unwrap();

    fixture.execute("UPDATE tasks SET state = 'failed'").await;
    fixture.execute("UPDATE jobs SET failed = 1, cancelled = 0").await;
    assert_signed_out(
        store.tasks.retry_tasks(session(ada, "gone"), job, &RetryRequest::default()).await,
    );
    fixture.execute("UPDATE tasks SET state = 'needs_review'").await;
    fixture.execute("UPDATE jobs SET failed = 0, needs_review = 1").await;
    let task = store.jobs.tasks(ada, job, None, 1).await.unwrap()[0].id;
    assert_signed_out(
        store.tasks.resolve_task(session(ada, "gone"), task, Resolution::Succeeded).await,
    );
    store.tasks.resolve_task(session(ada, "other"), task, Resolution::Succeeded).await.unwrap();
}

/// The request waits for the transaction that disables the user, in the transaction
/// that changes something.
pub async fn a_user_disabled_during_a_request_changes_nothing(fixture: StoreFixture) {
    let bob = fixture.add_user("bob@example.com", Role::User).await;
    open(&fixture.store, "bobs", bob, "hash").await.unwrap();
    let raw = fixture.raw_connection().await;
    let disabling = raw.begin().await.unwrap();
    let sql = "UPDATE users SET disabled = 1 WHERE email = 'bob@example.com'";
    disabling.execute_unprepared(sql).await.unwrap();
    let launch = engine::store::NewJob { actor: session(bob, "bobs"), ..new_upload_job(bob, 1) };
    let (launched, ()) = tokio::join!(fixture.other_store.tasks.accept(launch), async {
        fixture.wait_for_blocked_transaction().await;
        disabling.commit().await.unwrap();
    });
    assert_signed_out(launched);
    assert!(fixture.store.jobs.jobs(bob, None, 10).await.unwrap().items.is_empty());

    // No session may end between its check and the commit either.
    open(&fixture.store, "adas", fixture.user, "hash").await.unwrap();
    let signing_out = raw.begin().await.unwrap();
    signing_out.execute_unprepared("DELETE FROM sessions").await.unwrap();
    let request = fixture.other_store.accounts.add_token(
        session(fixture.user, "adas"),
        "late",
        "late",
        TokenTerms::default(),
    );
    let (result, ()) = tokio::join!(request, async {
        fixture.wait_for_blocked_transaction().await;
        signing_out.commit().await.unwrap();
    });
    assert_signed_out(result);
}

pub async fn an_admin_demoted_during_a_request_manages_nobody(fixture: StoreFixture) {
    let bob = fixture.add_user("bob@example.com", Role::Admin).await;
    open(&fixture.store, "bobs", bob, "hash").await.unwrap();
    let raw = fixture.raw_connection().await;
    let demotion = raw.begin().await.unwrap();
    let sql = "UPDATE users SET role = 'user' WHERE email = 'bob@example.com'";
    demotion.execute_unprepared(sql).await.unwrap();
    let invite = fixture.other_store.accounts.invite_user(
        session(bob, "bobs"),
        "eve@example.com",
        Role::Admin,
        "eve",
    );
    let (invited, ()) = tokio::join!(invite, async {
        fixture.wait_for_blocked_transaction().await;
        demotion.commit().await.unwrap();
    });
    assert!(matches!(invited, Err(Error::NotFound)), "{invited:?}");
    let ada = fixture.user;
    let disabled = fixture.store.accounts.disable_user(session(bob, "bobs"), ada).await;
    assert!(matches!(disabled, Err(Error::NotFound | Error::Conflict(_))), "{disabled:?}");
    let promoted =
        fixture.store.accounts.set_user_role(session(bob, "bobs"), bob, Role::Admin).await;
    assert!(matches!(promoted, Err(Error::NotFound)), "{promoted:?}");
    assert!(fixture.store.accounts.invitations().await.unwrap().is_empty());
    assert!(!fixture.store.accounts.user(ada).await.unwrap().disabled);
    assert_eq!(fixture.store.accounts.user(bob).await.unwrap().role, Role::User);
}

pub async fn an_api_token_manages_nobody(fixture: StoreFixture) {
    let bob = fixture.add_user("bob@example.com", Role::User).await;
    fixture
        .store
        .accounts
        .add_token(fixture.user, "nightly", "secret", TokenTerms::default())
        .await
        .unwrap();
    let token = || api_token(fixture.user, "secret");
    let invited =
        fixture.store.accounts.invite_user(token(), "eve@example.com", Role::Admin, "eve").await;
    assert!(matches!(invited, Err(Error::NotFound)), "{invited:?}");
    let disabled = fixture.store.accounts.disable_user(token(), bob).await;
    assert!(matches!(disabled, Err(Error::NotFound)), "{disabled:?}");
    let launch = engine::store::NewJob { actor: token(), ..new_upload_job(fixture.user, 1) };
    fixture.store.tasks.accept(launch).await.unwrap();
}

pub async fn an_api_token_ends_when_it_expires(fixture: StoreFixture) {
    let accounts = &fixture.store.accounts;
    let terms = TokenTerms { scope: TokenScope::Read, expires_in_days: Some(1) };
    let token = accounts.add_token(fixture.user, "for a day", "day", terms).await.unwrap();
    let terms = TokenTerms { scope: TokenScope::Admin, expires_in_days: None };
    accounts.add_token(fixture.user, "for ever", "ever", terms).await.unwrap();
    let day_ms = 24 * 3600 * 1000;
    assert_eq!(token.expires_at, Some(token.created_at + day_ms));
    fixture.clock.advance(day_ms - 1);
    let grant = accounts.authenticate_token("day").await.unwrap().unwrap();
    assert_eq!((grant.id, grant.scope), (token.id, TokenScope::Read));
    let launch = |hash: &str| engine::store::NewJob {
        actor: api_token(fixture.user, hash),
        ..new_upload_job(fixture.user, 1)
    };
    fixture.store.tasks.accept(launch("day")).await.unwrap();

    fixture.clock.advance(1);
    let expired = accounts.authenticate_token("day").await;
    assert!(matches!(expired, Err(Error::TokenExpired)), "{expired:?}");
    assert!(matches!(accounts.token_owner("day").await, Err(Error::TokenExpired)));
    let refused = fixture.store.tasks.accept(launch("day")).await;
    assert!(matches!(refused, Err(Error::SignedOut)), "{refused:?}");
    assert!(accounts.authenticate_token("ever").await.unwrap().is_some());
    assert_eq!(accounts.tokens(fixture.user).await.unwrap().len(), 2);
}

pub async fn api_tokens_are_revoked_by_a_reset_a_disabling_and_optionally_a_password_change(
    fixture: StoreFixture,
) {
    let (store, bob) = (&fixture.store, fixture.add_user("bob@example.com", Role::User).await);
    let make = async |hash: &str| {
        store.accounts.add_token(bob, hash, hash, TokenTerms::default()).await.unwrap()
    };
    let works = async |hash: &str| store.accounts.authenticate_token(hash).await.unwrap().is_some();
    open(store, "own", bob, "hash").await.unwrap();
    make("first").await;
    store.accounts.change_password(bob, "hash", "new", "own", false).await.unwrap();
    assert!(works("first").await);
    let ended = store.accounts.change_password(bob, "new", "newer", "own", true).await.unwrap();
    assert_eq!(ended, ["first"]);
    assert!(!works("first").await);
    make("second").await;
    store.accounts.add_password_reset(fixture.user, bob, "reset").await.unwrap();
    assert!(works("second").await);
    store.accounts.redeem_link("reset", "newest").await.unwrap();
    assert!(!works("second").await);
    make("third").await;
    store.accounts.disable_user(fixture.user, bob).await.unwrap();
    store.accounts.enable_user(fixture.user, bob).await.unwrap();
    assert!(!works("third").await);
    assert!(store.accounts.tokens(bob).await.unwrap().is_empty());
}
