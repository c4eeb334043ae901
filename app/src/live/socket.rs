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

struct Socket {
    live: Live,
    open: Option<WebSocket>,
    /// Of the open socket: what an older one still says is not heard.
    number: u32,
    failures: i32,
    retry: Option<TimeoutHandle>,
    silence: Option<TimeoutHandle>,
}

type Shared = Rc<RefCell<Socket>>;

/// Opens the socket once a page has told where its data ends.
pub fn open_when_known(live: Live) {
    let socket = Socket { live, open: None, number: 0, failures: 0, retry: None, silence: None };
    let socket: Shared = Rc::new(RefCell::new(socket));
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
    let again = Rc::clone(socket);
    let online = window_event_listener_untyped("online", move |_| {
        // What was open before the network went may be dead without a word.
        abandon(&again);
        connect(&again);
    });
    let live = socket.borrow().live;
    let offline = window_event_listener_untyped("offline", move |_| {
        if !live.link.get_untracked().is_final() {
            live.link.set(Link::Offline);
        }
    });
    let again = Rc::clone(socket);
    let seen = window_event_listener_untyped("visibilitychange", move |_| {
        if !document().hidden() {
            connect(&again);
        }
    });
    // They live as long as the page.
    std::mem::forget((online, offline, seen));
}

fn connect(shared: &Shared) {
    let (live, number) = {
        let mut socket = shared.borrow_mut();
        if socket.live.link.get_untracked().is_final() || socket.open.is_some() {
            return;
        }
        if let Some(retry) = socket.retry.take() {
            retry.clear();
        }
        socket.number += 1;
        (socket.live, socket.number)
    };
    let location = window().location();
    let (Ok(host), Ok(protocol)) = (location.host(), location.protocol()) else { return };
    let scheme = if protocol == "https:" { "wss" } else { "ws" };
    let Ok(open) = WebSocket::new(&format!("{scheme}://{host}/ws")) else { return };

    let speaker = open.clone();
    let on_open = Closure::<dyn FnMut()>::new(move || {
        let since = live.since.get_untracked().unwrap_or_default();
        let (epoch, after) = (Some(since.epoch), Some(since.seq));
        say(&speaker, &ClientFrame::Hello { v: live::VERSION, epoch, after });
    });
    open.set_onopen(Some(on_open.as_ref().unchecked_ref()));
    on_open.forget();

    let (speaker, heard) = (open.clone(), Rc::clone(shared));
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        if heard.borrow().number != number {
            return;
        }
        watch_silence(&heard);
        let Some(text) = event.data().as_string() else { return };
        match serde_json::from_str::<ServerFrame>(&text) {
            Ok(frame) => {
                if matches!(frame, ServerFrame::Ping { .. }) {
                    say(&speaker, &ClientFrame::Pong);
                }
                heard.borrow_mut().failures = 0;
                live.apply(frame);
            }
            Err(error) => leptos::logging::warn!("a frame can't be read: {error}"),
        }
    });
    open.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    on_message.forget();

    let closed = Rc::clone(shared);
    let on_close = Closure::<dyn FnMut(CloseEvent)>::new(move |event: CloseEvent| {
        if closed.borrow().number == number {
            abandon(&closed);
            after_close(&closed, event.code());
        }
    });
    open.set_onclose(Some(on_close.as_ref().unchecked_ref()));
    on_close.forget();
    shared.borrow_mut().open = Some(open);
    watch_silence(shared);
}

/// Lets go of the open socket; its own close event is not waited for, since
/// a dead network may take minutes to bring it.
fn abandon(shared: &Shared) {
    let mut socket = shared.borrow_mut();
    socket.number += 1;
    if let Some(silence) = socket.silence.take() {
        silence.clear();
    }
    if let Some(open) = socket.open.take() {
        let _ = open.close();
    }
}

fn after_close(shared: &Shared, code: u16) {
    let mut socket = shared.borrow_mut();
    let live = socket.live;
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

fn watch_silence(shared: &Shared) {
    let silent = Rc::clone(shared);
    let limit = Duration::from_millis(SILENCE_MS);
    let watch = move || {
        abandon(&silent);
        after_close(&silent, ABNORMAL);
    };
    let mut socket = shared.borrow_mut();
    if let Some(silence) = socket.silence.take() {
        silence.clear();
    }
    socket.silence = set_timeout_with_handle(watch, limit).ok();
}

fn say(open: &WebSocket, frame: &ClientFrame) {
    if let Ok(text) = serde_json::to_string(frame) {
        let _ = open.send_with_str(&text);
    }
}
