//! The product with PostgreSQL, RabbitMQ and Redis over TLS.

use crate::support::{new_server, server_command};
use std::{fs, path::PathBuf};
use tempfile::TempDir;
use testbed::{
    CertificateAuthority, PostgresNode, RabbitNode, RedisNode, ServerProcess, wait_until,
};

/// Servers whose certificates come from one authority.
struct TlsServers {
    database: String,
    /// Runs until it is dropped.
    _postgres: PostgresNode,
    rabbit: RabbitNode,
    redis: RedisNode,
    folder: TempDir,
}

impl TlsServers {
    fn start() -> Self {
        let authority = CertificateAuthority::new("Company authority");
        let certificate = authority.issue(&["127.0.0.1"]);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("company.pem"), &authority.certificate_pem).unwrap();
        let postgres = PostgresNode::start_with_tls(&certificate);
        Self {
            database: postgres.create_database(),
            _postgres: postgres,
            rabbit: RabbitNode::start_with_tls(&certificate),
            redis: RedisNode::start_with_tls(&certificate),
            folder,
        }
    }

    /// Returns the path of the authority's certificate.
    fn authority_path(&self) -> PathBuf {
        self.folder.path().join("company.pem")
    }

    /// Returns a server that uses these servers, and does not run yet.
    fn new_product(&self) -> ServerProcess {
        let mut product = new_server().with_admin();
        product.set_env("MEANWHILE_DATABASE", &self.database);
        product.set_env("MEANWHILE_BROKER", self.rabbit.url());
        product.set_env("MEANWHILE_LIMITER", self.redis.url());
        product
    }
}

#[tokio::test]
async fn a_job_runs_with_every_connection_over_tls() {
    let servers = tokio::task::spawn_blocking(TlsServers::start).await.unwrap();
    let mut product = servers.new_product();
    product.set_env("SSL_CERT_FILE", servers.authority_path().display().to_string());
    product.spawn().await.unwrap();
    product.api.sign_in().await.unwrap();
    let csv = "sku,title,price\nMW-1,Lamp,19.90\n".to_owned();
    let job = product.api.upload(csv, "tls").await.unwrap();
    wait_until("the job finishes", async || {
        let job = product.api.get_json(&format!("/api/v1/jobs/{}", job.id)).await.unwrap();
        ["succeeded", "partly_failed"].contains(&job["state"].as_str().unwrap_or_default())
    })
    .await;
    assert_eq!(product.count_in_log("TLS"), 0, "{}", product.read_log());
}

#[tokio::test]
async fn an_untrusted_broker_is_reported_in_words() {
    let servers = tokio::task::spawn_blocking(TlsServers::start).await.unwrap();
    let mut product = servers.new_product();
    let root = format!("&sslrootcert={}", servers.authority_path().display());
    product.set_env("MEANWHILE_DATABASE", format!("{}{root}", servers.database));
    product.spawn().await.unwrap();
    product.api.sign_in().await.unwrap();
    wait_until("the broker's certificate is reported", async || {
        product.read_log().lines().any(|line| {
            line.contains("RabbitMQ")
                && line.contains("an authority that this machine doesn't trust")
        })
    })
    .await;
    assert_eq!(product.count_in_log("UnknownIssuer"), 0, "{}", product.read_log());
}

#[test]
fn a_start_without_a_trusted_database_says_what_to_do() {
    let authority = CertificateAuthority::new("Company authority");
    let mut postgres = PostgresNode::start_with_tls(&authority.issue(&["127.0.0.1"]));
    let database = postgres.create_database();
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("company.pem");
    fs::write(&roots, &authority.certificate_pem).unwrap();
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "no certificate").unwrap();
    let missing = folder.path().join("missing.pem");
    let path = |path: &PathBuf| path.display().to_string();
    let assert_refused = |roots: Option<&PathBuf>, url: &str, parts: &[&str]| {
        let mut command = server_command(folder.path());
        command.env("MEANWHILE_DATABASE", url).env("RUST_BACKTRACE", "0");
        command.env_remove("SSL_CERT_DIR");
        match roots {
            Some(roots) => command.env("SSL_CERT_FILE", roots),
            None => command.env_remove("SSL_CERT_FILE"),
        };
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
        for part in parts {
            assert!(stderr.contains(part), "no {part:?} in {stderr}");
        }
    };
    assert_refused(None, &database, &["MEANWHILE_DATABASE", "doesn't trust", "SSL_CERT_FILE"]);
    assert_refused(Some(&missing), &database, &["SSL_CERT_FILE", &path(&missing), "PEM format"]);
    assert_refused(Some(&empty), &database, &["SSL_CERT_FILE", "there is no certificate"]);
    let url = format!("{database}&sslrootcert={}", path(&missing));
    assert_refused(Some(&roots), &url, &["sslrootcert", &path(&missing), "can't be read"]);
    postgres.set_certificate(&authority.issue_expired(&["127.0.0.1"]));
    assert_refused(Some(&roots), &database, &["expired on 2020-02-29", "Renew it"]);
    let plain = PostgresNode::start();
    let url = format!("{}?sslmode=verify-full", plain.create_database());
    assert_refused(Some(&roots), &url, &["does not speak TLS"]);
}
