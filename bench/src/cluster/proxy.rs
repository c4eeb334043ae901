//! A TCP proxy that goes silent, as a network does that loses everything:
//! connections stay open, carry nothing, and nobody hears of a close.

use crate::process::free_port;
use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
};

/// What it does with bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Carry,
    /// Nothing in either direction, not even that an end has closed. What was
    /// said meanwhile arrives afterwards, as TCP sends again what was lost.
    Silent,
    /// What clients say arrives; what they are answered is lost.
    Deaf,
}

/// In front of one port.
pub struct Proxy {
    pub port: u16,
    mode: watch::Sender<Mode>,
    unheard: Arc<AtomicUsize>,
}

impl Proxy {
    pub async fn start(to: u16) -> anyhow::Result<Self> {
        let port = free_port()?;
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let (mode, _) = watch::channel(Mode::Carry);
        let unheard = Arc::new(AtomicUsize::new(0));
        let (shared, count) = (mode.clone(), Arc::clone(&unheard));
        tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { return };
                let mode = shared.subscribe();
                if *mode.borrow() == Mode::Silent {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                tokio::spawn(join(client, to, mode));
            }
        });
        Ok(Self { port, mode, unheard })
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Connections that were made while it was silent.
    pub fn unheard(&self) -> usize {
        self.unheard.load(Ordering::Relaxed)
    }
}

/// One client, with a connection of its own to what lies behind.
async fn join(client: TcpStream, to: u16, mut mode: watch::Receiver<Mode>) {
    until_heard(&mut mode).await;
    let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
    // Neither end's small writes wait for the other's word.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::spawn(carry(from_client, to_server, mode.clone(), false));
    tokio::spawn(carry(from_server, to_client, mode, true));
}

/// Bytes of one direction, until its end closes. `answers` to the deaf are
/// read and thrown away; such a connection is broken for good, so it ends when
/// bytes are carried again.
async fn carry(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    answers: bool,
) {
    let mut bytes = vec![0; 16 * 1024];
    let mut broken = false;
    loop {
        until_heard(&mut mode).await;
        let mut turned = mode.clone();
        let read = tokio::select! {
            biased;
            () = until_silent(&mut turned) => continue,
            read = from.read(&mut bytes) => read,
        };
        let count = read.unwrap_or_default();
        if count > 0 && answers && *mode.borrow() == Mode::Deaf {
            broken = true;
            continue;
        }
        if count == 0 || broken || to.write_all(&bytes[..count]).await.is_err() {
            break;
        }
    }
    // With its half dropped the other end would hear of the close.
    until_heard(&mut mode).await;
}

async fn until_heard(mode: &mut watch::Receiver<Mode>) {
    // Without a proxy nobody is silent.
    let _ = mode.wait_for(|mode| *mode != Mode::Silent).await;
}

async fn until_silent(mode: &mut watch::Receiver<Mode>) {
    if mode.wait_for(|mode| *mode == Mode::Silent).await.is_err() {
        pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    /// So long nothing may come.
    const NOTHING: Duration = Duration::from_millis(200);

    /// Says everything back; closes on a `q`.
    async fn echo() -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut byte = [0];
                    while client.read_exact(&mut byte).await.is_ok() && byte != *b"q" {
                        client.write_all(&byte).await.unwrap();
                    }
                });
            }
        });
        port
    }

    async fn say(client: &mut TcpStream, byte: u8) {
        client.write_all(&[byte]).await.unwrap();
    }

    /// The next byte, or `None` where the other end closed.
    async fn hear(client: &mut TcpStream) -> Option<u8> {
        let mut byte = [0];
        let count = timeout(Duration::from_secs(5), client.read(&mut byte)).await.unwrap();
        (count.unwrap() > 0).then_some(byte[0])
    }

    async fn hears_nothing(client: &mut TcpStream) -> bool {
        timeout(NOTHING, client.read(&mut [0])).await.is_err()
    }

    #[tokio::test]
    async fn while_it_is_silent_nothing_is_carried_and_no_close_is_heard() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let connect = || TcpStream::connect(("127.0.0.1", proxy.port));
        let (mut open, mut closing) = (connect().await.unwrap(), connect().await.unwrap());
        for client in [&mut open, &mut closing] {
            say(client, b'a').await;
            assert_eq!(hear(client).await, Some(b'a'));
        }
        proxy.set(Mode::Silent);
        say(&mut open, b'b').await;
        say(&mut closing, b'q').await;
        let mut new = connect().await.unwrap();
        say(&mut new, b'c').await;
        for client in [&mut open, &mut closing, &mut new] {
            assert!(hears_nothing(client).await);
        }
        assert_eq!(proxy.unheard(), 1);
        proxy.set(Mode::Carry);
        assert_eq!(hear(&mut open).await, Some(b'b'));
        assert_eq!(hear(&mut new).await, Some(b'c'));
        assert_eq!(hear(&mut closing).await, None);
    }

    #[tokio::test]
    async fn the_deaf_are_heard_and_their_connection_ends_afterwards() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut client = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
        proxy.set(Mode::Deaf);
        say(&mut client, b'a').await;
        assert!(hears_nothing(&mut client).await);
        proxy.set(Mode::Carry);
        say(&mut client, b'b').await;
        assert_eq!(hear(&mut client).await, None);
    }
}
