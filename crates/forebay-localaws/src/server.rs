use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::{Cloud, Delivery, Reply, Request};

/// Serves a cloud over HTTP/1.1 and HTTP/2 without TLS until `shutdown` is ready.
///
/// `clock` gives Unix milliseconds. Bind the listener to a loopback address: no signature is checked.
/// A lost request or answer closes the connection without a word.
///
/// # Errors
///
/// If the listener fails to accept.
///
/// # Cancel safety
///
/// Dropping the future closes all connections; what their requests did is done.
pub async fn serve(
    listener: TcpListener,
    cloud: Arc<Mutex<Cloud>>,
    clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => return Ok(()),
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted?,
        };
        let (socket, _) = accepted;
        let (cloud, clock) = (Arc::clone(&cloud), Arc::clone(&clock));
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let (cloud, clock) = (Arc::clone(&cloud), Arc::clone(&clock));
                async move { respond(request, &cloud, &*clock).await }
            });
            // A connection that breaks concerns its client only.
            let _ = Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

async fn respond(
    request: hyper::Request<Incoming>,
    cloud: &Mutex<Cloud>,
    clock: &(dyn Fn() -> u64 + Send + Sync),
) -> Result<hyper::Response<Full<Bytes>>, Lost> {
    let request = read(request).await?;
    let lock = || cloud.lock().unwrap_or_else(PoisonError::into_inner);
    let start = clock();
    let mut reply = lock().call(&request, start);
    if reply.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(reply.delay_ms)).await;
    }
    let deadline = reply.wait.map(|wait| start + wait.timeout_ms);
    while let (Some(_), Some(deadline)) = (reply.wait, deadline) {
        let now = clock();
        if now >= deadline {
            break;
        }
        tokio::time::sleep(POLL.min(Duration::from_millis(deadline - now))).await;
        reply = lock().poll_again(&request, clock());
    }
    match reply.delivery {
        Delivery::Answered => Ok(write(reply).unwrap_or_default()),
        Delivery::RequestLost | Delivery::AnswerLost => Err(Lost),
    }
}

/// Makes hyper drop the connection.
#[derive(Debug, thiserror::Error)]
#[error("the connection is lost on purpose, or its request could not be read")]
struct Lost;

impl From<Infallible> for Lost {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

async fn read(request: hyper::Request<Incoming>) -> Result<Request, Lost> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES)
        .collect()
        .await
        .map_err(|_| Lost)?
        .to_bytes();
    let headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let host = parts
        .uri
        .host()
        .or_else(|| {
            headers
                .iter()
                .find(|(name, _)| name == "host")
                .map(|(_, host)| host.as_str())
        })
        .and_then(|host| host.split(':').next())
        .unwrap_or_default()
        .to_owned();
    Ok(Request {
        method: parts.method.as_str().to_owned(),
        host,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers,
        body,
    })
}

fn write(reply: Reply) -> Option<hyper::Response<Full<Bytes>>> {
    let mut response = hyper::Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Full::new(reply.body)).ok()
}

/// How often a long poll looks again; clients of other processes notice no more.
const POLL: Duration = Duration::from_millis(20);
/// S3 objects of tests stay far below; no request may fill the memory.
const BODY_BYTES: usize = 256 << 20;
