//! Removes secrets of the configuration from everything that the process prints:
//! errors, panics, log lines, help.
//!
//! Values with a secret are of type [`Secret`], which can't be printed by accident.
//! This does not cover the messages of libraries about a URL that they can't parse,
//! so all output passes through [`redact`], which knows the secrets of this process
//! and the form of a URL.

use parking_lot::RwLock;
use std::{
    backtrace::{Backtrace, BacktraceStatus},
    fmt,
    io::{self, Write, stderr},
    ops::Deref,
    str::FromStr,
};

/// Text that replaces a secret.
const MASK: &str = "***";
/// Minimum length of a secret that is masked everywhere, in bytes. Shorter ones are
/// masked in URLs only: replacing them everywhere would make the log unreadable.
const MIN_SECRET_BYTES: usize = 4;
/// Environment variables whose whole value is a secret.
const SECRET_VARIABLES: [&str; 3] = ["MEANWHILE_ADMIN_PASSWORD", "PGPASSWORD", cli::TOKEN_VARIABLE];
/// Prefix of the variables about the collector of telemetry. The headers are credentials, and
/// the endpoint may contain some.
const TELEMETRY_PREFIX: &str = "OTEL_EXPORTER_OTLP_";
/// Flags whose whole value is a secret.
const SECRET_FLAGS: [&str; 1] = ["--admin-password"];

/// Secrets of this process, longest first.
static SECRETS: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Configuration value that is, or may contain, a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl Deref for Secret {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Collects the secrets of the command line and the environment. To be called before
/// anything can fail, so that secrets in values that can't be parsed are known, too.
pub fn collect_secrets() {
    let arguments: Vec<String> =
        std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let ours = name.starts_with("MEANWHILE_")
            || name.starts_with(TELEMETRY_PREFIX)
            || SECRET_VARIABLES.contains(&name.as_str());
        ours.then(|| (name, value.to_string_lossy().into_owned()))
    });
    let mut found = Vec::new();
    for (name, value) in variables {
        match SECRET_VARIABLES.contains(&name.as_str()) {
            true => found.push(value),
            false if name.starts_with(TELEMETRY_PREFIX) && name.ends_with("HEADERS") => {
                found.extend(header_values(&value));
            }
            false => found.extend(find_secrets(&value)),
        }
    }
    for (index, argument) in arguments.iter().enumerate() {
        let (flag, value) = match argument.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (argument.as_str(), arguments.get(index + 1).map(String::as_str)),
        };
        if SECRET_FLAGS.contains(&flag) {
            found.extend(value.map(str::to_owned));
        }
        found.extend(find_secrets(argument));
    }
    // `{:?}` prints secrets in this form.
    let escaped: Vec<_> = found.iter().map(|secret| secret.escape_debug().to_string()).collect();
    found.extend(escaped);
    found.retain(|secret| secret.len() >= MIN_SECRET_BYTES);
    found.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    found.dedup();
    *SECRETS.write() = found;
}

/// Adds secrets that were read from elsewhere, such as those of the channels.
pub fn add_secrets(secrets: impl IntoIterator<Item = String>) {
    let mut known = SECRETS.write();
    for secret in secrets {
        let escaped = secret.escape_debug().to_string();
        known.extend([secret, escaped]);
    }
    known.retain(|secret| secret.len() >= MIN_SECRET_BYTES);
    known.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    known.dedup();
}

/// Returns the values in a list of headers, `name=value,…`, as they are and decoded.
fn header_values(list: &str) -> impl Iterator<Item = String> {
    let values = list.split(',').filter_map(|header| header.split_once('='));
    values.flat_map(|(_, value)| {
        let value = value.trim();
        // `Bearer token`: the token alone is a secret too.
        let last_word = value.rsplit([' ', '+']).next().unwrap_or(value);
        let last_word = last_word.rsplit("%20").next().unwrap_or(last_word);
        [value.to_owned(), value.replace("%20", " "), last_word.to_owned()]
    })
}

