//! What admins set for upstreams, and the audit log.

use crate::fixture::{QUEUE, StoreFixture, finish, new_upload_job, outcome, success};
use contract::{
    api::{AuditAction, CooldownReason, Role, UpstreamPause},
    timestamp,
};
use engine::store::{
    Actor, AttemptError, AuditScope, Credential, Error, NewAuditEntry, QueueReader, UpstreamControl,
};
use serde_json::json;

const ACME: &str = "acme";

fn acme() -> Vec<String> {
    vec![ACME.into()]
}

impl StoreFixture {
    /// Returns what another process reads of Acme.
    async fn control(&self) -> UpstreamControl {
        let all = self.other_store.upstream_controls.all().await.unwrap();
        all.into_iter().find(|(id, _)| id == ACME).map(|(_, control)| control).unwrap_or_default()
    }

    async fn actions(&self) -> Vec<AuditAction> {
        let entries =
            self.store.audit.entries(AuditScope::Upstreams, None, 100).await.unwrap().items;
        entries.iter().map(|entry| entry.action).collect()
    }
}

pub async fn a_pause_and_a_rate_are_shared_and_each_change_is_in_the_audit_log(
    fixture: StoreFixture,
) {
    let (ada, controls) = (fixture.user, &fixture.store.upstream_controls);
    let now = fixture.store.database.now_ms();
    controls.pause(ada, ACME, &acme(), now + 1_000, "price review").await.unwrap();
    let by = "ada@example.com".to_owned();
    let pause = UpstreamPause { until: now + 1_000, by, note: "price review".into() };
    let expected = UpstreamControl { pause: Some(pause), rate: None };
    assert_eq!(fixture.control().await, expected);
    controls.set_rate(ada, ACME, Some(0.5)).await.unwrap();
    assert_eq!(fixture.control().await, UpstreamControl { rate: Some(0.5), ..expected });
    fixture.clock.advance(10);
    controls.resume(ada, ACME, &acme()).await.unwrap();
    assert_eq!(fixture.control().await, UpstreamControl { pause: None, rate: Some(0.5) });
    controls.set_rate(ada, ACME, None).await.unwrap();
    assert_eq!(fixture.control().await, UpstreamControl::default());

    let page = fixture.other_store.audit.entries(AuditScope::Everything, None, 3).await.unwrap();
    let (newest, oldest) = (&page.items[0], &page.items[2]);
    assert_eq!(newest.action, AuditAction::UpstreamPaceChanged);
    assert_eq!((&newest.before, &newest.after), (&Some(json!(0.5)), &None));
    assert_eq!((newest.actor, newest.actor_email.as_str()), (ada, "ada@example.com"));
    assert_eq!(oldest.at, now);
    let before = page.next.unwrap().parse().unwrap();
    let last = fixture.store.audit.entries(AuditScope::Everything, Some(before), 3).await.unwrap();
    assert_eq!((last.items.len(), last.next), (1, None));
    let first = &last.items[0];
    assert_eq!((first.action, first.subject.as_str()), (AuditAction::UpstreamPaused, ACME));
    assert_eq!(first.after, Some(json!(timestamp::format(now + 1_000))));
    assert_eq!(first.note, "price review");
}

pub async fn the_end_of_a_pause_leaves_the_services_own_cooldown(fixture: StoreFixture) {
    let (ada, controls) = (fixture.user, &fixture.store.upstream_controls);
    let now = fixture.store.database.now_ms();
    controls.pause(ada, ACME, &acme(), now + 60_000, "").await.unwrap();
    let reason = CooldownReason::TooManyRequests;
    fixture.store.coordination.record_cooldown(ACME, now + 5_000, reason, None).await.unwrap();
    let paused_until = fixture.control().await.pause.map(|pause| pause.until);
    assert_eq!(paused_until, Some(now + 60_000), "a shorter cooldown changes no pause");
    controls.resume(ada, ACME, &acme()).await.unwrap();
    let cooldown = fixture.store.coordination.last_cooldown(ACME).await.unwrap().unwrap();
    assert_eq!((cooldown.until, cooldown.reason), (now + 5_000, reason));
}

