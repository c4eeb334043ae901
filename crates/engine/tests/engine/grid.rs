//! The job grid, the flow and failed uploads, on both databases.

use contract::{
    JobId, UserId,
    api::{FlowEdge, GridFilter, Outcome, RetryRequest},
    command::{AlarmCreate, Ec2Start, ProductUpload},
    product::{Price, Product},
    state::JobKind,
};
use engine::{
    clock::ManualClock,
    store::{
        AttemptError, AttemptResult, Claim, ClaimedTask, Error, FinishAttempt, GridQuery, NewJob,
        NewTask, RoundRobin, Store, Success,
    },
};
use testbed::PostgresNode;

struct Fixture {
    store: Store,
    user: UserId,
}

const CHANNELS: [&str; 3] = ["corner", "acme", "bazaar"];

async fn open_fixture(url: &str) -> Fixture {
    let store = Store::open(url, ManualClock::at(1_000_000), 1.0).await.unwrap();
    let user = store.accounts.add_first_user("ada@example.com", "hash").await.unwrap().user;
    Fixture { store, user }
}

/// Runs each test on SQLite as a test of its own, and all of them on one PostgreSQL node.
macro_rules! on_both_databases {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                let folder = tempfile::tempdir().unwrap();
                let file = folder.path().join("meanwhile.sqlite");
                super::$test(super::open_fixture(&format!("sqlite://{}", file.display())).await).await;
            })+
        }

        #[tokio::test]
        async fn on_postgres() {
            let node = PostgresNode::start();
            $($test(open_fixture(&node.create_database()).await).await;)+
        }
    };
}

on_both_databases!(
    a_window_has_whole_rows_in_the_order_of_the_columns,
    rows_are_filtered_by_state_and_searched_by_words,
    a_follow_up_is_in_its_parents_row_and_the_flow_shows_the_chain,
    the_flow_of_an_upload_has_one_node_per_channel,
    failed_uploads_are_listed_by_channel_with_their_reason,
    jobs_of_other_users_are_not_found,
);

fn product(row: u32) -> Product {
    Product {
        sku: format!("SKU_{row}"),
        title: if row.is_multiple_of(2) { "Oak 100% lamp".into() } else { "Birch chair".into() },
        price: Price(1990),
        ..Product::default()
    }
}

impl Fixture {
    /// Launches `count` products on all channels, whose columns are not in alphabetical
    /// order.
    async fn upload(&self, count: u32) -> JobId {
        let mut tasks = Vec::new();
        for row in 0..count {
            // The tasks are not in the order of the columns either.
            for channel in ["acme", "bazaar", "corner"] {
                let product = product(row);
                let (sku, title) = (product.sku.clone(), product.title.clone());
                let command = ProductUpload { channel: channel.into(), product };
                tasks.push(NewTask::new(&command, Some(channel.into()), sku, title, row).unwrap());
            }
        }
        self.accept(JobKind::ProductUploads, CHANNELS.map(str::to_owned).to_vec(), tasks).await
    }

    async fn start_machines(&self, count: u32) -> JobId {
        let tasks = (0..count).map(|row| {
            let id = format!("i-{row}");
            let command =
                Ec2Start { instance_id: id.clone(), name: "web".into(), ..Ec2Start::default() };
            NewTask::new(&command, None, id, "web".into(), row).unwrap()
        });
        self.accept(JobKind::Ec2Starts, Vec::new(), tasks.collect()).await
    }

    async fn accept(&self, kind: JobKind, channels: Vec<String>, tasks: Vec<NewTask>) -> JobId {
        let title = "t".into();
        let accept = NewJob {
            actor: self.user.into(),
            kind,
            title,
            channels,
            tasks,
            file: None,
            idempotency: None,
        };
        self.store.tasks.accept(accept).await.unwrap().job.id
    }

    async fn claim(&self, queue: &str) -> ClaimedTask {
        let due = self.store.tasks.due_tasks(queue, 1, &RoundRobin::default()).await.unwrap().tasks;
        match self.store.tasks.claim(due[0].task, due[0].fence, "w1").await.unwrap() {
            Claim::Claimed(claimed) => *claimed,
            other => panic!("{other:?}"),
        }
    }

    async fn finish(&self, claimed: &ClaimedTask, result: AttemptResult) {
        let (task, fence, worker) = (claimed.id, claimed.fence, "w1".into());
        let finish = FinishAttempt { task, fence, worker, traceparent: None, result };
        for finished in self.store.tasks.finish(vec![finish]).await {
            finished.unwrap();
        }
    }

