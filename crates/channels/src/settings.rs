//! The values of `[settings]`: plain ones stand in the file, secrets come from the
//! environment (`{ env = "NAME" }`) or from a file (`{ file = "/path" }`).

use minijinja::Value;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::{collections::BTreeMap, fmt, io, path::Path};

/// Minimum length of a secret that is replaced in texts: a shorter one would make texts
/// unreadable.
const MIN_REDACTED_CHARS: usize = 4;
/// What stands in a text instead of a secret.
const REDACTED: &str = "[secret]";

/// Where the values of secrets come from.
pub trait SecretSource {
    /// Returns an environment variable; `None` if it is not set.
    fn env(&self, name: &str) -> Option<String>;
    /// Returns the text of a file.
    ///
    /// # Errors
    /// It can't be read.
    fn file(&self, path: &Path) -> io::Result<String>;
}

/// The environment and the files of this process.
pub struct ProcessSecrets;

impl SecretSource for ProcessSecrets {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }
}

/// The settings of a channel.
#[derive(Clone, Default)]
pub struct Settings {
    values: BTreeMap<String, Value>,
    secrets: BTreeMap<String, String>,
    /// The secrets in every form in which an answer may repeat them, longest first.
    redacted: Vec<String>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.values.keys().collect();
        f.debug_struct("Settings").field("names", &names).finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads one value of the file, and adds it.
    ///
    /// # Errors
    /// Says what is wrong with the value, and what was expected. It contains no secret.
    pub fn add(
        &mut self,
        name: &str,
        value: &toml::Value,
        source: &dyn SecretSource,
    ) -> Result<(), String> {
        let (value, secret) = match value {
            toml::Value::String(text) => (Value::from(text.as_str()), None),
            toml::Value::Integer(number) => (Value::from(*number), None),
            toml::Value::Float(number) => (Value::from(*number), None),
            toml::Value::Boolean(flag) => (Value::from(*flag), None),
            toml::Value::Table(table) => {
                let secret = read_secret(table, source)?;
                (Value::from(secret.as_str()), Some(secret))
            }
            _ => {
                return Err("a setting is a text, a number, true or false, { env = \"NAME\" } or \
                            { file = \"/path\" }"
                    .into());
            }
        };
        if let Some(secret) = secret {
            self.add_redacted(secret.clone());
            self.secrets.insert(name.to_owned(), secret);
        }
        self.values.insert(name.to_owned(), value);
        Ok(())
    }

    /// Adds a value that can't be read; a table would have been a secret.
    pub fn add_missing(&mut self, name: &str, value: &toml::Value) {
        self.values.insert(name.to_owned(), Value::from("missing"));
        if value.is_table() {
            self.secrets.insert(name.to_owned(), String::new());
        }
    }

    /// Adds a text that must not be shown, with the forms that it has in URLs and in JSON.
    pub fn add_redacted(&mut self, secret: String) {
        if secret.chars().count() < MIN_REDACTED_CHARS {
            return;
        }
        let json = serde_json::Value::from(secret.as_str()).to_string();
        let url = utf8_percent_encode(&secret, NON_ALPHANUMERIC).to_string();
        self.redacted.extend([json.trim_matches('"').to_owned(), url, secret]);
        self.redacted.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.redacted.dedup();
    }

    /// Sets a plain value, in place of the file's if it has one.
    pub fn set(&mut self, name: &str, value: Value) {
        self.values.insert(name.to_owned(), value);
    }

    /// Whether there is a setting of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Whether the setting is a secret.
    pub fn is_secret(&self, name: &str) -> bool {
        self.secrets.contains_key(name)
    }

    /// Returns the secrets in every form, for masks over everything that is printed.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.redacted.iter().map(String::as_str)
    }

    /// Returns the names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Returns all values for templates, secrets included.
    pub fn expose_secrets(&self) -> Value {
        Value::from(self.values.clone())
    }

    /// Returns the values for texts that people see, without the secrets.
    pub fn plain_values(&self) -> Value {
        let is_plain = |(name, _): &(&String, &Value)| !self.secrets.contains_key(*name);
        let plain: BTreeMap<_, _> =
            self.values.iter().filter(is_plain).map(|(n, v)| (n.clone(), v.clone())).collect();
        Value::from(plain)
    }

    /// Replaces every secret in a text that people may see.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let replace = |text: String, secret: &String| text.replace(secret.as_str(), REDACTED);
        self.redacted.iter().fold(text.to_owned(), replace)
    }
}

fn read_secret(
    table: &toml::map::Map<String, toml::Value>,
    source: &dyn SecretSource,
) -> Result<String, String> {
    let expected = "expected { env = \"NAME\" } or { file = \"/path\" }";
    let mut entries = table.iter();
    let (Some((kind, toml::Value::String(name))), None) = (entries.next(), entries.next()) else {
        return Err(expected.into());
    };
    let secret = match kind.as_str() {
        "env" => source
            .env(name)
            .ok_or_else(|| format!("the environment variable {name} is not set: set it"))?,
        "file" => source
            .file(Path::new(name))
            .map_err(|error| format!("the file {name} can't be read ({})", error.kind()))?,
        _ => return Err(expected.into()),
    };
    let secret = secret.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(format!("{name} is empty: put the secret there"));
    }
    Ok(secret.to_owned())
}
