//! A TCP proxy that goes silent: connections stay open and carry nothing.

use crate::process::free_port;
use std::sync::Arc;
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
    /// Nothing in either direction, and nobody is told.
    Silent,
    /// What clients say arrives; what they are answered is lost.
    Deaf,
}

/// In front of one port.
pub struct Proxy {
    pub port: u16,
    mode: watch::Sender<Mode>,
}

impl Proxy {
    pub async fn start(to: u16) -> anyhow::Result<Self> {
        let port = free_port()?;
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let (mode, _) = watch::channel(Mode::Carry);
        let shared = Arc::new(mode.clone());
        tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { return };
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
                // Neither end's small writes wait for the other's word.
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(carry(from_client, to_server, shared.subscribe(), &[Mode::Silent]));
                let answers = &[Mode::Silent, Mode::Deaf];
                tokio::spawn(carry(from_server, to_client, shared.subscribe(), answers));
            }
        });
        Ok(Self { port, mode })
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

/// Bytes of one direction, until either end closes. In a mode of `lost` they
/// are read and thrown away; such a connection is broken for good, so it ends
/// when bytes are carried again.
async fn carry(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    mode: watch::Receiver<Mode>,
    lost: &'static [Mode],
) {
    let mut bytes = vec![0; 16 * 1024];
    let mut broken = false;
    loop {
        let Ok(count @ 1..) = from.read(&mut bytes).await else { return };
        let now = *mode.borrow();
        if lost.contains(&now) {
            broken = true;
            continue;
        }
        if broken || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
