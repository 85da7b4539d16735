//! One connection: bytes out, nothing in but its end.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::sink::inlet::Parcel;

/// Bytes in both directions.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A TCP connection, bare or under TLS.
pub(crate) enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Stream {
    fn duplex(&mut self) -> &mut dyn Duplex {
        match self {
            Self::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream,
        }
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Reads to the peer's FIN.
    async fn read_to_end(&mut self) -> io::Result<()> {
        let mut sink = [0; 1024];
        #[cfg(feature = "tls")]
        if let Self::Tls(stream) = self {
            // A close without close_notify is common and proves as much: the FIN behind it is what counts.
            loop {
                match stream.read(&mut sink).await {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                    Err(error) => return Err(error),
                }
            }
        }
        let socket = match self {
            Self::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_mut().0,
        };
        while socket.read(&mut sink).await? > 0 {}
        Ok(())
    }
}

/// A batch that is written and not proven.
pub(crate) struct Sent {
    pub(crate) parcel: Parcel,
    /// Bytes of the connection up to the end of the batch.
    pub(crate) end: u64,
    pub(crate) at: Instant,
}

/// What one step brought.
pub(crate) enum Progress {
    /// So many bytes were taken.
    Wrote(usize),
    /// Everything written has left this process.
    Flushed,
    /// The connection is over.
    Lost(Box<str>),
}

/// A connection and what was written on it.
pub(crate) struct Line {
    pub(crate) stream: Stream,
    /// Index of the receiver in the settings.
    pub(crate) receiver: usize,
    pub(crate) opened: Instant,
    /// How long the TCP handshake took.
    pub(crate) round_trip: Duration,
    /// Further bytes that prove a message: more than all buffers on the way hold.
    pub(crate) overrun: u64,
    pub(crate) written: u64,
    /// When the connection last took bytes.
    pub(crate) moved: Instant,
    pub(crate) unflushed: bool,
    pub(crate) sent: VecDeque<Sent>,
    /// Bytes of all batches in `sent`.
    pub(crate) unproven: usize,
    /// Bytes of the front waiting batch that are written.
    pub(crate) head: usize,
    /// Serial of the newest batch that was begun here.
    pub(crate) newest: u64,
    /// An older batch has to be sent again. It must not follow newer ones here: a fresh connection keeps the order.
    pub(crate) stale: bool,
}

impl Line {
    /// Writes some of `waiting`, the front batch from `head` on; only that one if `last` is set. Waits for room.
    ///
    /// Reads all the time: a FIN or RST of the receiver must not wait until there is something to send.
    ///
    /// Cancel safe.
    pub(crate) async fn step(&mut self, waiting: &VecDeque<Parcel>, last: bool) -> Progress {
        std::future::poll_fn(|context| self.poll_step(context, waiting, last)).await
    }

    fn poll_step(
        &mut self,
        context: &mut Context<'_>,
        waiting: &VecDeque<Parcel>,
        last: bool,
    ) -> Poll<Progress> {
        let mut answer = [0; 512];
        let mut stream = Pin::new(self.stream.duplex());
        loop {
            let mut buffer = ReadBuf::new(&mut answer);
            match stream.as_mut().poll_read(context, &mut buffer) {
                Poll::Pending => break,
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    return Poll::Ready(Progress::Lost("closed by the receiver".into()));
                }
                // A GELF receiver says nothing over TCP. Whatever this is, it proves nothing.
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Progress::Lost(error.to_string().into()));
                }
            }
        }
        let limit = if last {
            usize::from(self.head > 0)
        } else {
            SLICES
        };
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for (slice, parcel) in slices.iter_mut().zip(waiting.iter().take(limit)) {
            let start = if count == 0 { self.head } else { 0 };
            *slice = IoSlice::new(parcel.batch.stream_bytes().get(start..).unwrap_or_default());
            count += 1;
        }
        if count > 0 {
            match stream
                .as_mut()
                .poll_write_vectored(context, &slices[..count])
            {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Progress::Lost("the connection takes no bytes".into()));
                }
                Poll::Ready(Ok(bytes)) => {
                    self.unflushed = true;
                    return Poll::Ready(Progress::Wrote(bytes));
                }
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Progress::Lost(error.to_string().into()));
                }
                Poll::Pending => {}
            }
        }
        if self.unflushed {
            return match ready!(stream.as_mut().poll_flush(context)) {
                Ok(()) => {
                    self.unflushed = false;
                    Poll::Ready(Progress::Flushed)
                }
                Err(error) => Poll::Ready(Progress::Lost(error.to_string().into())),
            };
        }
        Poll::Pending
    }
}

/// Closes our direction and waits for the receiver to close its own: it has then read everything.
pub(crate) async fn prove_by_close(
    mut stream: Stream,
    wait: Duration,
    round_trip: Duration,
) -> io::Result<()> {
    let proof = async {
        // close_notify under TLS, then FIN.
        stream.duplex().shutdown().await?;
        stream.read_to_end().await?;
        // The receiver may have closed on its own before our last bytes came in. Then its FIN answers nothing, and
        // an RST follows it within a round trip.
        tokio::time::sleep((round_trip * 2).clamp(SHORTEST_DOUBT, LONGEST_DOUBT)).await;
        stream.socket().take_error()
    };
    match tokio::time::timeout(wait, proof).await {
        Ok(Ok(None)) => Ok(()),
        Ok(Ok(Some(error)) | Err(error)) => Err(error),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the receiver did not answer the close in time",
        )),
    }
}

/// Most batches in one system call.
const SLICES: usize = 16;
const SHORTEST_DOUBT: Duration = Duration::from_millis(20);
const LONGEST_DOUBT: Duration = Duration::from_secs(5);
