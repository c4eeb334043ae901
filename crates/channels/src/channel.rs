//! A checked channel.

use crate::{
    compile,
    error::Mistakes,
    settings::{SecretSource, Settings},
    template::{Expression, Template},
};
use std::{collections::BTreeMap, time::Duration};

/// A sales channel as its file describes it.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Id of the channel and of its upstream: the name of the file without `.toml`.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// URL of the service's API, without a trailing slash.
    pub base_url: String,
    /// URL of tokens, if it is not below the base URL.
    pub token_url: Option<String>,
    /// Whether the service may have a private address.
    pub private_address: bool,
    /// The settings, with the secrets.
    pub settings: Settings,
    /// Headers of every request.
    pub headers: BTreeMap<String, Template>,
    /// How requests are authenticated; `None` if they are not.
    pub auth: Option<Auth>,
    /// Limits of the service.
    pub pace: Pace,
    /// What the finds say about the product.
    pub product: ProductState,
    /// The steps of an upload, in order. Each attempt runs them from the first one.
    pub steps: Vec<Step>,
    /// What answers mean, in order; the first rule whose condition is true decides.
    pub rules: Vec<Rule>,
    /// A request that changes nothing, for `meanwhile channels check`.
    pub check: Option<Check>,
    /// Names that steps and rules save.
    pub saved_names: Vec<String>,
}

impl Channel {
    /// Parses and checks a file. `overrides` replace its plain settings.
    ///
    /// # Errors
    /// Every mistake in the file, with its position.
    pub fn load(
        path: &str,
        text: &str,
        secrets: &dyn SecretSource,
        overrides: &[(&str, minijinja::Value)],
    ) -> Result<Self, Mistakes> {
        compile::compile(path, text, secrets, overrides)
    }
}

/// How requests are authenticated.
#[derive(Clone, Debug)]
pub enum Auth {
    /// A header with a value, such as `Authorization: Bearer …`.
    Header {
        /// Name of the header.
        name: String,
        /// Its value.
        value: Template,
    },
    /// User and password, [RFC 7617](https://www.rfc-editor.org/rfc/rfc7617).
    Basic {
        /// User name.
        user: Template,
        /// Password.
        password: Template,
    },
    /// A token that is fetched first: by a login call, or by client credentials
    /// ([RFC 6749, section 4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)).
    Token(Box<TokenAuth>),
}

/// Authentication by a token that is fetched first.
#[derive(Clone, Debug)]
pub struct TokenAuth {
    /// Request that answers with the token.
    pub request: Request,
    /// Expression for the token in `answer` or `headers`.
    pub take: Expression,
    /// Expression for the lifetime of the token in seconds; `none` if it is not said.
    pub lifetime: Option<Expression>,
    /// Lifetime of a token that doesn't say its own.
    pub default_lifetime: Duration,
    /// Name of the header that carries it.
    pub header: String,
    /// Value of that header; `token` is the token.
    pub value: Template,
}

/// Limits of the service, and what its answers say about them.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Requests per second.
    pub rate: f64,
    /// Maximum number of requests in flight.
    pub concurrency: u16,
    /// Expected duration of one request.
    pub latency: Duration,
    /// Number of requests that the upload of a new product takes.
    pub requests: u32,
    /// Expression for what is left of the service's limit, evaluated after each response: a
    /// number of requests, or of the service's own points.
    pub left: Option<Expression>,
    /// Expression for the number by which what is left grows in a second.
    pub refill: Option<Expression>,
    /// Expression for what the request took of what is left; `None` if each takes one.
    pub cost: Option<Expression>,
}

/// Expressions for what is known about the product at the service.
#[derive(Clone, Debug)]
pub struct ProductState {
    /// Whether the service has the product.
    pub exists: Expression,
    /// The service's id of the product.
    pub reference: Expression,
    /// Time of the last change: milliseconds since 1970, or as RFC 3339.
    pub updated_at: Option<Expression>,
    /// Time at which the product was created.
    pub created_at: Option<Expression>,
}

/// What a step does at the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEffect {
    /// It changes nothing.
    None,
    /// It creates something: sent twice, it may create it twice, unless a key header
    /// prevents that.
    Create,
    /// It changes something to what is sent.
    Update,
    /// It creates or changes something by an identity that the request carries.
    Upsert,
}

/// A step of an upload.
#[derive(Clone, Debug)]
pub struct Step {
    /// Name, unique in the file.
    pub name: String,
    /// JSON documents that are rendered before the condition, with their names, in the order
    /// of the file.
    pub define: Vec<(String, Template)>,
    /// Condition; `None` runs the step always.
    pub when: Option<Expression>,
    /// List for whose items the step is repeated, as `item` and `index`.
    pub for_each: Option<Expression>,
    /// What the step does.
    pub effect: StepEffect,
    /// Header that carries the idempotency key.
    pub key_header: Option<String>,
    /// The request.
    pub request: Request,
    /// Values that are saved, by name. With `for_each`, each is a list.
    pub save: BTreeMap<String, Expression>,
    /// Expression for what the step did: `created`, `updated` or `unchanged`.
    pub result: Option<Expression>,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method, such as `POST`.
    pub method: String,
    /// Path below the base URL, or a whole URL.
    pub path: Template,
    /// Further headers.
    pub headers: BTreeMap<String, Template>,
    /// Query parameters.
    pub query: BTreeMap<String, Template>,
    /// Body.
    pub body: Body,
}

/// Body of a request.
#[derive(Clone, Debug)]
pub enum Body {
    /// No body.
    Empty,
    /// A JSON document.
    Json {
        /// The document.
        template: Template,
        /// Whether members that are null stay.
        keep_nulls: bool,
    },
    /// Form fields.
    Form(BTreeMap<String, Template>),
    /// A GraphQL request: `{"query": …, "variables": …}`.
    GraphQl {
        /// The document, as it stands in the file.
        query: String,
        /// The variables, a JSON document.
        variables: Option<Template>,
        /// Whether members of the variables that are null stay.
        keep_nulls: bool,
    },
}

/// What an answer means.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Step that the rule is for; `None` for all.
    pub step: Option<String>,
    /// Condition over `status`, `headers`, `answer` and `text`.
    pub when: Expression,
    /// What happens.
    pub then: Then,
    /// Reason for people.
    pub reason: Option<Template>,
    /// Expression for the wait in seconds.
    pub wait: Option<Expression>,
    /// Expressions whose values are saved, by name.
    pub save: BTreeMap<String, Expression>,
}

/// What a rule leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The answer is a success, whatever its status says.
    Ok,
    /// The service has the product already and changed nothing: the steps run again from
    /// the first one, with `known` true.
    Found,
    /// The service refuses the content.
    Rejected,
    /// A permanent failure that is not about the content.
    Failed,
    /// A temporary failure: nothing was changed.
    Retry,
    /// A temporary failure that leaves open whether something was changed.
    OutcomeUnknown,
    /// The service asks all callers to wait.
    Cooldown,
    /// The service refuses the credentials: nobody calls it until they are mended.
    Credentials,
    /// A person has to decide.
    NeedsReview,
}

/// A request that changes nothing.
#[derive(Clone, Debug)]
pub struct Check {
    /// The request.
    pub request: Request,
    /// Text for the person who checks.
    pub says: Template,
}
