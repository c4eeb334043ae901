//! A start that can't succeed ends with one sentence that says what to do, and
//! a server whose files go away accepts nothing any more.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use reqwest::StatusCode;
use sea_orm::{ConnectionTrait, Database};
use servers::SmallDisk;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
};
use support::{Meanwhile, free_port};

/// Starts the server on this data folder, which must fail; returns what it
/// said.
fn refused(data: &Path, backtrace: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_meanwhile"))
        .env("MEANWHILE_DATA", data)
        .env("MEANWHILE_LISTEN", format!("127.0.0.1:{}", free_port()))
        .env("MEANWHILE_SANDBOX_LISTEN", format!("127.0.0.1:{}", free_port()))
        .env("RUST_LOG", "error")
        .env("RUST_BACKTRACE", backtrace)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

/// The only line that it says.
fn sentence(data: &Path) -> String {
    let said = refused(data, "0");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(!said.contains("Custom Error") && !said.contains("database: "), "{said}");
    said
}

fn assert_says(data: &Path, parts: &[&str]) {
    let said = sentence(data);
    for part in parts {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

/// A folder with a database of this release, which nobody uses.
async fn used_before() -> Meanwhile {
    let mut meanwhile = Meanwhile::start().await;
    meanwhile.kill();
    meanwhile
}

#[test]
fn a_file_that_is_no_database_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("meanwhile.sqlite"), vec![b'x'; 8192]).unwrap();
    assert_says(folder.path(), &["meanwhile.sqlite", "damaged", "restore a backup"]);
    // Whoever asks for a backtrace gets it.
    assert!(refused(folder.path(), "1").lines().count() > 3);
}

#[tokio::test]
async fn a_damaged_database_is_named() {
    let meanwhile = used_before().await;
    let file = meanwhile.folder.path().join("meanwhile.sqlite");
    for log in ["sqlite-wal", "sqlite-shm"] {
        let _ = fs::remove_file(file.with_extension(log));
    }
    // The header is whole, what follows is not.
    let mut bytes = fs::read(&file).unwrap();
    bytes.truncate(4096);
    bytes[100..].fill(0x5a);
    fs::write(&file, bytes).unwrap();
    assert_says(meanwhile.folder.path(), &["meanwhile.sqlite", "damaged", "restore a backup"]);
}

#[tokio::test]
async fn an_unknown_migration_is_named() {
    let meanwhile = used_before().await;
    let file = meanwhile.folder.path().join("meanwhile.sqlite");
    let raw = Database::connect(format!("sqlite://{}", file.display())).await.unwrap();
    let applied =
        "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m0000_of_another', 0)";
    raw.execute_unprepared(applied).await.unwrap();
    raw.close().await.unwrap();
    assert_says(meanwhile.folder.path(), &["m0000_of_another", "release that made it"]);
}

#[tokio::test]
async fn a_folder_in_use_is_named() {
    let meanwhile = Meanwhile::start().await;
    let folder = meanwhile.folder.path();
    assert_says(folder, &["another Meanwhile", &folder.display().to_string(), "MEANWHILE_DATA"]);
}

#[test]
fn a_data_folder_that_can_not_be_made_or_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for data in [file.clone(), file.join("data")] {
        assert_says(&data, &["data folder", &data.display().to_string(), "MEANWHILE_DATA"]);
    }
}

#[tokio::test]
async fn a_read_only_database_is_named() {
    let meanwhile = used_before().await;
    let source = meanwhile.folder.path().join("meanwhile.sqlite");
    // Root may write whatever the file's mode is, but not to a disk that is
    // mounted read-only.
    if let Some(disk) = SmallDisk::mount_of(16) {
        fs::copy(&source, disk.path().join("meanwhile.sqlite")).unwrap();
        fs::write(disk.path().join("lock"), "").unwrap();
        disk.remount_read_only();
        assert_says(disk.path(), &["Read-only", "MEANWHILE_DATA"]);
    } else {
        fs::set_permissions(&source, Permissions::from_mode(0o444)).unwrap();
        assert_says(meanwhile.folder.path(), &["meanwhile.sqlite", "can't be written"]);
    }
}

#[tokio::test]
async fn a_read_only_database_in_a_folder_that_can_be_written_is_named() {
    let meanwhile = used_before().await;
    let source = meanwhile.folder.path().join("meanwhile.sqlite");
    let Some(disk) = SmallDisk::mount_of(16) else {
        eprintln!("skipped: only root can mount a disk");
        return;
    };
    let file = disk.path().join("meanwhile.sqlite");
    fs::copy(&source, &file).unwrap();
    disk.remount_read_only();
    let output = Command::new(env!("CARGO_BIN_EXE_meanwhile"))
        .env("MEANWHILE_DATA", tempfile::tempdir().unwrap().path())
        .env("MEANWHILE_DATABASE", format!("sqlite://{}", file.display()))
        .env("MEANWHILE_LISTEN", format!("127.0.0.1:{}", free_port()))
        .env("MEANWHILE_SANDBOX_LISTEN", format!("127.0.0.1:{}", free_port()))
        .env("RUST_LOG", "error")
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(said.contains("meanwhile.sqlite") && said.contains("write"), "{said}");
}

#[tokio::test]
async fn a_server_whose_folder_is_deleted_is_not_ready_and_accepts_nothing() {
    let meanwhile = Meanwhile::start().await;
    fs::remove_dir_all(meanwhile.folder.path()).unwrap();
    let ready = meanwhile.client.get(meanwhile.url("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    for key in ["a", "b", "c"] {
        let launch = meanwhile
            .post("/api/v1/jobs/product-uploads?channels=acme")
            .header("Idempotency-Key", key)
            .body("sku,title,price\nMW-1,Lamp,19.90\n");
        let answer = launch.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let words = answer.text().await.unwrap();
        assert!(words.contains("Nothing was changed"), "{words}");
    }
}
