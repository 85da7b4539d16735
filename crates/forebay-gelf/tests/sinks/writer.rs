//! The writer: lines, and a disk that is full for a while.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use forebay_gelf::WriterConfig;
use tokio::io::AsyncWrite;

use crate::support::{PATIENCE, batch, number_of, open, quick_sink, settled};

/// Takes a few bytes at a time and fails every fifth call.
#[derive(Clone, Default)]
struct Shaky {
    written: Arc<Mutex<Vec<u8>>>,
    calls: Arc<Mutex<u32>>,
}

impl AsyncWrite for Shaky {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut calls = self.calls.lock().unwrap();
        *calls += 1;
        if (*calls).is_multiple_of(5) {
            return Poll::Ready(Err(io::ErrorKind::StorageFull.into()));
        }
        let count = bytes.len().min(37);
        self.written
            .lock()
            .unwrap()
            .extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn lines_are_whole_whatever_the_writer_does() {
    let shaky = Shaky::default();
    let (sink, _driver) = open(WriterConfig::new("shaky", shaky.clone()), quick_sink());
    let first = sink.send(batch(0..3)).await.unwrap();
    let second = sink.send(batch(3..6)).await.unwrap();
    settled(first).await;
    settled(second).await;
    let report = sink.close(PATIENCE).await;
    assert_eq!((report.accepted, report.unsettled), (6, 0));
    let written = shaky.written.lock().unwrap().clone();
    let numbers: Vec<_> = written
        .split_inclusive(|byte| *byte == b'\n')
        .map(number_of)
        .collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
    assert!(written.ends_with(b"}\n"));
}
