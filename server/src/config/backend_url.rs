//! URLs of the database, the broker, the rate limiter and the sandbox.

use clap::{Arg, Command, Error, builder::TypedValueParser, error::ErrorKind};
use std::{
    ffi::OsStr,
    fmt::{self, Display},
    io,
    marker::PhantomData,
    path::Path,
    str::FromStr,
};
use url::{Host, Url};

/// Value that selects a broker or a rate limiter inside the process.
const EMBEDDED: &str = "embedded:";

/// Schemes of encrypted connections.
const TLS_SCHEMES: [&str; 2] = ["amqps", "rediss"];

/// Reason for which a value is not the URL of a backend. It says what is expected and
/// contains no part of the value, which may have a password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {expected}")]
pub struct InvalidUrl {
    expected: &'static str,
}

/// URL of a server. It may contain a password, which can't be printed by accident:
/// `Debug` shows the scheme, the host and the port.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl(Url);

impl ServerUrl {
    /// Parses a URL of one of `schemes` that has an authority, as in `scheme://host`.
    fn parse(text: &str, schemes: &[&str]) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        (schemes.contains(&url.scheme()) && url.has_authority()).then_some(Self(url))
    }

    /// Returns the whole URL, with its password.
    pub fn expose_secret(&self) -> &str {
        self.0.as_str()
    }

    /// Returns the host if connections to it leave this machine and are not encrypted: the
    /// scheme is none of those that ask for TLS. Only for servers of which the scheme decides.
    pub fn plain_text_host(&self) -> Option<&str> {
        let host = self.0.host_str().unwrap_or_default();
        (!TLS_SCHEMES.contains(&self.0.scheme()) && !tls::is_local_host(host)).then_some(host)
    }

    fn has_ipv6_host(&self) -> bool {
        matches!(self.0.host(), Some(Host::Ipv6(_)))
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())?;
        self.0.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// URL of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// URL of a SQLite file: `sqlite://path`.
    Sqlite(String),
    /// URL of a PostgreSQL server: `postgres://user:password@host:port/name`. Its parameter
    /// `sslmode` says how well the connection is protected.
    Postgres(ServerUrl),
}

impl DatabaseUrl {
    /// Returns the URL of the SQLite file in a data folder.
    ///
    /// # Errors
    /// The folder is relative, and the current one is unknown.
    pub fn in_data_folder(data: &Path) -> io::Result<Self> {
        let path = std::path::absolute(data.join("meanwhile.sqlite"))?;
        Ok(Self::Sqlite(format!("sqlite://{}", path.display())))
    }

    /// Returns the whole URL, with its password.
    pub fn expose_secret(&self) -> &str {
        match self {
            Self::Sqlite(url) => url,
            Self::Postgres(url) => url.expose_secret(),
        }
    }

    /// Returns the path of the file with the authorities that PostgreSQL's certificate may
    /// come from besides the system's, if the URL names one.
    pub fn root_certificate(&self) -> Option<String> {
        let Self::Postgres(ServerUrl(url)) = self else { return None };
        let mut parameters = url.query_pairs();
        let (_, path) = parameters.find(|(name, _)| name == "sslrootcert")?;
        // The file's content may also stand in its place.
        (!path.trim_start().starts_with("-----BEGIN")).then(|| path.into_owned())
    }

    /// Returns the path of the SQLite file; `None` for a server.
    pub fn sqlite_path(&self) -> Option<&Path> {
        let Self::Sqlite(url) = self else { return None };
        let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
        Some(Path::new(path.split('?').next().unwrap_or(path)))
    }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        if text.starts_with("sqlite:") {
            return Ok(Self::Sqlite(text.to_owned()));
        }
        let expected = "sqlite://path or postgres://user:password@host:port/name";
        let url = ServerUrl::parse(text, &["postgres", "postgresql"]);
        url.map(Self::Postgres).ok_or(InvalidUrl { expected })
    }
}

/// URL of the message broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerUrl {
    /// Queues in the memory of this process: `embedded:`.
    Embedded,
    /// URL of a RabbitMQ server: `amqp://user:password@host:port/vhost`, or `amqps://` for
    /// TLS.
    RabbitMq(ServerUrl),
}

impl FromStr for BrokerUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        if text == EMBEDDED {
            return Ok(Self::Embedded);
        }
        let expected = "embedded:, amqp://user:password@host:port/vhost or, encrypted, \
                        amqps://user:password@host:port/vhost, with a host that has a name or an \
                        IPv4 address";
        // The client would connect to localhost in place of an IPv6 address.
        let url = ServerUrl::parse(text, &["amqp", "amqps"]).filter(|url| !url.has_ipv6_host());
        url.map(Self::RabbitMq).ok_or(InvalidUrl { expected })
    }
}

/// URL of the rate limiter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimiterUrl {
    /// Limits in the memory of this process: `embedded:`.
    Embedded,
    /// URL of a Redis server: `redis://user:password@host:port/database`, or `rediss://` for
    /// TLS.
    Redis(ServerUrl),
}

impl FromStr for LimiterUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        if text == EMBEDDED {
            return Ok(Self::Embedded);
        }
        let expected = "embedded:, redis://user:password@host:port/database or, encrypted, \
                        rediss://user:password@host:port/database; nothing may follow with a #";
        // `#insecure` would accept any certificate.
        let url = ServerUrl::parse(text, &["redis", "rediss"]);
        let url = url.filter(|url| url.0.fragment().is_none());
        url.map(Self::Redis).ok_or(InvalidUrl { expected })
    }
}

/// URL of a running sandbox: `http://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxUrl(ServerUrl);

