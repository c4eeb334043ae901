//! Search by name, within the user's own items.

use crate::fixture::{StoreFixture, new_upload_job, task};
use contract::{UserId, api::Role};
use engine::store::NewJob;
use sea_orm::{ConnectionTrait, Statement};

fn named(user: UserId, title: &str, skus: &[&str]) -> NewJob {
    let tasks = (0..).zip(skus).map(|(row, sku)| task(sku, row)).collect();
    NewJob { title: title.into(), tasks, ..new_upload_job(user, 0) }
}

impl StoreFixture {
    async fn items(&self, user: UserId, search_text: &str) -> Vec<(String, String)> {
        let found = self.store.jobs.search_items(user, search_text, 3).await.unwrap();
        found.into_iter().map(|(task, job)| (task.sku, job)).collect()
    }

    async fn titles(&self, user: UserId, search_text: &str) -> Vec<String> {
        let found = self.store.jobs.search_jobs(user, search_text, 3).await.unwrap();
        found.into_iter().map(|job| job.title).collect()
    }
}

pub async fn search_finds_the_prefix_among_the_users_own_items(fixture: StoreFixture) {
    let (ada, bob) = (fixture.user, fixture.add_user("bob@example.com", Role::User).await);
    let skus = ["LAMP-2", "lamp-1", "LAMP_3", "CLAMP-1", "LAMPÖL"];
    for title in ["June 100%.csv", "july.csv"] {
        fixture.store.tasks.accept(named(ada, title, &skus)).await.unwrap();
    }
    fixture.store.tasks.accept(named(bob, "bobs june.csv", &["LAMP-1"])).await.unwrap();
    let pair = |sku: &str, job: &str| (sku.to_owned(), job.to_owned());

    let found = fixture.items(ada, "Lamp-").await;
    let expected =
        [pair("lamp-1", "july.csv"), pair("LAMP-2", "july.csv"), pair("lamp-1", "June 100%.csv")];
    assert_eq!(found, expected, "newest job first, then by SKU, no more than the limit");
    assert_eq!(fixture.items(ada, "lamp_").await.len(), 2, "`_` is an ordinary character");
    assert_eq!(fixture.items(ada, "%").await, []);
    assert_eq!(fixture.items(bob, "lamp").await, [pair("LAMP-1", "bobs june.csv")]);

    assert_eq!(fixture.titles(ada, "JU").await, ["july.csv", "June 100%.csv"]);
    assert_eq!(fixture.titles(ada, "0%").await, ["June 100%.csv"]);
    assert_eq!(fixture.titles(bob, "ju").await, ["bobs june.csv"]);
}

/// On SQLite, whose plan does not depend on the number of rows.
#[tokio::test]
async fn items_are_found_by_an_index() {
    let fixture = StoreFixture::sqlite().await;
    let raw = fixture.raw_connection().await;
    let plan = "EXPLAIN QUERY PLAN SELECT id FROM tasks WHERE job_id = $1 \
                AND LOWER(sku) >= LOWER($2) AND LOWER(sku) < LOWER($2) || $3 \
                ORDER BY LOWER(sku) LIMIT 3";
    let values = [fixture.user.0.into(), "a".into(), "b".into()];
    let plan = Statement::from_sql_and_values(raw.get_database_backend(), plan, values);
    let rows = raw.query_all_raw(plan).await.unwrap();
    let plan: Vec<String> = rows.iter().map(|row| row.try_get("", "detail").unwrap()).collect();
    assert!(plan[0].contains("tasks_by_sku") && plan[0].contains('<'), "{plan:?}");
    assert_eq!(plan.len(), 1, "nothing is sorted: {plan:?}");
}
