//! The broker's suite on a real RabbitMQ, and what only it can do wrong.
#![allow(clippy::unwrap_used)]

use contract::{
    JobId, TaskId, UserId,
    command::{Command, NoopRun},
    envelope::Dispatch,
    fact::{Fact, FactData, FactKind},
    live::Started,
    state::JobKind,
};
use engine::{
    broker::{Broker, Error, News, rabbit::Rabbit, suite},
    clock,
    election::Seat,
    relay::{self, Bell, Queue},
    store::{self, Accept, NewTask, Store},
    testing::RabbitNode,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Two nodes on one broker: each hears the other's news.
#[tokio::test]
async fn news_reach_every_node_once() {
    let server = tokio::task::spawn_blocking(RabbitNode::start).await.unwrap();
    let stop = CancellationToken::new();
    let nodes = [0, 1].map(|_| Arc::new(Rabbit::new(&server.url()).unwrap()));
    for node in &nodes {
        let (node, stop) = (Arc::clone(node), stop.clone());
        tokio::spawn(async move { node.run(stop).await });
    }
    let mut heard = [nodes[0].news(), nodes[1].news()];
    let news = |n: i64| {
        let started = Started {
            task: TaskId(Uuid::from_u128(1)),
            job: JobId(Uuid::from_u128(2)),
            attempt: 1,
            at: n,
        };
        News::Started(UserId(Uuid::from_u128(3)), started)
    };
    // A node that listens not yet misses what is said: say it until it hears.
    let mut n = 0;
    loop {
        n += 1;
        nodes[0].announce(news(n));
        let other = tokio::time::timeout(Duration::from_millis(200), heard[1].recv()).await;
        if other.is_ok() {
            break;
        }
        assert!(n < 100, "the other node hears nothing");
    }
    let mut own = 0;
    while let Ok(heard) = heard[0].try_recv() {
        own += 1;
        assert_eq!(*heard, news(own));
    }
    assert_eq!(own, n, "a node's own news came twice or not at all");
    nodes[1].announce(news(1_000));
    assert_eq!(*heard[0].recv().await.unwrap(), news(1_000));
    stop.cancel();
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
}

/// A node without pages hears of what may be due, and of nothing else.
#[tokio::test]
async fn a_worker_hears_of_work_alone() {
    let server = tokio::task::spawn_blocking(RabbitNode::start).await.unwrap();
    let stop = CancellationToken::new();
    let rabbit = || Rabbit::new(&server.url()).unwrap();
    let (web, worker) = (Arc::new(rabbit()), Arc::new(rabbit().for_work()));
    for node in [&web, &worker] {
        let (node, stop) = (Arc::clone(node), stop.clone());
        tokio::spawn(async move { node.run(stop).await });
    }
    let mut heard = worker.news();
    let news = |seq: i64| {
        let fact = |(seq, kind)| Fact {
            seq,
            id: Uuid::from_u128(1),
            kind,
            job: None,
            task: None,
            at: 1,
            data: FactData::default(),
        };
        let kinds = [FactKind::TaskSucceeded, FactKind::TaskCreated, FactKind::TaskSucceeded];
        let facts = (seq..).zip(kinds).map(fact).collect();
        News::Facts(store::News { user: UserId(Uuid::from_u128(3)), facts })
    };
    let mut n = 0;
    let first = loop {
        n += 1;
        web.announce(news(n * 10));
        let told = tokio::time::timeout(Duration::from_millis(200), heard.recv()).await;
        match told {
            Ok(told) => break told.unwrap(),
            Err(_) => assert!(n < 100, "the worker hears nothing"),
        }
    };
    web.announce(news(10_000));
    let mut all = vec![first];
    while !matches!(all.last().map(|news| &**news), Some(News::Facts(f)) if f.facts[0].seq > 9_000)
    {
        all.push(heard.recv().await.unwrap());
    }
    for news in all {
        let News::Facts(news) = &*news else { panic!("{news:?}") };
        let kinds: Vec<_> = news.facts.iter().map(|fact| fact.kind).collect();
        assert_eq!(kinds, [FactKind::TaskCreated]);
    }
    stop.cancel();
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
}

/// Why a worker keeps what it can't end yet.
#[tokio::test]
async fn what_is_dropped_keeps_its_slot_until_its_consumer_is_gone() {
    let server = tokio::task::spawn_blocking(RabbitNode::start).await.unwrap();
    let broker = Rabbit::new(&server.url()).unwrap();
    let queue = "meanwhile.q.dropped.v1";
    broker.declare(&[queue.into()]).await.unwrap();
    let dispatch = |fence| Dispatch {
        task: TaskId(Uuid::now_v7()),
        job: JobId(Uuid::now_v7()),
        user: UserId(Uuid::now_v7()),
        fence,
        kind: "dropped".into(),
        version: 1,
        queue: queue.into(),
        traceparent: None,
        body: serde_json::json!({}),
    };
    for confirmed in broker.publish(&[dispatch(1), dispatch(2)]).await {
        confirmed.unwrap();
    }
    let mut deliveries = broker.consume(queue, 1).await.unwrap();
    drop(deliveries.recv().await.unwrap());
    let next = tokio::time::timeout(Duration::from_secs(2), deliveries.recv()).await;
    assert!(next.is_err(), "the slot was free again");
    drop(deliveries);
    let mut deliveries = broker.consume(queue, 1).await.unwrap();
    for fence in [1, 2] {
        let delivery = deliveries.recv().await.unwrap();
        assert_eq!(delivery.content.as_ref().ok().unwrap().fence, fence);
        delivery.ack().await;
    }
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
}

/// Somebody deletes a queue: who consumes hears of it, who publishes is told,
/// and whoever declares it again learns that its messages are lost.
#[tokio::test]
async fn a_queue_that_was_deleted_is_told_of_and_declared_again() {
    let server = tokio::task::spawn_blocking(RabbitNode::start).await.unwrap();
    let broker = Rabbit::new(&server.url()).unwrap();
    let queue = "meanwhile.q.deleted.v1";
    let queues = [queue.to_owned()];
    assert_eq!(broker.declare(&queues).await.unwrap(), queues);
    let mut deliveries = broker.consume(queue, 1).await.unwrap();
    // What its consumer holds is not lost.
    assert_eq!(broker.declare(&queues).await.unwrap(), [""; 0]);
    assert!(server.control(&["delete_queue", queue]));
    let ended = tokio::time::timeout(Duration::from_secs(10), deliveries.recv()).await;
    assert!(ended.expect("a cancelled consumer ends").is_none());
    let dispatch = Dispatch {
        task: TaskId(Uuid::now_v7()),
        job: JobId(Uuid::now_v7()),
        user: UserId(Uuid::now_v7()),
        fence: 1,
        kind: "deleted".into(),
        version: 1,
        queue: queue.into(),
        traceparent: None,
        body: serde_json::json!({}),
    };
    let published = broker.publish(std::slice::from_ref(&dispatch)).await.remove(0);
    assert!(matches!(&published, Err(Error::NoQueue(name)) if name == queue), "{published:?}");
    let depth = broker.depth(queue).await;
    assert!(matches!(&depth, Err(Error::NoQueue(name)) if name == queue), "{depth:?}");
    assert_eq!(broker.declare(&queues).await.unwrap(), queues);
    broker.publish(&[dispatch]).await.remove(0).unwrap();
    let mut deliveries = broker.consume(queue, 1).await.unwrap();
    deliveries.recv().await.unwrap().ack().await;
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
}

/// What lay in a queue that is deleted is published again by its relay, and so
/// is what comes later: within seconds, and with no worker that would tell.
#[tokio::test]
async fn what_a_deleted_queue_held_is_published_again() {
    let server = tokio::task::spawn_blocking(RabbitNode::start).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
    let store = Store::open(&url, Arc::new(clock::System), 1.0).await.unwrap();
    let user = store.add_first_account("ada@example.com", "hash").await.unwrap().user;
    let broker: Arc<dyn Broker> = Arc::new(Rabbit::new(&server.url()).unwrap());
    let launch = Uuid::now_v7();
    let accept = async |numbers: std::ops::Range<u32>| {
        let task = |number: u32| {
            let sku = number.to_string();
            NewTask::new(&NoopRun { launch, number }, None, sku, String::new(), number).unwrap()
        };
        let tasks = numbers.map(task).collect();
        let title = "no-ops".to_owned();
        let (kind, channels, idempotency) = (JobKind::Noops, Vec::new(), None);
        store
            .accept(Accept { actor: user.into(), kind, title, channels, tasks, idempotency })
            .await
            .unwrap();
    };
    let name = NoopRun { launch, number: 0 }.queue();
    relay::declare(&store, broker.as_ref(), std::slice::from_ref(&name)).await.unwrap();
    let (bell, stop) = (Bell::default(), CancellationToken::new());
    let queue = Queue { name: name.clone(), concurrency: 4, rate: None };
    let seat = Seat::new(store.clone(), "relay", "one");
    let (to, woken) = (Arc::clone(&broker), bell.clone());
    tokio::spawn(relay::run(store.clone(), to, queue, woken, seat, stop.clone()));
    let ready = async |count: u64| {
        let start = Instant::now();
        while broker.depth(&name).await.ok().map(|depth| depth.ready) != Some(count) {
            assert!(start.elapsed() < Duration::from_secs(10), "not {count} in the queue");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    accept(0..3).await;
    bell.ring();
    ready(3).await;
    assert!(server.control(&["delete_queue", &name]));
    accept(3..5).await;
    bell.ring();
    ready(5).await;
    let mut deliveries = broker.consume(&name, 8).await.unwrap();
    let mut numbers = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let delivery = deliveries.recv().await.unwrap();
        let body = &delivery.content.as_ref().ok().unwrap().body;
        numbers.insert(body["number"].as_u64().unwrap());
        delivery.ack().await;
    }
    assert_eq!(numbers.len(), 5);
    stop.cancel();
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
}

#[tokio::test]
async fn keeps_the_suite_and_comes_back_after_its_connections_broke() {
    let node = tokio::task::spawn_blocking(RabbitNode::start).await.unwrap();
    let broker = Rabbit::new(&node.url()).unwrap();
    suite::run(&broker).await;

    let node = tokio::task::spawn_blocking(move || {
        assert!(node.control(&["close_all_connections", "a test"]));
        node
    })
    .await
    .unwrap();
    // Each use may find that its connection is gone, once.
    let _ = broker.depth("meanwhile.q.none.v1").await;
    let _ = broker.publish(&[]).await;
    suite::run(&broker).await;
    tokio::task::spawn_blocking(move || drop(node)).await.unwrap();
}
