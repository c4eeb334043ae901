//! What an upload changed at the service, and what the service rejected.

use crate::fixture::{StoreFixture, new_upload_job, outcome};
use contract::{
    api::{GridFilter, RetryRequest},
    fact::FactKind,
    state::{Effect, JobState, TaskState},
};
use engine::store::{AttemptError, Error, GridQuery, Retention, Success};

pub async fn a_job_counts_what_its_uploads_changed(fixture: StoreFixture) {
    let job = fixture.store.tasks.accept(new_upload_job(fixture.user, 5)).await.unwrap().job.id;
    let effects = [Effect::Created, Effect::Updated, Effect::Unchanged, Effect::Unchanged];
    for effect in effects.map(Some).into_iter().chain([None]) {
        let claimed = fixture.claim_next().await.unwrap();
        let success = Success { effect, ..Success::new(outcome("found")) };
        fixture.finish(&claimed, Ok(success)).await;
        let task = fixture.store.jobs.task(fixture.user, claimed.id).await.unwrap().task;
        assert_eq!(task.effect, effect);
    }
    let c = fixture.store.jobs.job(fixture.user, job).await.unwrap().counts;
    assert_eq!((c.succeeded, c.created, c.updated, c.unchanged), (5, 1, 1, 2));
    let inbox = fixture.store.journal.inbox(fixture.user, 1).await.unwrap();
    assert_eq!(inbox.items[0].text, "5 of 5 uploads succeeded (2 unchanged).");
    for (filter, rows) in [(GridFilter::Unchanged, 2), (GridFilter::Succeeded, 5)] {
        let query = GridQuery { filter, search_text: String::new(), offset: 0, limit: 10 };
        let grid = fixture.store.jobs.job_grid(fixture.user, job, &query).await.unwrap();
        assert_eq!((grid.matching, grid.rows.len()), (rows, rows as usize), "{filter}");
    }
    let flow = fixture.store.jobs.job_flow(fixture.user, job).await.unwrap();
    let nodes: Vec<_> = flow.nodes.iter().map(|node| (node.succeeded, node.unchanged)).collect();
    assert_eq!((nodes, flow.nodes[0].total()), (vec![(5, 2)], 5));
    fixture.assert_consistent().await;
    fixture.clock.advance(100 * 24 * 3_600_000);
    assert_eq!(fixture.store.tasks.prune(Retention::default()).await.unwrap().tasks, 5);
}

pub async fn rejected_items_are_exported_and_retried_only_by_name(fixture: StoreFixture) {
    let user = fixture.user;
    let job = fixture.store.tasks.accept(new_upload_job(user, 3)).await.unwrap().job.id;
    let rejected = fixture.claim_next().await.unwrap();
    let refusal = AttemptError::rejected("rejected", "The title is too long.");
    assert_eq!(fixture.finish(&rejected, Err(refusal)).await, [FactKind::TaskRejected]);
    for _ in 0..2 {
        let claimed = fixture.claim_next().await.unwrap();
        fixture.succeed(&claimed).await;
    }
    let ended = fixture.store.jobs.job(user, job).await.unwrap();
    assert_eq!((ended.state, ended.counts.rejected), (JobState::PartlyFailed, 1));
    assert_eq!(ended.counts.failed, 0);
    let inbox = fixture.store.journal.inbox(user, 1).await.unwrap();
    assert_eq!(inbox.items[0].text, "2 of 3 uploads succeeded, 1 rejected.");

    let exported = fixture.store.jobs.failed_uploads(user, job, None, None, 10).await.unwrap();
    assert_eq!(exported.len(), 1);
    assert_eq!(exported[0].reason, "The title is too long.");
    let query = GridQuery {
        filter: GridFilter::Rejected,
        search_text: String::new(),
        offset: 0,
        limit: 10,
    };
    assert_eq!(fixture.store.jobs.job_grid(user, job, &query).await.unwrap().matching, 1);

    let all = RetryRequest::default();
    let refused = fixture.store.tasks.retry_tasks(user, job, &all).await;
    assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
    let named = RetryRequest { tasks: Some(vec![rejected.id]), ..all };
    fixture.store.tasks.retry_tasks(user, job, &named).await.unwrap();
    let again = fixture.claim_next().await.unwrap();
    assert_eq!((again.id, again.attempt), (rejected.id, 1));
    fixture.succeed(&again).await;
    let task = fixture.store.jobs.task(user, rejected.id).await.unwrap().task;
    assert_eq!(task.state, TaskState::Succeeded);
    fixture.assert_consistent().await;
}
