//! Requests: `request = "POST products"` with headers, query and body.

use super::{Compiler, OptionalText};
use crate::{
    channel::{Body, Request},
    file::{Text, Texts},
    template::{Escaping, Template},
};
use std::collections::BTreeMap;

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// The keys of a request.
pub struct RequestKeys<'t> {
    pub key: &'t str,
    pub request: &'t Text,
    pub headers: Option<&'t Texts>,
    pub query: Option<&'t Texts>,
    pub json: OptionalText<'t>,
    pub form: Option<&'t Texts>,
    pub graphql: OptionalText<'t>,
    pub variables: OptionalText<'t>,
    pub keep_nulls: bool,
}

impl<'t> RequestKeys<'t> {
    pub const fn new(key: &'t str, request: &'t Text) -> Self {
        let (headers, query, json, form, graphql, variables) = (None, None, None, None, None, None);
        Self { key, request, headers, query, json, form, graphql, variables, keep_nulls: false }
    }
}

impl Compiler<'_> {
    pub fn request(&mut self, keys: &RequestKeys<'_>) -> Option<Request> {
        let key = |part: &str| format!("{}: {part}", keys.key);
        let text = keys.request.get_ref();
        let Some((method, path)) = text.split_once(' ').map(|(m, p)| (m, p.trim())) else {
            let message = "expected a method and a path, such as \"GET products\"";
            self.strings.mistake(keys.request, &key("request"), message);
            return None;
        };
        if !METHODS.contains(&method) {
            let message = format!("the method is one of {}", METHODS.join(", "));
            self.strings.mistake(keys.request, &key("request"), message);
            return None;
        }
        let template = self.path(keys, path, &key("request"));
        let headers = keys
            .headers
            .map_or(Some(BTreeMap::new()), |headers| self.headers(&key("headers"), headers));
        let query = keys.query.map_or(Some(BTreeMap::new()), |query| {
            self.templates(&key("query"), query, Escaping::Text)
        });
        let body = self.body(keys, method);
        Some(Request {
            method: method.to_owned(),
            path: template?,
            headers: headers?,
            query: query?,
            body: body?,
        })
    }

    fn path(&mut self, keys: &RequestKeys<'_>, path: &str, key: &str) -> Option<Template> {
        let message = if path.starts_with('/') || path.contains("://") {
            "a path is relative to `base_url`, such as \"GET products\""
        } else if path.contains("..") {
            "a path stays below `base_url`: leave `..` out"
        } else if path.contains(['?', '#']) {
            "a path has no query: use `query = { … }`"
        } else {
            // The whole text is parsed, so that positions are those in the file.
            let whole = self.strings.template(keys.request, key, Escaping::Path)?;
            drop(whole);
            return Template::new(path, Escaping::Path).ok();
        };
        self.strings.mistake(keys.request, key, message);
        None
    }

    fn body(&mut self, keys: &RequestKeys<'_>, method: &str) -> Option<Body> {
        let key = |part: &str| format!("{}: {part}", keys.key);
        let bodies = [keys.json.is_some(), keys.form.is_some(), keys.graphql.is_some()];
        if bodies.iter().filter(|has| **has).count() > 1 {
            let message = "a request has one body: `json`, `form` or `graphql`";
            self.strings.mistake(keys.request, keys.key, message);
            return None;
        }
        if bodies.contains(&true) && matches!(method, "GET" | "HEAD") {
            let message = format!("`{method}` has no body");
            self.strings.mistake(keys.request, &key("request"), message);
            return None;
        }
        if let (Some(variables), None) = (keys.variables, keys.graphql) {
            let message = "`variables` belong to `graphql`; a JSON body is `json`";
            self.strings.mistake(variables, &key("variables"), message);
            return None;
        }
        let keep_nulls = keys.keep_nulls;
        if let Some(json) = keys.json {
            let template = self.strings.template(json, &key("json"), Escaping::Json)?;
            return Some(Body::Json { template, keep_nulls });
        }
        if let Some(form) = keys.form {
            return self.templates(&key("form"), form, Escaping::Text).map(Body::Form);
        }
        let Some(graphql) = keys.graphql else { return Some(Body::Empty) };
        let query = graphql.get_ref().clone();
        if query.contains("{{") || query.contains("{%") {
            let message = "a GraphQL document is sent as it is: put values into `variables`";
            self.strings.mistake(graphql, &key("graphql"), message);
            return None;
        }
        let variables = match keys.variables {
            Some(text) => Some(self.strings.template(text, &key("variables"), Escaping::Json)?),
            None => None,
        };
        Some(Body::GraphQl { query, variables, keep_nulls })
    }

    pub fn headers(&mut self, key: &str, texts: &Texts) -> Option<BTreeMap<String, Template>> {
        for name in texts.keys() {
            self.header_name(name, &format!("{key}.{}", name.get_ref()));
        }
        self.templates(key, texts, Escaping::Text)
    }

    /// Checks the name of a header:
    /// [RFC 9110, section 5.6.2](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2).
    pub fn header_name(&mut self, name: &Text, key: &str) {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let text = name.get_ref();
        if text.is_empty() || !text.chars().all(is_token) {
            let message = "this is no name of a header, such as X-Auth-Token";
            self.strings.mistake(name, key, message);
        }
    }

    pub fn templates(
        &mut self,
        key: &str,
        texts: &Texts,
        escaping: Escaping,
    ) -> Option<BTreeMap<String, Template>> {
        let mut templates = Some(BTreeMap::new());
        for (name, text) in texts {
            let key = format!("{key}.{}", name.get_ref());
            match (self.strings.template(text, &key, escaping), &mut templates) {
                (Some(template), Some(all)) => {
                    all.insert(name.get_ref().clone(), template);
                }
                _ => templates = None,
            }
        }
        templates
    }
}
