//! [`Inflater`]: gzip, zlib or plain bytes in, text out, under limits.

use crate::error::FileError;
use crate::layer::{Layer, check};
use crate::limits::Limits;

/// Finds out how bytes are compressed (gzip with any number of members, zlib, or not at all) and undoes it piece by piece.
///
/// A gzip file whose content is a gzip file again, as some shippers upload it, is undone too; what is in that is text. The
/// limits hold for both layers together.
///
/// [`FileDecoder`](crate::FileDecoder) is built on it; by itself it reads objects that hold other text than CloudTrail's.
/// Memory: 43 KiB once compressed bytes came, 90 KiB with two layers.
#[derive(Debug)]
pub struct Inflater {
    outer: Layer,
    inside: Inside,
    /// Bytes that came out.
    produced: u64,
}

/// What a call of [`Inflater::run`] did.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes of the input that were used.
    pub used: usize,
    /// Bytes of the output that were written.
    pub produced: usize,
}

/// What the first layer holds.
#[derive(Debug)]
enum Inside {
    /// Its first bytes, as long as they do not tell.
    Unknown {
        head: [u8; HEAD],
        length: usize,
    },
    Text,
    Nested(Box<Nested>),
}

/// A second layer.
#[derive(Debug)]
struct Nested {
    layer: Layer,
    /// What the first layer gave; the second one did not take it yet from `start` on.
    between: Vec<u8>,
    start: usize,
    /// The first layer is damaged behind that.
    failed: Option<FileError>,
}

impl Default for Inflater {
    fn default() -> Self {
        Self::new()
    }
}

impl Inflater {
    /// An inflater at the beginning of an object.
    #[must_use]
    pub fn new() -> Self {
        Self {
            outer: Layer::new(),
            inside: Inside::Unknown {
                head: [0; HEAD],
                length: 0,
            },
            produced: 0,
        }
    }

    /// Compressed bytes that were used so far.
    #[must_use]
    pub const fn used(&self) -> u64 {
        self.outer.used()
    }

    /// Bytes that came out so far.
    #[must_use]
    pub const fn produced(&self) -> u64 {
        self.produced
    }

    pub(crate) const fn members(&self) -> u32 {
        self.outer.members()
    }

    /// Goes on until the input is used up or the output is full. When the output was filled, more may come without more input.
    /// `output` needs room for four bytes on the first call.
    ///
    /// # Errors
    ///
    /// The compressed bytes are damaged, over a limit, or of a compression that is not read. What [`produced`](Self::produced) grew
    /// by is good all the same.
    pub fn run(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        limits: &Limits,
    ) -> Result<Progress, FileError> {
        let mut done = Progress::default();
        if let Inside::Unknown { .. } = self.inside {
            self.look_inside(input, output, limits, &mut done)?;
        }
        let (input, output) = (
            input.get(done.used..).unwrap_or_default(),
            output.get_mut(done.produced..).unwrap_or_default(),
        );
        let outcome = match &mut self.inside {
            Inside::Unknown { .. } => Ok(()),
            Inside::Text => {
                let before = self.outer.produced();
                let outcome = self.outer.run(input, output, limits);
                self.produced += self.outer.produced() - before;
                outcome.map(|step| done.add(step))
            }
            Inside::Nested(nested) => {
                let before = nested.layer.produced();
                let outcome = nested.run(&mut self.outer, input, output, limits);
                self.produced += nested.layer.produced() - before;
                outcome.map(|step| done.add(step))
            }
        };
        outcome.map(|()| done)
    }

    /// Says that no more bytes come. Returns what was held to tell the compression of an object of less than four bytes.
    pub fn end(&mut self) -> &[u8] {
        let Inside::Unknown { head, length } = &mut self.inside else {
            return &[];
        };
        let held = match std::mem::take(length) {
            0 => self.outer.end(),
            length => head.get(..length).unwrap_or_default(),
        };
        self.produced += held.len() as u64;
        held
    }

    /// Confirms the verified end: checksum and length of every gzip member are right.
    ///
    /// # Errors
    ///
    /// The compressed data ends early.
    pub fn finish(&self) -> Result<(), FileError> {
        self.outer.finish()?;
        match &self.inside {
            Inside::Nested(nested) => nested.layer.finish(),
            _ => Ok(()),
        }
    }

    /// The first bytes that come out tell whether there is a second layer.
    fn look_inside(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        limits: &Limits,
        done: &mut Progress,
    ) -> Result<(), FileError> {
        let Inside::Unknown { head, length } = &mut self.inside else {
            return Ok(());
        };
        let room = head.get_mut(*length..).unwrap_or_default();
        let step = self.outer.run(input, room, limits)?;
        done.used = step.used;
        *length += step.produced;
        let compressed = self.outer.is_compressed();
        if *length < HEAD && compressed != Some(false) {
            return Ok(());
        }
        let first = head.get(..*length).unwrap_or_default();
        self.inside = if compressed == Some(true) && first.starts_with(GZIP) {
            Inside::Nested(Box::new(Nested {
                layer: Layer::new(),
                between: first.to_vec(),
                start: 0,
                failed: None,
            }))
        } else {
            for (to, from) in output.iter_mut().zip(first) {
                *to = *from;
            }
            done.produced = first.len();
            self.produced = first.len() as u64;
            Inside::Text
        };
        Ok(())
    }
}