    async fn fail(&self, channel: &str, message: &str) {
        let claimed = self.claim(&format!("meanwhile.q.product.upload.{channel}.v1")).await;
        let outcome = Outcome { code: "rejected".into(), message: message.into(), reference: None };
        self.finish(&claimed, Err(AttemptError::Failed(outcome))).await;
    }

    /// Returns how many rows match, and the numbers of those in the window.
    async fn rows(
        &self,
        job: JobId,
        filter: GridFilter,
        search: &str,
        offset: u32,
    ) -> (u32, Vec<u32>) {
        let query = GridQuery { filter, search_text: search.into(), offset, limit: 3 };
        let grid = self.store.jobs.job_grid(self.user, job, &query).await.unwrap();
        assert_eq!(grid.offset, offset);
        (grid.matching, grid.rows.iter().map(|row| row.row).collect())
    }
}

fn succeeded_outcome() -> Outcome {
    Outcome { code: "running".into(), message: "It runs.".into(), reference: None }
}

async fn a_window_has_whole_rows_in_the_order_of_the_columns(fixture: Fixture) {
    let job = fixture.upload(8).await;
    fixture.upload(2).await;
    assert_eq!(fixture.rows(job, GridFilter::All, "", 0).await, (8, vec![0, 1, 2]));
    assert_eq!(fixture.rows(job, GridFilter::All, "", 6).await, (8, vec![6, 7]));
    assert_eq!(fixture.rows(job, GridFilter::All, "", 8).await, (8, vec![]));
    let query =
        GridQuery { filter: GridFilter::All, search_text: String::new(), offset: 4, limit: 1 };
    let grid = fixture.store.jobs.job_grid(fixture.user, job, &query).await.unwrap();
    let row = &grid.rows[0];
    assert_eq!((row.sku.as_str(), row.title.as_str()), ("SKU_4", "Oak 100% lamp"));
    let cells: Vec<_> = row.cells.iter().map(|task| task.channel.as_deref().unwrap()).collect();
    assert_eq!(cells, CHANNELS);
}

async fn rows_are_filtered_by_state_and_searched_by_words(fixture: Fixture) {
    let job = fixture.upload(6).await;
    fixture.fail("acme", "No.").await;
    fixture.fail("acme", "No.").await;
    let running = fixture.claim("meanwhile.q.product.upload.corner.v1").await;
    assert_eq!(running.row, 0);
    assert_eq!(fixture.rows(job, GridFilter::Failed, "", 0).await, (2, vec![0, 1]));
    assert_eq!(fixture.rows(job, GridFilter::Failed, "", 1).await, (2, vec![1]));
    assert_eq!(fixture.rows(job, GridFilter::Running, "", 0).await, (1, vec![0]));
    assert_eq!(fixture.rows(job, GridFilter::Waiting, "", 3).await, (6, vec![3, 4, 5]));
    assert_eq!(fixture.rows(job, GridFilter::Succeeded, "", 0).await, (0, vec![]));
    assert_eq!(fixture.rows(job, GridFilter::All, "OAK", 0).await, (3, vec![0, 2, 4]));
    assert_eq!(fixture.rows(job, GridFilter::All, "u_5", 0).await, (1, vec![5]));
    assert_eq!(fixture.rows(job, GridFilter::Failed, "birch", 0).await, (1, vec![1]));
    assert_eq!(fixture.rows(job, GridFilter::All, "100%", 0).await.0, 3);
    assert_eq!(fixture.rows(job, GridFilter::All, "1%0", 0).await.0, 0, "% is no wildcard");
    assert_eq!(fixture.rows(job, GridFilter::All, "SKUx5", 0).await.0, 0);
    assert_eq!(fixture.rows(job, GridFilter::All, "SKU%5", 0).await.0, 0);
    // A failed row that is queued again no longer counts as failed.
    fixture.store.tasks.retry_tasks(fixture.user, job, &RetryRequest::default()).await.unwrap();
    assert_eq!(fixture.rows(job, GridFilter::Failed, "", 0).await, (0, vec![]));
}

