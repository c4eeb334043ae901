//! What the exit codes say, and what is printed with them.

use super::{Terminal, start_server};
use contract::JobId;
use serde_json::{Value, json};
use testbed::{
    api::{product_csv, product_csv_with_prefix},
    free_port, wait_until,
};

#[tokio::test]
async fn cancelled_job_is_not_all_succeeded() {
    let server = start_server(1.0).await;
    let terminal = Terminal::open(&server).await;
    terminal.write_file("products.csv", &product_csv(500));
    let upload = ["upload", "products.csv", "--channels", "acme"];
    let launched = terminal.run(&upload);
    let id = launched.expect(0).rsplit_once("meanwhile job ").unwrap().1;
    let id = id.strip_suffix(" --watch\n").unwrap();
    assert!(launched.stdout.starts_with("Launched: products.csv, 500 items.\n"), "{id}");
    assert!(terminal.run(&["job", id]).expect(0).contains("running: "));
    let listed = terminal.run(&["jobs", "--state", "running"]);
    assert!(listed.expect(0).contains(id) && listed.stdout.contains("products.csv"));

    let cancelled = terminal.run(&["cancel", id, "--watch"]);
    let end = cancelled.expect(1).lines().last().unwrap();
    assert!(end.starts_with("The job was cancelled. ") && end.contains("See why:"), "{end}");
    assert!(terminal.run(&["job", id]).expect(1).contains("cancelled, ended "));
    let again = terminal.run(&["cancel", id]);
    again.expect(3);
    assert!(again.stderr.starts_with("Error: "), "{}", again.stderr);

    let failures = terminal.run(&["failures", id]);
    let lines = failures.expect(0).lines().filter(|line| line.starts_with("cancelled "));
    let cancelled_count = lines.count();
    assert!(cancelled_count > 0, "{}", failures.stdout);
    let json = terminal.run(&["failures", id, "--json"]).json();
    assert_eq!(json["items"].as_array().unwrap().len(), cancelled_count);
    assert_eq!(json["next"], Value::Null);

    let retried = terminal.run(&["retry", id, "--state", "cancelled"]);
    assert!(retried.expect(0).starts_with("Started again: "), "{}", retried.stdout);
    let job: JobId = id.parse().unwrap();
    assert!(server.api.job(job).await.unwrap().finished_at.is_none());
}

