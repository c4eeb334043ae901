//! Request body with a timeout, shared by its handler and the middleware.

use crate::{connections::Connection, transfer_timeout::TransferTimeout};
use axum::{
    Error,
    body::{Body, HttpBody},
};
use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt};
use parking_lot::{Mutex, MutexGuard};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

/// Maximum number of bytes that are read to find out whether the body has ended.
const MAX_LOOKAHEAD_BYTES: usize = 64 * 1024;

/// How a body has ended, if it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyState {
    /// More may arrive.
    Open,
    /// The body has ended or failed.
    Ended,
    /// The sender stalled for too long.
    TimedOut,
}

/// Request body with a timeout. Clones share the same body.
#[derive(Clone)]
pub struct MonitoredBody(Arc<Mutex<Inner>>);

struct Inner {
    body: Body,
    /// Connection that the body is received on, if known.
    connection: Option<Arc<Connection>>,
    state: BodyState,
    timeout: TransferTimeout,
}

/// The sender stalled for too long.
#[derive(Debug, thiserror::Error)]
#[error("the sender stalled for too long")]
struct IdleTimeout;

impl MonitoredBody {
    /// Wraps `body`, whose sender may stall for `idle_timeout`.
    pub fn new(body: Body, idle_timeout: Duration, connection: Option<Arc<Connection>>) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            body,
            connection,
            state: BodyState::Open,
            timeout: TransferTimeout::new(idle_timeout),
        })))
    }

    /// Returns the state after reading what has already arrived: a reader that knew
    /// the length need not have polled for the end.
    pub fn final_state(&mut self) -> BodyState {
        let mut left = MAX_LOOKAHEAD_BYTES;
        while left > 0
            && let Some(Some(Ok(bytes))) = self.next().now_or_never()
        {
            left = left.saturating_sub(bytes.len());
        }
        self.inner().state
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock()
    }
}

impl Stream for MonitoredBody {
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inner().poll(cx)
    }
}

impl Inner {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if self.state != BodyState::Open {
            return Poll::Ready(None);
        }
        while let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            if self.timeout.is_waiting() {
                self.timeout.end_wait();
                self.update_connection(|connection| connection.set_silent(false));
            }
            match frame.map(|frame| frame.map(|frame| frame.into_data())) {
                Some(Ok(Ok(bytes))) => {
                    self.timeout.record_received(bytes.len());
                    if self.body.is_end_stream() {
                        self.finish();
                    }
                    return Poll::Ready(Some(Ok(bytes)));
                }
                // Trailers are ignored.
                Some(Ok(Err(_))) => {}
                Some(Err(error)) => {
                    self.finish();
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.finish();
                    return Poll::Ready(None);
                }
            }
        }
        if !self.timeout.is_waiting() {
            self.update_connection(|connection| connection.set_silent(true));
        }
        ready!(self.timeout.poll_expired(cx));
        self.state = BodyState::TimedOut;
        Poll::Ready(Some(Err(Error::new(IdleTimeout))))
    }

    /// Records the end of the body.
    fn finish(&mut self) {
        self.state = BodyState::Ended;
        self.update_connection(Connection::request_received);
    }

    fn update_connection(&self, update: impl FnOnce(&Connection)) {
        if let Some(connection) = &self.connection {
            update(connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use tokio::time::{Instant, sleep};

    const SILENCE: Duration = Duration::from_secs(20);

    /// Returns a body of `count` chunks of `size` bytes, with a pause before each.
    fn body(count: usize, size: usize, pause: Duration) -> MonitoredBody {
        let chunks = stream::iter(0..count).then(move |_| async move {
            sleep(pause).await;
            Ok::<_, Error>(Bytes::from(vec![b'x'; size]))
        });
        MonitoredBody::new(Body::from_stream(chunks), SILENCE, None)
    }

    async fn read_to_end(body: &MonitoredBody) -> (usize, BodyState) {
        let mut body = body.clone();
        let mut chunks = 0;
        while let Some(chunk) = body.next().await {
            chunks += usize::from(chunk.is_ok());
        }
        (chunks, body.final_state())
    }

    #[tokio::test(start_paused = true)]
    async fn slow_body_is_read_and_silent_one_times_out() {
        let slow = body(50, 100_000, SILENCE / 2);
        assert_eq!(read_to_end(&slow).await, (50, BodyState::Ended));
        let silent = body(50, 100_000, SILENCE * 2);
        assert_eq!(read_to_end(&silent).await, (0, BodyState::TimedOut));
    }

    #[tokio::test(start_paused = true)]
    async fn trickling_body_times_out() {
        let start = Instant::now();
        let (_, state) = read_to_end(&body(100_000, 1, SILENCE / 20)).await;
        assert_eq!(state, BodyState::TimedOut);
        assert!(start.elapsed() < SILENCE * 2, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn slow_reader_does_not_time_out_the_sender() {
        let mut body = body(3, 100_000, Duration::from_millis(1));
        for _ in 0..3 {
            assert!(body.next().await.unwrap().is_ok());
            sleep(SILENCE * 2).await;
        }
        assert!(body.next().await.is_none());
    }
}
