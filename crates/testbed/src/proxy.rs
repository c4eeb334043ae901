//! A TCP proxy that can stall, like a network that loses all packets:
//! connections stay open, transfer nothing, and neither end notices a close.

use std::{
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
};

/// What a proxy does with bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyMode {
    /// Forwards all bytes.
    #[default]
    Forward,
    /// Forwards nothing in either direction, not even the close of an end. Bytes
    /// sent meanwhile arrive afterwards, as TCP retransmits lost packets.
    Stalled,
    /// Forwards the bytes of clients and drops those of the server.
    DropResponses,
}

#[derive(Clone, Copy, Debug, Default)]
struct ProxyState {
    mode: ProxyMode,
    /// Number of times that all connections were stalled forever.
    generation: usize,
}

/// Responses that are lost, by counting those that arrive from the server.
#[derive(Debug)]
struct LostResponses {
    /// Number of responses that are forwarded before one is lost; negative for no loss.
    countdown: AtomicI64,
    count: AtomicUsize,
}

impl LostResponses {
    /// Returns whether the response that has arrived is lost.
    fn is_next_lost(&self) -> bool {
        let is_lost = self.countdown.load(Ordering::Relaxed) >= 0
            && self.countdown.fetch_sub(1, Ordering::Relaxed) == 0;
        if is_lost {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        is_lost
    }
}

/// A connection's view of the state of its proxy.
#[derive(Clone)]
struct ConnectionMonitor {
    state: watch::Receiver<ProxyState>,
    /// Generation of the proxy when the connection was accepted.
    generation: usize,
    lost_responses: Arc<LostResponses>,
}

impl ConnectionMonitor {
    fn mode(&self) -> ProxyMode {
        self.mode_in(&self.state.borrow())
    }

    /// Returns the mode of the connection: those of earlier generations are stalled forever.
    fn mode_in(&self, state: &ProxyState) -> ProxyMode {
        if state.generation == self.generation { state.mode } else { ProxyMode::Stalled }
    }

    async fn wait_until_flowing(&mut self) {
        let monitor = self.clone();
        // Without a proxy no connection is stalled.
        let _ = self.state.wait_for(|state| monitor.mode_in(state) != ProxyMode::Stalled).await;
    }

    async fn wait_until_stalled(&mut self) {
        let monitor = self.clone();
        if self.state.wait_for(|state| monitor.mode_in(state) == ProxyMode::Stalled).await.is_err()
        {
            pending::<()>().await;
        }
    }
}

/// A proxy in front of one port.
pub struct Proxy {
    /// Port that the proxy listens on.
    pub port: u16,
    state: watch::Sender<ProxyState>,
    accepted_while_stalled: Arc<AtomicUsize>,
    lost_responses: Arc<LostResponses>,
}

impl Proxy {
    /// Starts a proxy in front of `upstream_port` on this machine.
    ///
    /// # Errors
    /// There is no free port to listen on.
    pub async fn start(upstream_port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (state, _) = watch::channel(ProxyState::default());
        let accepted_while_stalled = Arc::new(AtomicUsize::new(0));
        let lost_responses =
            Arc::new(LostResponses { countdown: AtomicI64::new(-1), count: AtomicUsize::new(0) });
        let lost = Arc::clone(&lost_responses);
        let (shared, count) = (state.clone(), Arc::clone(&accepted_while_stalled));
        tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { return };
                let state = shared.subscribe();
                let generation = state.borrow().generation;
                let lost_responses = Arc::clone(&lost);
                let monitor = ConnectionMonitor { state, generation, lost_responses };
                if monitor.mode() == ProxyMode::Stalled {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                tokio::spawn(proxy_connection(client, upstream_port, monitor));
            }
        });
        Ok(Self { port, state, accepted_while_stalled, lost_responses })
    }

    /// Sets the mode of all connections.
    pub fn set_mode(&self, mode: ProxyMode) {
        self.state.send_modify(|state| state.mode = mode);
    }

    /// Stalls all existing connections forever, but leaves them open, as when a
    /// device on the way that tracks connections has restarted. New ones work.
    pub fn stall_connections_forever(&self) {
        self.state.send_modify(|state| state.generation += 1);
    }

    /// Loses one response: the server has done what the request asks for, and the connection
    /// closes instead of forwarding the answer. `after` further reads from the server are
    /// forwarded before; a response is at least one.
    pub fn lose_response(&self, after: u32) {
        self.lost_responses.countdown.store(after.into(), Ordering::Relaxed);
    }

    /// Returns the number of responses that were lost.
    pub fn lost_responses(&self) -> usize {
        self.lost_responses.count.load(Ordering::Relaxed)
    }

    /// Returns the number of connections that were accepted while the proxy was stalled.
    pub fn accepted_while_stalled(&self) -> usize {
        self.accepted_while_stalled.load(Ordering::Relaxed)
    }
}

/// Connects one client to the server behind the proxy.
async fn proxy_connection(client: TcpStream, upstream_port: u16, mut monitor: ConnectionMonitor) {
    monitor.wait_until_flowing().await;
    let Ok(server) = TcpStream::connect(("127.0.0.1", upstream_port)).await else { return };
    // Small writes must not wait for an acknowledgement.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::spawn(forward_bytes(from_client, to_server, monitor.clone(), false));
    tokio::spawn(forward_bytes(from_server, to_client, monitor, true));
}

