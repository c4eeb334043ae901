//! A failed start prints one line that says what to do, and a server that loses
//! its data folder accepts nothing.

use crate::support::{server_command, start_server};
use reqwest::StatusCode;
use sea_orm::{ConnectionTrait, Database};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};
use testbed::{ServerProcess, SmallDisk};

/// Starts the server on this data folder, which must fail; returns its standard
/// error.
fn failed_start_stderr(data: &Path, backtrace: &str) -> String {
    let output = server_command(data).env("RUST_BACKTRACE", backtrace).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

/// Returns the only line that a failed start prints.
fn start_error_line(data: &Path) -> String {
    let stderr = failed_start_stderr(data, "0");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    assert!(!stderr.contains("Custom Error") && !stderr.contains("database: "), "{stderr}");
    stderr
}

fn assert_start_error_contains(data: &Path, parts: &[&str]) {
    let line = start_error_line(data);
    for part in parts {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
}

/// Returns a stopped server, whose data folder has a database of this release.
async fn stopped_server() -> ServerProcess {
    let mut meanwhile = start_server().await;
    meanwhile.kill();
    meanwhile
}

#[test]
fn file_that_is_no_database_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("meanwhile.sqlite"), vec![b'x'; 8192]).unwrap();
    assert_start_error_contains(
        folder.path(),
        &["meanwhile.sqlite", "damaged", "restore a backup"],
    );
    // RUST_BACKTRACE=1 still prints a backtrace.
    assert!(failed_start_stderr(folder.path(), "1").lines().count() > 3);
}

#[tokio::test]
async fn damaged_database_is_reported() {
    let meanwhile = stopped_server().await;
    let file = meanwhile.folder().join("meanwhile.sqlite");
    for log in ["sqlite-wal", "sqlite-shm"] {
        let _ = fs::remove_file(file.with_extension(log));
    }
    // The header stays intact, the rest is overwritten.
    let mut bytes = fs::read(&file).unwrap();
    bytes.truncate(4096);
    bytes[100..].fill(0x5a);
    fs::write(&file, bytes).unwrap();
    assert_start_error_contains(
        meanwhile.folder(),
        &["meanwhile.sqlite", "damaged", "restore a backup"],
    );
}

#[tokio::test]
async fn unknown_migration_is_reported() {
    let meanwhile = stopped_server().await;
    let file = meanwhile.folder().join("meanwhile.sqlite");
    let raw = Database::connect(format!("sqlite://{}", file.display())).await.unwrap();
    let applied =
        "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m0000_of_another', 0)";
    raw.execute_unprepared(applied).await.unwrap();
    raw.close().await.unwrap();
    assert_start_error_contains(meanwhile.folder(), &["m0000_of_another", "release that made it"]);
}

#[tokio::test]
async fn data_folder_in_use_is_reported() {
    let meanwhile = start_server().await;
    let folder = meanwhile.folder();
    assert_start_error_contains(
        folder,
        &["another Meanwhile", &folder.display().to_string(), "MEANWHILE_DATA"],
    );
}

#[test]
fn unusable_data_folder_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for data in [file.clone(), file.join("data")] {
        assert_start_error_contains(
            &data,
            &["data folder", &data.display().to_string(), "MEANWHILE_DATA"],
        );
    }
}

#[tokio::test]
async fn read_only_database_is_reported() {
    let meanwhile = stopped_server().await;
    let source = meanwhile.folder().join("meanwhile.sqlite");
    // Root may write regardless of the file's mode, but not to a disk that is
    // mounted read-only.
    if let Some(disk) = SmallDisk::mount_with_size(16) {
        fs::copy(&source, disk.path().join("meanwhile.sqlite")).unwrap();
        fs::write(disk.path().join("lock"), "").unwrap();
        disk.remount_read_only();
        assert_start_error_contains(disk.path(), &["Read-only", "MEANWHILE_DATA"]);
    } else {
        fs::set_permissions(&source, Permissions::from_mode(0o444)).unwrap();
        assert_start_error_contains(meanwhile.folder(), &["meanwhile.sqlite", "can't be written"]);
    }
}

#[tokio::test]
async fn read_only_database_outside_the_data_folder_is_reported() {
    let meanwhile = stopped_server().await;
    let source = meanwhile.folder().join("meanwhile.sqlite");
    let Some(disk) = SmallDisk::mount_with_size(16) else {
        eprintln!("skipped: only root can mount a disk");
        return;
    };
    let file = disk.path().join("meanwhile.sqlite");
    fs::copy(&source, &file).unwrap();
    disk.remount_read_only();
    let output = server_command(tempfile::tempdir().unwrap().path())
        .env("MEANWHILE_DATABASE", format!("sqlite://{}", file.display()))
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    assert!(stderr.contains("meanwhile.sqlite") && stderr.contains("write"), "{stderr}");
}

#[tokio::test]
async fn server_without_its_data_folder_is_not_ready_and_accepts_nothing() {
    let meanwhile = start_server().await;
    fs::remove_dir_all(meanwhile.folder()).unwrap();
    let ready = meanwhile.api.client.get(meanwhile.api.url("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    for key in ["a", "b", "c"] {
        let launch = meanwhile
            .api
            .post("/api/v1/jobs/product-uploads?channels=acme")
            .header("Idempotency-Key", key)
            .body("sku,title,price\nMW-1,Lamp,19.90\n");
        let answer = launch.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let words = answer.text().await.unwrap();
        assert!(words.contains("Nothing was changed"), "{words}");
    }
}