pub async fn only_admins_change_upstreams_and_what_changes_nothing_is_no_entry(
    fixture: StoreFixture,
) {
    let bob = fixture.add_user("bob@example.com", Role::User).await;
    let controls = &fixture.store.upstream_controls;
    let until = fixture.store.database.now_ms() + 1_000;
    let signed_out = Actor { user: fixture.user, credential: Credential::Session("ended".into()) };
    let entry = || NewAuditEntry {
        action: AuditAction::UpstreamChecked,
        subject: ACME.into(),
        before: None,
        after: None,
        note: String::new(),
    };
    for actor in [Actor::from(bob), signed_out] {
        for refused in [
            controls.pause(actor.clone(), ACME, &acme(), until, "").await,
            controls.resume(actor.clone(), ACME, &acme()).await,
            controls.set_rate(actor.clone(), ACME, Some(1.0)).await,
            fixture.store.audit.record(actor, entry()).await,
        ] {
            assert!(matches!(refused, Err(Error::NotFound | Error::SignedOut)), "{refused:?}");
        }
    }
    assert_eq!(fixture.control().await, UpstreamControl::default());
    let ada = fixture.user;
    controls.resume(ada, ACME, &acme()).await.unwrap();
    controls.set_rate(ada, ACME, None).await.unwrap();
    let too_long = controls.pause(ada, ACME, &acme(), until, &"x".repeat(201)).await;
    assert!(matches!(too_long, Err(Error::Text(_))), "{too_long:?}");
    assert_eq!(fixture.actions().await, []);
    controls.pause(ada, ACME, &acme(), until, "").await.unwrap();
    fixture.clock.advance(2_000);
    // The pause is over: there is nothing to end.
    controls.resume(ada, ACME, &acme()).await.unwrap();
    fixture.store.audit.record(ada, entry()).await.unwrap();
    let expected = [AuditAction::UpstreamChecked, AuditAction::UpstreamPaused];
    assert_eq!(fixture.actions().await, expected);
    let checked = fixture.store.audit.last_entry(ACME, AuditAction::UpstreamChecked).await;
    assert!(checked.unwrap().is_some());
}

pub async fn waiting_jobs_and_failed_attempts_are_those_of_the_reader(fixture: StoreFixture) {
    let ada = fixture.user;
    let bob = fixture.add_user("bob@example.com", Role::User).await;
    let store = &fixture.store;
    store.tasks.accept(new_upload_job(ada, 2)).await.unwrap();
    for result in [Err(AttemptError::retry("http_500", "It answered 500.")), success()] {
        let claimed = fixture.claim_next().await.unwrap();
        store.tasks.finish(vec![finish(&claimed, result)]).await.remove(0).unwrap();
    }
    store.tasks.accept(new_upload_job(bob, 3)).await.unwrap();
    let waiting = async |user, sees_all| {
        let reader = QueueReader { user, sees_all };
        let jobs = store.jobs.jobs_in_queue(QUEUE, reader, 10).await.unwrap();
        jobs.iter().map(|job| (job.owner.clone(), job.is_own, job.open)).collect::<Vec<_>>()
    };
    let [of_ada, of_bob] = ["ada@example.com", "bob@example.com"].map(str::to_owned);
    assert_eq!(waiting(bob, false).await, [(of_bob.clone(), true, 3)]);
    assert_eq!(waiting(ada, true).await, [(of_ada, true, 1), (of_bob, false, 3)]);
    assert_eq!(store.jobs.count_open_in_queue(QUEUE).await.unwrap(), 4);
    let failed = async |user, sees_all| {
        let reader = QueueReader { user, sees_all };
        store.jobs.failed_attempts(QUEUE, reader).await.unwrap()
    };
    let failures = failed(ada, false).await;
    assert_eq!(failures.len(), 1, "a success is no failure: {failures:?}");
    assert_eq!(failures[0].outcome.message, outcome("It answered 500.").message);
    assert_eq!(failed(bob, false).await, []);
    assert_eq!(failed(bob, true).await, failures);
}
