//! An HTTP proxy that answers some requests itself, and loses the answers of others.

use parking_lot::Mutex;
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What the proxy does with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpFault {
    /// Forwards the request, and the answer.
    None,
    /// Answers itself; the service doesn't learn of the request.
    Answer {
        /// Status of the answer.
        status: u16,
        /// Body of the answer.
        body: String,
    },
    /// Forwards the request, and closes the connection in place of the answer.
    LoseAnswer,
    /// Answers with the answer that was lost last, as a service does that recognises a request
    /// by its idempotency key.
    RepeatLostAnswer,
    /// Forwards the request, and replaces a text in the answer.
    ReplaceInAnswer {
        /// Text that is replaced wherever it occurs.
        from: String,
        /// Text of the same length in bytes.
        to: String,
    },
}

/// Decides about a request, of which it gets the head and the body.
type Decide = dyn Fn(&str) -> HttpFault + Send + Sync;

/// A proxy in front of one port, for requests with a length and one connection each.
pub struct HttpFaultProxy {
    /// Port that the proxy listens on.
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    requests: Mutex<Vec<String>>,
    last_lost_answer: Mutex<Vec<u8>>,
}

impl HttpFaultProxy {
    /// Starts a proxy in front of `upstream_port` on this machine.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(
        upstream_port: u16,
        decide: impl Fn(&str) -> HttpFault + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::<Shared>::default();
        let (decide, of_proxy): (Arc<Decide>, _) = (Arc::new(decide), Arc::clone(&shared));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (decide, shared) = (Arc::clone(&decide), Arc::clone(&of_proxy));
                tokio::spawn(async move {
                    // An end that is gone is what the test is about.
                    let _ = serve(stream, upstream_port, &*decide, &shared).await;
                });
            }
        });
        Ok(Self { port, shared })
    }

    /// Returns the URL of the proxy.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the bodies of all requests so far, in the order in which they came.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().clone()
    }
}

async fn serve(
    mut client: TcpStream,
    upstream_port: u16,
    decide: &Decide,
    shared: &Shared,
) -> std::io::Result<()> {
    let Some((head, body)) = read_message(&mut client).await? else { return Ok(()) };
    let request = String::from_utf8_lossy(&[head.as_slice(), &body].concat()).into_owned();
    shared.requests.lock().push(String::from_utf8_lossy(&body).into_owned());
    let fault = decide(&request);
    if let HttpFault::Answer { status, body } = &fault {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} Fault\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n"
        );
        return client.write_all(format!("{head}{body}").as_bytes()).await;
    }
    if fault == HttpFault::RepeatLostAnswer {
        let answer = shared.last_lost_answer.lock().clone();
        return client.write_all(&answer).await;
    }
    let mut upstream = TcpStream::connect(("127.0.0.1", upstream_port)).await?;
    upstream.write_all(&with_connection_close(&head)).await?;
    upstream.write_all(&body).await?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).await?;
    match fault {
        HttpFault::LoseAnswer => {
            *shared.last_lost_answer.lock() = answer;
            Ok(())
        }
        HttpFault::ReplaceInAnswer { from, to } => {
            assert_eq!(from.len(), to.len(), "the length of the answer is in its head");
            let text = String::from_utf8_lossy(&answer).replace(&from, &to);
            client.write_all(text.as_bytes()).await
        }
        _ => client.write_all(&answer).await,
    }
}

/// Reads the head, up to and with the empty line, and the body of a request; `None` at the end.
async fn read_message(stream: &mut TcpStream) -> std::io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 16_384];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.and_then(|it| it.trim().parse().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                let body = bytes.split_off(end + 4);
                return Ok(Some((bytes, body)));
            }
        }
        match stream.read(&mut chunk).await? {
            0 => return Ok(None),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

/// Has the service close the connection after its answer, so that the end of it is known.
fn with_connection_close(head: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(head);
    let lines =
        text.trim_end().lines().filter(|line| !line.to_lowercase().starts_with("connection:"));
    let head: String = lines.map(|line| format!("{line}\r\n")).collect();
    format!("{head}Connection: close\r\n\r\n").into_bytes()
}
