use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::event_body::{Broken, event_body};
use crate::{Cloud, Delivery, Push, Reply, Request, Subscription};

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
                async move { respond(request, &cloud, &clock).await }
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
    cloud: &Arc<Mutex<Cloud>>,
    clock: &Arc<Clock>,
) -> Result<hyper::Response<BoxBody<Bytes, Broken>>, Lost> {
    let request = read(request).await?;
    let start = clock();
    let mut reply = lock(cloud).call(&request, start);
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
        reply = lock(cloud).poll_again(&request, clock());
    }
    let body = match reply.events.take() {
        None => plain_body(&mut reply),
        Some(subscription) => {
            let (cloud, clock) = (Arc::clone(cloud), Arc::clone(clock));
            let next =
                move |subscription| next_push(Arc::clone(&cloud), Arc::clone(&clock), subscription);
            event_body(subscription, next).boxed()
        }
    };
    match reply.delivery {
        Delivery::Answered => write(reply, body).ok_or(Lost),
        Delivery::RequestLost | Delivery::AnswerLost => Err(Lost),
    }
}

/// The body of an answer; one that a fault has cut ends with the connection, before the length that the head states.
fn plain_body(reply: &mut Reply) -> BoxBody<Bytes, Broken> {
    let body = std::mem::take(&mut reply.body);
    let stated = reply
        .headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .and_then(|(_, length)| length.parse::<usize>().ok());
    if body.is_empty() || stated.is_none_or(|stated| stated == body.len()) {
        return Full::new(body).map_err(|never| match never {}).boxed();
    }
    let end = async {
        // While the body waits, hyper writes what it has so far.
        tokio::task::yield_now().await;
        Err(Broken)
    };
    let frames = stream::iter([Ok(Frame::data(body))]).chain(stream::once(end));
    BodyExt::boxed(StreamBody::new(frames))
}

/// Waits for the next message of a subscription.
async fn next_push(
    cloud: Arc<Mutex<Cloud>>,
    clock: Arc<Clock>,
    mut subscription: Subscription,
) -> (Push, Subscription) {
    loop {
        let now = clock();
        let push = lock(&cloud).next_push(&mut subscription, now);
        let Push::NotBefore(due) = push else {
            return (push, subscription);
        };
        let pause = Duration::from_millis(due.saturating_sub(now).max(1));
        tokio::time::sleep(POLL.min(pause)).await;
    }
}

fn lock(cloud: &Mutex<Cloud>) -> MutexGuard<'_, Cloud> {
    cloud.lock().unwrap_or_else(PoisonError::into_inner)
}

type Clock = dyn Fn() -> u64 + Send + Sync;

/// Makes hyper drop the connection.
#[derive(Debug, thiserror::Error)]
#[error("the connection is lost on purpose, or its request could not be read")]
struct Lost;

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

fn write(
    reply: Reply,
    body: BoxBody<Bytes, Broken>,
) -> Option<hyper::Response<BoxBody<Bytes, Broken>>> {
    let mut response = hyper::Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(body).ok()
}

/// How often a long poll or a subscription looks again; clients of other processes notice no more.
const POLL: Duration = Duration::from_millis(20);
/// S3 objects of tests stay far below; no request may fill the memory.
const BODY_BYTES: usize = 256 << 20;
