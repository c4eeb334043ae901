//! The tables, as migrations that only add.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, EntityTrait};
use sea_orm_migration::{
    MigrationName, MigrationTrait, MigratorTrait, SchemaManager,
    async_trait::async_trait,
    seaql_migrations::{Entity, Model},
};

pub struct Migrator;

#[async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let script = |name, text| -> Box<dyn MigrationTrait> { Box::new(Script { name, text }) };
        vec![
            script("m0001_initial", include_str!("schema/0001_initial.sql")),
            // The next tasks of a job are read in order, not sorted each time.
            script("m0002_due", include_str!("schema/0002_due.sql")),
            // What a service answered when it closed its account.
            script("m0003_closed_by", include_str!("schema/0003_closed_by.sql")),
            // Open tasks by job and queue, so that nothing counts them.
            script("m0005_job_queues", include_str!("schema/0005_job_queues.sql")),
            // How long an account is closed, whatever the clock says later.
            script("m0006_closed_at", include_str!("schema/0006_closed_at.sql")),
        ]
    }

    /// Those that were applied, without any that is newer than all of ours: a
    /// newer release made it and only added, so this one, which may start again
    /// while it is replaced, goes on. What is unknown otherwise is refused.
    async fn get_migration_models<C: ConnectionTrait>(c: &C) -> Result<Vec<Model>, DbErr> {
        Self::install(c).await?;
        let mut applied = Entity::find().all(c).await?;
        let ours = Self::migrations();
        let newest = ours.iter().map(|ours| ours.name()).max();
        applied.retain(|applied| {
            let newer = newest.is_some_and(|newest| applied.version.as_str() > newest);
            if newer {
                tracing::info!(migration = applied.version, "a newer release made this migration");
            }
            !newer
        });
        let unknown =
            applied.iter().find(|found| !ours.iter().any(|ours| ours.name() == found.version));
        match unknown {
            Some(unknown) => Err(DbErr::Migration(unknown.version.clone())),
            None => Ok(applied),
        }
    }
}

/// Statements, each ended by `;` and a new line.
struct Script {
    name: &'static str,
    text: &'static str,
}

impl MigrationName for Script {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait]
impl MigrationTrait for Script {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = manager.get_connection();
        // SQLite has no type for UUIDs: the driver stores them as 16 bytes.
        let sqlite = c.get_database_backend() == DbBackend::Sqlite;
        let uuid = if sqlite { "BLOB" } else { "UUID" };
        for statement in self.text.split(";\n") {
            if !statement.trim().is_empty() {
                let statement = statement.replace("{uuid}", uuid);
                let statement = statement.replace("{bytewise}", bytewise(sqlite));
                c.execute_unprepared(&statement).await?;
            }
        }
        Ok(())
    }
}

/// Compares texts byte by byte, whatever language the database is set to: what
/// begins alike is then one range of an index. SQLite does so anyway.
pub(super) const fn bytewise(sqlite: bool) -> &'static str {
    if sqlite { "" } else { " COLLATE \"C\"" }
}
