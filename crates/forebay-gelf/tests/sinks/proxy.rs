//! A proxy on the loopback interface that does to connections what networks do.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What happens to one connection. Bytes are counted from the sender to the receiver.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Passes everything.
    None,
    /// Resets after so many bytes.
    ResetAfter(usize),
    /// Closes in good order after so many bytes, whoever had more to say.
    CloseAfter(usize),
    /// Passes so many bytes per millisecond.
    Slow(usize),
    /// Takes everything and passes nothing; nothing is ever answered.
    Swallow,
    /// Takes and passes nothing more after so many bytes, but stays open: half-open.
    FreezeAfter(usize),
    /// Passes everything, but no answer comes back.
    Mute,
    /// Passes everything, to a receiver with a certificate of a stranger.
    Stranger,
    /// After so many bytes all connections end, and nobody listens for that long.
    Outage(usize, Duration),
}

/// Why a connection ended before its time.
enum Cut {
    Reset,
    Closed,
    Outage(Duration),
}

/// A proxy to `target`; its n-th connection suffers the n-th fault, later ones none.
pub(crate) async fn proxy(target: SocketAddr, faults: Vec<Fault>) -> SocketAddr {
    let mut listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    if faults.iter().any(|fault| matches!(fault, Fault::Slow(_))) {
        // A large buffer would be fast on behalf of the slow reader.
        let options = socket2::SockRef::from(&listener);
        options.set_recv_buffer_size(16 * 1024).unwrap();
    }
    let address = listener.local_addr().unwrap();
    let mut faults = faults.into_iter();
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let fault = faults.next().unwrap_or(Fault::None);
                    connections.spawn(connection(accepted.unwrap().0, target, fault));
                }
                Some(Ok(Some(outage))) = connections.join_next(), if !connections.is_empty() => {
                    drop(listener);
                    connections.shutdown().await;
                    tokio::time::sleep(outage).await;
                    listener = loop {
                        match TcpListener::bind(address).await {
                            Ok(listener) => break listener,
                            // Somebody else holds the port for a moment.
                            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                        }
                    };
                }
            }
        }
    });
    address
}

/// Passes one connection on; gives the length of the outage that it causes.
async fn connection(mut client: TcpStream, target: SocketAddr, fault: Fault) -> Option<Duration> {
    let mut server = TcpStream::connect(target).await.ok()?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let forward = forward(&mut from_client, &mut to_server, fault);
    let back = async {
        if matches!(fault, Fault::Mute | Fault::Swallow) {
            std::future::pending::<()>().await;
        }
        tokio::io::copy(&mut from_server, &mut to_client).await?;
        Ok(to_client.shutdown().await?)
    };
    match tokio::try_join!(forward, back) {
        Ok(_) | Err(Cut::Closed) => None,
        Err(Cut::Reset) => {
            reset(&client);
            None
        }
        Err(Cut::Outage(length)) => {
            reset(&client);
            Some(length)
        }
    }
}

async fn forward(from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>, fault: Fault) -> Result<(), Cut> {
    let mut buffer = vec![0; 16 * 1024];
    let mut passed = 0;
    loop {
        let room = match fault {
            Fault::ResetAfter(limit)
            | Fault::CloseAfter(limit)
            | Fault::FreezeAfter(limit)
            | Fault::Outage(limit, _) => (limit - passed).min(buffer.len()),
            Fault::Slow(bytes) => bytes,
            Fault::None | Fault::Swallow | Fault::Mute | Fault::Stranger => buffer.len(),
        };
        if room == 0 {
            return match fault {
                Fault::ResetAfter(_) => Err(Cut::Reset),
                Fault::Outage(_, length) => Err(Cut::Outage(length)),
                Fault::FreezeAfter(_) => std::future::pending().await,
                _ => Err(Cut::Closed),
            };
        }
        let count = from.read(&mut buffer[..room]).await?;
        match (count, fault) {
            (0, Fault::Swallow) => std::future::pending().await,
            (0, _) => return Ok(to.shutdown().await?),
            (_, Fault::Swallow) => {}
            _ => to.write_all(&buffer[..count]).await?,
        }
        passed += count;
        if matches!(fault, Fault::Slow(_)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Makes the close that follows a reset.
fn reset(stream: &TcpStream) {
    drop(socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)));
}

/// A connection that fails on its own is over for the other side too.
impl From<io::Error> for Cut {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}
