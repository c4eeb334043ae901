//! Client of `/ws` in the browser: connects, resumes and backs off.

use super::{ConnectionStatus, LiveState};
use contract::websocket::{self, ClientFrame, IDLE_TIMEOUT_MS, ReconnectPolicy, ServerFrame};
use leptos::{leptos_dom::helpers::TimeoutHandle, prelude::*};
use std::{cell::RefCell, rc::Rc, time::Duration};
use wasm_bindgen::{JsCast, prelude::Closure};
use web_sys::{CloseEvent, MessageEvent, WebSocket};

const FIRST_BACKOFF_MS: f64 = 500.0;
const MAX_BACKOFF_MS: f64 = 20_000.0;
/// Code that browsers report for a connection that broke without a close frame:
/// <https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1>.
const ABNORMAL_CLOSURE: u16 = 1006;

/// Socket together with the closures that it calls.
struct OpenSocket {
    socket: WebSocket,
    _on_open: Closure<dyn FnMut()>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_close: Closure<dyn FnMut(CloseEvent)>,
}

impl Drop for OpenSocket {
    /// Removes the handlers: after a network failure the close event may take minutes
    /// to arrive, and another socket is open by then.
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        let _ = self.socket.close();
    }
}

struct SocketState {
    live: LiveState,
    open: Option<OpenSocket>,
    /// Consecutive failures. They are reset after a connection that lasted for
    /// [`MAX_BACKOFF_MS`], not at the welcome: otherwise a server that welcomes and then
    /// drops each client would get two connections a second.
    failures: i32,
    welcomed_at: Option<f64>,
    /// Time by the device's clock, which continues while it sleeps; timers do not.
    last_received_at: f64,
    retry_timer: Option<TimeoutHandle>,
    idle_timer: Option<TimeoutHandle>,
}

type SharedSocket = Rc<RefCell<SocketState>>;

/// Opens the socket once the journal position of a page is known.
pub fn connect_when_ready(live: LiveState) {
    let socket: SharedSocket = Rc::new(RefCell::new(SocketState {
        live,
        open: None,
        failures: 0,
        welcomed_at: None,
        last_received_at: 0.0,
        retry_timer: None,
        idle_timer: None,
    }));
    let started = StoredValue::new(false);
    Effect::new(move |_| {
        if live.context.with(Option::is_some) && !started.get_value() {
            started.set_value(true);
            connect(&socket);
            listen_to_browser_events(&socket);
        }
    });
}

fn listen_to_browser_events(socket: &SharedSocket) {
    let live = socket.borrow().live;
    let again = Rc::clone(socket);
    let online = window_event_listener_untyped("online", move |_| {
        if !live.connection.get_untracked().is_final() {
            live.connection.set(ConnectionStatus::Reconnecting);
        }
        // A socket from before the network loss may be dead without a close event.
        close_socket(&again);
        connect(&again);
    });
    let offline = window_event_listener_untyped("offline", move |_| {
        if !live.connection.get_untracked().is_final() {
            live.connection.set(ConnectionStatus::Offline);
        }
    });
    let again = Rc::clone(socket);
    let seen = window_event_listener_untyped("visibilitychange", move |_| {
        if document().hidden() {
            return;
        }
        // The device may have slept, and its timers with it.
        if idle_time_left_ms(&again).is_none() {
            close_socket(&again);
        }
        connect(&again);
    });
    // The listeners live as long as the page.
    std::mem::forget((online, offline, seen));
}

fn connect(shared: &SharedSocket) {
    {
        let mut socket = shared.borrow_mut();
        if socket.live.connection.get_untracked().is_final() || socket.open.is_some() {
            return;
        }
        if let Some(retry) = socket.retry_timer.take() {
            retry.clear();
        }
    }
    let location = window().location();
    let (Ok(host), Ok(protocol)) = (location.host(), location.protocol()) else { return };
    let scheme = if protocol == "https:" { "wss" } else { "ws" };
    let Ok(open) = WebSocket::new(&format!("{scheme}://{host}/ws")) else { return };
    let opened = attach_handlers(shared, open);
    {
        let mut socket = shared.borrow_mut();
        socket.open = Some(opened);
        socket.last_received_at = js_sys::Date::now();
    }
    watch_idle_timeout(shared, IDLE_TIMEOUT_MS as f64);
}

