//! Which server is used, and with which token: a profile of the configuration file, or the
//! environment.

use crate::{arguments::ClientOptions, error::Error, output};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    env, fmt, fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};
use url::Url;

/// Environment variable with the URL of a server.
const URL_VARIABLE: &str = "MEANWHILE_URL";
/// Environment variable with an API token.
pub const TOKEN_VARIABLE: &str = "MEANWHILE_TOKEN";
/// Profile that is used where none is named.
const DEFAULT_PROFILE: &str = "default";

/// An API token, which can't be printed by accident.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// Takes a token that consists of visible characters, as a header requires.
    ///
    /// # Errors
    /// It has other characters.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.is_empty() {
            true => Ok(Self(text.to_owned())),
            false => Err(Error::Usage(
                "This is no API token: a token begins with mw_ and has letters and digits only."
                    .into(),
            )),
        }
    }

    /// Returns the secret, for the header of a request or the configuration file.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A server, and the token with which it is used.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Origin of the server, such as `https://meanwhile.example.com`.
    pub origin: Url,
    /// The token.
    pub token: Token,
}

impl Connection {
    /// Returns the connection that the options and the environment name: the profile of the
    /// command line; else `MEANWHILE_TOKEN` and `MEANWHILE_URL`, either of which may come from
    /// the profile `default` instead; else that profile.
    ///
    /// # Errors
    /// There is no such profile, or the file can't be read; a variable can't be used; or the
    /// token of a profile would be sent to another server.
    pub fn resolve(options: &ClientOptions) -> Result<Self, Error> {
        let profiles = ProfileFile::path()?;
        if let Some(name) = &options.profile {
            return ProfileFile::read(&profiles)?.connection(name, &profiles);
        }
        let (url, token) = (variable(URL_VARIABLE)?, variable(TOKEN_VARIABLE)?);
        let url = url.map(|url| parse_origin(&url)).transpose()?;
        let token = token.map(|token| Token::parse(&token)).transpose()?;
        if let (Some(origin), Some(token)) = (&url, &token) {
            return Ok(Self { origin: origin.clone(), token: token.clone() });
        }
        let saved = ProfileFile::read(&profiles)?.connection(DEFAULT_PROFILE, &profiles)?;
        match (url, token) {
            // A saved token is sent to the server that it was saved for, and to no other.
            (Some(origin), None) if origin != saved.origin => Err(Error::Usage(format!(
                "{URL_VARIABLE} is {}, and the saved token is for {}. Set {TOKEN_VARIABLE} too, \
                 or name a profile with --profile.",
                display(&origin),
                display(&saved.origin)
            ))),
            (_, Some(token)) => Ok(Self { token, ..saved }),
            _ => Ok(saved),
        }
    }

    /// Returns the origin as people write it, without the slash at the end.
    pub fn url(&self) -> &str {
        display(&self.origin)
    }
}

fn display(origin: &Url) -> &str {
    origin.as_str().trim_end_matches('/')
}

/// Returns an environment variable that is set and not empty.
fn variable(name: &str) -> Result<Option<String>, Error> {
    match env::var(name) {
        Ok(value) if !value.trim().is_empty() => Ok(Some(value.trim().to_owned())),
        Ok(_) | Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => {
            Err(Error::Usage(format!("{name} is no text in UTF-8.")))
        }
    }
}

