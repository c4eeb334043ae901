//! The servers of the first two ways, within this process. Meanwhile itself, and what a `kill -9`
//! does to all of them, is tested with the command, in `server/tests/server/compare.rs`.
#![allow(clippy::unwrap_used)]

use crate::{
    Error,
    batch::{Batch, PEOPLE},
    client,
    count::Counts,
    person::Person,
    serve::{ServedWay, router},
    services::Services,
};
use contract::comparison::{Notice, Scenario, Way};
use futures_util::future::join_all;
use sandbox::{SAMPLE_CHANNELS, Sandbox};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::net::TcpListener;

const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Speed at which the work takes some seconds: on a slow machine, too, a launch is answered
/// before its work is done, and requests come faster than the limits allow.
const SPEED: f64 = 10.0;
/// Maximum time until a server has finished its launches. Requests that are refused several
/// times wait for seconds at any speed.
const WAIT_LIMIT: Duration = Duration::from_secs(90);

struct Fixture {
    sandbox: Sandbox,
    batches: Vec<Batch>,
    _folder: TempDir,
}

impl Fixture {
    async fn new(people: usize, speed: f64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = sandbox::Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            ledger: folder.path().join("ledger.jsonl"),
            speed,
            seed: 1,
            faults: false,
            latency: None,
            channels: SAMPLE_CHANNELS.to_vec(),
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        Self { sandbox, batches: Batch::for_people(people, 4), _folder: folder }
    }

    /// Starts the server of a way, and returns somebody who uses it.
    async fn person(&self, served: ServedWay) -> Person {
        let way = match served {
            ServedWay::Synchronous => Way::Synchronous,
            ServedWay::Asynchronous => Way::Asynchronous,
        };
        let client = client::build(None).unwrap();
        let services = Services::new(client.clone(), self.sandbox.base_url(), POLL_INTERVAL);
        let router = router(served, services);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Person::new(way, client, url, "").await.unwrap()
    }

    fn counts(&self) -> Counts {
        Counts::new(&self.sandbox.ledger(), &self.batches)
    }
}

#[tokio::test]
async fn synchronous_way_answers_when_all_is_done() {
    // One thing is done after the other, and nothing depends on how fast.
    let fixture = Fixture::new(1, SPEED * 5.0).await;
    let person = fixture.person(ServedWay::Synchronous).await;
    let receipt = person.launch(&fixture.batches[0]).await.unwrap();
    let counts = fixture.counts();
    assert_eq!((counts.done(), counts.missing(), counts.duplicates), (6, 0, 0));
    assert_eq!(person.notice(Some(&receipt)).await.unwrap(), Notice::Response);
    assert_eq!(person.notice(None).await.unwrap(), Notice::None);
}

#[tokio::test]
async fn asynchronous_way_answers_before_the_work_and_tells_those_who_ask() {
    let fixture = Fixture::new(1, SPEED).await;
    let person = fixture.person(ServedWay::Asynchronous).await;
    let receipt = person.launch(&fixture.batches[0]).await.unwrap();
    assert!(fixture.counts().missing() > 0, "it answered after the work");
    assert_eq!(person.notice(Some(&receipt)).await.unwrap(), Notice::None);
    let start = Instant::now();
    while person.is_finished(&receipt).await.unwrap() != Some(true) {
        assert!(start.elapsed() < WAIT_LIMIT, "it does not finish");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    assert_eq!(fixture.counts().missing(), 0);
    assert_eq!(person.notice(Some(&receipt)).await.unwrap(), Notice::OnRequest);

    let after_restart = fixture.person(ServedWay::Asynchronous).await;
    assert_eq!(after_restart.is_finished(&receipt).await.unwrap(), None);
    assert_eq!(after_restart.notice(Some(&receipt)).await.unwrap(), Notice::None);
}

#[tokio::test]
async fn asynchronous_way_exceeds_the_limit_when_several_people_launch() {
    let fixture = Fixture::new(PEOPLE, SPEED).await;
    let person = fixture.person(ServedWay::Asynchronous).await;
    let receipts = join_all(fixture.batches.iter().map(|batch| person.launch(batch))).await;
    let start = Instant::now();
    for receipt in receipts {
        let receipt = receipt.unwrap();
        while person.is_finished(&receipt).await.unwrap() != Some(true) {
            assert!(start.elapsed() < WAIT_LIMIT, "it does not finish");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
    let counts = fixture.counts();
    assert!(counts.over_limit > 0, "{counts:?}");
    assert_eq!((counts.missing(), counts.duplicates), (0, 0), "{counts:?}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_not_waited_for_for_ever() {
    // Connections are made by the kernel, and nobody accepts them.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = client::build(Some(Duration::from_millis(100))).unwrap();
    let person = Person::new(Way::Synchronous, client, url, "").await.unwrap();
    let batches = Batch::for_people(1, 2);
    let launched = tokio::time::timeout(Duration::from_secs(30), person.launch(&batches[0])).await;
    let source = launched.unwrap().unwrap_err();
    let error = Error::from_request(Way::Synchronous, Scenario::Alone, source);
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
}
