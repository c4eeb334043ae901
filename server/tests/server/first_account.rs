//! The first account: an admin, created from the configuration or at `/setup`.

use crate::support::new_server;
use clap::Parser;
use engine::{clock::ManualClock, store::Store};
use reqwest::StatusCode;
use serde_json::json;
use server::{config::Config, session};

#[tokio::test]
async fn concurrent_starts_create_one_admin_account() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
    let store = Store::open(&url, ManualClock::at(0), 1.0).await.unwrap();
    let flags = ["meanwhile", "--admin-email", "ada@example.com", "--admin-password"];
    let config = Config::parse_from(flags.into_iter().chain(["a password of some length"]));
    // Both see that no account exists before either has hashed its password.
    let (a, b) = tokio::join!(
        session::create_configured_admin(&store, &config),
        session::create_configured_admin(&store, &config)
    );
    a.unwrap();
    b.unwrap();
    assert_eq!(store.accounts.users(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn first_account_needs_the_set_up_token_on_a_public_address() {
    for listen in ["127.0.0.1", "0.0.0.0"] {
        let mut meanwhile = new_server();
        meanwhile.set_env("MEANWHILE_LISTEN", format!("{listen}:{}", meanwhile.api.port));
        meanwhile.spawn().await.unwrap();
        let log = meanwhile.read_log();
        let logged_token =
            log.split("set-up token: ").nth(1).and_then(|rest| rest.split_whitespace().next());
        let page = meanwhile.api.client.get(meanwhile.api.url("/setup")).send().await.unwrap();
        let has_token_field = page.text().await.unwrap().contains("name=\"token\"");
        let is_public = listen == "0.0.0.0";
        let shown = (logged_token.is_some(), has_token_field);
        assert_eq!(shown, (is_public, is_public), "{listen}: {log}");

        let create = async |token: &str| {
            let form =
                [("email", "eve@example.com"), ("password", "correct-horse"), ("token", token)];
            meanwhile.api.post("/setup").form(&form).send().await.unwrap();
            let credentials = json!({ "email": "eve@example.com", "password": "correct-horse" });
            let signed_in =
                meanwhile.api.post("/api/v1/session").json(&credentials).send().await.unwrap();
            signed_in.status() == StatusCode::NO_CONTENT
        };
        if is_public {
            assert!(!create("").await && !create("guessed").await);
        }
        assert!(create(logged_token.unwrap_or_default()).await, "{listen}");
    }
}
