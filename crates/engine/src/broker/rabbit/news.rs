//! News between nodes, through the exchange of facts. Best effort: a node that
//! missed some finds the gap in `seq`, and reads the store.

use super::{
    super::{Error, News, wire},
    topology,
};
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, Consumer,
    options::{BasicConsumeOptions, BasicPublishOptions},
    types::{FieldTable, ShortString},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// News that a slow hub may be behind before it has to resync.
const BEHIND: usize = 4_096;
/// News that wait for the connection; more are dropped.
const OUTGOING: usize = 4_096;
/// The last news of a process that stops are sent within this time, or not.
const LAST: Duration = Duration::from_secs(2);
const BACK_OFF: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(15)];

pub struct Exchange {
    /// Kinds of news that this node hears, as the exchange's keys.
    hears: &'static [&'static str],
    /// Names this node, so that it knows its own news when they come back.
    node: Uuid,
    local: broadcast::Sender<Arc<News>>,
    outgoing: mpsc::Sender<Arc<News>>,
    /// Taken by whoever runs.
    queued: Mutex<Option<mpsc::Receiver<Arc<News>>>>,
}

/// What may give workers something to do: a node without pages needs to hear
/// no more, and it is a small part of all there is.
pub const OF_WORK: &[&str] =
    &["job.accepted", "job.resumed", "job.reopened", "task.created", "task.requeued"];
pub const OF_ALL: &[&str] = &["#"];

impl Exchange {
    pub fn new(hears: &'static [&'static str]) -> Self {
        let (outgoing, queued) = mpsc::channel(OUTGOING);
        Self {
            hears,
            node: Uuid::now_v7(),
            local: broadcast::channel(BEHIND).0,
            outgoing,
            queued: Mutex::new(Some(queued)),
        }
    }

    /// The hub of this node hears at once, the others by the exchange.
    pub fn announce(&self, news: News) {
        crate::measure::announced(&news);
        let news = Arc::new(news);
        let _ = self.local.send(Arc::clone(&news));
        if self.outgoing.try_send(news).is_err() {
            tracing::debug!("news for other nodes are dropped; they read the store");
        }
    }

    pub fn subscribe(&self) -> broadcast::Receiver<Arc<News>> {
        self.local.subscribe()
    }

    /// Carries news to and from the exchange until `stop`; what was announced
    /// before is sent first.
    pub async fn run<C>(&self, connect: impl Fn() -> C, stop: CancellationToken)
    where
        C: Future<Output = Result<Connection, Error>>,
    {
        let taken = self.queued.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut queued) = taken else { return };
        let mut pause = BACK_OFF[0];
        let mut first = true;
        loop {
            let carried = async {
                let connection = connect().await?;
                let channel = connection.create_channel().await?;
                let consumer = self.listen(&channel).await?;
                pause = BACK_OFF[0];
                if !std::mem::take(&mut first) {
                    let _ = self.local.send(Arc::new(News::Missed));
                }
                self.carry(&channel, consumer, &mut queued, &stop).await?;
                // Closed in order, what was sent is on its way.
                Ok::<(), Error>(connection.close(200, "".into()).await?)
            };
            let late = async {
                stop.cancelled().await;
                tokio::time::sleep(LAST).await;
            };
            tokio::select! {
                () = late => break,
                carried = carried => if let Err(error) = carried {
                    tracing::warn!(%error, "no news between nodes");
                    first = false;
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(BACK_OFF[1]);
        }
        // Another run can take over where this one ended.
        *self.queued.lock().unwrap_or_else(PoisonError::into_inner) = Some(queued);
    }

    async fn listen(&self, channel: &Channel) -> Result<Consumer, Error> {
        let queue = topology::declare_own(channel, self.hears).await?;
        let options = BasicConsumeOptions { no_ack: true, exclusive: true, ..Default::default() };
        Ok(channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?)
    }

    async fn carry(
        &self,
        channel: &Channel,
        mut consumer: Consumer,
        queued: &mut mpsc::Receiver<Arc<News>>,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        loop {
            tokio::select! {
                biased;
                Some(news) = queued.recv() => self.send(channel, &news).await?,
                () = stop.cancelled() => return Ok(()),
                message = consumer.next() => {
                    let Some(message) = message else {
                        return Err(Error::Unreachable("the queue of news was cancelled".into()));
                    };
                    match wire::decode(&message?.data) {
                        Ok((node, _)) if node == self.node => {}
                        Ok((_, news)) => {
                            for news in news {
                                let _ = self.local.send(Arc::new(news));
                            }
                        }
                        Err(error) => tracing::warn!(%error, "news that can't be read"),
                    }
                }
            }
        }
    }

    async fn send(&self, channel: &Channel, news: &News) -> Result<(), Error> {
        let at = crate::clock::Clock::now_ms(&crate::clock::System);
        for wire::Message { kind, content_type, bytes } in wire::encode(news, self.node, at)? {
            let properties = BasicProperties::default()
                .with_content_type(content_type.into())
                .with_type(format!("{kind}.v1").into());
            // Not awaited further: nobody confirms what may be lost.
            channel
                .basic_publish(
                    topology::FACTS.into(),
                    ShortString::from(kind),
                    BasicPublishOptions::default(),
                    &bytes,
                    properties,
                )
                .await?;
        }
        Ok(())
    }
}
