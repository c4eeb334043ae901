//! Credentials that end while somebody acts with them.

use crate::world::{World, upload};
use contract::{
    UserId,
    api::{ResolveAs, RetryWhich, Role},
};
use engine::store::{Actor, Control, Credential, Error, MAX_SESSIONS, Store};
use sea_orm::{ConnectionTrait, TransactionTrait};

const LONG: i64 = 1_000_000_000_000;
/// Each race is run so often.
const ROUNDS: u32 = 30;

fn session(user: UserId, hash: &str) -> Actor {
    Actor { user, credential: Credential::Session(hash.into()) }
}

fn api_token(user: UserId, hash: &str) -> Actor {
    Actor { user, credential: Credential::ApiToken(hash.into()) }
}

async fn open(store: &Store, token: &str, user: UserId, checked: &str) -> Result<(), Error> {
    store.open_session(token, user, checked, LONG).await.map(|_| ())
}

pub async fn a_session_is_opened_for_the_password_that_was_checked_alone(world: World) {
    let (store, bob) = (&world.store, world.join("bob@example.com", Role::User).await);
    open(store, "first", bob, "hash").await.unwrap();
    store.change_password(bob, "hash", "new", "first", false).await.unwrap();
    assert!(matches!(open(store, "late", bob, "hash").await, Err(Error::SignedOut)));
    let late = store.change_password(bob, "hash", "newer", "first", false).await;
    assert!(matches!(late, Err(Error::SignedOut)), "{late:?}");
    open(store, "second", bob, "new").await.unwrap();
    store.disable(world.user, bob).await.unwrap();
    assert!(matches!(open(store, "late", bob, "new").await, Err(Error::SignedOut)));
    store.enable(world.user, bob).await.unwrap();
    assert!(store.sessions(bob, "").await.unwrap().is_empty());
}

/// Sign-ins that checked the password before it was changed, or before the
/// account was disabled, and open their sessions meanwhile.
pub async fn no_session_outlives_what_ends_it(world: World) {
    for round in 0..ROUNDS {
        let email = format!("p{round}@example.com");
        let bob = world.join(&email, Role::User).await;
        let own = format!("own {round}");
        open(&world.store, &own, bob, "hash").await.unwrap();
        let tokens: Vec<_> = (0..4).map(|n| format!("{round} {n}")).collect();
        let sign_ins = tokens.iter().enumerate().map(async |(n, token)| {
            let store = if n % 2 == 0 { &world.store } else { &world.other };
            open(store, token, bob, "hash").await
        });
        let sign_ins = futures_util::future::join_all(sign_ins);
        let ends = async {
            match round % 3 {
                0 => {
                    let change = world.other.change_password(bob, "hash", "new", &own, false).await;
                    change.unwrap();
                }
                1 => {
                    let link = format!("reset {round}");
                    world.other.add_reset(world.user, bob, &link).await.unwrap();
                    world.other.redeem(&link, "new").await.unwrap();
                }
                _ => {
                    world.other.disable(world.user, bob).await.unwrap();
                    world.other.enable(world.user, bob).await.unwrap();
                }
            }
        };
        let (opened, ()) = tokio::join!(sign_ins, ends);
        for opened in opened {
            assert!(matches!(opened, Ok(()) | Err(Error::SignedOut)), "{opened:?}");
        }
        let left = world.store.sessions(bob, &own).await.unwrap();
        // Whoever signs in after the account was enabled again may.
        if round % 3 < 2 {
            let others = left.iter().filter(|session| !session.own).count();
            assert_eq!(others, 0, "round {round}: {left:?}");
        }
    }
}

pub async fn one_person_has_so_many_sessions_and_the_oldest_ends(world: World) {
    let store = &world.store;
    for n in 0..MAX_SESSIONS {
        world.clock.advance(1_000);
        let ended = store.open_session(&n.to_string(), world.user, "hash", LONG).await.unwrap();
        assert!(ended.is_empty());
    }
    // The first one is used, so the second is the oldest.
    world.clock.advance(60_000);
    assert!(store.session("0").await.unwrap().is_some());
    let ended = store.open_session("further", world.user, "hash", LONG).await.unwrap();
    assert_eq!(ended, ["1"]);
    let left = store.sessions(world.user, "").await.unwrap();
    assert_eq!(left.len(), usize::try_from(MAX_SESSIONS).unwrap());
    assert!(store.session("further").await.unwrap().is_some());
}

