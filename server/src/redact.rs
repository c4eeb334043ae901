//! Secrets of the configuration are kept out of everything that the process
//! prints: errors, panics, log lines, help.
//!
//! What carries a secret is a [`Secret`], which can't be printed by accident.
//! That does not reach what libraries say of a URL that they can't read, so
//! all output passes [`redact`], which knows the secrets of this process and
//! the shape of a URL.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    fmt,
    io::{self, Write, stderr},
    ops::Deref,
    str::FromStr,
    sync::{PoisonError, RwLock},
};

/// What stands in the place of a secret.
const MASK: &str = "***";
/// Shorter texts are masked in URLs only: replaced wherever they stand, they
/// would make the log unreadable. Bytes.
const SHORTEST: usize = 4;
/// Variables whose whole value is a secret.
const SECRET_VARIABLES: [&str; 2] = ["MEANWHILE_ADMIN_PASSWORD", "PGPASSWORD"];
/// Flags whose whole value is a secret.
const SECRET_FLAGS: [&str; 1] = ["--admin-password"];

/// Secrets of this process, the longest first.
static SECRETS: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// A value of the configuration that is, or may hold, a secret.
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

/// Learns the secrets of the command line and the environment. Called before
/// anything can fail, so that even what can't be parsed is known.
pub fn learn() {
    let arguments: Vec<String> =
        std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let ours = name.starts_with("MEANWHILE_") || SECRET_VARIABLES.contains(&name.as_str());
        ours.then(|| (name, value.to_string_lossy().into_owned()))
    });
    let mut found = Vec::new();
    for (name, value) in variables {
        match SECRET_VARIABLES.contains(&name.as_str()) {
            true => found.push(value),
            false => found.extend(secrets_of(&value)),
        }
    }
    for (place, argument) in arguments.iter().enumerate() {
        let (flag, value) = match argument.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (argument.as_str(), arguments.get(place + 1).map(String::as_str)),
        };
        if SECRET_FLAGS.contains(&flag) {
            found.extend(value.map(str::to_owned));
        }
        found.extend(secrets_of(argument));
    }
    // As `{:?}` prints them.
    let escaped: Vec<_> = found.iter().map(|secret| secret.escape_debug().to_string()).collect();
    found.extend(escaped);
    found.retain(|secret| secret.len() >= SHORTEST);
    found.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    found.dedup();
    *SECRETS.write().unwrap_or_else(PoisonError::into_inner) = found;
}

/// What is secret in a URL, however broken: the password, whole, decoded, and
/// in the parts that an unescaped delimiter makes of it; and the parameters
/// that carry one. A password that is the user's name is no secret, and masked
/// in URLs only.
fn secrets_of(text: &str) -> Vec<String> {
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
        // `scheme://user:password`, where the host was forgotten; or a port.
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
        found.push(decoded(password));
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
fn decoded(text: &str) -> String {
    // A plus is a space to forms alone.
    let form = text.replace('+', "%2B");
    let parsed = form_urlencoded::parse(form.as_bytes()).next();
    parsed.map(|(name, value)| format!("{name}{value}")).unwrap_or_default()
}

/// Returns the text with [`MASK`] for each secret of this process, and for the
/// password of each URL.
pub fn redact(text: &str) -> String {
    let mut redacted = text.to_owned();
    for secret in SECRETS.read().unwrap_or_else(PoisonError::into_inner).iter() {
        if redacted.contains(secret.as_str()) {
            redacted = redacted.replace(secret.as_str(), MASK);
        }
    }
    mask_urls(&redacted)
}

/// Masks `password` of each `scheme://user:password@host`.
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

/// Writes what is redacted. Each write has to be a whole line or more: a
/// secret that two of them share is not found.
pub struct Redacted<W>(pub W);

impl<W: Write> Write for Redacted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(redact(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Prints panics as usual, redacted; a backtrace only where `RUST_BACKTRACE`
/// asks for one.
pub fn redact_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let mut text = format!("thread '{}' {panic}\n", thread.name().unwrap_or("<unnamed>"));
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            text.push_str(&format!("{backtrace}\n"));
        }
        let _ = Redacted(stderr()).write_all(text.as_bytes());
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_a_broken_url_is_found() {
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
            assert!(secrets_of(url).iter().any(|secret| secret == "hunter2"), "{url}");
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
            let secrets = secrets_of(url);
            assert!(secrets.iter().all(|secret| secret.len() < SHORTEST), "{url}: {secrets:?}");
        }
    }

    #[test]
    fn passwords_of_urls_are_masked_wherever_they_stand() {
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
