//! `[auth]`.

use super::{Compiler, WITHOUT_PRODUCT, missing, request::RequestKeys};
use crate::{
    channel::{Auth, Body, Request, TokenAuth},
    file::{AuthKind, AuthTable, Text},
    template::{Escaping, Expression, Template},
};
use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use std::{collections::BTreeMap, time::Duration};

/// Header that carries credentials.
const AUTHORIZATION: &str = "Authorization";
/// Lifetime of a token that doesn't say its own: a login is repeated when it is refused.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);

impl Compiler<'_> {
    pub fn auth(
        &mut self,
        auth: &toml::Spanned<AuthTable>,
        base_url: Option<&str>,
    ) -> Option<Auth> {
        let (start, table) = (auth.span().start, auth.get_ref());
        self.reject_other_keys(table);
        self.require_https(start, base_url);
        match table.kind {
            AuthKind::Bearer => {
                let token = self.required(start, "bearer", "token", table.token.as_ref())?;
                self.secret_template(token, "auth.token")?;
                let value =
                    Template::new(&format!("Bearer {}", token.get_ref()), Escaping::Text).ok()?;
                Some(Auth::Header { name: AUTHORIZATION.into(), value })
            }
            AuthKind::Header => {
                let header = self.required(start, "header", "header", table.header.as_ref())?;
                self.header_name(header, "auth.header");
                let value = self.required(start, "header", "value", table.value.as_ref())?;
                let value = self.secret_template(value, "auth.value")?;
                Some(Auth::Header { name: header.get_ref().clone(), value })
            }
            AuthKind::Basic => {
                let user = self.required(start, "basic", "user", table.user.as_ref());
                let password = self.required(start, "basic", "password", table.password.as_ref());
                let user = self.strings.setting_template(user?, "auth.user", Escaping::Text);
                let (user, password) = (user?, self.secret_template(password?, "auth.password")?);
                // A service may repeat the header.
                let variables = crate::Scope::without_product(&self.strings.settings).variables();
                if let (Ok(user), Ok(password)) =
                    (user.render(&variables), password.render(&variables))
                {
                    self.strings.settings.add_redacted(BASE64.encode(format!("{user}:{password}")));
                }
                Some(Auth::Basic { user, password })
            }
            AuthKind::OAuth2ClientCredentials => self.client_credentials(start, table),
            AuthKind::Login => self.login(start, table),
        }
    }

    /// A template with a secret. A secret in the file itself would be in backups and
    /// repositories, and in no list of what must not be printed.
    fn secret_template(&mut self, text: &Text, key: &str) -> Option<Template> {
        let template = self.strings.setting_template(text, key, Escaping::Text)?;
        if self.strings.find_secret(&template).is_none() {
            let message = "a secret doesn't belong into the file: write [settings] \
                           token = { env = \"NAME\" }, and \"{{ settings.token }}\" here";
            self.strings.mistake(text, key, message);
            return None;
        }
        Some(template)
    }

    /// Credentials over plain HTTP can be read on the way.
    fn require_https(&mut self, start: usize, base_url: Option<&str>) {
        if base_url.is_some_and(is_unprotected) {
            let message = "credentials over http:// can be read on the way: use https:// in \
                           `base_url`";
            self.strings.mistake_at(start, "auth", message);
        }
    }

    fn client_credentials(&mut self, start: usize, table: &AuthTable) -> Option<Auth> {
        let kind = "oauth2_client_credentials";
        let token_url = self.required(start, kind, "token_url", table.token_url.as_ref());
        let id = self.required(start, kind, "client_id", table.client_id.as_ref());
        let secret = self.required(start, kind, "client_secret", table.client_secret.as_ref());
        let mut form = BTreeMap::new();
        let mut add = |compiler: &mut Self, name: &str, text: &Text| {
            let key = format!("auth.{name}");
            let template = compiler.strings.setting_template(text, &key, Escaping::Text)?;
            form.insert(name.to_owned(), template);
            Some(())
        };
        add(self, "client_id", id?)?;
        self.secret_template(secret?, "auth.client_secret")?;
        add(self, "client_secret", secret?)?;
        if let Some(scope) = &table.scope {
            add(self, "scope", scope)?;
        }
        form.insert("grant_type".into(), Template::new("client_credentials", Escaping::Text).ok()?);
        let path = self.strings.setting_template(token_url?, "auth.token_url", Escaping::Text)?;
        let request = Request {
            method: "POST".into(),
            path,
            headers: BTreeMap::new(),
            query: BTreeMap::new(),
            body: Body::Form(form),
        };
        Some(Auth::Token(Box::new(TokenAuth {
            request,
            take: Expression::new("answer.access_token").ok()?,
            lifetime: Expression::new("answer.expires_in | default(none)").ok(),
            default_lifetime: self.lifetime(table),
            header: table.header.as_ref().map_or(AUTHORIZATION.into(), |h| h.get_ref().clone()),
            value: self.token_value(table)?,
        })))
    }

    fn login(&mut self, start: usize, table: &AuthTable) -> Option<Auth> {
        let request = self.required(start, "login", "request", table.request.as_ref());
        let take = self.required(start, "login", "take", table.take.as_ref());
        self.strings.unavailable = WITHOUT_PRODUCT;
        let request = self.request(&RequestKeys {
            json: table.json.as_ref(),
            graphql: table.graphql.as_ref(),
            variables: table.variables.as_ref(),
            ..RequestKeys::new("auth", request?)
        });
        self.strings.unavailable = &[];
        let request = request?;
        Some(Auth::Token(Box::new(TokenAuth {
            request,
            take: self.strings.expression(take?, "auth.take", &[])?,
            lifetime: None,
            default_lifetime: self.lifetime(table),
            header: table.header.as_ref().map_or(AUTHORIZATION.into(), |h| h.get_ref().clone()),
            value: self.token_value(table)?,
        })))
    }

    /// Returns the template of the header that carries a token.
    fn token_value(&mut self, table: &AuthTable) -> Option<Template> {
        match &table.value {
            Some(value) => self.strings.template(value, "auth.value", Escaping::Text),
            None => Template::new("Bearer {{ token }}", Escaping::Text).ok(),
        }
    }

    fn lifetime(&mut self, table: &AuthTable) -> Duration {
        let Some(lifetime) = &table.lifetime else { return DEFAULT_LIFETIME };
        match *lifetime.get_ref() {
            seconds @ 1.0..=31_536_000.0 => Duration::from_secs_f64(seconds),
            _ => {
                let message = "the lifetime of a token is 1 s to a year";
                self.strings.mistake(lifetime, "auth.lifetime", message);
                DEFAULT_LIFETIME
            }
        }
    }

    fn required<'t>(
        &mut self,
        start: usize,
        kind: &str,
        key: &str,
        text: Option<&'t Text>,
    ) -> Option<&'t Text> {
        if text.is_none() {
            self.strings.mistake_at(start, "auth", missing(kind, key));
        }
        text
    }

    /// Adds a mistake for each key that the type has no use for.
    fn reject_other_keys(&mut self, table: &AuthTable) {
        let used: &[&str] = match table.kind {
            AuthKind::Bearer => &["token"],
            AuthKind::Header => &["header", "value"],
            AuthKind::Basic => &["user", "password"],
            AuthKind::OAuth2ClientCredentials => {
                &["token_url", "client_id", "client_secret", "scope", "header", "value", "lifetime"]
            }
            AuthKind::Login => {
                &["request", "json", "graphql", "variables", "take", "header", "value", "lifetime"]
            }
        };
        let texts = [
            ("token", &table.token),
            ("header", &table.header),
            ("value", &table.value),
            ("user", &table.user),
            ("password", &table.password),
            ("token_url", &table.token_url),
            ("client_id", &table.client_id),
            ("client_secret", &table.client_secret),
            ("scope", &table.scope),
            ("request", &table.request),
            ("json", &table.json),
            ("graphql", &table.graphql),
            ("variables", &table.variables),
            ("take", &table.take),
        ];
        for (key, text) in texts {
            if let (Some(text), false) = (text, used.contains(&key)) {
                let message =
                    format!("this type of [auth] has no `{key}`; it has {}", used.join(", "));
                self.strings.mistake(text, &format!("auth.{key}"), message);
            }
        }
    }
}

/// Whether what is sent to a URL can be read on the way: it is plain HTTP, and not on this
/// machine.
pub fn is_unprotected(url: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else { return false };
    let is_local = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => true,
    };
    url.scheme() == "http" && !is_local
}
