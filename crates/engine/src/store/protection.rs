//! How well the connection to a database server is protected.

use sea_orm::sqlx::postgres::{PgConnectOptions, PgSslMode};

/// Protection of connections to PostgreSQL against whoever can read or change what passes on
/// the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostgresProtection {
    /// They don't leave this machine.
    Local,
    /// They are encrypted, and the server is the one that the URL names: `verify-full`.
    Verified,
    /// They are less protected.
    Incomplete {
        /// Host of the server.
        host: String,
        /// `sslmode` in effect: `disable`, `allow`, `prefer`, `require` or `verify-ca`.
        ssl_mode: &'static str,
    },
}

impl PostgresProtection {
    /// Returns the protection that the URL and the variables of PostgreSQL's own clients, such
    /// as `PGSSLMODE`, ask for; `None` if the URL can't be read.
    pub fn of(url: &str) -> Option<Self> {
        let options: PgConnectOptions = url.parse().ok()?;
        if options.get_socket().is_some() || tls::is_local_host(options.get_host()) {
            return Some(Self::Local);
        }
        let ssl_mode = match options.get_ssl_mode() {
            PgSslMode::VerifyFull => return Some(Self::Verified),
            PgSslMode::VerifyCa => "verify-ca",
            PgSslMode::Require => "require",
            PgSslMode::Prefer => "prefer",
            PgSslMode::Allow => "allow",
            PgSslMode::Disable => "disable",
        };
        Some(Self::Incomplete { host: options.get_host().to_owned(), ssl_mode })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_verify_full_protects_a_connection_that_leaves_the_machine() {
        let incomplete = |host: &str, ssl_mode| {
            Some(PostgresProtection::Incomplete { host: host.into(), ssl_mode })
        };
        for (url, expected) in [
            ("postgres://a@127.0.0.1/m", Some(PostgresProtection::Local)),
            ("postgres://a@[::1]/m?sslmode=disable", Some(PostgresProtection::Local)),
            ("postgres://a@localhost/m", Some(PostgresProtection::Local)),
            ("postgres://a@%2Frun%2Fpostgresql/m", Some(PostgresProtection::Local)),
            ("postgres://a@x/m?host=/run/postgresql", Some(PostgresProtection::Local)),
            ("postgres://a@db/m?sslmode=verify-full", Some(PostgresProtection::Verified)),
            ("postgres://a@db/m", incomplete("db", "prefer")),
            ("postgres://a@localhost/m?host=db", incomplete("db", "prefer")),
            ("postgres://a@10.0.0.7/m?sslmode=require", incomplete("10.0.0.7", "require")),
            ("postgres://a@db/m?sslmode=verify-ca", incomplete("db", "verify-ca")),
            ("postgres://a@db/m?sslmode=disable", incomplete("db", "disable")),
            ("postgres://a@db/m?sslmode=allow", incomplete("db", "allow")),
            ("postgres://a@db/m?sslmode=verify_full", None),
        ] {
            assert_eq!(PostgresProtection::of(url), expected, "{url}");
        }
    }
}
