//! Profiles and tokens.

use super::{Terminal, create_token, start_server};
use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt};
use testbed::free_port;

#[tokio::test]
async fn login_saves_a_profile_that_only_its_owner_can_read() {
    let server = start_server(1.0).await;
    let mut terminal = Terminal::open(&server).await;
    terminal.has_environment = false;
    let (url, token) = (terminal.url.clone(), terminal.token.clone());
    let file = terminal.home.path().join(".config/meanwhile/config.toml");
    let login = ["login", "--url", &url];
    let wrong = terminal.run_with_input(&login, "mw_made-up\n");
    wrong.expect(3);
    assert!(!file.exists() && wrong.stderr.contains("This token is unknown"), "{}", wrong.stderr);
    terminal.run_with_input(&login, "\n").expect(2);

    let saved = terminal.run_with_input(&login, &format!("{token}\n"));
    let (said, path) = (saved.expect(0), file.display().to_string());
    assert!(said.contains("as the profile default") && said.contains(&path), "{said}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    terminal.run_with_input(&[&login[..], &["--profile", "work"]].concat(), &token).expect(0);
    for arguments in [&["jobs"][..], &["jobs", "--profile", "work"]] {
        assert_eq!(terminal.run(arguments).expect(0), "There are no jobs.\n");
    }
    // A saved token goes to no other server.
    let other = format!("http://127.0.0.1:{}", free_port());
    let output = terminal.command(&["jobs"]).env("MEANWHILE_URL", &other).output().unwrap();
    let elsewhere = terminal.printed(output);
    elsewhere.expect(2);
    assert!(elsewhere.stderr.contains("the saved token is for"), "{}", elsewhere.stderr);
    let output = terminal.command(&["jobs"]).env("MEANWHILE_URL", &url).output().unwrap();
    terminal.printed(output).expect(0);
    let variables = terminal.command(&["jobs"]).env("MEANWHILE_TOKEN", "mw_another").output();
    terminal.printed(variables.unwrap()).expect(3);
    // A profile that is named comes before the environment.
    let named = terminal.command(&["jobs", "--profile", "work"]);
    let named = { named }.env("MEANWHILE_TOKEN", "mw_another").output().unwrap();
    terminal.printed(named).expect(0);
}

#[tokio::test]
async fn tokens_are_listed_and_revoked() {
    let server = start_server(1.0).await;
    let terminal = Terminal::open(&server).await;
    let other = create_token(&server).await;
    let listed = terminal.run(&["tokens", "list"]);
    assert_eq!(listed.expect(0).matches("terminal").count(), 2, "{}", listed.stdout);
    assert!(!listed.stdout.contains(&other), "{}", listed.stdout);
    assert_eq!(listed.stdout.matches("launch  expires 20").count(), 2, "{}", listed.stdout);
    let json = terminal.run(&["tokens", "list", "--json"]).json();
    let newest = json["items"][0]["id"].as_str().unwrap();
    let revoked = terminal.run(&["tokens", "revoke", newest]);
    assert_eq!(revoked.expect(0), format!("The token {newest} is revoked.\n"));
    let rest = terminal.run(&["tokens", "list", "--json"]).json();
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    let own = rest["items"][0]["id"].as_str().unwrap();
    let revoked = terminal.run(&["tokens", "revoke", own, "--json"]).json();
    assert_eq!(revoked, json!({ "id": own, "revoked": true }));
}
