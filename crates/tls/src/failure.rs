//! Failures of TLS, in words.

use rustls::{
    AlertDescription, CertificateError, Error as RustlsError, InvalidMessage,
    pki_types::{ServerName, UnixTime},
};
use std::{error::Error, fmt, io, sync::Arc};
use time::OffsetDateTime;

/// Why a server is not talked to over TLS. The text follows a name and a colon, says what is
/// wrong with the server and what to do, and has no full stop: "Redis can't be reached: its
/// certificate …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFailure {
    /// No trusted authority has issued the certificate.
    #[error(
        "its certificate was issued by an authority that this machine doesn't trust. If it is \
         your own, set SSL_CERT_FILE to a PEM file with its certificate and those of the other \
         authorities in use"
    )]
    UnknownAuthority,
    /// A trusted authority has the name that the certificate gives, but did not sign it.
    #[error(
        "its certificate was not signed by the authority that it names. If the authority is your \
         own and has a new key, write its new certificate to the file of SSL_CERT_FILE"
    )]
    BadSignature,
    /// The certificate is that of an authority, usually a self-signed one.
    #[error(
        "its certificate is that of an authority and can't be a server's. Issue one for the \
         server that is signed by the authority, and is none itself (CA:FALSE)"
    )]
    AuthorityAsServer,
    /// The certificate is for other names.
    #[error(
        "its certificate is for {} and not for {expected}. Write a name of the certificate in \
         the URL, or give the server a certificate for {expected}",
        list_names(presented)
    )]
    WrongName {
        /// Host in the URL.
        expected: String,
        /// Names in the certificate.
        presented: Vec<String>,
    },
    /// The certificate has expired.
    #[error("its certificate expired{}. Renew it; or correct this machine's clock", on_date(*date))]
    Expired {
        /// Last day of the certificate.
        date: Option<CertificateDate>,
    },
    /// The certificate is not valid yet.
    #[error(
        "its certificate is valid only from a later time on{}. Wait until then; or correct this \
         machine's clock", on_date(*date)
    )]
    NotYetValid {
        /// First day of the certificate.
        date: Option<CertificateDate>,
    },
    /// The certificate can't be used for another reason.
    #[error("its certificate is not valid ({0}). Give the server another one")]
    InvalidCertificate(String),
    /// The server wants a certificate of this client.
    #[error(
        "it asks for a certificate of Meanwhile or does not accept it. Let the server accept \
         clients without one"
    )]
    ClientCertificate,
    /// The server has no TLS on this port.
    #[error("it does not speak TLS on this port. Turn TLS on there, or correct the port")]
    NotSupported,
    /// The two sides have no version or algorithm in common, or one violated the protocol.
    #[error(
        "no TLS connection could be agreed on ({0}). Allow TLS 1.2 or 1.3 with current \
         algorithms on the server"
    )]
    Handshake(String),
}

/// Day of a certificate, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateDate(time::Date);

impl fmt::Display for CertificateDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(date) = self;
        write!(f, "{}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
    }
}

impl CertificateDate {
    fn of(time: UnixTime) -> Option<Self> {
        let seconds = i64::try_from(time.as_secs()).ok()?;
        Some(Self(OffsetDateTime::from_unix_timestamp(seconds).ok()?.date()))
    }
}

impl TlsFailure {
    /// Finds the failure of TLS among the causes of an error of any library: rustls's own
    /// error, wherever it is wrapped. `None` if TLS is not why it failed.
    pub fn find(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut current = Some(error);
        while let Some(error) = current {
            if let Some(failure) = error.downcast_ref::<RustlsError>() {
                return Some(Self::of(failure));
            }
            current = wrapped_error(error).or_else(|| error.source());
        }
        None
    }

    /// Whether the server's certificate is refused: only a person can change that.
    pub const fn is_refused_certificate(&self) -> bool {
        match self {
            Self::UnknownAuthority
            | Self::BadSignature
            | Self::AuthorityAsServer
            | Self::WrongName { .. }
            | Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::InvalidCertificate(_) => true,
            Self::ClientCertificate | Self::NotSupported | Self::Handshake(_) => false,
        }
    }

    fn of(error: &RustlsError) -> Self {
        match error {
            RustlsError::InvalidCertificate(error) => Self::of_certificate(error),
            RustlsError::NoCertificatesPresented => {
                Self::InvalidCertificate("it has sent none".into())
            }
            RustlsError::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NotSupported,
            RustlsError::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::CertificateUnknown,
            ) => Self::ClientCertificate,
            other => Self::Handshake(other.to_string()),
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::UnknownIssuer => Self::UnknownAuthority,
            CertificateError::BadSignature => Self::BadSignature,
            CertificateError::NotValidForNameContext { expected, presented } => Self::WrongName {
                expected: server_name(expected),
                presented: presented.iter().map(|name| bare_name(name).to_owned()).collect(),
            },
            CertificateError::NotValidForName => {
                Self::WrongName { expected: "the host of the URL".into(), presented: Vec::new() }
            }
            CertificateError::Expired => Self::Expired { date: None },
            CertificateError::ExpiredContext { not_after, .. } => {
                Self::Expired { date: CertificateDate::of(*not_after) }
            }
            CertificateError::NotValidYet => Self::NotYetValid { date: None },
            CertificateError::NotValidYetContext { not_before, .. } => {
                Self::NotYetValid { date: CertificateDate::of(*not_before) }
            }
            // webpki's error for it has no variant in rustls.
            other if other.to_string().contains("CaUsedAsEndEntity") => Self::AuthorityAsServer,
            other => Self::InvalidCertificate(other.to_string()),
        }
    }
}

