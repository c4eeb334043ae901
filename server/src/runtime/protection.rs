//! Protection of the connections to the database, the broker and the rate limiter: what is
//! checked at start, and what is warned of.

use crate::config::{BrokerUrl, Config, DatabaseUrl, LimiterUrl};
use anyhow::anyhow;
use engine::store::PostgresProtection;

/// Checks that the authorities that servers' certificates must come from can be read, and logs
/// a warning for each connection that leaves this machine without full protection.
///
/// # Errors
/// The authorities that `SSL_CERT_FILE`, `SSL_CERT_DIR` or `sslrootcert` names can't be read.
pub fn check_connections(config: &Config) -> anyhow::Result<()> {
    if tls::load_roots()?.is_empty() {
        tracing::warn!(
            "this machine has no certificates of authorities, so no server can be trusted over \
             TLS: install the package ca-certificates, or set SSL_CERT_FILE"
        );
    }
    let database = config.database_url()?;
    if let Some(path) = database.root_certificate() {
        std::fs::File::open(&path).map_err(|error| {
            anyhow!(
                "sslrootcert in MEANWHILE_DATABASE names {path}, which can't be read ({error}): \
                 write the path of a PEM file with the certificate of your authority"
            )
        })?;
    }
    for warning in warnings(config, &database) {
        tracing::warn!("{warning}");
    }
    Ok(())
}

fn warnings(config: &Config, database: &DatabaseUrl) -> Vec<String> {
    let mut warnings = Vec::new();
    if let DatabaseUrl::Postgres(url) = database
        && let Some(PostgresProtection::Incomplete { host, ssl_mode }) =
            PostgresProtection::of(url.expose_secret())
    {
        let risk = match ssl_mode {
            "verify-ca" => "any server with a certificate of a trusted authority can pose as it",
            "require" => "it is encrypted, but any server can pose as it",
            "prefer" => "any server can pose as it, and it may be unencrypted",
            _ => "it is not encrypted",
        };
        warnings.push(format!(
            "the connection to PostgreSQL on {host} is not protected (sslmode={ssl_mode}): {risk}. \
             Add sslmode=verify-full to the parameters of MEANWHILE_DATABASE, and \
             sslrootcert=/path/to/ca.pem if the authority is your own"
        ));
    }
    if let BrokerUrl::RabbitMq(url) = &config.broker
        && let Some(host) = url.plain_text_host()
    {
        warnings.push(format!(
            "the connection to RabbitMQ on {host} is not encrypted. Turn TLS on there, and write \
             amqps:// and its port, usually 5671, in MEANWHILE_BROKER"
        ));
    }
    if let LimiterUrl::Redis(url) = &config.limiter
        && let Some(host) = url.plain_text_host()
    {
        warnings.push(format!(
            "the connection to Redis on {host} is not encrypted. Turn TLS on there, and write \
             rediss:// and its port in MEANWHILE_LIMITER"
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;

    fn warnings_for(database: &str, broker: &str, limiter: &str) -> Vec<String> {
        let flags = ["meanwhile", "--database", database, "--broker", broker, "--limiter", limiter];
        let config = Config::try_parse_from(flags).unwrap();
        warnings(&config, &config.database_url().unwrap())
    }

    #[test]
    fn each_connection_without_protection_is_warned_of() {
        let password = "hunter2";
        let found = warnings_for(
            &format!("postgres://ada:{password}@db.internal/m?sslmode=require"),
            &format!("amqp://ada:{password}@mq.internal:5672/v"),
            &format!("redis://:{password}@redis.internal/0"),
        );
        assert_eq!(found.len(), 3, "{found:?}");
        for (warning, parts) in found.iter().zip([
            ["db.internal", "sslmode=require", "sslmode=verify-full", "MEANWHILE_DATABASE"],
            ["mq.internal", "not encrypted", "amqps://", "MEANWHILE_BROKER"],
            ["redis.internal", "not encrypted", "rediss://", "MEANWHILE_LIMITER"],
        ]) {
            for part in parts {
                assert!(warning.contains(part), "no {part} in {warning}");
            }
            assert!(!warning.contains(password), "{warning}");
        }
    }

    #[test]
    fn protected_and_local_connections_are_not_warned_of() {
        for (database, broker, limiter) in [
            (
                "postgres://db.internal/m?sslmode=verify-full",
                "amqps://mq.internal/v",
                "rediss://redis.internal/0",
            ),
            ("postgres://127.0.0.1/m", "amqp://localhost/v", "redis://[::1]/0"),
            ("sqlite://m.sqlite", "embedded:", "embedded:"),
        ] {
            assert_eq!(warnings_for(database, broker, limiter), Vec::<String>::new());
        }
    }
}
