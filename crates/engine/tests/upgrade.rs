//! A database that another release has migrated.
#![allow(clippy::unwrap_used)]

use engine::{clock::Steered, store::Store, testing::PostgresNode};
use sea_orm::{ConnectionTrait, Database};

async fn open(url: &str) -> Result<Store, engine::store::Error> {
    Store::open(url, Steered::at(0), 1.0).await
}

async fn a_newer_release_went_ahead(url: &str) {
    open(url).await.unwrap();
    let raw = Database::connect(url).await.unwrap();
    let applied =
        |name| format!("INSERT INTO seaql_migrations (version, applied_at) VALUES ('{name}', 0)");
    raw.execute_unprepared(&applied("m9999_of_a_newer_release")).await.unwrap();
    let old = open(url).await.unwrap();
    old.add_first_account("ada@example.com", "hash").await.unwrap();

    // What is ours and pending is applied nevertheless.
    raw.execute_unprepared("ALTER TABLE closed_accounts DROP COLUMN closed_by").await.unwrap();
    raw.execute_unprepared("DELETE FROM seaql_migrations WHERE version = 'm0003_closed_by'")
        .await
        .unwrap();
    open(url).await.unwrap();
    raw.execute_unprepared("SELECT closed_by FROM closed_accounts").await.unwrap();

    // One that is not newer belongs to another history.
    raw.execute_unprepared(&applied("m0002_of_somebody_else")).await.unwrap();
    let refused = open(url).await.err().unwrap().to_string();
    assert!(refused.contains("m0002_of_somebody_else"), "{refused}");
    assert!(!refused.contains("m9999"), "{refused}");
}

#[tokio::test]
async fn an_old_release_starts_again_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
    a_newer_release_went_ahead(&url).await;
}

#[tokio::test]
async fn an_old_release_starts_again_on_postgres() {
    let node = PostgresNode::start();
    a_newer_release_went_ahead(&node.url()).await;
}
