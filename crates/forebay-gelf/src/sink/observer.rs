//! What a sink tells about itself.

use std::time::Duration;

use crate::sink::acceptance::{Grade, RefusalReason};

/// Receives what happens inside a sink, for metrics. All methods do nothing by default; `()` observes nothing.
///
/// Methods are called from the driver and must not block.
pub trait Observer: Send + Sync + 'static {
    /// A connection to `address` is ready for data (TLS included). Not called for UDP and writers.
    fn connected(&self, address: &str) {
        let _ = address;
    }

    /// A connection ended or could not be made; `unproven` messages will be sent again.
    fn disconnected(&self, address: &str, reason: &str, unproven: usize) {
        let _ = (address, reason, unproven);
    }

    /// The sink waits before the next attempt.
    fn backing_off(&self, wait: Duration) {
        let _ = wait;
    }

    /// Messages and their bytes were handed to the kernel, repeats included.
    fn written(&self, messages: usize, bytes: usize) {
        let _ = (messages, bytes);
    }

    /// Messages are settled as accepted; `latency` counts from when `send` took their batch.
    fn accepted(&self, messages: usize, grade: Grade, latency: Duration) {
        let _ = (messages, grade, latency);
    }

    /// One message is settled as refused for good.
    fn refused(&self, reason: RefusalReason) {
        let _ = reason;
    }
}

impl Observer for () {}