fn attach_handlers(shared: &SharedSocket, socket: WebSocket) -> OpenSocket {
    let live = shared.borrow().live;
    let sender = socket.clone();
    let on_open = Closure::<dyn FnMut()>::new(move || {
        let since = live.context.get_untracked().unwrap_or_default();
        let (epoch, after) = (Some(since.epoch), Some(since.seq));
        send(&sender, &ClientFrame::Hello { v: websocket::PROTOCOL_VERSION, epoch, after });
    });
    socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));

    let (sender, receiver) = (socket.clone(), Rc::clone(shared));
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        receiver.borrow_mut().last_received_at = js_sys::Date::now();
        let Some(text) = event.data().as_string() else { return };
        match serde_json::from_str::<ServerFrame>(&text) {
            Ok(frame) => {
                match frame {
                    ServerFrame::Ping { .. } => send(&sender, &ClientFrame::Pong),
                    ServerFrame::Welcome { .. } => {
                        receiver.borrow_mut().welcomed_at = Some(js_sys::Date::now());
                    }
                    _ => {}
                }
                live.enqueue_frame(frame);
            }
            Err(error) => leptos::logging::warn!("a frame can't be parsed: {error}"),
        }
    });
    socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));

    let closed = Rc::clone(shared);
    let on_close = Closure::<dyn FnMut(CloseEvent)>::new(move |event: CloseEvent| {
        let code = event.code();
        close_socket(&closed);
        schedule_reconnect(&closed, code);
    });
    socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
    OpenSocket { socket, _on_open: on_open, _on_message: on_message, _on_close: on_close }
}

/// Closes the open socket.
fn close_socket(shared: &SharedSocket) {
    let mut socket = shared.borrow_mut();
    if let Some(silence) = socket.idle_timer.take() {
        silence.clear();
    }
    drop(socket.open.take());
}

fn schedule_reconnect(shared: &SharedSocket, code: u16) {
    let mut socket = shared.borrow_mut();
    let live = socket.live;
    let was_stable =
        socket.welcomed_at.take().is_some_and(|at| js_sys::Date::now() - at > MAX_BACKOFF_MS);
    if was_stable {
        socket.failures = 0;
    }
    let wait = match websocket::CloseCode::reconnect_policy(code) {
        ReconnectPolicy::Never => {
            let ended = code == websocket::CloseCode::SignInRequired.code();
            live.connection.set(if ended {
                ConnectionStatus::SignedOut
            } else {
                ConnectionStatus::Refused
            });
            return;
        }
        ReconnectPolicy::Immediately if socket.failures == 0 => 0.0,
        _ => {
            let max_wait_ms = (FIRST_BACKOFF_MS * 2f64.powi(socket.failures)).min(MAX_BACKOFF_MS);
            js_sys::Math::random() * max_wait_ms
        }
    };
    socket.failures += 1;
    let online = window().navigator().on_line();
    live.connection.set(if online {
        ConnectionStatus::Reconnecting
    } else {
        ConnectionStatus::Offline
    });
    let again = Rc::clone(shared);
    socket.retry_timer =
        set_timeout_with_handle(move || connect(&again), Duration::from_secs_f64(wait / 1000.0))
            .ok();
}

/// Closes the open socket once it has been idle for too long. A single timer rearms itself;
/// a timer per frame would be set many times a second.
fn watch_idle_timeout(shared: &SharedSocket, wait_ms: f64) {
    let silent = Rc::clone(shared);
    let watch = move || {
        if silent.borrow().open.is_none() {
            return;
        }
        match idle_time_left_ms(&silent) {
            Some(left) => watch_idle_timeout(&silent, left),
            None => {
                close_socket(&silent);
                schedule_reconnect(&silent, ABNORMAL_CLOSURE);
            }
        }
    };
    let wait = Duration::from_secs_f64(wait_ms / 1000.0);
    shared.borrow_mut().idle_timer = set_timeout_with_handle(watch, wait).ok();
}

/// Returns how long the open socket may still be idle, in milliseconds, or `None` if that time
/// is over, or unknown because the device's clock was set back.
fn idle_time_left_ms(shared: &SharedSocket) -> Option<f64> {
    let left = IDLE_TIMEOUT_MS as f64 - (js_sys::Date::now() - shared.borrow().last_received_at);
    (left > 0.0 && left <= IDLE_TIMEOUT_MS as f64).then_some(left)
}

fn send(open: &WebSocket, frame: &ClientFrame) {
    if let Ok(text) = serde_json::to_string(frame) {
        let _ = open.send_with_str(&text);
    }
}