/// Returns the secrets in a URL, which may be malformed: the password as it is,
/// decoded, and in the parts into which unescaped delimiters split it; and query
/// parameters with secrets. A password that equals the user name is not a secret,
/// and is masked in URLs only.
fn find_secrets(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (rest, is_url) = match text.split_once("//") {
        Some((_, rest)) => (rest, true),
        None => (text.split_once(':').map_or(text, |(_, rest)| rest), false),
    };
    let password = match rest.rsplit_once('@') {
        Some((userinfo, _)) => match userinfo.split_once(':') {
            Some((user, password)) if user != password => Some(password),
            Some(_) => None,
            // `user:password@host`, without a scheme.
            None => (!is_url).then_some(userinfo),
        },
        // `scheme://user:password` without a host, or a port.
        None if is_url => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let last = authority.split_once(':').map(|(_, last)| last);
            last.filter(|last| !last.bytes().all(|byte| byte.is_ascii_digit()))
        }
        None => None,
    };
    if let Some(password) = password {
        found.push(password.to_owned());
        found.extend(password.split(['/', '?', '#', '@', ':']).map(str::to_owned));
        found.push(percent_decode(password));
    }
    if let Some((_, query)) = rest.split_once('?') {
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let name = name.to_lowercase();
            if ["pass", "pwd", "secret", "token", "key"].iter().any(|word| name.contains(word)) {
                found.push(value.into_owned());
            }
        }
    }
    found
}

/// Decodes `%XX`.
fn percent_decode(text: &str) -> String {
    // A plus means a space in form encoding only.
    let form = text.replace('+', "%2B");
    let parsed = form_urlencoded::parse(form.as_bytes()).next();
    parsed.map(|(name, value)| format!("{name}{value}")).unwrap_or_default()
}

/// Replaces each secret of this process, and the password of each URL, by [`MASK`].
pub fn redact(text: &str) -> String {
    let mut redacted = text.to_owned();
    for secret in SECRETS.read().iter() {
        if redacted.contains(secret.as_str()) {
            redacted = redacted.replace(secret.as_str(), MASK);
        }
    }
    mask_urls(&redacted)
}

/// Masks `password` in each `scheme://user:password@host`.
fn mask_urls(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        masked.push_str(before);
        masked.push_str("://");
        let ends = |letter: char| letter.is_whitespace() || "\"'`<>,()".contains(letter);
        let url = &after[..after.find(ends).unwrap_or(after.len())];
        let authority = &url[..url.find("://").unwrap_or(url.len())];
        let colon = authority.find(':');
        match colon.zip(authority.rfind('@')) {
            Some((colon, at)) if colon < at => {
                masked.push_str(&authority[..=colon]);
                masked.push_str(MASK);
                rest = &after[at..];
            }
            _ => rest = after,
        }
    }
    masked.push_str(rest);
    masked
}

/// Writer that redacts its output. Each write must consist of whole lines: a secret
/// that is split between two writes is not found.
pub struct RedactingWriter<W>(pub W);

impl<W: Write> Write for RedactingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(redact(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Installs a panic hook that prints panics redacted, with a backtrace if
/// `RUST_BACKTRACE` is set accordingly.
pub fn redact_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let mut text = format!("thread '{}' {panic}\n", thread.name().unwrap_or("<unnamed>"));
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            text.push_str(&format!("{backtrace}\n"));
        }
        let _ = RedactingWriter(stderr()).write_all(text.as_bytes());
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_of_a_malformed_url_is_found() {
        for url in [
            "postgres://ada:hunter2@host/db",
            "postgres:/ada:hunter2@host/db",
            "postgres//ada:hunter2@host/db",
            "postgres:ada:hunter2@host/db",
            "ada:hunter2@host/db",
            "://ada:hunter2@",
            "redis://:hunter2@host:x",
            "postgres://ada:hunter2",
            "postgres://host/db?user=ada&password=hunter2",
            "postgres://host/db?sslpassword=hunter2",
            "postgres://ada:%68unter2@host",
            "postgres://ada:12/hunter2@host",
            "postgres://ada:p@hunter2@host",
            "--database=postgres://ada:hunter2@host",
        ] {
            assert!(find_secrets(url).iter().any(|secret| secret == "hunter2"), "{url}");
        }
        for url in [
            "sqlite:///tmp/a:b",
            "http://host:3000/",
            "127.0.0.1:3000",
            "[::1]:3000",
            "embedded:",
            "amqp://guest:guest@host",
            "warn",
        ] {
            let secrets = find_secrets(url);
            assert!(
                secrets.iter().all(|secret| secret.len() < MIN_SECRET_BYTES),
                "{url}: {secrets:?}"
            );
        }
    }

    #[test]
    fn passwords_of_urls_are_masked_anywhere_in_a_text() {
        for (text, masked) in [
            ("at amqp://a:b@h/v, then", "at amqp://a:***@h/v, then"),
            ("\"redis://:b@h\" http://h:1/", "\"redis://:***@h\" http://h:1/"),
            ("a://b:c@d://e:f@g", "a://b:***@d://e:***@g"),
            ("no URL: a@b", "no URL: a@b"),
            ("://", "://"),
        ] {
            assert_eq!(mask_urls(text), masked);
        }
        assert_eq!(format!("{:?}", Secret("hunter2".into())), MASK);
    }
}
