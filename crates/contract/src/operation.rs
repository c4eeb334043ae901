//! The operations of `/api/v1`, from which `cargo xtask openapi` writes `docs/openapi.json`. A
//! test of the server compares them with its routes, and others check every answer of the API
//! against the document.

mod account;
mod channels;
mod jobs;
mod launches;

use schemars::{JsonSchema, Schema, SchemaGenerator};

/// Path under which all operations are.
pub const API_PREFIX: &str = "/api/v1";

/// Returns all operations, in the order of the document.
pub fn operations() -> impl Iterator<Item = &'static Operation> {
    let groups = [account::SESSION, launches::LAUNCHES, jobs::JOBS, jobs::ITEMS];
    let others = [jobs::NOTIFICATIONS, channels::CHANNELS, launches::MACHINES, account::TOKENS];
    groups.into_iter().chain(others).flatten()
}

/// Returns the schema of a type, or a reference to it.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// What a program can do at one path with one method.
#[derive(Clone, Copy)]
pub struct Operation {
    /// Method in lower case, as OpenAPI has it.
    pub method: &'static str,
    /// Path below [`API_PREFIX`], as the router has it.
    pub path: &'static str,
    /// Name for generated clients.
    pub id: &'static str,
    /// Group of the operation.
    pub group: &'static str,
    /// What it does, in some words.
    pub summary: &'static str,
    /// What else there is to know; empty if nothing.
    pub description: &'static str,
    /// Who may call it.
    pub access: Access,
    /// Parameters, without the id in the path.
    pub parameters: &'static [Parameter],
    /// Body of the request.
    pub body: Option<Body>,
    /// Answers to a request that succeeds.
    pub answers: &'static [Answer],
    /// Status codes of problems that only some operations have; see [`Operation::problems`].
    pub own_problems: &'static [u16],
}

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// A signed-in user, with a session or an API token.
    User,
    /// A signed-in user with a session: an API token is refused.
    Session,
    /// An admin, with a session or an API token. To others the path does not exist.
    Admin,
}

/// Value of a parameter.
#[derive(Clone, Copy)]
pub enum ParameterType {
    /// Text with at most this many characters.
    Text(usize),
    /// Number within a range, both ends included.
    Integer(i64, i64),
    /// `true` or `false`.
    Boolean,
    /// One of the words of a type.
    Words(SchemaOf),
}

/// Parameter of an operation.
#[derive(Clone, Copy)]
pub struct Parameter {
    /// Name of the parameter.
    pub name: &'static str,
    /// `query` or `header`.
    pub place: &'static str,
    /// Meaning of the parameter, and of its absence.
    pub description: &'static str,
    /// Value of the parameter. All parameters may be missing.
    pub kind: ParameterType,
}

impl Parameter {
    const fn query(name: &'static str, kind: ParameterType, description: &'static str) -> Self {
        Self { name, place: "query", description, kind }
    }
}

/// Body of a request.
#[derive(Clone, Copy)]
pub enum Body {
    /// JSON, with an example.
    Json(SchemaOf, &'static str),
    /// A file of products.
    File,
}

/// Answer to a request that succeeds.
#[derive(Clone, Copy)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// What it says.
    pub description: &'static str,
    /// Schema of its JSON, if it has a body.
    pub schema: Option<SchemaOf>,
    /// Header that it has, and its meaning.
    pub header: Option<(&'static str, &'static str)>,
}

impl Answer {
    const fn json(schema: SchemaOf, description: &'static str) -> Self {
        Self { status: 200, description, schema: Some(schema), header: None }
    }

    const fn empty(description: &'static str) -> Self {
        Self { status: 204, description, schema: None, header: None }
    }
}

impl Operation {
    const fn new(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            path,
            id,
            group: "",
            summary,
            description: "",
            access: Access::User,
            parameters: &[],
            body: None,
            answers: &[],
            own_problems: &[],
        }
    }

    const fn get(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("get", path, id, summary)
    }

    const fn post(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("post", path, id, summary)
    }

    /// Whether the path names one thing by its id.
    #[must_use]
    pub fn has_id(&self) -> bool {
        self.path.contains("{id}")
    }

    /// Returns the status codes of all problems, in ascending order.
    #[must_use]
    pub fn problems(&self) -> Vec<u16> {
        // Any request may name another host, come too often, or meet a database that is away.
        let mut codes = vec![400, 421, 429, 503];
        codes.extend((self.access != Access::Public).then_some(401));
        let is_hidden = self.has_id() || self.access == Access::Admin;
        codes.extend(is_hidden.then_some(404));
        // A change that another site causes is refused, and a token without the scope.
        let needs_more = matches!(self.access, Access::Session | Access::Admin);
        codes.extend((self.method != "get" || needs_more).then_some(403));
        match self.body {
            Some(Body::Json(..)) => codes.extend([408, 413, 415, 422]),
            Some(Body::File) => codes.extend([408, 413, 422]),
            None => {}
        }
        // A parameter is a text of limited length.
        codes.extend((!self.parameters.is_empty()).then_some(422));
        codes.extend(self.own_problems);
        codes.sort_unstable();
        codes.dedup();
        codes
    }
}

const CURSOR: Parameter = Parameter::query(
    "cursor",
    ParameterType::Text(1_000),
    "`next` of the page before; without it the first page.",
);
const LIMIT: Parameter = Parameter::query(
    "limit",
    ParameterType::Integer(1, 200),
    "Maximum number of entries of the page; 50 by default.",
);
const IDEMPOTENCY_KEY: Parameter = Parameter {
    name: "Idempotency-Key",
    place: "header",
    description: "Any text that is unique to this launch. The same request with the same key \
                  returns the first job instead of launching a second one; another request with \
                  it is refused with 422.",
    kind: ParameterType::Text(255),
};