impl Nested {
    fn run(
        &mut self,
        outer: &mut Layer,
        input: &[u8],
        output: &mut [u8],
        limits: &Limits,
    ) -> Result<Progress, FileError> {
        let mut done = Progress::default();
        loop {
            let waiting = self.between.get(self.start..).unwrap_or_default();
            let room = output.get_mut(done.produced..).unwrap_or_default();
            let step = self.layer.run(waiting, room, limits)?;
            check(limits, outer.used(), self.layer.produced())?;
            self.start += step.used;
            done.produced += step.produced;
            if done.produced == output.len() {
                return Ok(done);
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            let before = outer.produced();
            self.between.resize(BETWEEN, 0);
            self.start = 0;
            let rest = input.get(done.used..).unwrap_or_default();
            match outer.run(rest, &mut self.between, limits) {
                Ok(step) => done.used += step.used,
                Err(error) => self.failed = Some(error),
            }
            // What came out before a failure is good.
            let came = usize::try_from(outer.produced() - before).unwrap_or(0);
            self.between.truncate(came);
            if came == 0 && self.failed.is_none() {
                return Ok(done);
            }
        }
    }
}

impl Progress {
    fn add(&mut self, step: Self) {
        self.used += step.used;
        self.produced += step.produced;
    }
}

/// Bytes by which a second layer is known.
const HEAD: usize = 4;

/// How a gzip file begins.
const GZIP: &[u8] = &[0x1f, 0x8b, 8];

/// Bytes between the layers.
const BETWEEN: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(text).unwrap();
        gzip.finish().unwrap()
    }

    /// What comes out, with the file fed in pieces.
    fn inflated(file: &[u8], piece: usize, room: usize) -> (Vec<u8>, Result<(), FileError>) {
        let (mut inflater, mut text) = (Inflater::new(), Vec::new());
        let mut output = vec![0; room];
        for mut rest in file.chunks(piece) {
            loop {
                let before = inflater.produced();
                let outcome = inflater.run(rest, &mut output, &Limits::default());
                let produced = (inflater.produced() - before) as usize;
                text.extend_from_slice(&output[..produced]);
                match outcome {
                    Ok(progress) => rest = &rest[progress.used..],
                    Err(error) => return (text, Err(error)),
                }
                if rest.is_empty() && produced < room {
                    break;
                }
            }
        }
        text.extend_from_slice(inflater.end());
        assert!(inflater.end().is_empty());
        assert_eq!(inflater.produced(), text.len() as u64);
        (text, inflater.finish())
    }

    #[test]
    fn two_layers_are_undone_however_the_file_is_cut() {
        for text in ["", "1", "1\n2\n", &"a line of text\n".repeat(20_000)] {
            let once = gzip(text.as_bytes());
            for file in [text.as_bytes().to_vec(), once.clone(), gzip(&once)] {
                for (piece, room) in [(1, 4), (7, 5), (4_096, 100_000)] {
                    let (found, outcome) = inflated(&file, piece, room);
                    assert!(found == text.as_bytes() && outcome.is_ok(), "{outcome:?}");
                }
            }
        }
    }

    #[test]
    fn what_came_out_before_a_damage_of_either_layer_is_good() {
        let (inner, text) = (gzip(b"1\n2\n3\n"), b"1\n2\n3\n");
        let mut outer = gzip(&inner);
        let checksum = outer.len() - 8;
        outer[checksum] ^= 1;
        let cut = gzip(&inner[..inner.len() - 3]);
        for file in [outer, cut] {
            let (found, outcome) = inflated(&file, 5, 100);
            assert!(found == text && outcome.is_err(), "{outcome:?}");
        }
    }

    #[test]
    fn the_ratio_is_that_of_both_layers_together() {
        let mut block = Vec::new();
        for number in 0_u32..1_024 {
            block.extend_from_slice(&number.wrapping_mul(2_654_435_761).to_le_bytes());
            block.resize(block.len() + 1_020, b' ');
        }
        let once = gzip(&block).repeat(16);
        let (found, outcome) = inflated(&once, 4_096, 32 << 10);
        assert!(outcome.is_ok() && found.len() == 16 * block.len());
        let (_, outcome) = inflated(&gzip(&once), 4_096, 32 << 10);
        let what = "inflate_ratio";
        assert!(matches!(outcome, Err(FileError::Limit { what: found, .. }) if found == what));
    }
}
