//! Objects in memory, for tests of code that embeds a reader.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;

use super::{Listed, ObjectBody, ObjectId, ObjectSource};
use crate::error::{Error, ErrorKind};

/// Objects in memory.
#[derive(Debug, Default)]
pub struct MemorySource {
    objects: Mutex<BTreeMap<(String, String), Bytes>>,
}

impl MemorySource {
    /// A source without objects.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces an object.
    pub fn put(&self, bucket: &str, key: &str, content: impl Into<Bytes>) {
        self.objects
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((bucket.to_owned(), key.to_owned()), content.into());
    }
}

impl ObjectSource for MemorySource {
    type Body = MemoryBody;

    async fn open(&self, object: &ObjectId, _owner: Option<&str>) -> Result<MemoryBody, Error> {
        let objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let content = objects
            .get(&(object.bucket.clone(), object.key.clone()))
            .ok_or_else(|| Error::new(ErrorKind::MissingObject, object.to_string()))?;
        Ok(MemoryBody::new(content.clone()))
    }

    async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        _owner: Option<&str>,
    ) -> Result<Vec<Listed>, Error> {
        let objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = objects
            .iter()
            .filter(|((of, key), _)| of == bucket && key.starts_with(prefix))
            .filter(|((_, key), _)| after.is_none_or(|after| key.as_str() > after))
            .map(|((_, key), content)| Listed::new(key, content.len() as u64, 0));
        Ok(listed.take(1_000).collect())
    }
}

/// A download from memory, in pieces of 64 KiB.
#[derive(Debug)]
pub struct MemoryBody {
    pieces: VecDeque<Bytes>,
}

impl MemoryBody {
    pub(crate) fn new(content: Bytes) -> Self {
        let pieces = (0..content.len())
            .step_by(PIECE)
            .map(|at| content.slice(at..content.len().min(at + PIECE)));
        Self {
            pieces: pieces.collect(),
        }
    }
}

impl ObjectBody for MemoryBody {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        Ok(self.pieces.pop_front())
    }
}

const PIECE: usize = 64 << 10;
