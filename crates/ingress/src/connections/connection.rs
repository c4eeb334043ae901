//! State of one connection, for connection limits and admission control.

use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::{Mutex, MutexGuard};
use std::{
    any::Any,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Time after which a client that sends or reads nothing in the middle of a
/// request may be evicted in favour of another client.
const STALLED_AFTER: Duration = Duration::from_millis(500);
/// Time after which a client may be evicted whose request or response is still
/// being transferred.
const SLOW_AFTER: Duration = Duration::from_secs(10);

/// State of one connection, shared by its stream, its requests and the limits.
pub struct Connection {
    state: Mutex<ConnectionState>,
    termination: CancellationToken,
}

/// What the connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No request is in progress; a part of its head may have arrived.
    Idle,
    /// The body of a request is being received.
    Receiving,
    /// A request is being handled.
    Handling,
    /// A response is being sent.
    Sending,
    /// The connection became a WebSocket.
    Upgraded,
}

struct ConnectionState {
    phase: Phase,
    phase_since: Instant,
    /// Start of the current wait for more of the request body.
    silent_since: Option<Instant>,
    /// Start of the current wait for the client to read what is ready to be sent.
    blocked_since: Option<Instant>,
    signed_in: bool,
    /// Whether the response body has ended, so that the rest is in the write buffer.
    response_ended: bool,
    /// Released when the write buffer is empty after the response.
    permits: Vec<Box<dyn Any + Send>>,
}

impl Default for Connection {
    fn default() -> Self {
        let state = ConnectionState {
            phase: Phase::Idle,
            phase_since: Instant::now(),
            silent_since: None,
            blocked_since: None,
            signed_in: false,
            response_ended: false,
            permits: Vec::new(),
        };
        Self { state: Mutex::new(state), termination: CancellationToken::new() }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("phase", &self.state().phase).finish_non_exhaustive()
    }
}

impl Connection {
    fn state(&self) -> MutexGuard<'_, ConnectionState> {
        self.state.lock()
    }

    /// Records that the head of a request has arrived, and whether a body follows.
    /// A client that sends it before it has read the previous response occupies
    /// the permits of both.
    pub fn request_started(&self, has_body: bool) {
        let mut state = self.state();
        state.enter(if has_body { Phase::Receiving } else { Phase::Handling });
        state.response_ended = false;
    }

    /// Records that the body of the request has arrived, or that nobody waits for
    /// the rest of it.
    pub fn request_received(&self) {
        let mut state = self.state();
        if state.phase == Phase::Receiving {
            state.enter(Phase::Handling);
        }
    }

    /// Records whether the client is silent while a body is being received.
    pub fn set_silent(&self, silent: bool) {
        let mut state = self.state();
        state.silent_since = silent.then(|| state.silent_since.unwrap_or_else(Instant::now));
    }

    /// Records whether the client reads nothing of what is ready to be sent.
    pub fn set_blocked(&self, blocked: bool) {
        let mut state = self.state();
        state.blocked_since = blocked.then(|| state.blocked_since.unwrap_or_else(Instant::now));
    }

    /// Records that the response begins.
    pub fn response_started(&self) {
        self.state().enter(Phase::Sending);
    }

    /// Records that the connection has become a WebSocket, and releases the permits
    /// of its request.
    pub fn upgraded(&self) {
        let permits = {
            let mut state = self.state();
            state.enter(Phase::Upgraded);
            std::mem::take(&mut state.permits)
        };
        drop(permits);
    }

    /// Records that the response body has ended or was dropped.
    fn response_ended(&self) {
        let mut state = self.state();
        if state.phase == Phase::Sending {
            state.response_ended = true;
        }
    }

    /// Records that everything was passed to the kernel. Returns whether that was
    /// the end of a response, or a frame of a WebSocket.
    pub fn flushed(&self) -> bool {
        let permits = {
            let mut state = self.state();
            if state.phase == Phase::Upgraded {
                return true;
            }
            if !state.response_ended {
                return false;
            }
            state.enter(Phase::Idle);
            state.response_ended = false;
            std::mem::take(&mut state.permits)
        };
        drop(permits);
        true
    }

    /// Holds `permit` until the response has been sent or the connection has ended.
    pub fn hold_until_sent(&self, permit: impl Any + Send) {
        self.state().permits.push(Box::new(permit));
    }

    /// Releases the permits of all requests, when the connection has ended.
    pub fn release_permits(&self) {
        let permits = std::mem::take(&mut self.state().permits);
        drop(permits);
    }

    /// Records whether the last request was made by a signed-in user.
    pub fn set_signed_in(&self, signed_in: bool) {
        self.state().signed_in = signed_in;
    }

    /// Whether the last request was made by a signed-in user.
    pub fn is_signed_in(&self) -> bool {
        self.state().signed_in
    }

    /// Returns how long the connection has waited for its client, if it may be
    /// evicted: it has no request, or one whose transfer makes no progress.
    pub fn time_waiting_for_client(&self, now: Instant) -> Option<Duration> {
        let state = self.state();
        let since = now.saturating_duration_since(state.phase_since);
        let stalled = match state.phase {
            Phase::Idle => return (!self.is_ended()).then_some(since),
            Phase::Handling | Phase::Upgraded => return None,
            Phase::Receiving => state.silent_since,
            Phase::Sending => state.blocked_since,
        };
        let stalled = stalled.map(|stalled| now.saturating_duration_since(stalled));
        let is_slow =
            stalled.is_some_and(|stalled| stalled >= STALLED_AFTER) || since >= SLOW_AFTER;
        (is_slow && !self.is_ended()).then_some(since)
    }

    /// Ends the connection, whatever is in progress.
    pub fn end(&self) {
        self.termination.cancel();
    }

    /// Whether the connection is to end.
    pub fn is_ended(&self) -> bool {
        self.termination.is_cancelled()
    }

    /// Waits until the connection is to end.
    pub async fn ended(&self) {
        self.termination.cancelled().await;
    }
}

impl ConnectionState {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.phase_since = Instant::now();
        self.silent_since = None;
        self.blocked_since = None;
    }
}

/// Response body that records its end in the state of its connection.
pub struct TrackedResponseBody<B> {
    body: B,
    connection: Arc<Connection>,
}

impl<B> TrackedResponseBody<B> {
    /// Wraps `body`, a response on `connection`.
    pub fn new(body: B, connection: Arc<Connection>) -> Self {
        Self { body, connection }
    }
}

impl<B> Drop for TrackedResponseBody<B> {
    fn drop(&mut self) {
        self.connection.response_ended();
    }
}

impl<B: HttpBody + Unpin> HttpBody for TrackedResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
