//! What comes out of a queue is not always what was put in.

use crate::world::{Setup, World, codes, nothing, until};
use async_trait::async_trait;
use contract::{
    envelope::Dispatch,
    state::{JobState, TaskState},
};
use engine::broker::{Broker, Deliveries, Delivery, Depth, Error, News, embedded::Embedded};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

const GARBAGE: &[u8] = b"{\"specversion\":\"1.0\",\0";

/// Each consumer is given a message first that nobody can read.
#[derive(Default)]
struct Littered {
    embedded: Embedded,
    acknowledged: Arc<AtomicUsize>,
}

#[async_trait]
impl Broker for Littered {
    async fn declare(&self, queues: &[String]) -> Result<Vec<String>, Error> {
        self.embedded.declare(queues).await
    }

    async fn publish(&self, batch: &[Dispatch]) -> Vec<Result<(), Error>> {
        self.embedded.publish(batch).await
    }

    async fn consume(&self, queue: &str, slots: u16) -> Result<Deliveries, Error> {
        let mut real = self.embedded.consume(queue, slots).await?;
        let why = Dispatch::decode(queue, GARBAGE).unwrap_err();
        let acknowledged = Arc::clone(&self.acknowledged);
        let litter = Delivery::new(Err((GARBAGE.to_vec(), why)), move || {
            Box::pin(async move {
                acknowledged.fetch_add(1, Ordering::SeqCst);
            })
        });
        let (sender, deliveries) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut next = Some(litter);
            while let Some(delivery) = next {
                if sender.send(delivery).await.is_err() {
                    return;
                }
                next = real.recv().await;
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

#[tokio::test]
async fn a_message_that_cannot_be_read_is_kept_and_its_neighbours_finish() {
    let broker = Arc::new(Littered::default());
    let world = World::new(Setup { broker: broker.clone(), ..Setup::default() }).await;
    let _worker = world.work("w", &nothing());
    let job = world.upload(&["acme"], &["A", "B"]).await;
    assert_eq!(world.end_of(job).await.state, JobState::Succeeded);
    let consumers = sandbox::channels().len();
    let acknowledged = || broker.acknowledged.load(Ordering::SeqCst);
    until("the acknowledgements", async || acknowledged() == consumers).await;
    let kept = world.rows("SELECT queue, bytes, why FROM rejected_messages ORDER BY queue").await;
    assert_eq!(kept.len(), consumers);
    let text = |column| kept[0].try_get::<String>("", column).unwrap();
    assert_eq!(text("queue"), "meanwhile.q.product.upload.acme.v1");
    assert!(text("bytes").starts_with("{\"specversion\""), "{}", text("bytes"));
    assert!(text("why").starts_with("not JSON"), "{}", text("why"));
}

#[tokio::test]
async fn a_command_that_cannot_be_read_fails_where_people_see_it_and_can_be_retried() {
    let world = World::new(Setup::default()).await;
    let job = world.upload(&["acme"], &["A", "B"]).await;
    let rows = world.rows("SELECT body FROM tasks WHERE sku = 'A'").await;
    let body: String = rows[0].try_get("", "body").unwrap();
    world.rows("UPDATE tasks SET body = '{\"channel\": 7}' WHERE sku = 'A'").await;
    let _worker = world.work("w", &nothing());
    let retry = async || {
        world.engine.retry(world.user, job, &contract::api::RetryWhich::default()).await.unwrap();
        world.end_of(job).await
    };
    assert_eq!(world.end_of(job).await.state, JobState::PartlyFailed);
    let tasks = world.tasks(job).await;
    assert_eq!((tasks[0].task.state, codes(&tasks[0])), (TaskState::Failed, vec!["unreadable"]));
    assert_eq!(codes(&tasks[1]), ["created"]);

    assert_eq!(retry().await.state, JobState::PartlyFailed, "it is as unreadable as before");
    let body = body.replace('\'', "''");
    world.rows(&format!("UPDATE tasks SET body = '{body}' WHERE sku = 'A'")).await;
    assert_eq!(retry().await.state, JobState::Succeeded);
    let tasks = world.tasks(job).await;
    assert_eq!(codes(&tasks[0]), ["unreadable", "unreadable", "created"]);
    assert_eq!(world.effects("acme", "A").len(), 1);
}
