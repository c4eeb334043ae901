//! Machines of AWS accounts, against moto, which checks signatures and policies.

mod credentials;
mod faults;
mod many_machines;
mod stop_and_launch;

use crate::support::{BINARY, new_server};
use contract::{JobId, api::Task};
use serde_json::Value;
use std::{fmt::Write, path::Path};
use testbed::{AccessKey, MotoServer, ServerProcess, wait_until};

const REGION: &str = "eu-west-1";
/// Actions that starts and alarms need. AWS calls those of CloudWatch `cloudwatch:…`, and moto
/// calls them by the name in the signature.
const NEEDED_ACTIONS: [&str; 4] = [
    "ec2:DescribeInstances",
    "ec2:StartInstances",
    "monitoring:PutMetricAlarm",
    "monitoring:DescribeAlarms",
];
/// Profile of the account `ops`.
const PROFILE: &str = "ops-admin";
/// Unchecked calls that [`MotoServer::make_user`] and
/// [`MotoServer::make_stopped_machines`] take.
const CALLS_OF_USER: u32 = 3;
const CALLS_OF_MACHINES: u32 = 2;

/// Returns the file of an account with these regions, whose rates are so high that a test does
/// not wait for them.
fn aws_toml(regions: &[&str]) -> String {
    let regions: Vec<_> = regions.iter().map(|region| format!("\"{region}\"")).collect();
    format!(
        "[[account]]\nname = \"ops\"\nprofile = \"{PROFILE}\"\nregions = [{}]\n\
         rates = {{ describe = 20, start = 20, cloudwatch = 20 }}\npoll_s = 2\n",
        regions.join(", ")
    )
}

/// Returns a server that does not run yet, with the account `ops` at `endpoint`.
fn new_aws_server(endpoint: &str, regions: &[&str], key: &AccessKey) -> ServerProcess {
    let mut server = new_server().with_admin();
    let home = server.folder().to_owned();
    for (name, value) in write_aws_files(&home, regions, key, endpoint) {
        server.set_env(name, value);
    }
    server
}

/// Writes the file of the accounts and the key into `home`, and returns the variables of a
/// process that uses them.
fn write_aws_files(
    home: &Path,
    regions: &[&str],
    key: &AccessKey,
    endpoint: &str,
) -> Vec<(&'static str, String)> {
    let config = home.join("aws.toml");
    std::fs::write(&config, aws_toml(regions)).unwrap();
    write_key(home, key);
    vec![
        ("HOME", home.display().to_string()),
        ("MEANWHILE_AWS", config.display().to_string()),
        ("AWS_ENDPOINT_URL", endpoint.to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ]
}

/// Writes the key of the profile, as `aws configure` does.
fn write_key(home: &Path, key: &AccessKey) {
    let folder = home.join(".aws");
    std::fs::create_dir_all(&folder).unwrap();
    let mut text = format!("[{PROFILE}]\n");
    let AccessKey { id, secret } = key;
    write!(text, "aws_access_key_id = {id}\naws_secret_access_key = {secret}\n").unwrap();
    std::fs::write(folder.join("credentials"), text).unwrap();
}

async fn start(mut server: ServerProcess) -> ServerProcess {
    server.spawn().await.unwrap();
    server.api.sign_in().await.unwrap();
    server
}

/// Starts moto with one machine, and the product with a user who may call `actions`.
async fn start_with_one_machine(actions: &[&str]) -> (MotoServer, ServerProcess, String) {
    let moto = MotoServer::start(CALLS_OF_USER + CALLS_OF_MACHINES).await.unwrap();
    let machine = moto.make_stopped_machines(REGION, "web", 1).await.unwrap().remove(0);
    let key = moto.make_user("worker", actions).await.unwrap();
    let server = start(new_aws_server(&moto.url(), &[REGION], &key)).await;
    (moto, server, machine)
}

/// Starts a machine, and returns its tasks once the job has ended.
async fn start_machine(server: &ServerProcess, id: &str) -> Vec<Task> {
    let job = server.api.start_instances(&[id], "key").await.unwrap().id;
    wait_for_end(server, job).await;
    server.api.tasks(job).await.unwrap()
}

async fn wait_for_end(server: &ServerProcess, job: JobId) {
    wait_until("the end of the job", async || {
        server.api.job(job).await.unwrap().state.as_str() != "running"
    })
    .await;
}

/// Returns the state and the message of each task.
fn results(tasks: &[Task]) -> Vec<(&str, &str, &str)> {
    let results = tasks.iter().map(|task| {
        let message = task.outcome.as_ref().map_or("", |outcome| outcome.message.as_str());
        (task.kind.as_str(), task.state.as_str(), message)
    });
    results.collect()
}

/// Waits until the only task of a job waits, and returns why.
async fn wait_for_detail(server: &ServerProcess, job: JobId) -> String {
    let detail = async || {
        let tasks = server.api.tasks(job).await.unwrap();
        tasks.first()?.waiting_for.as_ref()?.detail.clone()
    };
    wait_until("a reason to wait", async || detail().await.is_some()).await;
    detail().await.unwrap()
}

/// Returns the status and the detail of the answer about the machines.
async fn list_machines(server: &ServerProcess) -> (u16, Value) {
    let answer = server.api.get("/api/v1/instances").send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_machine_is_started_and_gets_its_alarm() {
    let (moto, server, machine) = start_with_one_machine(&NEEDED_ACTIONS).await;
    let (status, listed) = list_machines(&server).await;
    assert_eq!(status, 200, "{listed}");
    let listed = &listed["items"][0];
    for (key, expected) in [
        ("id", machine.as_str()),
        ("name", "web"),
        ("state", "stopped"),
        ("account", "ops"),
        ("region", REGION),
    ] {
        assert_eq!(listed[key], expected, "{listed}");
    }
    let tasks = start_machine(&server, &machine).await;
    assert_eq!(
        results(&tasks),
        [
            ("ec2.start", "succeeded", "The machine is running."),
            ("alarm.create", "succeeded", "The alarm watches the machine.")
        ]
    );
    let machines = moto.machines().await.unwrap();
    assert_eq!((machines.len(), machines[0].state.as_str()), (1, "running"));
    let alarms = moto.alarm_names().await.unwrap();
    assert_eq!(alarms, [format!("status-web-{machine}")].into());
}