async fn a_follow_up_is_in_its_parents_row_and_the_flow_shows_the_chain(fixture: Fixture) {
    let job = fixture.start_machines(3).await;
    let claimed = fixture.claim("meanwhile.q.ec2.start.v1").await;
    let alarm =
        AlarmCreate { instance_id: "i-0".into(), name: "web".into(), ..AlarmCreate::default() };
    let follow_up = NewTask::new(&alarm, None, "i-0".into(), "web".into(), claimed.row).unwrap();
    let outcome = Ok(Success::new(succeeded_outcome()).with_follow_up(follow_up));
    fixture.finish(&claimed, outcome).await;
    let query =
        GridQuery { filter: GridFilter::All, search_text: String::new(), offset: 0, limit: 9 };
    let grid = fixture.store.jobs.job_grid(fixture.user, job, &query).await.unwrap();
    let kinds = |row: usize| -> Vec<_> {
        grid.rows[row].cells.iter().map(|task| task.kind.as_str()).collect()
    };
    assert_eq!((grid.matching, grid.rows.len()), (3, 3));
    assert_eq!(kinds(0), ["ec2.start", "alarm.create"]);
    assert_eq!(kinds(1), ["ec2.start"]);

    let flow = fixture.store.jobs.job_flow(fixture.user, job).await.unwrap();
    let nodes: Vec<_> = flow.nodes.iter().map(|n| (n.kind.as_str(), n.depth, n.total())).collect();
    assert_eq!(nodes, [("ec2.start", 0, 3), ("alarm.create", 1, 1)]);
    assert_eq!((flow.nodes[0].succeeded, flow.nodes[0].queued, flow.nodes[1].queued), (1, 2, 1));
    assert_eq!(flow.edges, [FlowEdge { from: 0, to: 1, count: 1 }]);
}

async fn the_flow_of_an_upload_has_one_node_per_channel(fixture: Fixture) {
    let job = fixture.upload(4).await;
    fixture.fail("bazaar", "No.").await;
    let flow = fixture.store.jobs.job_flow(fixture.user, job).await.unwrap();
    let nodes: Vec<_> = flow
        .nodes
        .iter()
        .map(|node| (node.channel.as_deref().unwrap(), node.queued, node.failed))
        .collect();
    assert_eq!(nodes, [("corner", 4, 0), ("acme", 4, 0), ("bazaar", 3, 1)]);
    assert!(flow.edges.is_empty());
}

async fn failed_uploads_are_listed_by_channel_with_their_reason(fixture: Fixture) {
    let job = fixture.upload(3).await;
    fixture.fail("acme", "Too dear.").await;
    fixture.fail("bazaar", "No picture.").await;
    fixture.fail("acme", "No title.").await;
    let failed = async |channel| -> Vec<_> {
        let failed =
            fixture.store.jobs.failed_uploads(fixture.user, job, channel, None, 9).await.unwrap();
        failed.into_iter().map(|failed| (failed.upload.product.sku, failed.reason)).collect()
    };
    let row = |sku: &str, reason: &str| (sku.to_owned(), reason.to_owned());
    let all = failed(None).await;
    assert_eq!(all.len(), 3);
    assert_eq!(all[2], row("SKU_1", "No title."));
    assert_eq!(failed(Some("bazaar")).await, [row("SKU_0", "No picture.")]);
    assert!(failed(Some("corner")).await.is_empty());

    // Reading page by page gives the same result.
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page =
            fixture.store.jobs.failed_uploads(fixture.user, job, None, after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = Some(last.cursor);
        pages.extend(page.into_iter().map(|failed| (failed.upload.product.sku, failed.reason)));
    }
    assert_eq!(pages, all);
}

async fn jobs_of_other_users_are_not_found(fixture: Fixture) {
    let job = fixture.upload(1).await;
    let stranger = UserId(uuid::Uuid::now_v7());
    let query =
        GridQuery { filter: GridFilter::All, search_text: String::new(), offset: 0, limit: 9 };
    let store = &fixture.store;
    assert!(matches!(store.jobs.job_grid(stranger, job, &query).await, Err(Error::NotFound)));
    assert!(matches!(store.jobs.job_flow(stranger, job).await, Err(Error::NotFound)));
    let failed = store.jobs.failed_uploads(stranger, job, None, None, 9).await;
    assert!(matches!(failed, Err(Error::NotFound)));
    let behind = Some((-1, uuid::Uuid::nil()));
    let failed = store.jobs.failed_uploads(stranger, job, None, behind, 9).await;
    assert_eq!(failed.unwrap().len(), 0);
    assert!(store.journal.job_journal_before(stranger, job, i64::MAX, 9).await.unwrap().is_empty());
    let own = store.journal.job_journal_before(fixture.user, job, i64::MAX, 9).await.unwrap();
    assert_eq!(own.len(), 1);
}
