//! Receivers that misbehave on demand, for tests of whatever sends GELF.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::listener::{Listener, ListenerConfig, Messages, Mode};

/// A [`Listener`] and the switch for its faults.
///
/// # Errors
/// What the operating system says.
pub async fn faulty_listener(config: ListenerConfig) -> io::Result<(Listener, Messages, Faults)> {
    let (listener, messages, mode) = Listener::bind_with_mode(config).await?;
    Ok((listener, messages, Faults { mode }))
}

/// Faults of a running listener.
#[derive(Clone, Debug)]
pub struct Faults {
    mode: Arc<watch::Sender<Mode>>,
}

impl Faults {
    /// Stops reading, or goes on.
    pub fn stall(&self, stalled: bool) {
        self.mode.send_modify(|mode| mode.stalled = stalled);
    }

    /// Resets all connections that exist now; what they had not read is lost.
    pub fn reset(&self) {
        self.mode.send_modify(|mode| mode.resets += 1);
    }
}

/// A minimal HTTP/1.1 receiver that answers what it is told to.
#[derive(Debug)]
pub struct HttpListener {
    tcp: TcpListener,
    script: Arc<Mutex<VecDeque<Answer>>>,
    requests: mpsc::UnboundedSender<Request>,
}

/// One answer of an [`HttpListener`].
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum Answer {
    /// A status with an empty body.
    Status(u16),
    /// A status and a `Retry-After` of so many seconds.
    RetryAfter(u16, u64),
    /// A status, and the connection is closed behind it although nobody said so.
    StatusAndClose(u16),
    /// A status and a body of so many bytes, of which the connection carries only some before it is closed.
    Body {
        /// The status.
        status: u16,
        /// What `Content-Length` says.
        promised: usize,
        /// What is sent.
        sent: usize,
    },
    /// Closes the connection without an answer.
    Drop,
    /// Waits so long before the next answer of the script is given.
    Delay(Duration),
}

/// A request that was read completely.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Request {
    /// Method, path and version.
    pub line: String,
    /// Header lines, lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body as it was sent.
    pub body: Vec<u8>,
    /// The status it got; `None` if the connection was closed instead.
    pub status: Option<u16>,
    /// Number of the connection it came over, from 1.
    pub connection: u64,
}

impl HttpListener {
    /// Binds a free port of the loopback interface. Requests get the answers of `script` in order, then 202.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn bind(
        script: impl IntoIterator<Item = Answer>,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<Request>)> {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (requests, received) = mpsc::unbounded_channel();
        Ok((
            Self {
                tcp,
                script: Arc::new(Mutex::new(script.into_iter().collect())),
                requests,
            },
            received,
        ))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Answers for ever.
    pub async fn run(self) {
        let mut connections = JoinSet::new();
        let mut number = 0;
        loop {
            tokio::select! {
                accepted = self.tcp.accept() => {
                    if let Ok((stream, _)) = accepted {
                        number += 1;
                        let (script, requests) = (Arc::clone(&self.script), self.requests.clone());
                        connections.spawn(async move { drop(serve(stream, number, script, requests).await) });
                    }
                }
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
    }
}

async fn serve(
    stream: TcpStream,
    connection: u64,
    script: Arc<Mutex<VecDeque<Answer>>>,
    requests: mpsc::UnboundedSender<Request>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let mut headers = Vec::new();
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await?;
            if !header.ends_with('\n') {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some((name, value)) = header.trim_end().split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length
            .and_then(|(_, value)| value.parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let mut request = Request {
            line: line.trim_end().to_owned(),
            headers,
            body,
            status: None,
            connection,
        };
        let (mut close, mut body) = (false, (0, 0));
        let answer = loop {
            let answer = script
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            match answer.unwrap_or(Answer::Status(202)) {
                Answer::Delay(wait) => tokio::time::sleep(wait).await,
                Answer::Drop => break None,
                Answer::Status(status) => break Some((status, String::new())),
                Answer::StatusAndClose(status) => {
                    close = true;
                    break Some((status, String::new()));
                }
                Answer::Body {
                    status,
                    promised,
                    sent,
                } => {
                    body = (promised, sent);
                    close = sent < promised;
                    break Some((status, String::new()));
                }
                Answer::RetryAfter(status, seconds) => {
                    break Some((status, format!("Retry-After: {seconds}\r\n")));
                }
            }
        };
        request.status = answer.as_ref().map(|(status, _)| *status);
        drop(requests.send(request));
        let Some((status, header)) = answer else {
            return Ok(());
        };
        let (promised, sent) = body;
        let mut answer =
            format!("HTTP/1.1 {status} answer\r\nContent-Length: {promised}\r\n{header}\r\n");
        answer.push_str(&"x".repeat(sent));
        stream.get_mut().write_all(answer.as_bytes()).await?;
        if close {
            return Ok(());
        }
    }
}
