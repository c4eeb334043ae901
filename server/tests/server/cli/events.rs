//! `meanwhile events`, and a launch of machines.

use super::{Terminal, start_server};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read},
    process::Command,
};
use testbed::api::product_csv;

#[tokio::test]
async fn events_continue_where_they_were_and_can_be_those_of_one_job() {
    let server = start_server(20.0).await;
    let terminal = Terminal::open(&server).await;
    let machine = server.api.get_json("/api/v1/instances").await.unwrap()["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|machine| machine["state"] == "stopped")
        .map(|machine| machine["id"].as_str().unwrap().to_owned())
        .unwrap();
    let started = terminal.run(&["start", &machine, "--watch"]);
    let end = started.expect(0).lines().last().unwrap();
    assert!(end.starts_with("All 2 items succeeded"), "{}", started.stdout);
    terminal.write_file("products.csv", &product_csv(3));
    let upload = ["upload", "products.csv", "--channels", "acme", "--watch", "--json"];
    let uploaded = terminal.run(&upload);
    let own: Vec<Value> =
        uploaded.expect(0).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let job = own[0]["job"].as_str().unwrap();

    let last = own.last().unwrap()["seq"].as_i64().unwrap();
    let mut child =
        terminal.command(&["events", "--after", "0", "--job", job, "--json"]).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let printed: Vec<Value> =
        lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).take(own.len()).collect();
    assert_eq!(printed, own);
    let pid = child.id().to_string();
    assert!(
        Command::new("sh").args(["-c", "kill -s INT \"$0\"", &pid]).status().unwrap().success()
    );
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let again = format!("Take the events up again with: meanwhile events --after {last}\n");
    assert_eq!(errors, again);
}
