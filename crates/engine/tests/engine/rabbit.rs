//! Task queue and event bus on a real RabbitMQ: the common suites, and failures of
//! RabbitMQ.

use contract::{
    JobId, TaskId, UserId,
    command::{Command, NoopRun},
    envelope::CommandMessage,
    fact::{Fact, FactData, FactKind},
    state::JobKind,
};
use engine::{
    clock,
    election::LeaderLease,
    event_bus::{self, EventBus, HubEvent, rabbitmq::RabbitMqEventBus},
    limiter::{Limiters, embedded::EmbeddedLimiter},
    rabbitmq::RabbitMqServer,
    relay::{self, QueueConfig, RelayWaker},
    store::{self, NewJob, NewTask, Store},
    task_queue::{self, Error, TaskQueue, rabbitmq::RabbitMqTaskQueue},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use testbed::RabbitNode;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

fn server_of(node: &RabbitNode) -> RabbitMqServer {
    RabbitMqServer::new(&node.url()).unwrap()
}

/// Two nodes on one server: each receives the other's events.
#[tokio::test]
async fn the_event_bus_passes_the_port_suite() {
    let node = tokio::task::spawn_blocking(RabbitNode::start).await.unwrap();
    let stop = CancellationToken::new();
    let buses = [0, 1].map(|_| Arc::new(RabbitMqEventBus::new(server_of(&node))));
    for bus in &buses {
        let (bus, stop) = (Arc::clone(bus), stop.clone());
        tokio::spawn(async move { bus.run(stop).await });
    }
    event_bus::suite::run(buses[0].as_ref(), buses[1].as_ref()).await;
    stop.cancel();
    tokio::task::spawn_blocking(move || drop(node)).await.unwrap();
}

/// A node without pages receives events that may create work, and no others.
#[tokio::test]
async fn a_worker_only_node_receives_only_events_that_create_work() {
    let node = tokio::task::spawn_blocking(RabbitNode::start).await.unwrap();
    let stop = CancellationToken::new();
    let bus = || RabbitMqEventBus::new(server_of(&node));
    let (web, worker) = (Arc::new(bus()), Arc::new(bus().worker_only()));
    for bus in [&web, &worker] {
        let (bus, stop) = (Arc::clone(bus), stop.clone());
        tokio::spawn(async move { bus.run(stop).await });
    }
    let mut receiver = worker.subscribe();
    let event = |seq: i64| {
        let fact = |(seq, kind)| Fact {
            seq,
            id: Uuid::from_u128(1),
            kind,
            job: None,
            task: None,
            at: 1,
            traceparent: None,
            data: FactData::default(),
        };
        let kinds = [FactKind::TaskSucceeded, FactKind::TaskCreated, FactKind::TaskSucceeded];
        let facts = (seq..).zip(kinds).map(fact).collect();
        HubEvent::Facts(store::UserFacts { user: UserId(Uuid::from_u128(3)), facts })
    };
    let mut n = 0;
    let first = loop {
        n += 1;
        web.broadcast(event(n * 10));
        let received = tokio::time::timeout(Duration::from_millis(200), receiver.recv()).await;
        match received {
            Ok(received) => break received.unwrap(),
            Err(_) => assert!(n < 100, "the worker receives nothing"),
        }
    };
    web.broadcast(event(10_000));
    let mut all = vec![first];
    while !matches!(all.last().map(|event| &**event), Some(HubEvent::Facts(f)) if f.facts[0].seq > 9_000)
    {
        all.push(receiver.recv().await.unwrap());
    }
    for event in all {
        let HubEvent::Facts(user_facts) = &*event else { panic!("{event:?}") };
        let kinds: Vec<_> = user_facts.facts.iter().map(|fact| fact.kind).collect();
        assert_eq!(kinds, [FactKind::TaskCreated]);
    }
    stop.cancel();
    tokio::task::spawn_blocking(move || drop(node)).await.unwrap();
}

/// The reason why a worker keeps deliveries that it can't acknowledge yet.
#[tokio::test]
async fn a_dropped_delivery_counts_against_prefetch_until_its_consumer_ends() {
    let node = tokio::task::spawn_blocking(RabbitNode::start).await.unwrap();
    let task_queue = RabbitMqTaskQueue::new(server_of(&node));
    let queue = "meanwhile.q.dropped.v1";
    task_queue.declare_queues(&[queue.into()]).await.unwrap();
    let message = |fence| CommandMessage {
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
    for confirmed in task_queue.publish(&[message(1), message(2)]).await {
        confirmed.unwrap();
    }
    let mut deliveries = task_queue.consume(queue, 1).await.unwrap();
    drop(deliveries.recv().await.unwrap());
    let next = tokio::time::timeout(Duration::from_secs(2), deliveries.recv()).await;
    assert!(next.is_err(), "the dropped delivery no longer counted");
    drop(deliveries);
    let mut deliveries = task_queue.consume(queue, 1).await.unwrap();
    for fence in [1, 2] {
        let delivery = deliveries.recv().await.unwrap();
        assert_eq!(delivery.content.as_ref().ok().unwrap().fence, fence);
        delivery.ack().await;
    }
    tokio::task::spawn_blocking(move || drop(node)).await.unwrap();
}

/// Somebody deletes a queue: its consumer ends, publishing reports it, and declaring it
/// again returns that its messages are lost.
#[tokio::test]
async fn a_deleted_queue_is_reported_and_declared_again() {
    let node = tokio::task::spawn_blocking(RabbitNode::start).await.unwrap();
    let task_queue = RabbitMqTaskQueue::new(server_of(&node));
    let queue = "meanwhile.q.deleted.v1";
    let queues = [queue.to_owned()];
    assert_eq!(task_queue.declare_queues(&queues).await.unwrap(), queues);
    let mut deliveries = task_queue.consume(queue, 1).await.unwrap();
    // A queue with a consumer doesn't count as lost.
    assert_eq!(task_queue.declare_queues(&queues).await.unwrap(), [""; 0]);
    assert!(node.rabbitmqctl(&["delete_queue", queue]));
    let ended = tokio::time::timeout(Duration::from_secs(60), deliveries.recv()).await;
    assert!(ended.expect("a cancelled consumer ends").is_none());
    let message = CommandMessage {
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
    let published = task_queue.publish(std::slice::from_ref(&message)).await.remove(0);
    assert!(
        matches!(&published, Err(Error::QueueNotFound(name)) if name == queue),
        "{published:?}"
    );
    let depth = task_queue.queue_depth(queue).await;
    assert!(matches!(&depth, Err(Error::QueueNotFound(name)) if name == queue), "{depth:?}");
    assert_eq!(task_queue.declare_queues(&queues).await.unwrap(), queues);
    task_queue.publish(&[message]).await.remove(0).unwrap();
    let mut deliveries = task_queue.consume(queue, 1).await.unwrap();
    deliveries.recv().await.unwrap().ack().await;
    tokio::task::spawn_blocking(move || drop(node)).await.unwrap();
}

/// The relay publishes the tasks of a deleted queue again, and later tasks too: within
/// seconds, and without a worker that would notice.
#[tokio::test]
async fn tasks_of_a_deleted_queue_are_republished() {
    let node = tokio::task::spawn_blocking(RabbitNode::start).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("meanwhile.sqlite").display());
    let store = Store::open(&url, Arc::new(clock::SystemClock), 1.0).await.unwrap();
    let user = store.accounts.add_first_user("ada@example.com", "hash").await.unwrap().user;
    let task_queue: Arc<dyn TaskQueue> = Arc::new(RabbitMqTaskQueue::new(server_of(&node)));
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
            .tasks
            .accept(NewJob {
                actor: user.into(),
                kind,
                title,
                channels,
                tasks,
                file: None,
                idempotency,
            })
            .await
            .unwrap();
    };
    let name = NoopRun { launch, number: 0 }.queue();
    relay::declare_queues(&store, task_queue.as_ref(), std::slice::from_ref(&name)).await.unwrap();
    let (relay_waker, stop) = (RelayWaker::default(), CancellationToken::new());
    let queue = QueueConfig { name: name.clone(), upstream: None, concurrency: 4, rate: None };
    let leader_lease = LeaderLease::new(store.clone(), "relay", "one");
    let (publisher, waker) = (Arc::clone(&task_queue), relay_waker.clone());
    let limiters = Limiters::new(Arc::new(EmbeddedLimiter::default()), None);
    let relay =
        relay::run(store.clone(), publisher, queue, limiters, waker, leader_lease, stop.clone());
    tokio::spawn(relay);
    let ready = async |count: u64| {
        let start = Instant::now();
        while task_queue.queue_depth(&name).await.ok().map(|depth| depth.ready) != Some(count) {
            assert!(start.elapsed() < Duration::from_secs(60), "not {count} in the queue");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    accept(0..3).await;
    relay_waker.wake();
    ready(3).await;
    assert!(node.rabbitmqctl(&["delete_queue", &name]));
    accept(3..5).await;
    relay_waker.wake();
    ready(5).await;
    let mut deliveries = task_queue.consume(&name, 8).await.unwrap();
    let mut numbers = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let delivery = deliveries.recv().await.unwrap();
        let body = &delivery.content.as_ref().ok().unwrap().body;
        numbers.insert(body["number"].as_u64().unwrap());
        delivery.ack().await;
    }
    assert_eq!(numbers.len(), 5);
    stop.cancel();
    tokio::task::spawn_blocking(move || drop(node)).await.unwrap();
}

#[tokio::test]
async fn the_task_queue_passes_the_port_suite_and_reconnects() {
    let node = tokio::task::spawn_blocking(RabbitNode::start).await.unwrap();
    let task_queue = RabbitMqTaskQueue::new(server_of(&node));
    task_queue::suite::run(&task_queue).await;

    let node = tokio::task::spawn_blocking(move || {
        assert!(node.rabbitmqctl(&["close_all_connections", "a test"]));
        node
    })
    .await
    .unwrap();
    // Each use may fail once on its closed connection.
    let _ = task_queue.queue_depth("meanwhile.q.none.v1").await;
    let _ = task_queue.publish(&[]).await;
    task_queue::suite::run(&task_queue).await;
    tokio::task::spawn_blocking(move || drop(node)).await.unwrap();
}
