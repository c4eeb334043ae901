//! Checks of a whole file, which find every mistake at once.

mod auth;
mod request;
mod strings;

use crate::{
    channel::{Channel, Check, Pace, ProductState, Rule, Step, StepEffect, Then, ValueSource},
    error::{Mistake, Mistakes},
    file::{
        ChannelFile, CheckTable, EffectName, PaceTable, ProductTable, RuleTable, StepTable, Text,
        Texts, ThenName,
    },
    position::Source,
    scope::BUILT_IN,
    settings::{SecretSource, Settings},
    template::{Escaping, Expression, Template},
};
use request::RequestKeys;
use std::{collections::BTreeMap, path::Path, time::Duration};
use strings::Strings;

/// Lowest and highest rate, in requests per second.
const RATES: std::ops::RangeInclusive<f64> = 0.001..=10_000.0;
/// Maximum number of requests in flight.
const MAX_CONCURRENCY: i64 = 1_000;
/// Maximum expected duration of a request, s.
const MAX_LATENCY: f64 = 300.0;
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
        let names: Vec<_> = file.step.iter().map(|step| step.get_ref().name.get_ref()).collect();
        self.limit_entries(file);
        let rules: Option<Vec<_>> = file
            .on
            .iter()
            .enumerate()
            .map(|(n, rule)| self.rule(n, rule.get_ref(), &names))
            .collect();
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

    fn pace(&mut self, pace: &toml::Spanned<PaceTable>) -> Option<Pace> {
        let table = pace.get_ref();
        let rate = *table.rate.get_ref();
        if !RATES.contains(&rate) {
            let message =
                format!("a rate is {} to {} requests a second", RATES.start(), RATES.end());
            self.strings.mistake(&table.rate, "pace.rate", message);
        }
        let concurrency = *table.concurrency.get_ref();
        if !(1..=MAX_CONCURRENCY).contains(&concurrency) {
            let message =
                format!("concurrency is 1 to {MAX_CONCURRENCY} requests at the same time");
            self.strings.mistake(&table.concurrency, "pace.concurrency", message);
        }
        let latency = *table.latency.get_ref();
        if !(latency > 0.0 && latency <= MAX_LATENCY) {
            let message = format!(
                "latency is the expected duration of one request in seconds, up to {MAX_LATENCY}"
            );
            self.strings.mistake(&table.latency, "pace.latency", message);
            return None;
        }
        let requests = table.requests.as_ref().map_or(1, |requests| {
            if *requests.get_ref() < 1 || *requests.get_ref() > 1_000 {
                let message = "this is the number of requests for a new product: 1 or more";
                self.strings.mistake(requests, "pace.requests", message);
            }
            *requests.get_ref()
        });
        if let (None, Some(text), _) | (Some(text), None, _) | (None, None, Some(text)) =
            (&table.left, &table.refill, &table.cost)
        {
            let message = "`left` and `refill` stand together: what is left, and by how many \
                           requests a second it refills";
            self.strings.mistake(text, "pace", message);
        }
        Some(Pace {
            rate,
            concurrency: u16::try_from(concurrency).unwrap_or(1),
            latency: Duration::from_secs_f64(latency),
            requests: u32::try_from(requests).unwrap_or(1),
            left: self.strings.optional_expression(table.left.as_ref(), "pace.left", &[])?,
            refill: self.strings.optional_expression(table.refill.as_ref(), "pace.refill", &[])?,
            cost: self.strings.optional_expression(table.cost.as_ref(), "pace.cost", &[])?,
        })
    }

    fn product(&mut self, table: &ProductTable) -> Option<ProductState> {
        let exists = self.strings.expression(&table.exists, "product.exists", &[]);
        let reference = self.strings.expression(&table.reference, "product.reference", &[]);
        let updated_at =
            self.strings.optional_expression(table.updated_at.as_ref(), "product.updated_at", &[]);
        let created_at =
            self.strings.optional_expression(table.created_at.as_ref(), "product.created_at", &[]);
        Some(ProductState {
            exists: exists?,
            reference: reference?,
            updated_at: updated_at?,
            created_at: created_at?,
        })
    }

    fn steps(&mut self, file: &ChannelFile) -> Option<Vec<Step>> {
        let mut steps = Some(Vec::new());
        let mut names: Vec<&str> = Vec::new();
        for table in &file.step {
            let (start, table) = (table.span().start, table.get_ref());
            let name = table.name.get_ref().as_str();
            if !is_identifier(name) {
                let message = "the name of a step has letters, digits and underscores only";
                self.strings.mistake(&table.name, "step.name", message);
            }
            if names.contains(&name) {
                let message = format!("there are two steps `{name}`: give them different names");
                self.strings.mistake(&table.name, "step.name", message);
            }
            names.push(name);
            match (self.step(start, table), &mut steps) {
                (Some(step), Some(steps)) => steps.push(step),
                _ => steps = None,
            }
        }
        let has_effect = |step: &Step| step.effect != StepEffect::None;
        if steps.as_ref().is_some_and(|steps| !steps.iter().any(has_effect)) {
            let message = "no step changes anything: at least one [[step]] needs an `effect`";
            self.strings.mistake_at(0, "step", message);
        }
        steps
    }

    fn step(&mut self, start: usize, table: &StepTable) -> Option<Step> {
        let key = |part: &str| format!("step {}: {part}", table.name.get_ref());
        let define = self.defined(&key("define"), &table.define);
        let outside: &[_] = match table.for_each {
            Some(_) => &["token"],
            None => &["token", "item", "index"],
        };
        self.strings.unavailable = outside;
        let when = self.strings.optional_expression(table.when.as_ref(), &key("when"), &[]);
        let for_each = match &table.for_each {
            None => Some(None),
            Some(text) => self.strings.value_source(text, &key("for_each")).map(Some),
        };
        let request = self.request(&RequestKeys {
            key: &format!("step {}", table.name.get_ref()),
            request: &table.request,
            headers: Some(&table.headers),
            query: Some(&table.query),
            json: table.json.as_ref(),
            form: table.form.as_ref(),
            graphql: table.graphql.as_ref(),
            variables: table.variables.as_ref(),
            keep_nulls: table.keep_nulls,
        });
        // Without a method nobody knows whether it needs one.
        let effect = match &request {
            Some(request) => self.effect(&request.method, start, table),
            None => None,
        };
        if let Some(header) = &table.key_header {
            self.header_name(header, &key("key_header"));
            if matches!(effect, Some(StepEffect::None)) {
                let message = "a step without an effect needs no idempotency key";
                self.strings.mistake(header, &key("key_header"), message);
            }
        }
        let save = self.value_sources(&key("save"), &table.save);
        let result = self.strings.optional_expression(table.result.as_ref(), &key("result"), &[]);
        self.strings.unavailable = &[];
        Some(Step {
            name: table.name.get_ref().clone(),
            define: define?,
            when: when?,
            for_each: for_each?,
            effect: effect?,
            key_header: table.key_header.as_ref().map(|header| header.get_ref().clone()),
            request: request?,
            save: save?,
            result: result?,
        })
    }

    /// Returns the documents that a step defines, in the order of the file.
    fn defined(&mut self, key: &str, texts: &Texts) -> Option<Vec<(String, Template)>> {
        let mut in_order: Vec<_> = texts.keys().collect();
        in_order.sort_by_key(|name| name.span().start);
        let mut templates = self.templates(key, texts, Escaping::Json)?;
        let names = in_order.into_iter().map(|name| name.get_ref());
        Some(names.filter_map(|name| templates.remove_entry(name)).collect())
    }

    fn value_sources(&mut self, key: &str, texts: &Texts) -> Option<BTreeMap<String, ValueSource>> {
        let mut sources = Some(BTreeMap::new());
        for (name, text) in texts {
            let key = format!("{key}.{}", name.get_ref());
            match (self.strings.value_source(text, &key), &mut sources) {
                (Some(source), Some(all)) => {
                    all.insert(name.get_ref().clone(), source);
                }
                _ => sources = None,
            }
        }
        sources
    }

    /// Returns what a step does. A method that may change something needs an `effect`,
    /// because a repeated request is safe or not by what it does.
    fn effect(&mut self, method: &str, start: usize, table: &StepTable) -> Option<StepEffect> {
        let key = format!("step {}: effect", table.name.get_ref());
        let reads = matches!(method, "GET" | "HEAD");
        let Some(effect) = &table.effect else {
            let is_query = table.graphql.as_ref().is_some_and(|text| {
                let text = text.get_ref().trim_start();
                text.starts_with("query") || text.starts_with('{')
            });
            if reads || is_query {
                return Some(StepEffect::None);
            }
            let message = format!(
                "`{method}` may change something: say effect = \"create\", \"update\", \"upsert\" \
                 or \"none\""
            );
            self.strings.mistake_at(start, &key, message);
            return None;
        };
        let effect_name = *effect.get_ref();
        if reads && effect_name != EffectName::None {
            let message = format!("`{method}` changes nothing: leave `effect` out");
            self.strings.mistake(effect, &key, message);
        }
        Some(match effect_name {
            EffectName::None => StepEffect::None,
            EffectName::Create => StepEffect::Create,
            EffectName::Update => StepEffect::Update,
            EffectName::Upsert => StepEffect::Upsert,
        })
    }

    fn rule(&mut self, index: usize, table: &RuleTable, steps: &[&String]) -> Option<Rule> {
        let key = |part: &str| format!("on {}: {part}", index + 1);
        if let Some(step) = &table.step
            && !steps.contains(&step.get_ref())
        {
            let names: Vec<_> = steps.iter().map(|name| name.as_str()).collect();
            let message = format!("there is no such step; there are {}", names.join(", "));
            self.strings.mistake(step, &key("step"), message);
        }
        let then = *table.then.get_ref();
        let waits = matches!(then, ThenName::Cooldown | ThenName::Credentials);
        if let (Some(wait), false) = (&table.wait, waits) {
            let message = "only `cooldown` and `credentials` wait: leave it out";
            self.strings.mistake(wait, &key("wait"), message);
        }
        let needs_reason =
            matches!(then, ThenName::Rejected | ThenName::Failed | ThenName::NeedsReview);
        if needs_reason && table.reason.is_none() {
            let message = "say why in `reason`: a person reads it";
            self.strings.mistake(&table.then, &key("then"), message);
        }
        let when = self.strings.expression(&table.when, &key("when"), &[]);
        let reason = self.strings.optional_public_template(table.reason.as_ref(), &key("reason"));
        let wait = self.strings.optional_expression(table.wait.as_ref(), &key("wait"), &[]);
        let save = self.expressions(&key("save"), &table.save);
        Some(Rule {
            step: table.step.as_ref().map(|step| step.get_ref().clone()),
            when: when?,
            then: match then {
                ThenName::Ok => Then::Ok,
                ThenName::Found => Then::Found,
                ThenName::Rejected => Then::Rejected,
                ThenName::Failed => Then::Failed,
                ThenName::Retry => Then::Retry,
                ThenName::OutcomeUnknown => Then::OutcomeUnknown,
                ThenName::Cooldown => Then::Cooldown,
                ThenName::Credentials => Then::Credentials,
                ThenName::NeedsReview => Then::NeedsReview,
            },
            reason: reason?,
            wait: wait?,
            save: save?,
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