impl SandboxUrl {
    /// Returns the URL without a trailing slash, with its password.
    pub fn expose_secret(&self) -> &str {
        self.0.expose_secret().trim_end_matches('/')
    }
}

impl FromStr for SandboxUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let expected = "http://host:port";
        ServerUrl::parse(text, &["http"]).map(Self).ok_or(InvalidUrl { expected })
    }
}

/// Parser of a value that may contain a password. Unlike that of clap's own parsers, its
/// error does not quote the value.
pub struct SecretParser<T>(PhantomData<fn() -> T>);

impl<T> Default for SecretParser<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> Clone for SecretParser<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T: FromStr<Err: Display> + Clone + Send + Sync + 'static> TypedValueParser
    for SecretParser<T>
{
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<T, Error> {
        let reason = match value.to_str().map(T::from_str) {
            Some(Ok(parsed)) => return Ok(parsed),
            Some(Err(reason)) => reason.to_string(),
            None => "must be UTF-8".to_owned(),
        };
        let flag = argument.and_then(Arg::get_long).unwrap_or_default();
        let variable = argument.and_then(Arg::get_env).unwrap_or_default().display();
        let message = format!("{variable} (--{flag}) {reason}");
        Err(Error::raw(ErrorKind::ValueValidation, message).format(&mut command.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use clap::Parser;

    #[test]
    fn error_names_the_flag_and_the_variable_but_not_the_value() {
        for (flag, variable) in [
            ("--database", "MEANWHILE_DATABASE"),
            ("--broker", "MEANWHILE_BROKER"),
            ("--limiter", "MEANWHILE_LIMITER"),
            ("--sandbox-url", "MEANWHILE_SANDBOX_URL"),
        ] {
            let parsed = Config::try_parse_from(["meanwhile", flag, "nosuch://ada:hunter2@x"]);
            let error = parsed.err().map(|error| error.render().to_string()).unwrap_or_default();
            for part in [flag, variable, "must be", "://"] {
                assert!(error.contains(part), "no {part} in {error}");
            }
            assert!(!error.contains("hunter2") && !error.contains("nosuch"), "{error}");
        }
    }

    #[test]
    fn debug_output_shows_no_password() {
        for (text, shown) in [
            ("postgres://ada:hunter2@db:5433/x", "Postgres(postgres://db:5433)"),
            ("postgresql://db/x?user=ada&password=hunter2", "Postgres(postgresql://db)"),
            ("postgres:///x?host=/run/hunter2", "Postgres(postgres://)"),
        ] {
            let url = text.parse::<DatabaseUrl>();
            assert_eq!(url.map(|url| format!("{url:?}")), Ok(shown.to_owned()));
        }
        let broker = "amqp://ada:%68unter2@mq/vhost".parse::<BrokerUrl>();
        assert_eq!(format!("{broker:?}"), "Ok(RabbitMq(amqp://mq))");
        let limiter = "redis://:hunter2@cache:1/0".parse::<LimiterUrl>();
        assert_eq!(format!("{limiter:?}"), "Ok(Redis(redis://cache:1))");
    }

    #[test]
    fn url_keeps_its_password_for_the_backend() {
        for text in
            ["postgres://ada:%68unt%2Fer2@db:5433/x?sslmode=disable", "postgres://ada@[::1]/x"]
        {
            let url = text.parse::<DatabaseUrl>();
            assert_eq!(url.as_ref().map(DatabaseUrl::expose_secret), Ok(text));
        }
    }

    #[test]
    fn only_supported_backends_are_accepted() {
        for text in ["mysql://x", "postgres:/x", "postgres:x", "x", "", "postgres://x:port"] {
            assert!(text.parse::<DatabaseUrl>().is_err(), "{text}");
        }
        for text in [
            "kafka://x",
            "embedded",
            "amqp:x",
            "amqps:x",
            "amqp://[::1]/",
            "amqps://[2001:db8::1]:5671",
        ] {
            assert!(text.parse::<BrokerUrl>().is_err(), "{text}");
        }
        for text in
            ["memcached://x", "redis:/x", "rediss:x", "rediss://x/0#insecure", "redis://x#y"]
        {
            assert!(text.parse::<LimiterUrl>().is_err(), "{text}");
        }
        for text in ["127.0.0.1:9000", "https://x", "http://"] {
            assert!(text.parse::<SandboxUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn connections_that_leave_the_machine_unencrypted_are_known() {
        let broker = |text: &str| match text.parse::<BrokerUrl>() {
            Ok(BrokerUrl::RabbitMq(url)) => url.plain_text_host().map(str::to_owned),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(broker("amqp://a:b@mq.internal/v").as_deref(), Some("mq.internal"));
        for text in ["amqps://a:b@mq.internal/v", "amqp://127.0.0.1", "amqp://localhost:1/v"] {
            assert_eq!(broker(text), None, "{text}");
        }
        let limiter = |text: &str| match text.parse::<LimiterUrl>() {
            Ok(LimiterUrl::Redis(url)) => url.plain_text_host().map(str::to_owned),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(limiter("redis://cache:6379/0").as_deref(), Some("cache"));
        for text in ["rediss://cache:6380/0", "redis://[::1]/0"] {
            assert_eq!(limiter(text), None, "{text}");
        }
    }

    #[test]
    fn path_of_a_sqlite_file_is_found() {
        for (text, path) in
            [("sqlite:///a/b?mode=ro", "/a/b"), ("sqlite:b.db", "b.db"), ("sqlite://b.db", "b.db")]
        {
            let url = text.parse::<DatabaseUrl>();
            assert_eq!(url.as_ref().map(DatabaseUrl::sqlite_path), Ok(Some(Path::new(path))));
        }
    }
}
