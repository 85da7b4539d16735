//! The admin port: health, metrics, status, and the few things that can be changed while running.
//!
//! Nothing listens unless `[admin] listen` says so. Everything that changes something needs the token, or without one a
//! caller on this machine that is no web page.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, RwLock},
    time::Duration,
};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ORIGIN},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use crate::{metrics, run::SetLog, stats::Stats};

/// What the admin port shows and may do.
#[derive(Clone)]
pub struct Admin {
    /// The pipeline that runs now; a reload puts another one here.
    pub stats: Arc<RwLock<Option<Arc<Stats>>>>,
    /// Sets the log filter.
    pub set_log: Arc<SetLog>,
    /// Asks for a reload of the configuration.
    pub reload: mpsc::Sender<()>,
    /// What changes must carry.
    pub token: Option<Arc<str>>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Admin").finish_non_exhaustive()
    }
}

/// Binds the port.
///
/// # Errors
///
/// The port is taken or not allowed: the process must not start without what watches it.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("`listen` of [admin]: {address} cannot be bound"))
}

/// Answers for ever.
///
/// # Cancel safety
///
/// Dropping the future closes the port and every connection.
pub async fn serve(listener: TcpListener, admin: Admin) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let Ok((socket, peer)) = accepted else {
            // Out of file descriptors, most likely: wait for some to come back.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        let admin = admin.clone();
        connections.spawn(async move {
            let service = service_fn(|request| {
                let admin = admin.clone();
                async move { Ok::<_, Infallible>(admin.answer(request, peer).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIME)
                .max_buf_size(HEADER_BYTES)
                .serve_connection(TokioIo::new(socket), service);
            // A connection that breaks or dawdles concerns its client only.
            let _ = tokio::time::timeout(CONNECTION_TIME, connection).await;
            drop(place);
        });
    }
}

type Answer = Response<Full<Bytes>>;

impl Admin {
    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Answer {
        match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, path) => self.show(path),
            (&Method::PUT, "/log-level") | (&Method::POST, "/reload")
                if !self.may_change(&request, peer) =>
            {
                text(
                    StatusCode::FORBIDDEN,
                    match self.token {
                        Some(_) => "send `Authorization: Bearer TOKEN` with the token of [admin]\n",
                        None => {
                            "only callers on this machine may do this, unless [admin] has a token\n"
                        }
                    },
                )
            }
            (&Method::PUT, "/log-level") => self.log_level(request).await,
            (&Method::POST, "/reload") => {
                // A reload that is asked for already is enough.
                let _ = self.reload.try_send(());
                text(
                    StatusCode::ACCEPTED,
                    "reload asked for; the log tells how it ends\n",
                )
            }
            (_, "/log-level" | "/reload") => text(
                StatusCode::METHOD_NOT_ALLOWED,
                "PUT /log-level, POST /reload\n",
            ),
            _ => text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n"),
        }
    }

    fn show(&self, path: &str) -> Answer {
        if path == "/" {
            let mut page = typed(StatusCode::OK, "text/html; charset=utf-8", PAGE);
            let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";
            page.headers_mut().insert(
                CONTENT_SECURITY_POLICY,
                hyper::header::HeaderValue::from_static(policy),
            );
            return page;
        }
        let stats = self
            .stats
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone();
        let Some(stats) = stats else {
            return match path {
                "/livez" => text(StatusCode::OK, "live\n"),
                "/readyz" | "/metrics" | "/status.json" => {
                    text(StatusCode::SERVICE_UNAVAILABLE, "starting\n")
                }
                _ => nowhere(),
            };
        };
        match path {
            "/livez" if stats.is_live() => text(StatusCode::OK, "live\n"),
            "/livez" => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "the event loop stands still\n",
            ),
            "/readyz" => {
                let snapshot = stats.snapshot();
                if snapshot.ready {
                    text(StatusCode::OK, "ready\n")
                } else {
                    text(
                        StatusCode::SERVICE_UNAVAILABLE,
                        snapshot.reasons.join("\n") + "\n",
                    )
                }
            }
            "/metrics" => match metrics::text(&stats) {
                Ok(metrics) => typed(StatusCode::OK, metrics::CONTENT_TYPE, metrics),
                Err(_) => text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "metrics cannot be encoded\n",
                ),
            },
            "/status.json" => match serde_json::to_vec(&stats.snapshot()) {
                Ok(status) => typed(StatusCode::OK, "application/json", status),
                Err(_) => text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the status cannot be encoded\n",
                ),
            },
            _ => nowhere(),
        }
    }

    fn may_change(&self, request: &Request<Incoming>, peer: SocketAddr) -> bool {
        match &self.token {
            Some(token) => {
                let given = request.headers().get(AUTHORIZATION);
                let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
                given.is_some_and(|given| same(given, token.as_bytes()))
            }
            // A web page in a browser on this machine can reach the port too; it cannot hide that it is one.
            None => peer.ip().is_loopback() && !request.headers().contains_key(ORIGIN),
        }
    }

    async fn log_level(&self, request: Request<Incoming>) -> Answer {
        let body = Limited::new(request.into_body(), BODY_BYTES).collect();
        let body = match tokio::time::timeout(HEADER_TIME, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => return text(StatusCode::PAYLOAD_TOO_LARGE, "a filter is shorter\n"),
            Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the filter did not come\n"),
        };
        let filter = String::from_utf8_lossy(&body);
        match (self.set_log)(filter.trim()) {
            Ok(()) => {
                tracing::info!(filter = filter.trim(), "log filter changed");
                text(StatusCode::OK, "changed\n")
            }
            Err(error) => text(StatusCode::BAD_REQUEST, error + "\n"),
        }
    }
}

/// Compares in a time that tells nothing about where two secrets differ.
fn same(given: &[u8], token: &[u8]) -> bool {
    given.len() == token.len()
        && given
            .iter()
            .zip(token)
            .fold(0, |differ, (a, b)| differ | (a ^ b))
            == 0
}

fn nowhere() -> Answer {
    text(
        StatusCode::NOT_FOUND,
        "/ /livez /readyz /metrics /status.json, PUT /log-level, POST /reload\n",
    )
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    typed(status, "text/plain; charset=utf-8", body)
}

fn typed(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    headers.insert(
        CACHE_CONTROL,
        hyper::header::HeaderValue::from_static("no-store"),
    );
    answer
}

/// The status page: one file, nothing from outside.
const PAGE: &str = include_str!("admin/page.html");

/// Connections at a time; more are closed at once.
const CONNECTIONS: usize = 64;
/// Longest head of a request. hyper takes no smaller buffer.
const HEADER_BYTES: usize = 8 << 10;
const HEADER_TIME: Duration = Duration::from_secs(5);
const CONNECTION_TIME: Duration = Duration::from_secs(60);
/// Longest body of a request.
const BODY_BYTES: usize = 4 << 10;
