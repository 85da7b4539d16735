//! The whole pipeline, from the stream to the receiver: what was fed is compared with what arrived, field by field.

mod demo;
mod samples;
