/// What the modelled account looks like and how long its resources take.
///
/// The default is faithful: limits hold and creation takes a moment. [`Settings::instant`] makes every
/// resource ready at once, which suits demos.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Settings {
    /// The twelve-digit account of callers whose access key names no other.
    pub account: String,
    /// The region written into ARNs, and the region of `Cloud::ec2` and `Cloud::elb`.
    pub region: String,
    /// Calls kept in the call log; older ones are only counted.
    pub call_log_capacity: usize,
    /// Kinesis timings and limits.
    pub kinesis: KinesisSettings,
    /// DynamoDB timings.
    pub dynamodb: DynamoDbSettings,
    /// SQS oddities.
    pub sqs: SqsSettings,
}

impl Settings {
    /// Everything is ready at once; limits still hold.
    pub fn instant() -> Self {
        let mut settings = Self::default();
        settings.kinesis.create_ms = 0;
        settings.kinesis.reshard_ms = 0;
        settings.kinesis.delete_ms = 0;
        settings.kinesis.consumer_ms = 0;
        settings.dynamodb.create_ms = 0;
        settings.dynamodb.index_ms = 0;
        settings.dynamodb.delete_ms = 0;
        settings
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            call_log_capacity: 100_000,
            kinesis: KinesisSettings::default(),
            dynamodb: DynamoDbSettings::default(),
            sqs: SqsSettings::default(),
        }
    }
}

/// Timings and limits of Kinesis.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct KinesisSettings {
    /// Milliseconds in CREATING.
    pub create_ms: u64,
    /// Milliseconds in UPDATING after a split, a merge or a change of the shard count.
    pub reshard_ms: u64,
    /// Milliseconds in DELETING.
    pub delete_ms: u64,
    /// Milliseconds that a new consumer is CREATING.
    pub consumer_ms: u64,
    /// Whether the per-shard rates hold (5 reads and 2 MiB read, 1,000 records and 1 MiB written per second).
    pub enforce_rates: bool,
    /// Largest record, data and partition key together, in bytes.
    pub max_record_bytes: usize,
    /// Hours a record is kept in a new stream.
    pub retention_hours: u64,
    /// Open shards the account may have.
    pub shard_limit: usize,
}

impl Default for KinesisSettings {
    fn default() -> Self {
        Self {
            create_ms: 500,
            reshard_ms: 500,
            delete_ms: 500,
            consumer_ms: 500,
            enforce_rates: true,
            max_record_bytes: 1 << 20,
            retention_hours: 24,
            shard_limit: 500,
        }
    }
}

/// Timings of DynamoDB.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct DynamoDbSettings {
    /// Milliseconds a new table is CREATING.
    pub create_ms: u64,
    /// Milliseconds a new index of an existing table is CREATING.
    pub index_ms: u64,
    /// Milliseconds a table is DELETING.
    pub delete_ms: u64,
    /// How old the state may be that a stale read shows, in milliseconds. The fault `StaleRead` uses it.
    pub stale_ms: u64,
}

impl Default for DynamoDbSettings {
    fn default() -> Self {
        Self {
            create_ms: 500,
            index_ms: 500,
            delete_ms: 500,
            stale_ms: 1_000,
        }
    }
}

/// Oddities of SQS.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct SqsSettings {
    /// Chance, in a million, that a receive also leaves the message visible: a duplicate delivery.
    pub duplicate_per_million: u32,
}