fn is_refused<T: std::fmt::Debug>(done: Result<T, Error>) {
    assert!(matches!(done, Err(Error::SignedOut)), "{done:?}");
}

async fn all_are_refused(store: &Store, who: &Actor, person: UserId) {
    let who = || who.clone();
    let launch = engine::store::Accept { actor: who(), ..upload(person, 1) };
    is_refused(Box::pin(store.accept(launch)).await);
    is_refused(Box::pin(store.mark_read(who(), 10)).await);
    is_refused(Box::pin(store.add_token(who(), "more", "more")).await);
    is_refused(Box::pin(store.end_other_sessions(who(), "")).await);
    is_refused(Box::pin(store.change_password(who(), "hash", "new", "", true)).await);
    let email = "more@example.com";
    is_refused(Box::pin(store.invite(who(), email, Role::Admin, "more")).await);
    is_refused(Box::pin(store.add_reset(who(), person, "reset")).await);
    is_refused(Box::pin(store.set_role(who(), person, Role::Admin)).await);
    is_refused(Box::pin(store.disable(who(), person)).await);
}

pub async fn who_is_signed_out_changes_nothing(world: World) {
    let (store, ada) = (&world.store, world.user);
    let bob = world.join("bob@example.com", Role::User).await;
    let eve = world.join("eve@example.com", Role::User).await;
    store.disable(ada, eve).await.unwrap();
    store.invite(ada, "new@example.com", Role::User, "invitation").await.unwrap();
    let invitation = store.invitations().await.unwrap()[0].id;
    let kept = store.add_token(ada, "kept", "kept").await.unwrap();
    let job = store.accept(upload(ada, 1)).await.unwrap().job.id;
    let seen = async || {
        let jobs = store.jobs(ada, None, 10).await.unwrap();
        let head = store.head(ada).await.unwrap();
        let tokens = store.tokens(ada).await.unwrap();
        let people = store.users(10).await.unwrap();
        (jobs, head, tokens, people, store.invitations().await.unwrap())
    };
    open(store, "gone", ada, "hash").await.unwrap();
    open(store, "other", ada, "hash").await.unwrap();
    store.end_session("gone").await.unwrap();
    let before = Box::pin(seen()).await;
    store.add_token(bob, "of another", "bobs").await.unwrap();
    for who in [session(ada, "gone"), session(bob, "other"), api_token(ada, "bobs")] {
        if who.user == ada {
            for control in [Control::Cancel, Control::Pause, Control::Resume] {
                is_refused(store.control(who.clone(), job, control).await);
            }
        }
        is_refused(store.revoke_token(who.clone(), kept.id).await);
        is_refused(store.revoke(who.clone(), invitation).await);
        is_refused(store.enable(who.clone(), eve).await);
        Box::pin(all_are_refused(store, &who, eve)).await;
        assert_eq!(Box::pin(seen()).await, before);
    }
    assert!(store.session("other").await.unwrap().is_some());
    store.control(session(ada, "other"), job, Control::Cancel).await.unwrap();

    world.execute("UPDATE tasks SET state = 'failed'").await;
    world.execute("UPDATE jobs SET failed = 1, cancelled = 0").await;
    is_refused(store.retry(session(ada, "gone"), job, &RetryWhich::default()).await);
    world.execute("UPDATE tasks SET state = 'needs_person'").await;
    world.execute("UPDATE jobs SET failed = 0, needs_person = 1").await;
    let task = store.tasks(ada, job, None, 1).await.unwrap()[0].id;
    is_refused(store.resolve(session(ada, "gone"), task, ResolveAs::Done).await);
    store.resolve(session(ada, "other"), task, ResolveAs::Done).await.unwrap();
}

