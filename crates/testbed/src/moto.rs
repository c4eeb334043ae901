//! [moto](https://docs.getmoto.org): EC2, CloudWatch and IAM that keep their state in memory, and
//! check signatures and policies.

use crate::{ManagedProcess, free_port};
use anyhow::Context;
use reqwest::Client;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Image that moto has from the start.
const IMAGE: &str = "ami-12c6146b";

/// A server of moto that runs until it is dropped.
pub struct MotoServer {
    _child: ManagedProcess,
    port: u16,
    client: Client,
    folder: TempDir,
}

/// Key of a user of IAM.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// Id of the key.
    pub id: String,
    /// Secret of the key.
    pub secret: String,
}

/// A machine as moto has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MotoMachine {
    /// Id of the machine.
    pub id: String,
    /// Region of the machine.
    pub region: String,
    /// State of the machine.
    pub state: String,
    /// Type of the machine.
    pub instance_type: String,
}

impl MotoServer {
    /// Starts a server that checks signatures and policies after the first `unchecked_calls`.
    ///
    /// # Errors
    /// The server does not start.
    pub async fn start(unchecked_calls: u32) -> anyhow::Result<Self> {
        let (port, folder) = (free_port(), tempfile::tempdir()?);
        let log = File::create(folder.path().join("log"))?;
        let mut server = Command::new(program());
        server
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .env("INITIAL_NO_AUTH_ACTION_COUNT", unchecked_calls.to_string())
            .stdout(Stdio::null())
            .stderr(log);
        let child = ManagedProcess::spawn(&mut server)
            .context("moto is missing: run scripts/setup.sh test")?;
        tls::install_provider();
        let client = Client::builder().no_proxy().build()?;
        let server = Self { _child: child, port, client, folder };
        let start = Instant::now();
        let status = format!("{}/moto-api/", server.url());
        while server.client.get(&status).send().await.is_err() {
            anyhow::ensure!(start.elapsed() < Duration::from_secs(180), "moto did not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(server)
    }

    /// Returns the URL of all services.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the port of all services.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns what the server has logged, a line for each request.
    pub fn read_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Makes machines named `{name}-1` and so on that are stopped, and returns their ids. It
    /// takes two unchecked calls.
    ///
    /// # Errors
    /// moto refuses a call.
    pub async fn make_stopped_machines(
        &self,
        region: &str,
        name: &str,
        count: usize,
    ) -> anyhow::Result<Vec<String>> {
        let count = count.to_string();
        let answer = self
            .call(
                "ec2",
                region,
                &[
                    ("Action", "RunInstances"),
                    ("Version", "2016-11-15"),
                    ("ImageId", IMAGE),
                    ("InstanceType", "t3.micro"),
                    ("MinCount", &count),
                    ("MaxCount", &count),
                    ("TagSpecification.1.ResourceType", "instance"),
                    ("TagSpecification.1.Tag.1.Key", "Name"),
                    ("TagSpecification.1.Tag.1.Value", name),
                ],
            )
            .await?;
        let ids: Vec<_> = texts(&answer, "instanceId").map(str::to_owned).collect();
        let names: Vec<_> = (1..=ids.len()).map(|n| format!("InstanceId.{n}")).collect();
        let mut stop = vec![("Action", "StopInstances"), ("Version", "2016-11-15")];
        stop.extend(names.iter().map(String::as_str).zip(ids.iter().map(String::as_str)));
        self.call("ec2", region, &stop).await?;
        Ok(ids)
    }

    /// Makes a launch template with two versions, the first of which is the default one, and
    /// returns its id. It takes two unchecked calls.
    ///
    /// # Errors
    /// moto refuses a call.
    pub async fn make_launch_template(&self, region: &str, name: &str) -> anyhow::Result<String> {
        let create = [
            ("Action", "CreateLaunchTemplate"),
            ("Version", "2016-11-15"),
            ("LaunchTemplateName", name),
            ("LaunchTemplateData.ImageId", IMAGE),
            ("LaunchTemplateData.InstanceType", "t3.micro"),
        ];
        let answer = self.call("ec2", region, &create).await?;
        let id = texts(&answer, "launchTemplateId").next().context("no launchTemplateId")?;
        let version = [
            ("Action", "CreateLaunchTemplateVersion"),
            ("Version", "2016-11-15"),
            ("LaunchTemplateName", name),
            ("LaunchTemplateData.ImageId", IMAGE),
            ("LaunchTemplateData.InstanceType", "t3.small"),
        ];
        self.call("ec2", region, &version).await?;
        Ok(id.to_owned())
    }

    /// Makes a user of IAM who may call `actions`, and returns the user's key. It takes three
    /// unchecked calls.
    ///
    /// # Errors
    /// moto refuses a call.
    pub async fn make_user(&self, name: &str, actions: &[&str]) -> anyhow::Result<AccessKey> {
        let user = [("Action", "CreateUser"), ("Version", "2010-05-08"), ("UserName", name)];
        self.call("iam", "us-east-1", &user).await?;
        let key = [("Action", "CreateAccessKey"), ("Version", "2010-05-08"), ("UserName", name)];
        let answer = self.call("iam", "us-east-1", &key).await?;
        let policy = serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Action": actions, "Resource": "*" }],
        });
        let policy = policy.to_string();
        let put = [
            ("Action", "PutUserPolicy"),
            ("Version", "2010-05-08"),
            ("UserName", name),
            ("PolicyName", "all"),
            ("PolicyDocument", policy.as_str()),
        ];
        self.call("iam", "us-east-1", &put).await?;
        let text = |element: &str| {
            let found = texts(&answer, element).next().map(str::to_owned);
            found.with_context(|| format!("no {element}: {answer}"))
        };
        Ok(AccessKey { id: text("AccessKeyId")?, secret: text("SecretAccessKey")? })
    }

