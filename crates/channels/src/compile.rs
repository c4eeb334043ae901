//! Checks of a whole file, which find every mistake at once.

mod auth;
mod pace;
mod request;
mod rules;
mod steps;
mod strings;

use crate::{
    channel::{Channel, Check, ProductState},
    error::{Mistake, Mistakes},
    file::{ChannelFile, CheckTable, ProductTable, Text, Texts},
    position::Source,
    scope::BUILT_IN,
    settings::{SecretSource, Settings},
    template::{Escaping, Expression, Template},
};
use request::RequestKeys;
use std::{collections::BTreeMap, path::Path};
use strings::Strings;

/// Maximum number of steps and of rules.
const MAX_ENTRIES: usize = 100;

pub fn compile(
    path: &str,
    text: &str,
    secrets: &dyn SecretSource,
    overrides: &[(&str, minijinja::Value)],
) -> Result<Channel, Mistakes> {
    let source = Source { path, text };
    let file: ChannelFile = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        Mistakes(vec![source.mistake_at(at, "", error.message())])
    })?;
    let id = channel_id(&source).map_err(|mistake| Mistakes(vec![mistake]))?;
    let mut compiler = Compiler::new(source);
    compiler.read_settings(&file, secrets, overrides);
    compiler.collect_saved_names(&file);
    let channel = compiler.channel(id, &file);
    let mut mistakes = compiler.strings.mistakes;
    match channel {
        Some(channel) if mistakes.is_empty() => Ok(channel),
        _ => {
            mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
            Err(Mistakes(mistakes))
        }
    }
}

/// Returns the id of the channel: the name of its file.
fn channel_id(source: &Source<'_>) -> Result<String, Mistake> {
    let id = Path::new(source.path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let is_id = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let reserved = ["ec2", "cloudwatch", "aws"];
    if id.is_empty() || id.len() > 40 || !id.chars().all(is_id) || id.starts_with('-') {
        let message = "the name of the file is the channel's id: up to 40 lower-case letters, \
                       digits and hyphens, as in my-shop.toml";
        return Err(source.mistake_at(0, "", message));
    }
    if reserved.contains(&id) {
        let message = format!("the id `{id}` is taken by AWS: rename the file");
        return Err(source.mistake_at(0, "", message));
    }
    Ok(id.to_owned())
}

/// Names that a request has no values for if it concerns no product.
pub(crate) const WITHOUT_PRODUCT: &[&str] =
    &["product", "item", "index", "token", "key", "known", "accepted_at"];
/// Names that have no value outside of a step's own requests.
const OUTSIDE_OF_REQUESTS: &[&str] = &["token", "item", "index"];

struct Compiler<'a> {
    strings: Strings<'a>,
    saved_names: Vec<String>,
}

impl<'a> Compiler<'a> {
    fn new(source: Source<'a>) -> Self {
        Self { strings: Strings::new(source), saved_names: Vec::new() }
    }

    fn read_settings(
        &mut self,
        file: &ChannelFile,
        secrets: &dyn SecretSource,
        overrides: &[(&str, minijinja::Value)],
    ) {
        let mut settings = Settings::default();
        for (name, value) in &file.settings {
            let name_text = name.get_ref();
            if !is_identifier(name_text) {
                let message = "a name has letters, digits and underscores only";
                self.strings.mistake(name, &format!("settings.{name_text}"), message);
            }
            if let Err(message) = settings.add(name_text, value.get_ref(), secrets) {
                self.strings.mistake(value, &format!("settings.{name_text}"), message);
                // The name exists, so that what uses it is no mistake too.
                settings.add_missing(name_text, value.get_ref());
            }
        }
        for (name, value) in overrides {
            settings.set(name, value.clone());
        }
        self.strings.settings = settings;
    }

    /// Collects the names that steps and rules define and save, before anything uses them.
    fn collect_saved_names(&mut self, file: &ChannelFile) {
        let steps = || file.step.iter().map(|step| step.get_ref());
        let defined = steps().flat_map(|step| step.define.keys()).map(|name| ("define", name));
        let rules = file.on.iter().flat_map(|rule| rule.get_ref().save.keys());
        let saved = steps().flat_map(|step| step.save.keys()).chain(rules);
        let mut names = Vec::new();
        for (key, name) in defined.chain(saved.map(|name| ("save", name))) {
            let text = name.get_ref();
            if !is_identifier(text) {
                let message = "a name has letters, digits and underscores only";
                self.strings.mistake(name, &format!("{key}.{text}"), message);
            } else if BUILT_IN.contains(&text.as_str()) {
                let message = format!("`{text}` is a name of its own: choose another one");
                self.strings.mistake(name, &format!("{key}.{text}"), message);
            } else if !names.contains(text) {
                names.push(text.clone());
            }
        }
        self.strings.saved_names.clone_from(&names);
        self.saved_names = names;
    }

    fn channel(&mut self, id: String, file: &ChannelFile) -> Option<Channel> {
        let name = file.name.get_ref().trim();
        if name.is_empty() || name.chars().count() > 40 {
            self.strings.mistake(&file.name, "name", "a name has 1 to 40 characters");
        }
        let base_url = self.base_url(file);
        let headers = self.headers("headers", &file.headers);
        let auth = file.auth.as_ref().map(|auth| self.auth(auth, base_url.as_deref()));
        let token_url = self.token_url(file, base_url.as_deref());
        let pace = self.pace(&file.pace);
        let product = self.product(&file.product);
        let steps = self.steps(file);
        self.limit_entries(file);
        let rules = self.rules(file);
        let check = file.check.as_ref().map(|check| self.check(check.get_ref()));
        Some(Channel {
            id,
            name: name.to_owned(),
            base_url: base_url?,
            token_url,
            private_address: file.private_address,
            settings: self.strings.settings.clone(),
            headers: headers?,
            auth: match auth {
                None => None,
                Some(auth) => Some(auth?),
            },
            pace: pace?,
            product: product?,
            steps: steps?,
            rules: rules?,
            check: match check {
                None => None,
                Some(check) => Some(check?),
            },
            saved_names: std::mem::take(&mut self.saved_names),
        })
    }