/// Returns the error that another one wraps without naming it as its source: `source` of
/// [`io::Error`] and [`Arc`] is the source of what they wrap.
fn wrapped_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return error.get_ref().map(|inner| inner as &(dyn Error + 'static));
    }
    if let Some(error) = error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
        return Some(error.as_ref());
    }
    let shared = error.downcast_ref::<Arc<io::Error>>();
    shared.map(|error| error.as_ref() as &(dyn Error + 'static))
}

fn server_name(name: &ServerName<'_>) -> String {
    name.to_str().into_owned()
}

/// Returns the name without its kind: `DnsName("example.com")`, as webpki writes it, is
/// `example.com`.
fn bare_name(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

fn list_names(names: &[String]) -> String {
    match names {
        [] => "another name".into(),
        [name] => name.clone(),
        [first, second] => format!("{first} and {second}"),
        [first, second, ..] => format!("{first}, {second} and {} more", names.len() - 2),
    }
}

fn on_date(date: Option<CertificateDate>) -> String {
    date.map(|date| format!(" on {date}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    /// An error of a library that names its cause.
    #[derive(Debug, thiserror::Error)]
    #[error("connect")]
    struct ConnectError(#[source] io::Error);

    fn rustls_error(error: CertificateError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, RustlsError::InvalidCertificate(error))
    }

    fn unix_time(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    fn words(error: CertificateError) -> String {
        TlsFailure::find(&rustls_error(error)).unwrap().to_string()
    }

    #[test]
    fn a_failure_is_found_however_it_is_wrapped() {
        let error = || rustls_error(CertificateError::UnknownIssuer);
        let shared: Arc<dyn Error + Send + Sync> = Arc::new(error());
        let wrapped: [&(dyn Error + 'static); 5] = [
            &error(),
            &io::Error::other(error()),
            &ConnectError(io::Error::other(ConnectError(error()))),
            &Arc::new(error()),
            &shared,
        ];
        for error in wrapped {
            assert_eq!(TlsFailure::find(error), Some(TlsFailure::UnknownAuthority), "{error:?}");
        }
        assert_eq!(TlsFailure::find(&io::Error::other("no route")), None);
        assert_eq!(TlsFailure::find(&io::Error::from(io::ErrorKind::TimedOut)), None);
    }

    #[test]
    fn names_of_the_certificate_are_listed() {
        let expected = ServerName::try_from("mq.internal").unwrap();
        let presented = ["DnsName(\"a.example.com\")", "IpAddress(10.0.0.7)", "Unsupported(0x01)"];
        let error = |count: usize| CertificateError::NotValidForNameContext {
            expected: expected.clone(),
            presented: presented[..count].iter().map(|&name| name.into()).collect(),
        };
        for (count, names) in [
            (0, "another name"),
            (1, "a.example.com"),
            (2, "a.example.com and 10.0.0.7"),
            (3, "a.example.com, 10.0.0.7 and 1 more"),
        ] {
            let beginning = format!("its certificate is for {names} and not for mq.internal. ");
            assert!(words(error(count)).starts_with(&beginning), "{}", words(error(count)));
        }
    }

    #[test]
    fn dates_of_the_certificate_are_told() {
        let (time, date) = (unix_time(1_800_000_000), unix_time(1_709_164_800));
        let expired = words(CertificateError::ExpiredContext { time, not_after: date });
        assert!(expired.starts_with("its certificate expired on 2024-02-29. "), "{expired}");
        let early = words(CertificateError::NotValidYetContext { time, not_before: date });
        assert!(early.contains("on 2024-02-29. "), "{early}");
    }

    #[test]
    fn other_failures_are_not_taken_for_a_certificate() {
        for (error, expected) in [
            (
                RustlsError::InvalidMessage(InvalidMessage::InvalidContentType),
                TlsFailure::NotSupported,
            ),
            (
                RustlsError::AlertReceived(AlertDescription::CertificateRequired),
                TlsFailure::ClientCertificate,
            ),
        ] {
            assert_eq!(TlsFailure::find(&error), Some(expected), "{error}");
        }
        let alert = RustlsError::AlertReceived(AlertDescription::HandshakeFailure);
        assert!(matches!(TlsFailure::find(&alert), Some(TlsFailure::Handshake(_))));
    }
}
