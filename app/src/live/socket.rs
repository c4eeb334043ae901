//! The browser's end of `/ws`: opens, resumes, backs off.

use super::{Link, Live};
use contract::live::{self, ClientFrame, Retry, SILENCE_MS, ServerFrame};
use leptos::{leptos_dom::helpers::TimeoutHandle, prelude::*};
use std::{cell::RefCell, rc::Rc, time::Duration};
use wasm_bindgen::{JsCast, prelude::Closure};
use web_sys::{CloseEvent, MessageEvent, WebSocket};

const FIRST_MS: f64 = 500.0;
const LONGEST_MS: f64 = 20_000.0;
/// The browser's own code for a connection that broke without a close frame:
/// <https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1>.
const ABNORMAL: u16 = 1006;

/// A socket with the closures that it calls.
struct Open {
    socket: WebSocket,
    _on_open: Closure<dyn FnMut()>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_close: Closure<dyn FnMut(CloseEvent)>,
}

impl Drop for Open {
    /// What it still says is not heard: a dead network may take minutes to
    /// bring its close event, and another socket is open by then.
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        let _ = self.socket.close();
    }
}

struct Socket {
    live: Live,
    open: Option<Open>,
    /// Failures in a row. One that follows a connection which held for
    /// [`LONGEST_MS`] is a first one: a server that welcomes and then drops
    /// each client is not asked twice a second.
    failures: i32,
    welcomed_at: Option<f64>,
    /// By the device's clock, which goes on while it sleeps; timers do not.
    heard_at: f64,
    retry: Option<TimeoutHandle>,
    silence: Option<TimeoutHandle>,
}

type Shared = Rc<RefCell<Socket>>;

/// Opens the socket once a page has told where its data ends.
pub fn open_when_known(live: Live) {
    let socket: Shared = Rc::new(RefCell::new(Socket {
        live,
        open: None,
        failures: 0,
        welcomed_at: None,
        heard_at: 0.0,
        retry: None,
        silence: None,
    }));
    let started = StoredValue::new(false);
    Effect::new(move |_| {
        if live.since.with(Option::is_some) && !started.get_value() {
            started.set_value(true);
            connect(&socket);
            listen(&socket);
        }
    });
}

fn listen(socket: &Shared) {
    let live = socket.borrow().live;
    let again = Rc::clone(socket);
    let online = window_event_listener_untyped("online", move |_| {
        if !live.link.get_untracked().is_final() {
            live.link.set(Link::Reconnecting);
        }
        // What was open before the network went may be dead without a word.
        abandon(&again);
        connect(&again);
    });
    let offline = window_event_listener_untyped("offline", move |_| {
        if !live.link.get_untracked().is_final() {
            live.link.set(Link::Offline);
        }
    });
    let again = Rc::clone(socket);
    let seen = window_event_listener_untyped("visibilitychange", move |_| {
        if document().hidden() {
            return;
        }
        // It may have slept, and its timers with it.
        if left_ms(&again).is_none() {
            abandon(&again);
        }
        connect(&again);
    });
    // They live as long as the page.
    std::mem::forget((online, offline, seen));
}

fn connect(shared: &Shared) {
    {
        let mut socket = shared.borrow_mut();
        if socket.live.link.get_untracked().is_final() || socket.open.is_some() {
            return;
        }
        if let Some(retry) = socket.retry.take() {
            retry.clear();
        }
    }
    let location = window().location();
    let (Ok(host), Ok(protocol)) = (location.host(), location.protocol()) else { return };
    let scheme = if protocol == "https:" { "wss" } else { "ws" };
    let Ok(open) = WebSocket::new(&format!("{scheme}://{host}/ws")) else { return };
    let opened = attach(shared, open);
    {
        let mut socket = shared.borrow_mut();
        socket.open = Some(opened);
        socket.heard_at = js_sys::Date::now();
    }
    watch_silence(shared, SILENCE_MS as f64);
}

