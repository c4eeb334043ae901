//! What is found by name, and whose it is.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use contract::{
    UserId,
    command::ProductUpload,
    product::{Price, Product},
    state::JobKind,
};
use engine::{
    clock::System,
    store::{Accept, NewTask, Store},
};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use std::sync::Arc;

struct World {
    store: Store,
    url: String,
    ada: UserId,
    bob: UserId,
    _folder: tempfile::TempDir,
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
    let store = Store::open(&url, Arc::new(System), 1.0).await.unwrap();
    let ada = store.add_first_account("ada@example.com", "hash").await.unwrap().user;
    store.invite("bob@example.com", contract::api::Role::User, "link").await.unwrap();
    let (_, bob) = store.redeem("link", "hash").await.unwrap();
    World { store, url, ada, bob, _folder: folder }
}

fn upload(user: UserId, title: &str, skus: &[&str]) -> Accept {
    let task = |(row, sku): (u32, &&str)| {
        let product = Product {
            sku: (*sku).into(),
            title: "Lamp".into(),
            price: Price(1990),
            description: None,
            vendor: None,
            image: None,
            variants: Vec::new(),
        };
        let command = ProductUpload { channel: "acme".into(), product };
        NewTask::new(&command, Some("acme".into()), (*sku).into(), "Lamp".into(), row).unwrap()
    };
    Accept {
        user,
        kind: JobKind::ProductUploads,
        title: title.into(),
        channels: vec!["acme".into()],
        tasks: (0..).zip(skus).map(task).collect(),
        idempotency: None,
    }
}

impl World {
    async fn items(&self, user: UserId, words: &str) -> Vec<(String, String)> {
        let found = self.store.search_items(user, words, 3).await.unwrap();
        found.into_iter().map(|(task, job)| (task.sku, job)).collect()
    }

    async fn jobs(&self, user: UserId, words: &str) -> Vec<String> {
        let found = self.store.search_jobs(user, words, 3).await.unwrap();
        found.into_iter().map(|job| job.title).collect()
    }
}

#[tokio::test]
async fn what_begins_alike_is_found_by_whoever_launched_it() {
    let world = world().await;
    let skus = ["LAMP-2", "lamp-1", "LAMP_3", "CLAMP-1", "LAMPÖL"];
    for title in ["June 100%.csv", "july.csv"] {
        world.store.accept(upload(world.ada, title, &skus)).await.unwrap();
    }
    world.store.accept(upload(world.bob, "bobs june.csv", &["LAMP-1"])).await.unwrap();
    let pair = |sku: &str, job: &str| (sku.to_owned(), job.to_owned());

    let found = world.items(world.ada, "Lamp-").await;
    let expected =
        [pair("lamp-1", "july.csv"), pair("lamp-1", "June 100%.csv"), pair("LAMP-2", "july.csv")];
    assert_eq!(found, expected, "by SKU, newest first, no more than asked for");
    assert_eq!(world.items(world.ada, "lamp_").await.len(), 2, "`_` is a letter like others");
    assert_eq!(world.items(world.ada, "%").await, []);
    assert_eq!(world.items(world.bob, "lamp").await, [pair("LAMP-1", "bobs june.csv")]);

    assert_eq!(world.jobs(world.ada, "JU").await, ["july.csv", "June 100%.csv"]);
    assert_eq!(world.jobs(world.ada, "0%").await, ["June 100%.csv"]);
    assert_eq!(world.jobs(world.bob, "ju").await, ["bobs june.csv"]);
}

#[tokio::test]
async fn items_are_found_by_an_index() {
    let world = world().await;
    let db = Database::connect(&world.url).await.unwrap();
    let plan = "EXPLAIN QUERY PLAN SELECT id FROM tasks WHERE user_id = $1 \
                AND LOWER(sku) >= LOWER($2) AND LOWER(sku) < LOWER($2) || $3 \
                ORDER BY LOWER(sku), id DESC LIMIT 3";
    let values = [world.ada.0.into(), "a".into(), "b".into()];
    let rows = db
        .query_all_raw(Statement::from_sql_and_values(DbBackend::Sqlite, plan, values))
        .await
        .unwrap();
    let plan: Vec<String> = rows.iter().map(|row| row.try_get("", "detail").unwrap()).collect();
    assert!(plan[0].contains("tasks_by_sku") && plan[0].contains('<'), "{plan:?}");
    assert_eq!(plan.len(), 1, "nothing is sorted: {plan:?}");
}
