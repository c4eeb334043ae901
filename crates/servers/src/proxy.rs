//! A TCP proxy that goes silent, as a network does that loses everything:
//! connections stay open, carry nothing, and nobody hears of a close.

use std::{
    future::pending,
    io,
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

#[derive(Clone, Copy, Debug, Default)]
struct Told {
    mode: Mode,
    /// How often all connections were lost.
    lost: usize,
}

/// A connection's view of what its proxy is told.
#[derive(Clone)]
struct Ear {
    told: watch::Receiver<Told>,
    /// What it was born with.
    lost: usize,
}

impl Ear {
    fn mode(&self) -> Mode {
        self.of(&self.told.borrow())
    }

    /// What is lost stays silent for ever.
    fn of(&self, told: &Told) -> Mode {
        if told.lost == self.lost { told.mode } else { Mode::Silent }
    }

    async fn until_heard(&mut self) {
        let ear = self.clone();
        // Without a proxy nobody is silent.
        let _ = self.told.wait_for(|told| ear.of(told) != Mode::Silent).await;
    }

    async fn until_silent(&mut self) {
        let ear = self.clone();
        if self.told.wait_for(|told| ear.of(told) == Mode::Silent).await.is_err() {
            pending::<()>().await;
        }
    }
}

/// In front of one port.
pub struct Proxy {
    pub port: u16,
    mode: watch::Sender<Told>,
    unheard: Arc<AtomicUsize>,
}

impl Proxy {
    /// # Errors
    /// There is no port to listen on.
    pub async fn start(to: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (mode, _) = watch::channel(Told::default());
        let unheard = Arc::new(AtomicUsize::new(0));
        let (shared, count) = (mode.clone(), Arc::clone(&unheard));
        tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { return };
                let told = shared.subscribe();
                let lost = told.borrow().lost;
                let ear = Ear { told, lost };
                if ear.mode() == Mode::Silent {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                tokio::spawn(join(client, to, ear));
            }
        });
        Ok(Self { port, mode, unheard })
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_modify(|told| told.mode = mode);
    }

    /// All connections that there are stay open and silent for ever, as when
    /// what kept them in mind on the way was started anew; new ones are carried.
    pub fn lose(&self) {
        self.mode.send_modify(|told| told.lost += 1);
    }

    /// Connections that were made while it was silent.
    pub fn unheard(&self) -> usize {
        self.unheard.load(Ordering::Relaxed)
    }
}

/// One client, with a connection of its own to what lies behind.
async fn join(client: TcpStream, to: u16, mut ear: Ear) {
    ear.until_heard().await;
    let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
    // Neither end's small writes wait for the other's word.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::spawn(carry(from_client, to_server, ear.clone(), false));
    tokio::spawn(carry(from_server, to_client, ear, true));
}

/// Bytes of one direction, until its end closes. `answers` to the deaf are
/// read and thrown away; such a connection is broken for good, so it ends when
/// bytes are carried again.
async fn carry(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    mut ear: Ear,
    answers: bool,
) {
    let mut bytes = vec![0; 16 * 1024];
    let mut broken = false;
    loop {
        ear.until_heard().await;
        let mut turned = ear.clone();
        let read = tokio::select! {
            biased;
            () = turned.until_silent() => continue,
            read = from.read(&mut bytes) => read,
        };
        let count = read.unwrap_or_default();
        if count > 0 && answers && ear.mode() == Mode::Deaf {
            broken = true;
            continue;
        }
        if count == 0 || broken || to.write_all(&bytes[..count]).await.is_err() {
            break;
        }
    }
    // With its half dropped the other end would hear of the close.
    ear.until_heard().await;
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
    async fn what_is_lost_stays_silent_and_new_connections_are_carried() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let connect = || TcpStream::connect(("127.0.0.1", proxy.port));
        let mut old = connect().await.unwrap();
        say(&mut old, b'a').await;
        assert_eq!(hear(&mut old).await, Some(b'a'));
        proxy.lose();
        let mut new = connect().await.unwrap();
        for client in [&mut old, &mut new] {
            say(client, b'b').await;
        }
        assert_eq!(hear(&mut new).await, Some(b'b'));
        assert!(hears_nothing(&mut old).await);
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
