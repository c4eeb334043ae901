//! A store that fails for a while, under a broker that gives back nothing
//! while its consumer lives: as RabbitMQ does.

use crate::world::{Setup, World, nothing, until};
use async_trait::async_trait;
use contract::{
    api::WaitReason,
    envelope::Dispatch,
    state::{JobState, TaskState},
};
use engine::broker::{Broker, Deliveries, Delivery, Depth, Error, News, embedded::Embedded};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

/// Keeps what was dropped without an acknowledgement, and its slot with it.
#[derive(Default)]
struct Strict {
    embedded: Embedded,
    taken: Arc<AtomicUsize>,
    lost: Arc<Mutex<Vec<Delivery>>>,
    /// Each consumer is given a message first that nobody can read.
    littered: bool,
}

/// A delivery of the embedded broker that does not know of its drop.
struct Kept {
    delivery: Option<Delivery>,
    lost: Arc<Mutex<Vec<Delivery>>>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.lost.lock().unwrap().extend(self.delivery.take());
    }
}

impl Strict {
    fn lost(&self) -> usize {
        self.lost.lock().unwrap().len()
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Broker for Strict {
    async fn declare(&self, queues: &[String]) -> Result<Vec<String>, Error> {
        self.embedded.declare(queues).await
    }

    async fn publish(&self, batch: &[Dispatch]) -> Vec<Result<(), Error>> {
        self.embedded.publish(batch).await
    }

    async fn consume(&self, queue: &str, slots: u16) -> Result<Deliveries, Error> {
        let mut real = self.embedded.consume(queue, slots).await?;
        let (taken, lost) = (Arc::clone(&self.taken), Arc::clone(&self.lost));
        let (sender, deliveries) = mpsc::channel(1);
        let why = Dispatch::decode(queue, b"{").unwrap_err();
        let litter = Delivery::new(Err((b"{".to_vec(), why)), || Box::pin(std::future::ready(())));
        let mut next = self.littered.then_some(litter);
        tokio::spawn(async move {
            loop {
                let Some(mut delivery) = (match next.take() {
                    Some(litter) => Some(litter),
                    None => real.recv().await,
                }) else {
                    return;
                };
                let unread = Err((Vec::new(), Dispatch::decode("", b"").unwrap_err()));
                let content = std::mem::replace(&mut delivery.content, unread);
                let mut kept = Kept { delivery: Some(delivery), lost: Arc::clone(&lost) };
                let delivery = Delivery::new(content, move || {
                    Box::pin(async move {
                        if let Some(delivery) = kept.delivery.take() {
                            delivery.ack().await;
                        }
                    })
                });
                if sender.send(delivery).await.is_err() {
                    return;
                }
                taken.fetch_add(1, Ordering::SeqCst);
            }
        });
        Ok(deliveries)
    }

    async fn depth(&self, queue: &str) -> Result<Depth, Error> {
        self.embedded.depth(queue).await
    }

    fn announce(&self, news: News) {
        self.embedded.announce(news);
    }

    fn news(&self) -> broadcast::Receiver<Arc<News>> {
        self.embedded.news()
    }

    async fn run(&self, stop: CancellationToken) {
        self.embedded.run(stop).await;
    }
}

/// More than the first of the pauses between two tries.
const A_WHILE: Duration = Duration::from_millis(500);
/// Places of a channel, as the world has it.
const PLACES: usize = 8;

async fn world(littered: bool) -> (Arc<Strict>, World) {
    let broker = Arc::new(Strict { littered, ..Strict::default() });
    (broker.clone(), World::new(Setup { broker, ..Setup::default() }).await)
}

/// `SKU-0`, `SKU-1`, …
async fn upload(world: &World, count: usize) -> contract::JobId {
    let skus: Vec<_> = (0..count).map(|n| format!("SKU-{n}")).collect();
    let skus: Vec<_> = skus.iter().map(String::as_str).collect();
    world.upload(&["corner"], &skus).await
}

impl World {
    /// This kind of write fails from now on.
    async fn fails(&self, write: &str) {
        let fail = "BEGIN SELECT RAISE(ABORT, 'the disk is away'); END";
        self.rows(&format!("CREATE TRIGGER away BEFORE {write} {fail}")).await;
    }

    async fn works_again(&self) {
        self.rows("DROP TRIGGER away").await;
    }
}

#[tokio::test]
async fn claims_that_fail_for_a_while_lose_no_delivery_and_no_slot() {
    let (broker, world) = world(false).await;
    world.fails("UPDATE OF state ON tasks WHEN NEW.state = 'running'").await;
    let _worker = world.work("w", &nothing());
    let job = upload(&world, PLACES + 4).await;
    until("all places taken", async || broker.taken() >= PLACES).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(broker.lost(), 0, "they are gone for as long as this consumer lives");
    assert_eq!(world.job(job).await.counts.succeeded, 0);

    world.works_again().await;
    assert_eq!(world.end_of(job).await.state, JobState::Succeeded);
    assert_eq!(broker.lost(), 0);
    for task in world.tasks(job).await {
        assert_eq!(task.attempts.len(), 1, "a claim that failed is no attempt");
        assert_eq!(world.effects("corner", &task.task.sku).len(), 1);
    }
}

#[tokio::test]
async fn a_task_that_cannot_be_put_off_keeps_its_delivery() {
    let (broker, world) = world(false).await;
    // Closed for long, so each is put off, which fails.
    world.gates.close("corner", Duration::from_secs(60), "http_429").await;
    world.fails("UPDATE OF run_after ON tasks").await;
    let _worker = world.work("w", &nothing());
    let job = upload(&world, 2).await;
    until("both taken", async || broker.taken() >= 2).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(broker.lost(), 0);
    world.works_again().await;
    until("both put off", async || {
        let tasks = world.tasks(job).await;
        tasks.iter().all(|task| {
            let waiting = task.task.waiting_for.as_ref();
            waiting.is_some_and(|waiting| waiting.reason == WaitReason::Closed)
        })
    })
    .await;
    assert_eq!(broker.lost(), 0);
}

#[tokio::test]
async fn a_message_that_cannot_be_kept_is_not_let_go() {
    let (broker, world) = world(true).await;
    world.fails("INSERT ON rejected_messages").await;
    let _worker = world.work("w", &nothing());
    let consumers = sandbox::channels().len();
    until("the messages taken", async || broker.taken() >= consumers).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(broker.lost(), 0);
    world.works_again().await;
    until("the messages", async || {
        world.rows("SELECT 1 FROM rejected_messages").await.len() == consumers
    })
    .await;
    assert_eq!(broker.lost(), 0);
}

#[tokio::test]
async fn a_worker_that_stops_in_an_outage_gives_back_what_it_holds() {
    let claims = "UPDATE OF state ON tasks WHEN NEW.state = 'running'";
    let messages = "INSERT ON rejected_messages";
    for (littered, write, held) in
        [(false, claims, PLACES), (true, messages, sandbox::channels().len())]
    {
        let (broker, world) = world(littered).await;
        world.fails(write).await;
        let worker = world.work("w", &nothing());
        if !littered {
            upload(&world, held).await;
        }
        until("all taken", async || broker.taken() >= held).await;
        tokio::time::sleep(A_WHILE).await;
        worker.drain().await;
        assert_eq!(broker.lost(), held, "a consumer that is gone gives back all");
    }
}

#[tokio::test]
async fn tasks_that_can_never_be_claimed_take_no_slot_from_others() {
    let (broker, world) = world(false).await;
    let job = upload(&world, PLACES + 1).await;
    world.rows("UPDATE tasks SET memo = '{' WHERE sku <> 'SKU-8' RETURNING id").await;
    let _worker = world.work("w", &nothing());
    until("the one that can", async || world.job(job).await.counts.succeeded == 1).await;
    assert_eq!(broker.lost(), 0);
    let tasks = world.tasks(job).await;
    assert!(tasks[..PLACES].iter().all(|task| task.task.state == TaskState::Queued));
}