/// Forwards the bytes of one direction until its sender closes. Responses are
/// dropped in [`ProxyMode::DropResponses`]; after that the connection is
/// unusable, so it closes when bytes are forwarded again.
async fn forward_bytes(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    mut monitor: ConnectionMonitor,
    is_response: bool,
) {
    let mut bytes = vec![0; 16 * 1024];
    let mut broken = false;
    loop {
        monitor.wait_until_flowing().await;
        let mut stall_monitor = monitor.clone();
        let read = tokio::select! {
            biased;
            () = stall_monitor.wait_until_stalled() => continue,
            read = from.read(&mut bytes) => read,
        };
        let count = read.unwrap_or_default();
        if count > 0 && is_response && monitor.mode() == ProxyMode::DropResponses {
            broken = true;
            continue;
        }
        if count > 0 && is_response && monitor.lost_responses.is_next_lost() {
            break;
        }
        if count == 0 || broken || to.write_all(&bytes[..count]).await.is_err() {
            break;
        }
    }
    // Dropping this half would tell the other end of the close.
    monitor.wait_until_flowing().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    /// Time during which nothing may arrive.
    const QUIET_PERIOD: Duration = Duration::from_millis(200);

    /// Starts a server that echoes every byte, and closes on a `q`.
    async fn start_echo_server() -> u16 {
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

    async fn send_byte(client: &mut TcpStream, byte: u8) {
        client.write_all(&[byte]).await.unwrap();
    }

    /// Returns the next byte, or `None` if the other end has closed.
    async fn receive_byte(client: &mut TcpStream) -> Option<u8> {
        let mut byte = [0];
        let count = timeout(Duration::from_secs(5), client.read(&mut byte)).await.unwrap();
        (count.unwrap() > 0).then_some(byte[0])
    }

    async fn receives_nothing(client: &mut TcpStream) -> bool {
        timeout(QUIET_PERIOD, client.read(&mut [0])).await.is_err()
    }

    #[tokio::test]
    async fn stalled_proxy_forwards_neither_bytes_nor_closes() {
        let proxy = Proxy::start(start_echo_server().await).await.unwrap();
        let connect = || TcpStream::connect(("127.0.0.1", proxy.port));
        let (mut open, mut closing) = (connect().await.unwrap(), connect().await.unwrap());
        for client in [&mut open, &mut closing] {
            send_byte(client, b'a').await;
            assert_eq!(receive_byte(client).await, Some(b'a'));
        }
        proxy.set_mode(ProxyMode::Stalled);
        send_byte(&mut open, b'b').await;
        send_byte(&mut closing, b'q').await;
        let mut new = connect().await.unwrap();
        send_byte(&mut new, b'c').await;
        for client in [&mut open, &mut closing, &mut new] {
            assert!(receives_nothing(client).await);
        }
        assert_eq!(proxy.accepted_while_stalled(), 1);
        proxy.set_mode(ProxyMode::Forward);
        assert_eq!(receive_byte(&mut open).await, Some(b'b'));
        assert_eq!(receive_byte(&mut new).await, Some(b'c'));
        assert_eq!(receive_byte(&mut closing).await, None);
    }

    #[tokio::test]
    async fn stalled_connections_stay_stalled_and_new_ones_work() {
        let proxy = Proxy::start(start_echo_server().await).await.unwrap();
        let connect = || TcpStream::connect(("127.0.0.1", proxy.port));
        let mut old = connect().await.unwrap();
        send_byte(&mut old, b'a').await;
        assert_eq!(receive_byte(&mut old).await, Some(b'a'));
        proxy.stall_connections_forever();
        let mut new = connect().await.unwrap();
        for client in [&mut old, &mut new] {
            send_byte(client, b'b').await;
        }
        assert_eq!(receive_byte(&mut new).await, Some(b'b'));
        assert!(receives_nothing(&mut old).await);
    }

    #[tokio::test]
    async fn dropped_responses_close_the_connection_afterwards() {
        let proxy = Proxy::start(start_echo_server().await).await.unwrap();
        let mut client = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
        proxy.set_mode(ProxyMode::DropResponses);
        send_byte(&mut client, b'a').await;
        assert!(receives_nothing(&mut client).await);
        proxy.set_mode(ProxyMode::Forward);
        send_byte(&mut client, b'b').await;
        assert_eq!(receive_byte(&mut client).await, None);
    }

    #[tokio::test]
    async fn a_lost_response_closes_its_connection_only() {
        let proxy = Proxy::start(start_echo_server().await).await.unwrap();
        let mut client = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
        proxy.lose_response(1);
        send_byte(&mut client, b'a').await;
        assert_eq!(receive_byte(&mut client).await, Some(b'a'));
        send_byte(&mut client, b'b').await;
        assert_eq!(receive_byte(&mut client).await, None);
        assert_eq!(proxy.lost_responses(), 1);
        let mut new = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
        send_byte(&mut new, b'c').await;
        assert_eq!(receive_byte(&mut new).await, Some(b'c'));
    }
}
