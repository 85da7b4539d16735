use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::event_body::event_body;
use crate::{Cloud, Delivery, Push, Reply, Request, Subscription};

/// A shared [`Cloud`] that serves unmodified AWS SDK clients inside the process, without a socket.
///
/// Time is `epoch_ms` plus what has passed on tokio's clock since the handle was made, so it follows
/// paused time. Delays and long polls sleep on that clock too.
///
/// ```no_run
/// # async fn f() {
/// use forebay_localaws::{Cloud, LocalAws, Settings};
/// let aws = LocalAws::new(Cloud::new(Settings::instant(), 1), 1_795_564_800_000);
/// aws.with(|cloud, now| cloud.kinesis().create_stream("logs", 2, now)).unwrap();
/// // aws_config::defaults(BehaviorVersion::latest()).http_client(aws.http_client())...
/// # let _ = aws.http_client();
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct LocalAws {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    cloud: Mutex<Cloud>,
    changed: Notify,
    epoch_ms: u64,
    started: Instant,
}

impl LocalAws {
    /// Wraps a cloud whose clock reads `epoch_ms` (Unix milliseconds) now.
    pub fn new(cloud: Cloud, epoch_ms: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                cloud: Mutex::new(cloud),
                changed: Notify::new(),
                epoch_ms,
                started: Instant::now(),
            }),
        }
    }

    /// The HTTP client to hand to `aws_config::defaults(..).http_client(..)` or a service's config builder.
    pub fn http_client(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.clone())
    }

    /// The model's time in Unix milliseconds.
    pub fn now(&self) -> u64 {
        let passed = self.shared.started.elapsed().as_millis();
        self.shared.epoch_ms + u64::try_from(passed).unwrap_or(u64::MAX)
    }

    /// Works on the cloud directly, at the model's time. Long polls look again afterwards.
    ///
    /// Do not call it from inside `work`: the cloud is behind a mutex.
    pub fn with<T>(&self, work: impl FnOnce(&mut Cloud, u64) -> T) -> T {
        let now = self.now();
        let result = work(&mut self.lock(), now);
        self.shared.changed.notify_waiters();
        result
    }

    /// Answers one request, with its delay and its long poll.
    ///
    /// # Cancel safety
    ///
    /// What the request does is done at the first poll; a cancelled call is one whose answer was lost.
    pub async fn answer(&self, request: Request) -> Reply {
        let start = Instant::now();
        let mut reply = self.with(|cloud, now| cloud.call(&request, now));
        if reply.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(reply.delay_ms)).await;
        }
        let Some(timeout) = reply
            .wait
            .map(|wait| Duration::from_millis(wait.timeout_ms))
        else {
            return reply;
        };
        loop {
            let Some(wait) = reply.wait else {
                self.shared.changed.notify_waiters();
                return reply;
            };
            let deadline = start + timeout;
            if Instant::now() >= deadline {
                return reply;
            }
            let due = wait.next_due.map(|due| {
                Instant::now() + Duration::from_millis(due.saturating_sub(self.now()).max(1))
            });
            // Registered before looking, so that a message sent in between is not missed.
            let changed = self.shared.changed.notified();
            let again = {
                let now = self.now();
                self.lock().poll_again(&request, now)
            };
            if again.wait.is_some() {
                tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(due.map_or(deadline, |due| due.min(deadline))) => {}
                }
                let now = self.now();
                reply = self.lock().poll_again(&request, now);
            } else {
                reply = again;
            }
        }
    }

    /// Waits for the next message of a subscription.
    async fn next_push(&self, mut subscription: Subscription) -> (Push, Subscription) {
        loop {
            // Registered before looking, so that a record put in between is not missed.
            let changed = self.shared.changed.notified();
            let now = self.now();
            let push = self.lock().next_push(&mut subscription, now);
            let Push::NotBefore(due) = push else {
                return (push, subscription);
            };
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(Duration::from_millis(due.saturating_sub(now).max(1))) => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Cloud> {
        // The model keeps no invariant across calls that a panic of a test closure could break.
        self.shared
            .cloud
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpClient for LocalAws {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for LocalAws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let front = self.clone();
        HttpConnectorFuture::new(async move {
            let request = read(request).await?;
            let reply = front.answer(request).await;
            match reply.delivery {
                Delivery::Answered => write(reply, &front),
                Delivery::RequestLost | Delivery::AnswerLost => {
                    Err(ConnectorError::io("the connection was reset".into()))
                }
            }
        })
    }
}

async fn read(request: HttpRequest) -> Result<Request, ConnectorError> {
    let (method, uri) = (request.method().to_owned(), request.uri().to_owned());
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    // A streamed body shows no bytes before it is read: never take that for an empty one.
    let body = ByteStream::new(request.into_body())
        .collect()
        .await
        .map_err(|error| ConnectorError::user(error.into()))?
        .into_bytes();
    let rest = uri.split_once("://").map_or(uri.as_str(), |(_, rest)| rest);
    let (authority, target) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(Request {
        method,
        host: authority.split(':').next().unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body,
    })
}

fn write(reply: Reply, front: &LocalAws) -> Result<HttpResponse, ConnectorError> {
    let status = reply
        .status
        .try_into()
        .map_err(|error| ConnectorError::other(Box::new(error), None))?;
    let length = reply.body.len();
    // The length of an event stream is not known beforehand.
    let mut sized = reply.events.is_some();
    let body = match reply.events {
        None => SdkBody::from(reply.body),
        Some(subscription) => {
            let front = front.clone();
            SdkBody::from_body_1_x(event_body(subscription, move |subscription| {
                let front = front.clone();
                async move { front.next_push(subscription).await }
            }))
        }
    };
    let mut response = HttpResponse::new(status, body);
    let headers = response.headers_mut();
    for (name, value) in reply.headers {
        sized |= name == "content-length";
        headers
            .try_append(name, value)
            .map_err(|error| ConnectorError::other(Box::new(error), None))?;
    }
    if !sized {
        headers.insert("content-length", length.to_string());
    }
    Ok(response)
}
