//! The tables, as migrations that only add.

use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{
    MigrationName, MigrationTrait, MigratorTrait, SchemaManager, async_trait::async_trait,
};

pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(Initial), Box::new(ClosedBy)]
    }
}

struct Initial;

impl MigrationName for Initial {
    fn name(&self) -> &str {
        "m0001_initial"
    }
}

#[async_trait]
impl MigrationTrait for Initial {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = manager.get_connection();
        // SQLite has no type for UUIDs: the driver stores them as 16 bytes.
        let sqlite = c.get_database_backend() == DbBackend::Sqlite;
        let uuid = if sqlite { "BLOB" } else { "UUID" };
        for statement in include_str!("schema/0001_initial.sql").split(";\n") {
            if !statement.trim().is_empty() {
                let statement = statement.replace("{uuid}", uuid);
                let statement = statement.replace("{bytewise}", bytewise(sqlite));
                c.execute_unprepared(&statement).await?;
            }
        }
        Ok(())
    }
}

/// What a service answered when it closed its account.
struct ClosedBy;

impl MigrationName for ClosedBy {
    fn name(&self) -> &str {
        "m0003_closed_by"
    }
}

#[async_trait]
impl MigrationTrait for ClosedBy {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = manager.get_connection();
        c.execute_unprepared(include_str!("schema/0003_closed_by.sql")).await.map(|_| ())
    }
}

/// Compares texts byte by byte, whatever language the database is set to: what
/// begins alike is then one range of an index. SQLite does so anyway.
pub(super) const fn bytewise(sqlite: bool) -> &'static str {
    if sqlite { "" } else { " COLLATE \"C\"" }
}
