//! Many machines in several regions, and processes that are killed meanwhile.

use super::*;
use crate::support::{get_page, post_form};
use contract::JobId;
use reqwest::header;
use std::{collections::BTreeSet, path::Path, time::Duration};
use testbed::{
    ApiClient, Cluster, ClusterConfig, ClusterOptions, HttpFault, HttpFaultProxy, SandboxConfig,
};
use tokio::time::{Instant, sleep};

const REGIONS: [&str; 2] = ["eu-west-1", "us-east-1"];
/// Time after which a test gives up.
const TIMEOUT: Duration = Duration::from_secs(240);

/// moto with stopped machines in two regions, and a proxy that counts the calls.
struct Fleet {
    moto: MotoServer,
    proxy: HttpFaultProxy,
    key: AccessKey,
    ids: Vec<String>,
    per_region: usize,
}

impl Fleet {
    async fn start(per_region: usize) -> Self {
        let moto = MotoServer::start(CALLS_OF_USER + 2 * CALLS_OF_MACHINES).await.unwrap();
        let mut ids = Vec::new();
        for region in REGIONS {
            let made = moto.make_stopped_machines(region, "web", per_region).await;
            ids.extend(made.unwrap());
        }
        let key = moto.make_user("worker", &NEEDED_ACTIONS).await.unwrap();
        let proxy = HttpFaultProxy::start(moto.port(), |_| HttpFault::None).await.unwrap();
        Self { moto, proxy, key, ids, per_region }
    }

    async fn wait_for_list(&self, api: &ApiClient) {
        wait_until("all machines are listed", async || {
            let answer = api.get("/api/v1/instances").send().await.unwrap();
            if !answer.status().is_success() {
                return false;
            }
            let listed: Value = answer.json().await.unwrap();
            listed["items"].as_array().unwrap().len() == self.ids.len()
        })
        .await;
    }

    async fn wait_for_starts(&self, share: usize) {
        wait_until("some machines are started", async || {
            self.count("Action=StartInstances") >= share
        })
        .await;
    }

    fn count(&self, action: &str) -> usize {
        self.proxy.requests().iter().filter(|request| request.contains(action)).count()
    }

    /// Waits for the end of the job, and checks by moto's own API that each machine runs and has
    /// one alarm.
    async fn check_end(&self, api: &ApiClient, job: JobId) {
        let state = async || api.job(job).await.unwrap();
        let deadline = Instant::now() + TIMEOUT;
        while state().await.state.as_str() == "running" {
            assert!(Instant::now() < deadline, "{:?}", state().await);
            sleep(Duration::from_millis(200)).await;
        }
        let tasks = api.tasks(job).await.unwrap();
        let failed: Vec<_> =
            tasks.iter().filter(|task| task.state.as_str() != "succeeded").collect();
        assert!(failed.is_empty(), "{}, such as {:?}", failed.len(), failed[0]);
        assert_eq!(tasks.len(), 2 * self.ids.len(), "a start and an alarm for each machine");

        let machines = self.moto.machines().await.unwrap();
        assert_eq!(machines.len(), self.ids.len());
        for region in REGIONS {
            let here = machines.iter().filter(|machine| machine.region == region);
            let running = here.filter(|machine| machine.state == "running").count();
            assert_eq!(running, self.per_region, "{region}");
        }
        let expected: BTreeSet<_> = self.ids.iter().map(|id| format!("status-web-{id}")).collect();
        assert_eq!(self.moto.alarm_names().await.unwrap(), expected);
        // Each machine is looked at before its start and after it, at least; one call serves many.
        // How many there are depends on how long it takes.
        let describes = self.count("Action=DescribeInstances");
        assert!(
            describes < 4 * self.ids.len(),
            "{describes} descriptions of {} machines",
            self.ids.len()
        );
    }
}

