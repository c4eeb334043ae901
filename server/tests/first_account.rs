//! The account of the configuration.
#![allow(clippy::unwrap_used)]

use clap::Parser;
use engine::{clock::Steered, store::Store};
use server::{config::Config, session};

#[tokio::test]
async fn of_processes_that_start_together_one_makes_the_account_and_all_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
    let store = Store::open(&url, Steered::at(0), 1.0).await.unwrap();
    let flags = ["meanwhile", "--admin-email", "ada@example.com", "--admin-password"];
    let config = Config::parse_from(flags.into_iter().chain(["a password of some length"]));
    // Each has found no account before one of them has hashed its password.
    let (a, b) = tokio::join!(
        session::first_account(&store, &config),
        session::first_account(&store, &config)
    );
    a.unwrap();
    b.unwrap();
    assert_eq!(store.users(10).await.unwrap().len(), 1);
}
