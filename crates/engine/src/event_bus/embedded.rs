//! Bus inside this process, which is the only node.

use super::{EventBus, HubEvent, SUBSCRIBER_BUFFER};
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// The event bus of a single process.
pub struct EmbeddedEventBus {
    subscribers: broadcast::Sender<Arc<HubEvent>>,
}

impl Default for EmbeddedEventBus {
    fn default() -> Self {
        Self { subscribers: broadcast::channel(SUBSCRIBER_BUFFER).0 }
    }
}

#[async_trait]
impl EventBus for EmbeddedEventBus {
    fn broadcast(&self, event: HubEvent) {
        // Fails only if nobody is subscribed.
        let _ = self.subscribers.send(Arc::new(event));
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<HubEvent>> {
        self.subscribers.subscribe()
    }

    async fn run(&self, _stop: CancellationToken) {
        // There is no other node.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn passes_the_port_suite() {
        let event_bus = EmbeddedEventBus::default();
        super::super::suite::run(&event_bus, &event_bus).await;
    }
}
