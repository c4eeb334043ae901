//! The tables: one initial migration, to which later ones may only add.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, EntityTrait};
use sea_orm_migration::{
    MigrationName, MigrationTrait, MigratorTrait, SchemaManager,
    async_trait::async_trait,
    seaql_migrations::{Entity, Model},
};

/// The migrations of this release.
pub struct Migrator;

#[async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let script =
            |name, sql| -> Box<dyn MigrationTrait> { Box::new(SqlMigration { name, sql }) };
        vec![script("m0001_initial", include_str!("schema/0001_initial.sql"))]
    }

    /// Returns the applied migrations without those newer than all of this
    /// release's: a newer release made them and only added to the schema, so this
    /// release, which may start again while it is being replaced, keeps working.
    /// Any other unknown migration is an error.
    async fn get_migration_models<C: ConnectionTrait>(c: &C) -> Result<Vec<Model>, DbErr> {
        Self::install(c).await?;
        let mut applied = Entity::find().all(c).await?;
        let known = Self::migrations();
        let newest = known.iter().map(|known| known.name()).max();
        applied.retain(|applied| {
            let newer = newest.is_some_and(|newest| applied.version.as_str() > newest);
            if newer {
                tracing::info!(migration = applied.version, "a newer release made this migration");
            }
            !newer
        });
        let unknown =
            applied.iter().find(|found| !known.iter().any(|known| known.name() == found.version));
        match unknown {
            Some(unknown) => Err(DbErr::Migration(unknown.version.clone())),
            None => Ok(applied),
        }
    }
}

/// A migration of SQL statements, each ended by `;` and a new line.
struct SqlMigration {
    name: &'static str,
    sql: &'static str,
}

impl MigrationName for SqlMigration {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait]
impl MigrationTrait for SqlMigration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = manager.get_connection();
        // SQLite has no type for UUIDs: the driver stores them as 16 bytes.
        let sqlite = c.get_database_backend() == DbBackend::Sqlite;
        let uuid = if sqlite { "BLOB" } else { "UUID" };
        for statement in self.sql.split(";\n") {
            if !statement.trim().is_empty() {
                let statement = statement.replace("{uuid}", uuid);
                let statement =
                    statement.replace("{bytewise_collation}", bytewise_collation(sqlite));
                c.execute_unprepared(&statement).await?;
            }
        }
        Ok(())
    }
}

/// Returns the collation that compares texts byte by byte, whatever the language of
/// the database, so that one index range covers all texts with a common prefix.
/// SQLite does so by default.
pub(super) const fn bytewise_collation(sqlite: bool) -> &'static str {
    if sqlite { "" } else { " COLLATE \"C\"" }
}
