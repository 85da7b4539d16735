//! Objects without notices: prefixes are listed, and a position on disk remembers what was read.

use std::{future::Future, sync::Arc, time::Duration};

use forebay_cloudtrail::{KeyKind, ObjectKey};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    allow::Rule,
    config::{Config, OnObjectError},
    error::{ConfigError, Error, ErrorKind},
    message::now,
    observer::Observer,
    parts::Parts,
    positions::{Position, Positions},
    processor::{Processor, Rejected},
    source::{Listed, ObjectId, ObjectSource},
};

/// Reads the objects under prefixes of S3 buckets as they appear there, without notices.
///
/// Each entry of [`AllowList::buckets`](crate::AllowList::buckets) is listed every [`Polling::interval`], behind its position. The
/// position moves over a key when the object is settled, never before; a restart goes on there.
///
/// **Rule for prefixes:** keys under a prefix must be named so that later objects come later in alphabetical order, give or take
/// [`Polling::look_back`]. What AWS delivers under `AWSLogs/` keeps this rule within one account and region, so the prefix must
/// reach down to the region: `AWSLogs/111122223333/CloudTrail/eu-west-1/`. A shorter one is refused when its keys show that.
///
/// An object that appears below keys that are read already is found if it is written less than `look_back` after those.
#[derive(Debug)]
pub struct Poller<S, P> {
    parts: Parts<S, P>,
    positions: Positions,
    polling: Polling,
}

/// Settings of a [`Poller`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Polling {
    /// Time between two listings of a prefix. 1 minute unless set.
    pub interval: Duration,
    /// How much later than its neighbours an object may appear among them. 1 hour unless set. All keys written within this time
    /// are listed again each time, a thousand per call.
    pub look_back: Duration,
    /// Where a prefix without a position begins: objects written before this time, in milliseconds since 1970, are never read. All
    /// are read unless set.
    pub since: i64,
}

impl Default for Polling {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            look_back: Duration::from_secs(3_600),
            since: i64::MIN,
        }
    }
}

/// What a poller did, told when it ends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Polled {
    /// Objects that were settled.
    pub settled: u64,
    /// Attempts at objects that must be tried again.
    pub left: u64,
}

impl<S: ObjectSource, P: Processor> Poller<S, P> {
    /// A poller of the buckets and prefixes that `config` allows. Queue settings of `config` are not used.
    ///
    /// # Errors
    ///
    /// A setting is out of range, or no bucket is listed.
    pub fn new(
        positions: Positions,
        source: S,
        processor: P,
        (config, polling): (Config, Polling),
    ) -> Result<Self, ConfigError> {
        if config.allow.buckets.is_empty() {
            return Err(ConfigError::new("allow.buckets", "a list of what to poll"));
        }
        Ok(Self {
            parts: Parts::new(source, processor, config)?,
            positions,
            polling,
        })
    }

    /// Tells `observer` about the work.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.parts.observer = observer;
        self
    }

    /// Polls until `shutdown` completes, then lets running work end, for [`Config::stop_grace`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future at any point loses nothing: positions tell what was settled, the rest is read again.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Polled {
        let mut polled = Polled::default();
        let parts = Arc::new(self.parts);
        {
            let rounds = rounds(&parts, &self.positions, self.polling, &mut polled);
            let mut rounds = std::pin::pin!(rounds);
            tokio::select! {
                () = &mut rounds => {}
                () = shutdown => {
                    parts.stop();
                    if timeout(parts.config.stop_grace, &mut rounds).await.is_err() {
                        tracing::warn!("objects not finished in time are read again");
                    }
                }
            }
        }
        polled
    }
}

async fn rounds<S: ObjectSource, P: Processor>(
    parts: &Arc<Parts<S, P>>,
    positions: &Positions,
    polling: Polling,
    polled: &mut Polled,
) {
    let mut known: Vec<Option<Position>> = vec![None; parts.config.allow.buckets.len()];
    while !parts.is_stopping() {
        for (index, known) in known.iter_mut().enumerate() {
            let mut round = Round {
                parts,
                positions,
                polling,
                index,
                polled,
            };
            if let Err(error) = round.run(known).await {
                parts.observer.failed(&error.kind(), &error.to_string());
                tracing::warn!(error = %crate::object::chain(&error), "prefix not polled");
                // What was recorded is on disk; what was not is read again.
                *known = None;
                parts.ride_out().await;
            }
        }
        parts.sleep(polling.interval).await;
    }
}

/// One pass over one prefix.
struct Round<'a, S, P> {
    parts: &'a Arc<Parts<S, P>>,
    positions: &'a Positions,
    polling: Polling,
    /// Which entry of the allow-list.
    index: usize,
    polled: &'a mut Polled,
}

