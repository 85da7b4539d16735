use aws_sdk_kinesis::types::ChildShard as RawChild;
use forebay_lease::{ChildShard, HashRange, Shard, ShardId};

/// The children of an ended shard as its last answer names them; `None` if it leaves something out.
pub(crate) fn children_of_answer(children: &[RawChild]) -> Option<Vec<ChildShard>> {
    let children: Vec<ChildShard> = children.iter().map(child).collect::<Option<_>>()?;
    let complete = !children.is_empty() && children.iter().all(|child| !child.parents.is_empty());
    complete.then_some(children)
}

fn child(child: &RawChild) -> Option<ChildShard> {
    let range = child.hash_key_range.as_ref()?;
    Some(ChildShard {
        id: child.shard_id.parse().ok()?,
        parents: child
            .parent_shards
            .iter()
            .map(|parent| parent.parse().ok())
            .collect::<Option<_>>()?,
        hash_range: HashRange::parse(&range.starting_hash_key, &range.ending_hash_key).ok()?,
    })
}

/// What a listing says about a shard.
pub(crate) enum Lineage {
    /// The shard has ended, or the stream has forgotten it, children and all.
    Ended(Vec<ChildShard>),
    Open,
}

impl Lineage {
    pub(crate) fn of(shard: &ShardId, listing: &[Shard]) -> Self {
        let children: Vec<ChildShard> = listing
            .iter()
            .filter(|child| child.parents.contains(shard))
            .map(|child| ChildShard {
                id: child.id.clone(),
                parents: child.parents.clone(),
                hash_range: child.hash_range,
            })
            .collect();
        let open = listing
            .iter()
            .any(|listed| listed.id == *shard && listed.is_open);
        if children.is_empty() && open {
            Self::Open
        } else {
            Self::Ended(children)
        }
    }
}
