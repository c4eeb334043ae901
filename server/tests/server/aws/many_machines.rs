//! Many machines in several regions, and a process that is killed meanwhile.

use super::*;
use std::{collections::BTreeSet, time::Duration};
use testbed::{HttpFault, HttpFaultProxy};

const REGIONS: [&str; 2] = ["eu-west-1", "us-east-1"];
const MACHINES_PER_REGION: usize = 150;

#[tokio::test]
async fn three_hundred_machines_in_two_regions_are_started_by_one_job() {
    let moto = MotoServer::start(CALLS_OF_USER + 2 * CALLS_OF_MACHINES).await.unwrap();
    let mut ids = Vec::new();
    for region in REGIONS {
        ids.extend(moto.make_stopped_machines(region, "web", MACHINES_PER_REGION).await.unwrap());
    }
    let key = moto.make_user("worker", &NEEDED_ACTIONS).await.unwrap();
    let proxy = HttpFaultProxy::start(moto.port(), |_| HttpFault::None).await.unwrap();
    let mut server = new_aws_server(&proxy.url(), &REGIONS, &key);
    server.set_env("MEANWHILE_LEASE_S", "20");
    let mut server = start(server).await;
    wait_until("all machines are listed", async || {
        let (status, listed) = list_machines(&server).await;
        status == 200 && listed["items"].as_array().unwrap().len() == ids.len()
    })
    .await;
    let all: Vec<_> = ids.iter().map(String::as_str).collect();
    let job = server.api.start_instances(&all, "key").await.unwrap().id;
    for share in [30, 150] {
        wait_until("some machines are started", async || {
            count(&proxy, "Action=StartInstances") >= share
        })
        .await;
        server.kill();
        server.spawn().await.unwrap();
    }
    let state = async || server.api.job(job).await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(240);
    while state().await.state.as_str() == "running" {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", state().await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let tasks = server.api.tasks(job).await.unwrap();
    let failed: Vec<_> = tasks.iter().filter(|task| task.state.as_str() != "succeeded").collect();
    assert!(failed.is_empty(), "{}, such as {:?}", failed.len(), failed[0]);
    assert_eq!(tasks.len(), 2 * ids.len(), "a start and an alarm for each machine");

    let machines = moto.machines().await.unwrap();
    for region in REGIONS {
        let here = machines.iter().filter(|machine| machine.region == region);
        let running = here.filter(|machine| machine.state == "running").count();
        assert_eq!(running, MACHINES_PER_REGION, "{region}");
    }
    let expected: BTreeSet<_> = ids.iter().map(|id| format!("status-web-{id}")).collect();
    assert_eq!(moto.alarm_names().await.unwrap(), expected);
    // Each machine is looked at before its start and after it; one call serves many.
    let describes = count(&proxy, "Action=DescribeInstances");
    assert!(describes < ids.len(), "{describes} descriptions of {} machines", ids.len());
}

fn count(proxy: &HttpFaultProxy, action: &str) -> usize {
    proxy.requests().iter().filter(|request| request.contains(action)).count()
}