    fn limit_entries(&mut self, file: &ChannelFile) {
        for (key, entry) in [
            ("step", file.step.get(MAX_ENTRIES).map(|step| step.span())),
            ("on", file.on.get(MAX_ENTRIES).map(|rule| rule.span())),
        ] {
            if let Some(span) = entry {
                let message = format!("a file has at most {MAX_ENTRIES} of these");
                self.strings.mistake_at(span.start, key, message);
            }
        }
    }

    /// Renders and checks the base URL.
    fn base_url(&mut self, file: &ChannelFile) -> Option<String> {
        let key = "base_url";
        let template = self.strings.setting_template(&file.base_url, key, Escaping::Text)?;
        if let Some(secret) = self.strings.find_secret(&template) {
            let message = format!("`{secret}` is a secret, and people see this URL");
            self.strings.mistake(&file.base_url, key, message);
            return None;
        }
        let variables = crate::Scope::without_product(&self.strings.settings).variables();
        let rendered = match template.render(&variables) {
            Ok(rendered) => rendered,
            Err(error) => {
                self.strings.template_mistake(&file.base_url, key, &error);
                return None;
            }
        };
        let expected = "expected a URL such as https://shop.example/api";
        let Ok(url) = url::Url::parse(&rendered) else {
            self.strings.mistake(&file.base_url, key, format!("this is no URL: {expected}"));
            return None;
        };
        let message = match &url {
            url if !matches!(url.scheme(), "http" | "https") || !url.has_host() => expected,
            url if !url.username().is_empty() || url.password().is_some() => {
                "a user or a password in a URL ends up in logs: use [auth] with type = \"basic\""
            }
            url if url.query().is_some() || url.fragment().is_some() => {
                "a base URL has no query: use a step's `query`"
            }
            _ => return Some(rendered.trim_end_matches('/').to_owned()),
        };
        self.strings.mistake(&file.base_url, key, message);
        None
    }

    /// Returns the URL of tokens, if it is a whole one: the service's credentials go there.
    fn token_url(&mut self, file: &ChannelFile, base_url: Option<&str>) -> Option<String> {
        let text = file.auth.as_ref()?.get_ref().token_url.as_ref()?;
        let template = Template::new(text.get_ref(), Escaping::Text).ok()?;
        let variables = crate::Scope::without_product(&self.strings.settings).variables();
        let url = template.render(&variables).ok()?;
        if !url.contains("://") {
            return None;
        }
        let is_same_host = base_url.is_some_and(|base| url.starts_with(base));
        if !is_same_host && auth::is_unprotected(&url) {
            let message = "credentials over http:// can be read on the way: use https://";
            self.strings.mistake(text, "auth.token_url", message);
        }
        Some(url)
    }

    fn product(&mut self, table: &ProductTable) -> Option<ProductState> {
        self.strings.unavailable = OUTSIDE_OF_REQUESTS;
        let exists = self.strings.expression(&table.exists, "product.exists", &[]);
        let reference = self.strings.expression(&table.reference, "product.reference", &[]);
        let updated_at =
            self.strings.optional_expression(table.updated_at.as_ref(), "product.updated_at", &[]);
        let created_at =
            self.strings.optional_expression(table.created_at.as_ref(), "product.created_at", &[]);
        self.strings.unavailable = &[];
        Some(ProductState {
            exists: exists?,
            reference: reference?,
            updated_at: updated_at?,
            created_at: created_at?,
        })
    }

    fn check(&mut self, table: &CheckTable) -> Option<Check> {
        let method = table.request.get_ref().split_whitespace().next().unwrap_or_default();
        let is_query = table
            .graphql
            .as_ref()
            .is_some_and(|text| !text.get_ref().trim_start().starts_with("mutation"));
        if method != "GET" && !(method == "POST" && is_query) {
            let message = "a check only reads: use GET, or POST with a GraphQL query";
            self.strings.mistake(&table.request, "check.request", message);
        }
        self.strings.unavailable = WITHOUT_PRODUCT;
        let request = self.request(&RequestKeys {
            query: Some(&table.query),
            graphql: table.graphql.as_ref(),
            ..RequestKeys::new("check", &table.request)
        });
        let says = self.strings.public_template(&table.says, "check.says");
        self.strings.unavailable = &[];
        Some(Check { request: request?, says: says? })
    }

    /// Returns named expressions, such as those of `save`.
    fn expressions(&mut self, key: &str, texts: &Texts) -> Option<BTreeMap<String, Expression>> {
        let mut expressions = Some(BTreeMap::new());
        for (name, text) in texts {
            let key = format!("{key}.{}", name.get_ref());
            match (self.strings.expression(text, &key, &[]), &mut expressions) {
                (Some(expression), Some(all)) => {
                    all.insert(name.get_ref().clone(), expression);
                }
                _ => expressions = None,
            }
        }
        expressions
    }
}

/// Whether a text can be a name in templates.
fn is_identifier(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Returns a key of an optional table entry, for messages.
fn missing(kind: &str, key: &str) -> String {
    format!("type = \"{kind}\" needs `{key}`")
}

type OptionalText<'t> = Option<&'t Text>;
