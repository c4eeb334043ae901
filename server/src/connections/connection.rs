//! What one connection is doing, as limits and admission ask for it.

use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::{
    any::Any,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A client that sends or takes nothing for this long in the middle of a
/// request may lose its connection to somebody else.
const STALLED: Duration = Duration::from_millis(500);
/// So may one whose request or answer has been on its way for this long.
const SLOW: Duration = Duration::from_secs(10);

/// State of one connection, shared by its stream, its requests and the limits.
pub struct Connection {
    state: Mutex<State>,
    end: CancellationToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No request is under way; a part of its head may have come.
    Idle,
    /// The body of a request is coming.
    Receiving,
    /// A request is being handled.
    Handling,
    /// An answer is being sent.
    Sending,
    /// The connection became a WebSocket.
    Upgraded,
}

struct State {
    phase: Phase,
    since: Instant,
    /// Since when the client has sent nothing of the body that is waited for.
    silent_since: Option<Instant>,
    /// Since when the client has taken nothing of what is there to send.
    blocked_since: Option<Instant>,
    signed_in: bool,
    /// The answer's body has ended; what is left is in the write buffer.
    answered: bool,
    /// Released when the write buffer is empty after the answer.
    held: Vec<Box<dyn Any + Send>>,
}

impl Default for Connection {
    fn default() -> Self {
        let state = State {
            phase: Phase::Idle,
            since: Instant::now(),
            silent_since: None,
            blocked_since: None,
            signed_in: false,
            answered: false,
            held: Vec::new(),
        };
        Self { state: Mutex::new(state), end: CancellationToken::new() }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("phase", &self.state().phase).finish_non_exhaustive()
    }
}

impl Connection {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The head of a request has come; `has_body`: its body has not. A client
    /// that sends it before it took the answer before keeps both places.
    pub fn request_began(&self, has_body: bool) {
        let mut state = self.state();
        state.enter(if has_body { Phase::Receiving } else { Phase::Handling });
        state.answered = false;
    }

    /// The body of the request has come, or nobody waits for the rest of it.
    pub fn request_received(&self) {
        let mut state = self.state();
        if state.phase == Phase::Receiving {
            state.enter(Phase::Handling);
        }
    }

    /// Whether the client is silent while a body is waited for.
    pub fn set_silent(&self, silent: bool) {
        let mut state = self.state();
        state.silent_since = silent.then(|| state.silent_since.unwrap_or_else(Instant::now));
    }

    /// Whether the client takes nothing of what is there to send.
    pub fn set_blocked(&self, blocked: bool) {
        let mut state = self.state();
        state.blocked_since = blocked.then(|| state.blocked_since.unwrap_or_else(Instant::now));
    }

    /// The answer begins.
    pub fn answer_began(&self) {
        self.state().enter(Phase::Sending);
    }

    /// The connection is a WebSocket from now on, and no request any more.
    pub fn upgraded(&self) {
        let held = {
            let mut state = self.state();
            state.enter(Phase::Upgraded);
            std::mem::take(&mut state.held)
        };
        drop(held);
    }

    /// The answer's body has ended, or is not wanted any more.
    fn answer_ended(&self) {
        let mut state = self.state();
        if state.phase == Phase::Sending {
            state.answered = true;
        }
    }

    /// Everything that was to be sent is with the kernel. Returns whether that
    /// was the end of an answer, or a frame of a WebSocket.
    pub fn flushed(&self) -> bool {
        let held = {
            let mut state = self.state();
            if state.phase == Phase::Upgraded {
                return true;
            }
            if !state.answered {
                return false;
            }
            state.enter(Phase::Idle);
            state.answered = false;
            std::mem::take(&mut state.held)
        };
        drop(held);
        true
    }

    /// Keeps `held` until the answer has been sent, or the connection has
    /// ended.
    pub fn hold(&self, held: impl Any + Send) {
        self.state().held.push(Box::new(held));
    }

    /// The connection is gone: whatever its requests hold is given back.
    pub fn closed(&self) {
        let held = std::mem::take(&mut self.state().held);
        drop(held);
    }

    /// Whether the last request was of somebody who is signed in.
    pub fn set_signed_in(&self, signed_in: bool) {
        self.state().signed_in = signed_in;
    }

    pub fn is_signed_in(&self) -> bool {
        self.state().signed_in
    }

    /// Returns for how long the connection has waited for its client, where it
    /// may be ended for somebody else's sake: without a request, or in the
    /// middle of one that does not get on.
    pub fn waits_for_client(&self, now: Instant) -> Option<Duration> {
        let state = self.state();
        let since = now.saturating_duration_since(state.since);
        let stalled = match state.phase {
            Phase::Idle => return (!self.is_ended()).then_some(since),
            Phase::Handling | Phase::Upgraded => return None,
            Phase::Receiving => state.silent_since,
            Phase::Sending => state.blocked_since,
        };
        let stalled = stalled.map(|stalled| now.saturating_duration_since(stalled));
        let is_slow = stalled.is_some_and(|stalled| stalled >= STALLED) || since >= SLOW;
        (is_slow && !self.is_ended()).then_some(since)
    }

    /// Ends the connection, whatever is under way.
    pub fn end(&self) {
        self.end.cancel();
    }

    pub fn is_ended(&self) -> bool {
        self.end.is_cancelled()
    }

    /// Returns when the connection is to end.
    pub async fn ended(&self) {
        self.end.cancelled().await;
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
        self.silent_since = None;
        self.blocked_since = None;
    }
}

/// The body of an answer, whose connection learns when it has ended.
pub struct AnswerBody<B> {
    body: B,
    connection: Arc<Connection>,
}

impl<B> AnswerBody<B> {
    pub fn new(body: B, connection: Arc<Connection>) -> Self {
        Self { body, connection }
    }
}

impl<B> Drop for AnswerBody<B> {
    fn drop(&mut self) {
        self.connection.answer_ended();
    }
}

impl<B: HttpBody + Unpin> HttpBody for AnswerBody<B> {
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
