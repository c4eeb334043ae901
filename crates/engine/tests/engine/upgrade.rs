//! Schema migrations on a database that another release has migrated.

use engine::{clock::ManualClock, store::Store};
use sea_orm::{ConnectionTrait, Database};
use testbed::PostgresNode;

async fn open(url: &str) -> Result<Store, engine::store::Error> {
    Store::open(url, ManualClock::at(0), 1.0).await
}

/// Checks that this release starts on a database that a newer one has begun to migrate.
async fn check_start_after_newer_migration(url: &str) {
    // SQLite creates the file only in this mode.
    let mode = if url.starts_with("sqlite:") { "?mode=rwc" } else { "" };
    let raw = Database::connect(format!("{url}{mode}")).await.unwrap();
    raw.execute_unprepared(
        "CREATE TABLE seaql_migrations (version VARCHAR PRIMARY KEY, applied_at BIGINT NOT NULL)",
    )
    .await
    .unwrap();
    let applied =
        |name| format!("INSERT INTO seaql_migrations (version, applied_at) VALUES ('{name}', 0)");
    raw.execute_unprepared(&applied("m9999_newer_release")).await.unwrap();
    // Pending migrations of this release are applied nevertheless.
    let old = open(url).await.unwrap();
    old.accounts.add_first_user("ada@example.com", "hash").await.unwrap();
    open(url).await.unwrap();

    // A migration that is neither newer nor known belongs to another history.
    raw.execute_unprepared(&applied("m0000_unknown")).await.unwrap();
    let error = open(url).await.err().unwrap().to_string();
    assert!(error.contains("m0000_unknown"), "{error}");
    assert!(!error.contains("m9999"), "{error}");
}

#[tokio::test]
async fn an_older_release_starts_after_a_newer_migration_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
    check_start_after_newer_migration(&url).await;
}

#[tokio::test]
async fn an_older_release_starts_after_a_newer_migration_on_postgres() {
    let node = PostgresNode::start();
    check_start_after_newer_migration(&node.create_database()).await;
}