#[tokio::test]
async fn rejected_items_are_told_listed_and_returned_as_a_file() {
    let server = start_server(20.0).await;
    let terminal = Terminal::open(&server).await;
    let csv = format!("{}D-SBX-REJECT,Palace,19.90,A sandbox refuses it\n", product_csv(3));
    terminal.write_file("products.csv", &csv);
    let upload = ["upload", "products.csv", "--channels", "acme", "--watch"];
    let watched = terminal.run(&upload);
    let lines: Vec<_> = watched.expect(1).lines().collect();
    let told = lines.iter().find(|line| line.starts_with("rejected: D-SBX-REJECT on acme: "));
    assert!(told.is_some(), "{lines:?}");
    let (end, id) = lines.last().unwrap().rsplit_once(' ').unwrap();
    assert_eq!(end, "3 of 4 items succeeded (3 created); 1 rejected. See why: meanwhile failures");
    let failures = terminal.run(&["failures", id, "--channel", "acme"]);
    let line = failures.expect(0).trim_end();
    assert!(line.starts_with("rejected ") && line.contains("D-SBX-REJECT on acme"), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    let csv = terminal.run(&["failures", id, "--csv"]);
    let rows: Vec<_> = csv.expect(0).split_terminator("\r\n").collect();
    assert!(rows[0].starts_with("sku,title,") && rows[1].starts_with("D-SBX-REJECT,"), "{rows:?}");
    assert_eq!(rows.len(), 2, "{rows:?}");
}

#[tokio::test]
async fn wrong_usage_is_2() {
    let server = start_server(1.0).await;
    let mut terminal = Terminal::open(&server).await;
    for (arguments, why) in [
        (&["upload", "absent.csv", "--channels", "acme"][..], "absent.csv can't be read"),
        (&["upload", "absent.csv"], "--channels"),
        (&["upload", "a", "--channels", "acme", "--decimal", "dot"], "comma, point"),
        (&["job", "7"], "invalid value '7'"),
        (&["jobs", "--profile", "work"], "There is no profile \"work\""),
        (&["login", "--url", "meanwhile.example.com"], "The URL of the server"),
    ] {
        let printed = terminal.run(arguments);
        assert_eq!(printed.expect(2), "", "{arguments:?}");
        assert!(printed.stderr.contains(why), "{arguments:?}: {}", printed.stderr);
    }
    terminal.has_environment = false;
    let unset = terminal.run(&["jobs"]);
    unset.expect(2);
    assert!(unset.stderr.contains("meanwhile login"), "{}", unset.stderr);
    assert!(terminal.run(&["upload", "--help"]).expect(0).contains("Exit codes:"));
}

#[tokio::test]
async fn server_that_refuses_or_is_away_is_3() {
    let server = start_server(1.0).await;
    let mut terminal = Terminal::open(&server).await;
    terminal.write_file("bad.csv", "sku,title,price\nA,Lamp,\nB,Lamp,2\n");
    let upload = ["upload", "bad.csv", "--channels", "acme"];
    let refused = terminal.run(&upload);
    refused.expect(3);
    assert!(refused.stderr.contains("line 2, price: the price is missing"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--skip-bad"), "{}", refused.stderr);
    let as_json = terminal.run(&[&upload[..], &["--json"]].concat());
    as_json.expect(3);
    let problem: Value = serde_json::from_str(&as_json.stderr).unwrap();
    assert_eq!((&problem["status"], &problem["bad_rows"][0]["line"]), (&422.into(), &2.into()));
    let checked = terminal.run(&[&upload[..], &["--dry-run"]].concat());
    let checked = checked.expect(0);
    assert!(checked.contains("Nothing was launched.") && checked.contains("line 2, price"));
    let skipped = terminal.run(&[&upload[..], &["--skip-bad", "--watch"]].concat());
    assert!(skipped.expect(0).contains("1 row of the file was left out"), "{}", skipped.stdout);

    let id = uuid::Uuid::nil().to_string();
    let unknown = terminal.run(&["job", &id, "--watch"]);
    unknown.expect(3);
    assert!(unknown.stderr.contains("There is nothing here."), "{}", unknown.stderr);
    let create = terminal.run(&["tokens", "create"]);
    create.expect(3);
    assert!(create.stderr.contains(&format!("{}/account", terminal.url)), "{}", create.stderr);

    let body = json!({ "name": "reads", "password": "correct-horse", "scope": "read" });
    let created = server.api.post("/api/v1/tokens").json(&body).send().await.unwrap();
    let created: Value = created.json().await.unwrap();
    terminal.token = created["secret"].as_str().unwrap().to_owned();
    terminal.run(&["jobs"]).expect(0);
    let forbidden = terminal.run(&upload);
    forbidden.expect(3);
    assert!(forbidden.stderr.contains("needs the scope `launch`"), "{}", forbidden.stderr);

    terminal.token = "mw_made-up".into();
    for arguments in [&["jobs"][..], &["events"], &["job", &id, "--watch"]] {
        let rejected = terminal.run(arguments);
        rejected.expect(3);
        assert!(rejected.stderr.contains("This token is unknown"), "{}", rejected.stderr);
    }
    terminal.url = format!("http://127.0.0.1:{}", free_port());
    for arguments in [&["jobs"][..], &["events"], &["job", &id, "--watch"], &upload] {
        let away = terminal.run(arguments);
        away.expect(3);
        let is_said = away.stderr.contains("can't be reached: nothing listens there.");
        assert!(is_said, "{arguments:?} {}", away.stderr);
    }
}

#[tokio::test]
async fn launch_with_the_same_key_is_one_job() {
    let server = start_server(20.0).await;
    let terminal = Terminal::open(&server).await;
    terminal.write_file("products.csv", &product_csv_with_prefix("K", 2));
    let upload =
        ["upload", "products.csv", "--channels", "acme", "--idempotency-key", "monday", "--json"];
    let first = terminal.run(&upload).json();
    assert_eq!(terminal.run(&upload).json()["job"]["id"], first["job"]["id"]);
    assert_eq!(terminal.run(&["jobs", "--json"]).json()["items"].as_array().unwrap().len(), 1);
    let job: JobId = first["job"]["id"].as_str().unwrap().parse().unwrap();
    wait_until("the job ends", async || server.api.job(job).await.unwrap().finished_at.is_some())
        .await;
    let id = job.to_string();
    assert!(terminal.run(&["job", &id]).expect(0).contains("All 2 items succeeded"));
    let stdin = terminal.run_with_input(&["upload", "-", "--channels", "acme"], &product_csv(1));
    assert!(stdin.expect(0).contains("products.csv, 1 item."), "{}", stdin.stdout);
}

#[tokio::test]
async fn completions_know_the_commands() {
    let server = start_server(1.0).await;
    let terminal = Terminal::open(&server).await;
    for shell in ["bash", "zsh", "fish"] {
        let script = terminal.run(&["completions", shell]);
        assert!(script.expect(0).contains("idempotency-key"), "{shell}");
    }
}