    /// Returns all machines, from the API of moto about itself. It fails while moto makes a
    /// machine, which is on moto's list before it has the network interface that the API describes.
    ///
    /// # Errors
    /// The API does not answer.
    pub async fn machines(&self) -> anyhow::Result<Vec<MotoMachine>> {
        let data = self.data().await?;
        let text =
            |machine: &Value, key: &str| machine[key].as_str().unwrap_or_default().to_owned();
        let machines = data["ec2"]["Instance"].as_array().context("no machines")?.iter();
        Ok(machines
            .map(|machine| MotoMachine {
                id: text(machine, "id"),
                region: text(machine, "region_name"),
                state: text(machine, "state"),
                instance_type: text(machine, "instance_type"),
            })
            .collect())
    }

    /// Returns the names of all alarms. moto's API lists an alarm once for each time that it was
    /// put, and a name is one alarm.
    ///
    /// # Errors
    /// The API does not answer.
    pub async fn alarm_names(&self) -> anyhow::Result<BTreeSet<String>> {
        let data = self.data().await?;
        let alarms = data["cloudwatch"]["Alarm"].as_array().context("no alarms")?.iter();
        Ok(alarms.filter_map(|alarm| alarm["name"].as_str().map(str::to_owned)).collect())
    }

    async fn data(&self) -> anyhow::Result<Value> {
        let url = format!("{}/moto-api/data.json", self.url());
        Ok(self.client.get(url).send().await?.error_for_status()?.json().await?)
    }

    /// Sends an unchecked call. moto learns from the signature which service is called, and in
    /// which region.
    async fn call(
        &self,
        service: &str,
        region: &str,
        form: &[(&str, &str)],
    ) -> anyhow::Result<String> {
        let signature = format!(
            "AWS4-HMAC-SHA256 Credential=setup/20260101/{region}/{service}/aws4_request, \
             SignedHeaders=host, Signature=0"
        );
        let request = self.client.post(self.url()).header("Authorization", signature).form(form);
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        anyhow::ensure!(status.is_success(), "moto answered {status}: {text}");
        Ok(text)
    }
}

/// Returns the path of the server, which `scripts/setup.sh test` installs.
fn program() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join("target/tools/moto/bin/moto_server")
}

/// Returns the text of each element named `element`, which has no child elements.
fn texts<'a>(xml: &'a str, element: &str) -> impl Iterator<Item = &'a str> {
    let open = format!("<{element}>");
    let texts: Vec<_> = xml.split(open.as_str()).skip(1).collect();
    texts.into_iter().map(|text| text.split('<').next().unwrap_or_default())
}
