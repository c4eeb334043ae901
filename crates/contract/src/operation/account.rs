//! Sign-in, API tokens and the audit log.

use super::{Access, Answer, Body, CURSOR, LIMIT, Operation, schema_of};
use crate::api::{AuditEntry, CreatedToken, NewToken, Page, SignIn, Token};

pub(super) const SESSION: &[Operation] = &[
    Operation {
        group: "Session",
        description: "For browsers. A program uses an API token, which needs no sign-in. Requests \
                      with the cookie that change something need an `Origin` header of this server.",
        access: Access::Public,
        body: Some(Body::Json(
            schema_of::<SignIn>,
            r#"{"email": "ada@example.com", "password": "correct-horse"}"#,
        )),
        answers: &[Answer {
            header: Some(("Set-Cookie", "The session.")),
            ..Answer::empty("Signed in.")
        }],
        own_problems: &[401],
        ..Operation::post("/session", "sign_in", "Sign in")
    },
    Operation {
        group: "Session",
        description: "Ends the session of the cookie. An API token has no session to end.",
        access: Access::Session,
        answers: &[Answer::empty("Signed out.")],
        own_problems: &[409],
        ..Operation::new("delete", "/session", "sign_out", "Sign out")
    },
];

pub(super) const TOKENS: &[Operation] = &[
    Operation {
        group: "API tokens",
        answers: &[Answer::json(schema_of::<Page<Token>>, "All tokens of the user.")],
        ..Operation::get("/tokens", "list_tokens", "List API tokens")
    },
    Operation {
        group: "API tokens",
        description: "The secret is in this answer only. An API token can't create another one.",
        access: Access::Session,
        body: Some(Body::Json(
            schema_of::<NewToken>,
            r#"{"name": "nightly upload", "password": "correct-horse"}"#,
        )),
        answers: &[Answer {
            status: 201,
            ..Answer::json(schema_of::<CreatedToken>, "The token with its secret.")
        }],
        own_problems: &[409],
        ..Operation::post("/tokens", "create_token", "Create an API token")
    },
    Operation {
        group: "API tokens",
        description: "A token with the scope `launch` may revoke any token of its user, and one with \
                      the scope `read` itself.",
        answers: &[Answer::empty("It is revoked, and refused from now on.")],
        ..Operation::new("delete", "/tokens/{id}", "revoke_token", "Revoke an API token")
    },
    Operation {
        group: "Audit log",
        description: "Who did what, newest first: jobs, accounts, tokens, and what admins changed for \
                      everybody.",
        access: Access::Admin,
        parameters: &[CURSOR, LIMIT],
        answers: &[Answer::json(schema_of::<Page<AuditEntry>>, "Entries of the log.")],
        ..Operation::get("/audit", "list_audit_entries", "Read the audit log")
    },
];