/// Parses the URL of a server: `http` or `https`, a host, and perhaps a port.
///
/// # Errors
/// It is another kind of URL, or has a user name, a path or a query.
pub fn parse_origin(text: &str) -> Result<Url, Error> {
    // A URL with a password must not be repeated.
    let invalid = |why: &str| {
        let example = "Write it like https://meanwhile.example.com.";
        Error::Usage(format!("The URL of the server {why}. {example}"))
    };
    let url = Url::parse(text).map_err(|error| invalid(&format!("can't be read: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(invalid("must begin with http:// or https:// and have a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("must have no user name and no password"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("must have nothing after the host and the port"));
    }
    Ok(url)
}

/// The configuration file with all profiles.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileFile {
    #[serde(default)]
    profiles: BTreeMap<String, Profile>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    url: String,
    token: Token,
}

impl ProfileFile {
    /// Returns the path of the file, by the
    /// [XDG base directories](https://specifications.freedesktop.org/basedir-spec/latest/):
    /// `$XDG_CONFIG_HOME/meanwhile/config.toml`, by default in `~/.config`.
    ///
    /// # Errors
    /// The home folder is not known.
    pub fn path() -> Result<PathBuf, Error> {
        let folder = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        // A relative path is to be ignored.
        let folder = folder.filter(|folder| folder.is_absolute());
        let folder = folder.or_else(|| Some(env::home_dir()?.join(".config")));
        let folder = folder.ok_or_else(|| {
            Error::Usage("The home folder is not known. Set HOME or XDG_CONFIG_HOME.".into())
        })?;
        Ok(folder.join("meanwhile").join("config.toml"))
    }

    /// Reads the file; one that does not exist has no profiles.
    ///
    /// # Errors
    /// The file can't be read, or is no such file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                return Err(Error::Usage(format!("{} can't be read: {error}.", path.display())));
            }
        };
        if fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o077 != 0) {
            let path = path.display();
            output::print_note(&format!("Others can read the tokens in {path}: chmod 600 {path}"));
        }
        // The error of the parser would quote a line, perhaps one with a token.
        toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
            let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
            Error::Usage(format!(
                "{}{line} is no file of profiles: {}.",
                path.display(),
                error.message()
            ))
        })
    }

    /// Returns a profile.
    ///
    /// # Errors
    /// There is none of that name, or its URL or token can't be used.
    fn connection(&self, name: &str, path: &Path) -> Result<Connection, Error> {
        let Some(profile) = self.profiles.get(name) else {
            let known: Vec<_> = self.profiles.keys().map(String::as_str).collect();
            let known = match known.is_empty() {
                true => "It has none yet".to_owned(),
                false => format!("It has {}", known.join(", ")),
            };
            return Err(Error::Usage(format!(
                "There is no profile {name:?} in {}. {known}: save one with `meanwhile login \
                 --url https://…`, or set {URL_VARIABLE} and {TOKEN_VARIABLE}.",
                path.display()
            )));
        };
        let token = Token::parse(profile.token.expose())?;
        Ok(Connection { origin: parse_origin(&profile.url)?, token })
    }

    /// Adds a profile, or replaces the one of that name.
    pub fn insert(&mut self, name: &str, connection: &Connection) {
        let profile = Profile { url: connection.url().to_owned(), token: connection.token.clone() };
        self.profiles.insert(name.to_owned(), profile);
    }

    /// Writes the file, which only its owner can read, in one step.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let write = || -> io::Result<()> {
            let folder = path.parent().unwrap_or(Path::new("/"));
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            // Its mode is 0600 from the start.
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            let text = toml::to_string(self).map_err(io::Error::other)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            Ok(())
        };
        write()
            .map_err(|error| Error::Usage(format!("{} can't be written: {error}.", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_of_a_server_is_an_origin() {
        for (text, origin) in [
            ("https://meanwhile.example.com", "https://meanwhile.example.com"),
            ("https://meanwhile.example.com/", "https://meanwhile.example.com"),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
        ] {
            assert_eq!(display(&parse_origin(text).unwrap()), origin);
        }
        for text in ["", "meanwhile", "ftp://a", "https://a/jobs", "https://a?b", "a:3000"] {
            assert!(parse_origin(text).is_err(), "{text}");
        }
        let secret = parse_origin("https://ada:secret@a").unwrap_err().to_string();
        assert!(!secret.contains("secret") && secret.contains("no user name"), "{secret}");
    }

    #[test]
    fn file_keeps_profiles_and_its_errors_quote_no_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meanwhile").join("config.toml");
        let connection = |token: &str| Connection {
            origin: parse_origin("https://a.example").unwrap(),
            token: Token::parse(token).unwrap(),
        };
        let mut file = ProfileFile::read(&path).unwrap();
        file.insert("default", &connection("mw_one"));
        file.write(&path).unwrap();
        let mut file = ProfileFile::read(&path).unwrap();
        file.insert("b", &connection("mw_two"));
        file.write(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let file = ProfileFile::read(&path).unwrap();
        for (name, token) in [("default", "mw_one"), ("b", "mw_two")] {
            let found = file.connection(name, &path).unwrap();
            assert_eq!((found.url(), found.token.expose()), ("https://a.example", token));
            assert!(!format!("{found:?}").contains(token), "{found:?}");
        }
        let missing = file.connection("c", &path).unwrap_err().to_string();
        assert!(missing.contains("It has b, default"), "{missing}");

        for text in ["[profiles.default]\ntoken = \"mw_one", "[profiles.a]\ntokn = \"mw_one\"\n"] {
            fs::write(&path, text).unwrap();
            let error = ProfileFile::read(&path).unwrap_err().to_string();
            assert!(error.contains("line") && !error.contains("mw_one"), "{error}");
        }
    }
}
