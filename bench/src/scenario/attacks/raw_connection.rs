//! Raw connections of a client that breaks the rules.

use anyhow::{Context, bail};
use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// The address that most attacks come from. The whole network 127.0.0.0/8 is
/// local on Linux, so a client can choose any address of it.
pub const ATTACKER_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Maximum wait for a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum size of a response, bytes.
const MAX_RESPONSE_BYTES: usize = 64 * 1024 * 1024;

/// Opens a connection to the server at `port` from the loopback address
/// `from`. Its receive buffer is small, so that what is not read stays with
/// the server.
///
/// # Errors
/// The server does not accept the connection within 30 s.
pub async fn open(from: Ipv4Addr, port: u16) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4 * 1024)?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let connect = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    timeout(RESPONSE_TIMEOUT, connect)
        .await
        .context("the connection is not accepted")?
        .with_context(|| format!("can't connect from {from}"))
}

/// Returns the head of a GET request, with `headers` as lines that end with
/// CRLF each.
pub fn get_request(port: u16, path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}\r\n")
}

/// Sends a request without reading the response. A connection that the server has
/// closed already is no error.
pub async fn send(connection: &mut TcpStream, request: &str) -> anyhow::Result<()> {
    match connection.write_all(request.as_bytes()).await {
        Err(error)
            if !matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) =>
        {
            Err(error).context("can't send a request")
        }
        _ => Ok(()),
    }
}

/// Sends `request` on a connection of its own and returns everything that the
/// server sends until it closes the connection, so the request has to ask for
/// `Connection: close`.
pub async fn send_and_receive(from: Ipv4Addr, port: u16, request: &[u8]) -> anyhow::Result<String> {
    let mut connection = open(from, port).await?;
    // The server may respond and close before it has received everything.
    let _ = connection.write_all(request).await;
    let mut answer = Vec::new();
    let mut part = vec![0; 64 * 1024];
    loop {
        let read = timeout(RESPONSE_TIMEOUT, connection.read(&mut part)).await;
        match read.context("the answer does not end")? {
            Ok(0) | Err(_) => return Ok(String::from_utf8_lossy(&answer).into_owned()),
            Ok(count) => answer.extend_from_slice(&part[..count]),
        }
        if answer.len() > MAX_RESPONSE_BYTES {
            bail!("the answer is larger than {MAX_RESPONSE_BYTES} bytes");
        }
    }
}

/// Returns the status of a response, such as 200; 0 if it is not a response.
pub fn status_code(answer: &str) -> u16 {
    let word = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split(' ').next());
    word.and_then(|word| word.parse().ok()).unwrap_or_default()
}
