//! A body that its handler borrows, under a clock.

use crate::connections::Connection;
use axum::{
    Error,
    body::{Body, HttpBody},
};
use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// Over all of a body no sender may be slower, bytes a second: drops would
/// hold a place for hours, however regularly they fall.
const PACE: f64 = 4096.0;

/// Bytes that are taken to see whether they are the last.
const TAKEN: usize = 64 * 1024;

/// How far a body came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// More may come.
    Open,
    /// It ended or broke: nothing more comes.
    Ended,
    /// Its sender fell silent.
    Silent,
}

/// One body; a clone is the same one.
#[derive(Clone)]
pub struct Lent(Arc<Mutex<Inner>>);

struct Inner {
    body: Body,
    /// The connection that it comes from, where that is known.
    connection: Option<Arc<Connection>>,
    outcome: Outcome,
    silence: Duration,
    /// Bytes.
    received: u64,
    /// For how long bytes were waited for before the present wait: a reader
    /// that takes its time is not the sender's fault.
    waited: Duration,
    /// Since when one is waited for now, and until when.
    waits: Option<(Instant, Pin<Box<Sleep>>)>,
}

/// Nothing came for too long.
#[derive(Debug, thiserror::Error)]
#[error("the sender fell silent")]
struct FellSilent;

impl Lent {
    pub fn new(body: Body, silence: Duration, connection: Option<Arc<Connection>>) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            body,
            connection,
            outcome: Outcome::Open,
            silence,
            received: 0,
            waited: Duration::ZERO,
            waits: None,
        })))
    }

    /// How far it came, after what is there already was taken. A reader need
    /// not have looked for an end that it knew of.
    pub fn outcome(&mut self) -> Outcome {
        let mut left = TAKEN;
        while left > 0
            && let Some(Some(Ok(bytes))) = self.next().now_or_never()
        {
            left = left.saturating_sub(bytes.len());
        }
        self.inner().outcome
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream for Lent {
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inner().poll(cx)
    }
}

impl Inner {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if self.outcome != Outcome::Open {
            return Poll::Ready(None);
        }
        while let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            if let Some((since, _)) = self.waits.take() {
                self.waited += since.elapsed();
                self.inform(|connection| connection.set_silent(false));
            }
            match frame.map(|frame| frame.map(|frame| frame.into_data())) {
                Some(Ok(Ok(bytes))) => {
                    self.received += bytes.len() as u64;
                    if self.body.is_end_stream() {
                        self.end();
                    }
                    return Poll::Ready(Some(Ok(bytes)));
                }
                // Trailers.
                Some(Ok(Err(_))) => {}
                Some(Err(error)) => {
                    self.end();
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.end();
                    return Poll::Ready(None);
                }
            }
        }
        let patience = self.patience();
        if self.waits.is_none() {
            self.inform(|connection| connection.set_silent(true));
        }
        let (_, wait) = self.waits.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(sleep_until(now + patience)))
        });
        ready!(wait.poll_unpin(cx));
        self.outcome = Outcome::Silent;
        Poll::Ready(Some(Err(Error::new(FellSilent))))
    }

    /// Nothing more comes.
    fn end(&mut self) {
        self.outcome = Outcome::Ended;
        self.inform(Connection::request_received);
    }

    fn inform(&self, what: impl FnOnce(&Connection)) {
        if let Some(connection) = &self.connection {
            what(connection);
        }
    }

    /// How long the next byte is waited for.
    #[allow(clippy::cast_precision_loss)]
    fn patience(&self) -> Duration {
        let earned = Duration::from_secs_f64(self.received as f64 / PACE);
        (self.silence + earned).saturating_sub(self.waited).min(self.silence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use tokio::time::sleep;

    const SILENCE: Duration = Duration::from_secs(20);

    /// A body of `count` pieces of `size` bytes with a pause before each.
    fn body(count: usize, size: usize, pause: Duration) -> Lent {
        let pieces = stream::iter(0..count).then(move |_| async move {
            sleep(pause).await;
            Ok::<_, Error>(Bytes::from(vec![b'x'; size]))
        });
        Lent::new(Body::from_stream(pieces), SILENCE, None)
    }

    async fn heard(lent: &Lent) -> (usize, Outcome) {
        let mut lent = lent.clone();
        let mut pieces = 0;
        while let Some(piece) = lent.next().await {
            pieces += usize::from(piece.is_ok());
        }
        (pieces, lent.outcome())
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_is_heard_and_a_silent_one_is_not() {
        let slow = body(50, 100_000, SILENCE / 2);
        assert_eq!(heard(&slow).await, (50, Outcome::Ended));
        let silent = body(50, 100_000, SILENCE * 2);
        assert_eq!(heard(&silent).await, (0, Outcome::Silent));
    }

    #[tokio::test(start_paused = true)]
    async fn single_bytes_keep_no_place_for_hours() {
        let start = Instant::now();
        let (_, outcome) = heard(&body(100_000, 1, SILENCE / 20)).await;
        assert_eq!(outcome, Outcome::Silent);
        assert!(start.elapsed() < SILENCE * 2, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_may_take_its_time() {
        let mut lent = body(3, 100_000, Duration::from_millis(1));
        for _ in 0..3 {
            assert!(lent.next().await.unwrap().is_ok());
            sleep(SILENCE * 2).await;
        }
        assert!(lent.next().await.is_none());
    }
}
