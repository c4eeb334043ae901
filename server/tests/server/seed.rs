//! Fills a store before its server starts.

use contract::{
    JobId, TokenId, UserId,
    api::{Outcome, TokenScope},
    command::ProductUpload,
    envelope::CommandMessage,
    product::{Price, Product},
    state::JobKind,
};
use engine::{
    clock::SystemClock,
    store::{
        AttemptError, AttemptResult, Claim, FinishAttempt, NewJob, NewTask, RoundRobin, Store,
        TokenTerms,
    },
};
use sea_orm::{ConnectionTrait, Database, Statement};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use testbed::ServerProcess;
use uuid::Uuid;

/// Channels of [`create_failed_job`].
pub const CHANNELS: [&str; 2] = ["acme", "bazaar"];

fn database_url(meanwhile: &ServerProcess) -> String {
    format!("sqlite://{}", meanwhile.folder().join("meanwhile.sqlite").display())
}

pub async fn open_store(meanwhile: &ServerProcess) -> Store {
    open_store_at(&database_url(meanwhile)).await
}

pub async fn open_store_at(url: &str) -> Store {
    Store::open(url, Arc::new(SystemClock), 1.0).await.unwrap()
}

/// Creates a user without a password.
pub async fn create_user(meanwhile: &ServerProcess, email: &str) -> UserId {
    create_user_at(&database_url(meanwhile), email).await
}

pub async fn create_user_at(url: &str, email: &str) -> UserId {
    let user = UserId(Uuid::now_v7());
    let db = Database::connect(url).await.unwrap();
    let insert = "INSERT INTO users (id, email, role, created_at) VALUES ($1, $2, 'user', 0)";
    let values = [user.0.into(), email.into()];
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), insert, values))
        .await
        .unwrap();
    user
}

pub fn session_cookie(token: &str) -> String {
    format!("meanwhile_session={token}")
}

/// Creates a session with this token, valid for an hour.
pub async fn create_session(store: &Store, user: UserId, token: &str) {
    let expires_at = store.database.now_ms() + 3_600_000;
    store
        .accounts
        .add_session(&hex::encode(Sha256::digest(token)), user, expires_at)
        .await
        .unwrap();
}

/// Creates an API token with this secret, which is also its name. It permits everything that
/// its user may do.
pub async fn create_token(store: &Store, user: UserId, secret: &str) -> TokenId {
    let terms = TokenTerms { scope: TokenScope::Admin, ..TokenTerms::default() };
    let hash = hex::encode(Sha256::digest(secret));
    store.accounts.add_token(user, secret, &hash, terms).await.unwrap().id
}

/// Lets a user's tokens expire.
pub async fn expire_tokens(meanwhile: &ServerProcess) {
    let db = Database::connect(database_url(meanwhile)).await.unwrap();
    db.execute_unprepared("UPDATE api_tokens SET expires_at = 1").await.unwrap();
}

/// Returns a job that uploads two products, `{name}-0` and `{name}-1`, to each
/// channel.
pub fn new_upload_job(user: UserId, name: &str, channels: &[&str]) -> NewJob {
    let task = |(row, channel): (u32, &&str)| {
        let sku = format!("{name}-{row}");
        let product = Product {
            sku: sku.clone(),
            title: sku.clone(),
            price: Price(1990),
            ..Product::default()
        };
        let channel = (*channel).to_owned();
        let command = ProductUpload { channel: channel.clone(), product };
        NewTask::new(&command, Some(channel), sku.clone(), sku, row).unwrap()
    };
    NewJob {
        actor: user.into(),
        kind: JobKind::ProductUploads,
        title: format!("{name}.csv"),
        channels: channels.iter().map(|id| (*id).to_owned()).collect(),
        tasks: (0..2).flat_map(|row| channels.iter().map(move |id| (row, id))).map(task).collect(),
        file: None,
        idempotency: None,
    }
}

/// Claims a task and finishes it with this result.
async fn finish_task(store: &Store, due: &CommandMessage, result: AttemptResult) {
    let Claim::Claimed(claimed) = store.tasks.claim(due.task, due.fence, "w").await.unwrap() else {
        panic!("not claimed");
    };
    let (task, fence, worker) = (due.task, claimed.fence, "w".into());
    let finish = FinishAttempt { task, fence, worker, traceparent: None, result };
    store.tasks.finish(vec![finish]).await.remove(0).unwrap();
}

/// Finishes two tasks that are queued for Acme, both with this message: the
/// first fails, the second needs review.
pub async fn finish_two_tasks(store: &Store, message: &str) {
    let outcome = Outcome { code: "x".into(), message: message.into(), reference: None };
    for outcome in
        [Err(AttemptError::Failed(outcome.clone())), Err(AttemptError::NeedsReview(outcome))]
    {
        let due = store
            .tasks
            .due_tasks("meanwhile.q.product.upload.acme.v1", 1, &RoundRobin::default())
            .await
            .unwrap();
        finish_task(store, &due.tasks[0], outcome).await;
    }
}

/// Creates a job of `rows` products on two channels and lets every task fail.
/// `text` is the description of each product.
pub async fn create_failed_job(store: &Store, user: UserId, rows: u32, text: &str) -> JobId {
    let task = |row: u32, channel: &str| {
        let product = Product {
            sku: format!("F-{row:04}"),
            title: format!("Lamp {row} {}", "x".repeat(200)),
            price: Price(1990),
            description: Some(text.to_owned()),
            ..Product::default()
        };
        let (sku, title) = (product.sku.clone(), product.title.clone());
        let command = ProductUpload { channel: channel.to_owned(), product };
        NewTask::new(&command, Some(channel.to_owned()), sku, title, row).unwrap()
    };
    let launch = NewJob {
        actor: user.into(),
        kind: JobKind::ProductUploads,
        title: "failed.csv".into(),
        channels: CHANNELS.map(str::to_owned).to_vec(),
        tasks: (0..rows).flat_map(|row| CHANNELS.map(|channel| task(row, channel))).collect(),
        file: None,
        idempotency: None,
    };
    let job = store.tasks.accept(launch).await.unwrap().job.id;
    for channel in CHANNELS {
        let queue = format!("meanwhile.q.product.upload.{channel}.v1");
        let due =
            store.tasks.due_tasks(&queue, rows as usize, &RoundRobin::default()).await.unwrap();
        for task in &due.tasks {
            let message = format!("{channel} says no.");
            let outcome = Outcome { code: "x".into(), message, reference: None };
            finish_task(store, task, Err(AttemptError::Failed(outcome))).await;
        }
    }
    job
}
