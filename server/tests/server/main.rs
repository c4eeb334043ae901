//! Tests of the server binary, from outside. Each test starts its own process with its own
//! ports and data folder, and sets no global of this process, so that all of them are one
//! binary. As many tests run at once as there are processors, which is what the servers
//! that some of them start can bear.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access_control;
mod admission;
mod api_tokens;
mod aws;
mod channel_controls;
mod channel_files;
mod cli;
mod cluster;
mod compare;
mod crash_recovery;
mod event_schemas;
mod exclusive_lease;
mod failed_commands;
mod failed_csv;
mod file_answers;
mod file_questions;
mod first_account;
mod form_errors;
mod headers;
mod invalid_files;
mod journal_retention;
mod list_endpoints;
mod machine_forms;
mod machine_ids;
mod metrics;
mod noops;
mod openapi;
mod page_isolation;
mod reverse_proxies;
mod secret_redaction;
mod seed;
mod sign_in;
mod slow_clients;
mod startup_errors;
mod support;
mod text_validation;
mod tls;
mod traces;
mod trusted_proxy;