fn attach(shared: &Shared, socket: WebSocket) -> Open {
    let live = shared.borrow().live;
    let speaker = socket.clone();
    let on_open = Closure::<dyn FnMut()>::new(move || {
        let since = live.since.get_untracked().unwrap_or_default();
        let (epoch, after) = (Some(since.epoch), Some(since.seq));
        say(&speaker, &ClientFrame::Hello { v: live::VERSION, epoch, after });
    });
    socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));

    let (speaker, heard) = (socket.clone(), Rc::clone(shared));
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        heard.borrow_mut().heard_at = js_sys::Date::now();
        let Some(text) = event.data().as_string() else { return };
        match serde_json::from_str::<ServerFrame>(&text) {
            Ok(frame) => {
                match frame {
                    ServerFrame::Ping { .. } => say(&speaker, &ClientFrame::Pong),
                    ServerFrame::Welcome { .. } => {
                        heard.borrow_mut().welcomed_at = Some(js_sys::Date::now());
                    }
                    _ => {}
                }
                live.apply(frame);
            }
            Err(error) => leptos::logging::warn!("a frame can't be read: {error}"),
        }
    });
    socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));

    let closed = Rc::clone(shared);
    let on_close = Closure::<dyn FnMut(CloseEvent)>::new(move |event: CloseEvent| {
        let code = event.code();
        abandon(&closed);
        after_close(&closed, code);
    });
    socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
    Open { socket, _on_open: on_open, _on_message: on_message, _on_close: on_close }
}

/// Lets go of the open socket.
fn abandon(shared: &Shared) {
    let mut socket = shared.borrow_mut();
    if let Some(silence) = socket.silence.take() {
        silence.clear();
    }
    drop(socket.open.take());
}

fn after_close(shared: &Shared, code: u16) {
    let mut socket = shared.borrow_mut();
    let live = socket.live;
    let held = socket.welcomed_at.take().is_some_and(|at| js_sys::Date::now() - at > LONGEST_MS);
    if held {
        socket.failures = 0;
    }
    let wait = match live::Close::retry(code) {
        Retry::Never => {
            let ended = code == live::Close::SignIn.code();
            live.link.set(if ended { Link::Ended } else { Link::Refused });
            return;
        }
        Retry::Now if socket.failures == 0 => 0.0,
        _ => {
            let most = (FIRST_MS * 2f64.powi(socket.failures)).min(LONGEST_MS);
            js_sys::Math::random() * most
        }
    };
    socket.failures += 1;
    let online = window().navigator().on_line();
    live.link.set(if online { Link::Reconnecting } else { Link::Offline });
    let again = Rc::clone(shared);
    socket.retry =
        set_timeout_with_handle(move || connect(&again), Duration::from_secs_f64(wait / 1000.0))
            .ok();
}

/// Closes the open socket once it has been silent for too long. One timer
/// looks again, rather than one for each of many frames a second.
fn watch_silence(shared: &Shared, wait_ms: f64) {
    let silent = Rc::clone(shared);
    let watch = move || {
        if silent.borrow().open.is_none() {
            return;
        }
        match left_ms(&silent) {
            Some(left) => watch_silence(&silent, left),
            None => {
                abandon(&silent);
                after_close(&silent, ABNORMAL);
            }
        }
    };
    let wait = Duration::from_secs_f64(wait_ms / 1000.0);
    shared.borrow_mut().silence = set_timeout_with_handle(watch, wait).ok();
}

/// How long the open socket may still be silent, ms. `None`: no longer, or
/// the device's clock was set back, so that nobody can tell.
fn left_ms(shared: &Shared) -> Option<f64> {
    let left = SILENCE_MS as f64 - (js_sys::Date::now() - shared.borrow().heard_at);
    (left > 0.0 && left <= SILENCE_MS as f64).then_some(left)
}

fn say(open: &WebSocket, frame: &ClientFrame) {
    if let Ok(text) = serde_json::to_string(frame) {
        let _ = open.send_with_str(&text);
    }
}