impl<S: ObjectSource, P: Processor> Round<'_, S, P> {
    async fn run(&mut self, known: &mut Option<Position>) -> Result<(), Error> {
        let parts = Arc::clone(self.parts);
        let Some(entry) = parts.config.allow.buckets.get(self.index) else {
            return Ok(());
        };
        let name = format!("{}/{}", entry.name, entry.prefix);
        let position = match known {
            Some(position) => position,
            None => known.insert(self.positions.load(&name, self.polling.since).await?),
        };
        let rule = parts.config.allow.rule(self.index, entry);
        let look_back = i64::try_from(self.polling.look_back.as_millis()).unwrap_or(i64::MAX);
        let mut after = position.after.clone();
        let (mut newest, mut open) = (position.since, None);
        while !parts.is_stopping() {
            let from = Some(after.as_str()).filter(|after| !after.is_empty());
            let listed = parts
                .source
                .list(&entry.name, &entry.prefix, from, rule.owner)
                .await?;
            let Some(last) = listed.last() else { break };
            grows_with_time(&entry.prefix, &last.key)?;
            after.clone_from(&last.key);
            newest = listed
                .iter()
                .fold(newest, |newest, object| newest.max(object.modified));
            let new: Vec<Listed> = listed
                .into_iter()
                .filter(|object| !position.settled.contains_key(&object.key))
                .collect();
            let settled = self.objects(&entry.name, rule, position.since, &new).await;
            let left = new
                .iter()
                .find(|object| !settled.iter().any(|(key, _)| *key == object.key));
            open = open.or_else(|| left.map(|object| object.key.clone()));
            position.settled.extend(settled.iter().cloned());
            let before = position.after.clone();
            position.advance(newest.saturating_sub(look_back), open.as_deref());
            if !settled.is_empty() || position.after != before {
                self.positions
                    .record(&name, position.since, settled, position.after.clone())
                    .await?;
            }
        }
        Ok(())
    }

    /// Reads objects, several at once; returns what is settled.
    async fn objects(
        &mut self,
        bucket: &str,
        rule: Rule<'_>,
        since: i64,
        new: &[Listed],
    ) -> Vec<(String, i64)> {
        let mut settled = Vec::new();
        let mut work: JoinSet<Option<(String, i64)>> = JoinSet::new();
        let mut waiting = new.iter();
        loop {
            while self.parts.places.free(work.len(), now()) > 0 && !self.parts.is_stopping() {
                let Some(listed) = waiting.next() else { break };
                if listed.modified < since || holds_no_records(listed) {
                    settled.push((listed.key.clone(), listed.modified));
                    continue;
                }
                let object = ObjectId {
                    etag: listed.etag.clone(),
                    ..ObjectId::new(bucket, listed.key.clone())
                };
                let (parts, modified) = (Arc::clone(self.parts), listed.modified);
                let (owner, content, index) =
                    (rule.owner.map(str::to_owned), rule.content, rule.index);
                work.spawn(async move {
                    let rule = Rule {
                        owner: owner.as_deref(),
                        content,
                        index,
                    };
                    settle(&parts, &object, rule)
                        .await
                        .then_some((object.key, modified))
                });
            }
            let done = tokio::select! {
                biased;
                done = work.join_next() => done,
                () = self.parts.places.freed() => continue,
            };
            match done {
                None => return settled,
                Some(Ok(Some(done))) => {
                    self.polled.settled += 1;
                    settled.push(done);
                }
                Some(Ok(None)) => self.polled.left += 1,
                Some(Err(error)) if error.is_panic() => {
                    std::panic::resume_unwind(error.into_panic())
                }
                Some(Err(_)) => {}
            }
        }
    }
}

/// Reads one object to its end; tells whether nothing more is to be done about it.
async fn settle<S: ObjectSource, P: Processor>(
    parts: &Parts<S, P>,
    object: &ObjectId,
    rule: Rule<'_>,
) -> bool {
    // An object that was listed and is not there was removed: there is no later receive to wait for.
    let poison = match parts.object(object, rule, u32::MAX).await {
        Ok(None) => return true,
        Ok(Some(poison)) => poison,
        Err(_) => return false,
    };
    match parts.config.on_object_error {
        OnObjectError::DeadLetter => {
            let rejected = Rejected::object(object, &poison.reason);
            parts.reject(rejected).await.is_ok()
        }
        OnObjectError::Leave => false,
        OnObjectError::Delete => {
            parts.observer.dropped(object, &poison.reason);
            true
        }
    }
}

fn holds_no_records(listed: &Listed) -> bool {
    listed.size == 0
        || ObjectKey::new(listed.key.as_str())
            .is_ok_and(|key| key.is_folder() || key.kind() == KeyKind::Digest)
}

/// Refuses a prefix that lies above the folders which AWS makes for accounts and regions: keys below it are not in the order of time.
fn grows_with_time(prefix: &str, key: &str) -> Result<(), Error> {
    let mut end = 0;
    for part in key.split('/') {
        let is_year = part.strip_prefix("year=").unwrap_or(part);
        if is_year.len() == 4 && is_year.bytes().all(|byte| byte.is_ascii_digit()) {
            if prefix.len() >= end || !key.contains("AWSLogs/") {
                return Ok(());
            }
            let needed = key.get(..end).unwrap_or_default();
            let context = format!(
                "prefix `{prefix}` covers several accounts or regions, whose keys are not in the order of time: list each down to its \
                 region, such as `{needed}`"
            );
            return Err(Error::new(ErrorKind::Refused, context));
        }
        end += part.len() + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_must_reach_down_to_the_region() {
        let key = "p/AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/25/x.json.gz";
        for (prefix, good) in [
            ("", false),
            ("p/AWSLogs/111122223333/CloudTrail/", false),
            ("p/AWSLogs/111122223333/CloudTrail/eu", false),
            ("p/AWSLogs/111122223333/CloudTrail/eu-west-1/", true),
            ("p/AWSLogs/111122223333/CloudTrail/eu-west-1/2026/", true),
        ] {
            assert_eq!(grows_with_time(prefix, key).is_ok(), good, "{prefix}");
        }
        let hive = "AWSLogs/aws-account-id=1/aws-service=vpcflowlogs/aws-region=eu-west-1/year=2026/month=11/x.log.gz";
        assert!(grows_with_time("AWSLogs/", hive).is_err());
        assert!(
            grows_with_time("", "app/2026/11/x.log").is_ok(),
            "no folder of AWS"
        );
    }
}