/// The act waits for the disabling, in the transaction that changes something.
pub async fn who_is_disabled_while_they_act_has_not_acted(world: World) {
    let bob = world.join("bob@example.com", Role::User).await;
    open(&world.store, "bobs", bob, "hash").await.unwrap();
    let raw = world.raw().await;
    let disabling = raw.begin().await.unwrap();
    let sql = "UPDATE users SET disabled = 1 WHERE email = 'bob@example.com'";
    disabling.execute_unprepared(sql).await.unwrap();
    let launch = engine::store::Accept { actor: session(bob, "bobs"), ..upload(bob, 1) };
    let (launched, ()) = tokio::join!(world.other.accept(launch), async {
        world.until_one_waits().await;
        disabling.commit().await.unwrap();
    });
    is_refused(launched);
    assert!(world.store.jobs(bob, None, 10).await.unwrap().items.is_empty());

    // Nobody's session may end between the look at it and the commit either.
    open(&world.store, "adas", world.user, "hash").await.unwrap();
    let signing_out = raw.begin().await.unwrap();
    signing_out.execute_unprepared("DELETE FROM sessions").await.unwrap();
    let act = world.other.add_token(session(world.user, "adas"), "late", "late");
    let (made, ()) = tokio::join!(act, async {
        world.until_one_waits().await;
        signing_out.commit().await.unwrap();
    });
    is_refused(made);
}

pub async fn who_is_demoted_while_they_act_manages_nobody(world: World) {
    let bob = world.join("bob@example.com", Role::Admin).await;
    open(&world.store, "bobs", bob, "hash").await.unwrap();
    let raw = world.raw().await;
    let demotion = raw.begin().await.unwrap();
    let sql = "UPDATE users SET role = 'user' WHERE email = 'bob@example.com'";
    demotion.execute_unprepared(sql).await.unwrap();
    let invite = world.other.invite(session(bob, "bobs"), "eve@example.com", Role::Admin, "eve");
    let (invited, ()) = tokio::join!(invite, async {
        world.until_one_waits().await;
        demotion.commit().await.unwrap();
    });
    assert!(matches!(invited, Err(Error::NotFound)), "{invited:?}");
    let ada = world.user;
    let disabled = world.store.disable(session(bob, "bobs"), ada).await;
    assert!(matches!(disabled, Err(Error::NotFound | Error::Conflict(_))), "{disabled:?}");
    let promoted = world.store.set_role(session(bob, "bobs"), bob, Role::Admin).await;
    assert!(matches!(promoted, Err(Error::NotFound)), "{promoted:?}");
    assert!(world.store.invitations().await.unwrap().is_empty());
    assert!(!world.store.user(ada).await.unwrap().disabled);
    assert_eq!(world.store.user(bob).await.unwrap().role, Role::User);
}

pub async fn an_api_token_manages_nobody(world: World) {
    let bob = world.join("bob@example.com", Role::User).await;
    world.store.add_token(world.user, "nightly", "secret").await.unwrap();
    let token = || api_token(world.user, "secret");
    let invited = world.store.invite(token(), "eve@example.com", Role::Admin, "eve").await;
    assert!(matches!(invited, Err(Error::NotFound)), "{invited:?}");
    let disabled = world.store.disable(token(), bob).await;
    assert!(matches!(disabled, Err(Error::NotFound)), "{disabled:?}");
    let launch = engine::store::Accept { actor: token(), ..upload(world.user, 1) };
    world.store.accept(launch).await.unwrap();
}

pub async fn api_tokens_end_with_a_reset_and_a_disabling_and_with_a_change_where_it_is_asked_for(
    world: World,
) {
    let (store, bob) = (&world.store, world.join("bob@example.com", Role::User).await);
    let make = async |hash: &str| store.add_token(bob, hash, hash).await.unwrap();
    let works = async |hash: &str| store.token(hash).await.unwrap().is_some();
    open(store, "own", bob, "hash").await.unwrap();
    make("first").await;
    store.change_password(bob, "hash", "new", "own", false).await.unwrap();
    assert!(works("first").await);
    let ended = store.change_password(bob, "new", "newer", "own", true).await.unwrap();
    assert_eq!(ended, ["first"]);
    assert!(!works("first").await);
    make("second").await;
    store.add_reset(world.user, bob, "reset").await.unwrap();
    assert!(works("second").await);
    store.redeem("reset", "newest").await.unwrap();
    assert!(!works("second").await);
    make("third").await;
    store.disable(world.user, bob).await.unwrap();
    store.enable(world.user, bob).await.unwrap();
    assert!(!works("third").await);
    assert!(store.tokens(bob).await.unwrap().is_empty());
}
