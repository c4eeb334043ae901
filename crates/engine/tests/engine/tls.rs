//! Connections over TLS to real servers: which certificates are accepted, and what is said of
//! those that are not.

use engine::{
    clock::ManualClock,
    limiter::{Error, MAX_RESERVE_AHEAD, RateLimiter, UpstreamLimits, redis::RedisLimiter},
    rabbitmq::RabbitMqServer,
    store::{self, OpenFailure, Store},
    task_queue::{TaskQueue, rabbitmq::RabbitMqTaskQueue},
};
use std::fs;
use testbed::{CertificateAuthority, PostgresNode, RabbitNode, RedisNode, trusted_authority};
use uuid::Uuid;

/// Names of a server on this machine.
const LOCAL: &[&str] = &["127.0.0.1"];

/// Checks that an error has all `parts`, and none of a library's own words.
fn assert_words(words: &str, parts: &[&str]) {
    for part in parts {
        assert!(words.contains(part), "no {part:?} in {words}");
    }
    for part in
        ["UnknownIssuer", "InvalidCertificate", "NotValidForName", "invalid peer", "Expired"]
    {
        assert!(!words.contains(part), "{part:?} in {words}");
    }
}

async fn open_store(url: &str) -> Result<Store, store::Error> {
    Store::open(url, ManualClock::at(0), 1.0).await
}

/// Opens a store, which must fail because of TLS, and returns the text of the error.
async fn store_error(url: &str) -> String {
    let Err(error) = open_store(url).await else { panic!("{url} was accepted") };
    assert!(matches!(error.open_failure(), Some(OpenFailure::Tls(_))), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn postgres_needs_a_certificate_that_is_trusted_valid_and_its_own() {
    let test = "tls::postgres_needs_a_certificate_that_is_trusted_valid_and_its_own";
    let Some(authority) = trusted_authority(test) else { return };
    let mut node = PostgresNode::start_with_tls(&authority.issue(LOCAL));
    let url = node.create_database();
    assert!(url.contains("sslmode=verify-full"), "{url}");
    open_store(&url).await.unwrap();
    for (certificate, parts) in authority.refused_certificates() {
        node.set_certificate(&certificate);
        assert_words(&store_error(&url).await, &parts);
        // Encrypted all the same, and trusted by nobody.
        open_store(&url.replace("verify-full", "require")).await.unwrap();
    }
}

#[tokio::test]
async fn postgres_accepts_an_authority_of_the_url() {
    let test = "tls::postgres_accepts_an_authority_of_the_url";
    let Some(_) = trusted_authority(test) else { return };
    let own = CertificateAuthority::new("Company authority");
    let node = PostgresNode::start_with_tls(&own.issue(LOCAL));
    let url = node.create_database();
    assert_words(&store_error(&url).await, &["doesn't trust"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("company.pem");
    fs::write(&path, &own.certificate_pem).unwrap();
    open_store(&format!("{url}&sslrootcert={}", path.display())).await.unwrap();
}

#[tokio::test]
async fn postgres_without_tls_is_refused_where_it_is_demanded() {
    let node = PostgresNode::start();
    let url = node.create_database();
    for ssl_mode in ["verify-full", "require"] {
        let words = store_error(&format!("{url}?sslmode={ssl_mode}")).await;
        assert_words(&words, &["does not speak TLS on this port", "Turn TLS on"]);
    }
    open_store(&url).await.unwrap();
}

#[tokio::test]
async fn rabbitmq_needs_a_certificate_that_is_trusted_valid_and_its_own() {
    let test = "tls::rabbitmq_needs_a_certificate_that_is_trusted_valid_and_its_own";
    let Some(authority) = trusted_authority(test) else { return };
    let node = RabbitNode::start_with_tls(&authority.issue(LOCAL));
    assert!(node.url().starts_with("amqps://"), "{}", node.url());
    let declare = async || {
        let queue = RabbitMqTaskQueue::new(RabbitMqServer::new(&node.url()).unwrap());
        queue.declare_queues(&["noop".into()]).await
    };
    declare().await.unwrap();
    for (certificate, parts) in authority.refused_certificates() {
        node.set_certificate(&certificate);
        let error = declare().await.expect_err("the certificate was accepted");
        assert_words(&error.to_string(), &parts);
    }
    node.set_certificate(&authority.issue(LOCAL));
    declare().await.unwrap();
}

#[tokio::test]
async fn redis_needs_a_certificate_that_is_trusted_valid_and_its_own() {
    let test = "tls::redis_needs_a_certificate_that_is_trusted_valid_and_its_own";
    let Some(authority) = trusted_authority(test) else { return };
    let mut node = RedisNode::start_with_tls(&authority.issue(LOCAL));
    assert!(node.url().starts_with("rediss://"), "{}", node.url());
    let limiter = RedisLimiter::new(&node.url()).unwrap();
    let limits = UpstreamLimits { rate: 2.0, concurrency: 4 };
    let reserve =
        async || limiter.reserve("acme", &limits, Uuid::now_v7(), MAX_RESERVE_AHEAD).await;
    reserve().await.unwrap();
    for (certificate, parts) in authority.refused_certificates() {
        node.set_certificate(&certificate);
        // The first call may find that the connection to the old server is gone.
        let _ = reserve().await;
        match reserve().await {
            Err(Error::Misconfigured(words)) => assert_words(&words, &parts),
            other => panic!("{other:?}"),
        }
    }
    node.set_certificate(&authority.issue(LOCAL));
    reserve().await.unwrap();
}

#[tokio::test]
async fn servers_without_tls_are_named() {
    let node = RabbitNode::start();
    let url = node.url().replace("amqp://", "amqps://");
    let queue = RabbitMqTaskQueue::new(RabbitMqServer::new(&url).unwrap());
    let error = queue.declare_queues(&["noop".into()]).await.unwrap_err();
    assert_words(&error.to_string(), &["does not speak TLS on this port"]);
}