#[tokio::test]
async fn three_hundred_machines_in_two_regions_are_started_by_one_job() {
    let fleet = Fleet::start(150).await;
    let mut server = new_aws_server(&fleet.proxy.url(), &REGIONS, &fleet.key);
    server.set_env("MEANWHILE_LEASE_S", "20");
    let mut server = start(server).await;
    fleet.wait_for_list(&server.api).await;
    // The page shows some of them, and the form starts all.
    wait_until("the page has all machines", async || {
        let page = get_page(&server, "/machines?select=all&page=3&q=web").await;
        page.matches("data-machine=").count() == 100
            && page.contains("Machines 201 to 300 of 300")
            && page.contains(">Start 300 machines</button>")
    })
    .await;
    let fields = [("key", "key"), ("action", "start"), ("can_start", "300")];
    let mut job = None;
    // A list that comes too late has only a part of them, which the form refuses.
    wait_until("the form starts them", async || {
        let launched = post_form(&server, "/launch/machines?select=all&q=web", &fields).await;
        let to = launched.headers().get(header::LOCATION).map(|to| to.to_str().unwrap().to_owned());
        let to = to.filter(|to| to.starts_with("/jobs/"));
        job =
            to.map(|to| to.trim_start_matches("/jobs/").trim_end_matches("?accepted=1").to_owned());
        job.is_some()
    })
    .await;
    let job = job.unwrap().parse().unwrap();
    for share in [30, 150] {
        fleet.wait_for_starts(share).await;
        server.kill();
        server.spawn().await.unwrap();
    }
    fleet.check_end(&server.api, job).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_survive_the_death_of_each_worker() {
    start_while_workers_die(40).await;
}

/// Takes some two minutes: `cargo test -p server --test server -- --ignored --nocapture
/// three_hundred_machines_survive` prints the figures.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the short form runs with the other tests"]
async fn three_hundred_machines_survive_the_death_of_each_worker() {
    start_while_workers_die(150).await;
}

/// Starts machines with one web node and two workers on PostgreSQL, RabbitMQ and Redis. Each
/// worker is killed once while machines start, and the first one once more while alarms are
/// created.
async fn start_while_workers_die(per_region: usize) {
    let fleet = Fleet::start(per_region).await;
    let home = tempfile::tempdir().unwrap();
    let env = write_aws_files(home.path(), &REGIONS, &fleet.key, &fleet.proxy.url());
    let config = ClusterConfig {
        web: 1,
        workers: 2,
        lease_s: 20,
        small_disk: false,
        sandbox_config: SandboxConfig::without_faults(20.0),
    };
    let options = ClusterOptions { without_proxies: true, env, ..ClusterOptions::default() };
    let mut cluster = Cluster::start_with(Path::new(BINARY), config, options).await.unwrap();
    let api = cluster.signed_in_clients().await.unwrap().remove(0);
    let begin = Instant::now();
    fleet.wait_for_list(&api).await;
    let all: Vec<_> = fleet.ids.iter().map(String::as_str).collect();
    let job = api.start_instances(&all, "key").await.unwrap().id;
    for (share, worker) in [(per_region / 5, 0), (per_region, 1)] {
        fleet.wait_for_starts(share).await;
        cluster.workers[worker].kill();
        // The other one goes on alone for a while.
        fleet.wait_for_starts(share + per_region / 5).await;
        cluster.workers[worker].spawn().await.unwrap();
    }
    let alarms = async || fleet.count("Action=PutMetricAlarm") >= per_region / 5;
    wait_until("alarms are created", alarms).await;
    cluster.workers[0].kill();
    cluster.workers[0].spawn().await.unwrap();
    fleet.check_end(&api, job).await;
    println!(
        "{} machines in {:.1} s: {} descriptions, {} starts, {} alarms requested",
        fleet.ids.len(),
        begin.elapsed().as_secs_f64(),
        fleet.count("Action=DescribeInstances"),
        fleet.count("Action=StartInstances"),
        fleet.count("Action=PutMetricAlarm"),
    );
}
