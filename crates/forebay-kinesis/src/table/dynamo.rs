use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder as Overrides;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ProvisionedThroughput, ScalarAttributeType, TableStatus,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use forebay_lease::{ClientVersion, Lease, LeaseCounter, LeaseKey, Update};
use tokio::time::Instant;

use crate::call::{Call, attempt};
use crate::error::{Error, ErrorKind};
use crate::identity::Identity;
use crate::table::expression::{self, Expression};
use crate::table::lease_row::{self, CLIENT_VERSION_KEY, KEY};
use crate::table::row::Row;
use crate::table::{LeaseTable, Scan, Written};

/// How a lease table that does not exist yet is paid for.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Billing {
    /// By request, as KCL creates its tables since 2.4.
    #[default]
    OnDemand,
    /// With this much capacity for reads and writes, as older KCL versions did (10 and 10).
    Provisioned {
        /// Read capacity units, at least 1.
        reads: u32,
        /// Write capacity units, at least 1.
        writes: u32,
    },
}

/// Leases in a DynamoDB table, in the rows of the Java KCL.
///
/// Every call is one attempt without SDK retries: the answer to a repeated conditional write cannot be told from a lost
/// race. Reads of one lease are consistent. Writes name the attributes they change, so whatever else is in a row stays.
#[derive(Clone, Debug)]
pub struct DynamoLeaseTable {
    client: Client,
    table: String,
    billing: Billing,
    identity: Identity,
}

impl DynamoLeaseTable {
    /// A table that is created on first use, billed on demand, unless it exists.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
            billing: Billing::default(),
            identity: Identity::default(),
        }
    }

    /// Chooses how a table that has to be created is paid for; an existing table stays as it is.
    #[must_use]
    pub fn with_billing(mut self, billing: Billing) -> Self {
        self.billing = billing;
        self
    }

    async fn status(&self) -> Result<Option<TableStatus>, Error> {
        let request = self.client.describe_table().table_name(&self.table);
        let send = request.customize().config_override(self.once()).send();
        let described = self.attempt(Call::DescribeTable, &self.table, send).await;
        match described {
            Ok(answer) => Ok(answer.table.and_then(|table| table.table_status)),
            Err(error) if error.kind() == ErrorKind::Gone => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn create_table(&self) -> Result<(), Error> {
        let built = |error| {
            Error::new(
                ErrorKind::Config,
                self.table.as_str(),
                "the table description",
            )
            .with_source(error)
        };
        let request = self
            .client
            .create_table()
            .table_name(&self.table)
            .attribute_definitions(
                AttributeDefinition::builder()
                    .attribute_name(KEY)
                    .attribute_type(ScalarAttributeType::S)
                    .build()
                    .map_err(built)?,
            )
            .key_schema(
                KeySchemaElement::builder()
                    .attribute_name(KEY)
                    .key_type(KeyType::Hash)
                    .build()
                    .map_err(built)?,
            );
        let request = match self.billing {
            Billing::OnDemand => request.billing_mode(BillingMode::PayPerRequest),
            Billing::Provisioned { reads, writes } => request
                .billing_mode(BillingMode::Provisioned)
                .provisioned_throughput(
                    ProvisionedThroughput::builder()
                        .read_capacity_units(i64::from(reads.max(1)))
                        .write_capacity_units(i64::from(writes.max(1)))
                        .build()
                        .map_err(built)?,
                ),
        };
        let send = request.customize().config_override(self.once()).send();
        let created = self.attempt(Call::CreateTable, &self.table, send).await;
        match created {
            Ok(_) => Ok(()),
            // A peer was faster.
            Err(error) if error.kind() == ErrorKind::Busy => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn scan_page(
        &self,
        start: Option<Item>,
        limit: Option<i32>,
    ) -> Result<(Vec<Item>, Option<Item>), Error> {
        let request = self
            .client
            .scan()
            .table_name(&self.table)
            .set_exclusive_start_key(start)
            .set_limit(limit);
        let send = request.customize().config_override(self.once()).send();
        let page = self.attempt(Call::Scan, &self.table, send).await?;
        Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
    }

    async fn get(&self, table: &str, name: &str, key: &str) -> Result<Option<Row>, Error> {
        let request = self
            .client
            .get_item()
            .table_name(table)
            .key(name, AttributeValue::S(key.to_owned()))
            .consistent_read(true);
        let send = request.customize().config_override(self.once()).send();
        let answer = self.attempt(Call::GetItem, table, send).await?;
        Ok(answer.item.map(expression::row))
    }

    async fn attempt<O, E>(
        &self,
        call: Call,
        table: &str,
        send: impl Future<Output = Result<O, SdkError<E, HttpResponse>>>,
    ) -> Result<O, Error>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let result = attempt(call, table, send).await;
        self.identity.watch(&result);
        result
    }

    fn once(&self) -> Overrides {
        let mut overrides = Overrides::new().retry_config(RetryConfig::disabled());
        if let Some(cache) = self.identity.cache() {
            overrides.set_identity_cache(cache);
        }
        overrides
    }

    /// Waits until the table can be used, creating it if need be.
    async fn make_ready(&self) -> Result<Vec<Error>, Error> {
        let deadline = Instant::now() + CREATION_LIMIT;
        let mut degraded = Vec::new();
        let mut created = false;
        loop {
            match self.status().await {
                Ok(Some(TableStatus::Active | TableStatus::Updating)) => return Ok(degraded),
                Ok(None) if !created => {
                    self.create_table().await?;
                    created = true;
                    continue;
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Denied => {
                    // The table may well be there. A scan, which everyone needs, tells.
                    if degraded.is_empty() {
                        degraded.push(error);
                    }
                    match self.scan_page(None, Some(1)).await {
                        Ok(_) => return Ok(degraded),
                        Err(error) if error.kind() == ErrorKind::Gone => {
                            if !created {
                                self.create_table().await?;
                                created = true;
                            }
                        }
                        Err(error) if error.is_retryable() => {}
                        Err(error) => return Err(error),
                    }
                }
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(error),
            }
            if Instant::now() >= deadline {
                return Err(Error::new(
                    ErrorKind::Busy,
                    self.table.as_str(),
                    "the lease table did not become ACTIVE within 10 min",
                ));
            }
            tokio::time::sleep(CREATION_POLL).await;
        }
    }
}

impl LeaseTable for DynamoLeaseTable {
    async fn open(&self) -> Result<Vec<Error>, Error> {
        self.make_ready().await
    }

    async fn scan(&self) -> Result<Scan, Error> {
        let mut scan = Scan::default();
        let (mut start, mut rows) = (None, 0);
        for _ in 0..PAGES {
            let (items, next) = self.scan_page(start, None).await?;
            rows += items.len();
            for item in items {
                match lease_row::lease(&expression::row(item), &self.table) {
                    Ok(Some(lease)) => scan.leases.push(lease),
                    Ok(None) => {}
                    Err(error) => scan.skipped.push(error),
                }
            }
            if rows > ROWS {
                break;
            }
            match next {
                None => return Ok(scan),
                Some(next) => start = Some(next),
            }
        }
        Err(
            Error::of_call(ErrorKind::Corrupt, Call::Scan, self.table.as_str()).with_detail(
                "the table holds more than 100,000 rows or 1,000 pages; is it a lease table?",
            ),
        )
    }

    async fn read(&self, key: &LeaseKey) -> Result<Option<Lease>, Error> {
        match self.get(&self.table, KEY, key.as_str()).await? {
            Some(row) => lease_row::lease(&row, &self.table),
            None => Ok(None),
        }
    }

    async fn create(&self, lease: &Lease) -> Result<Written, Error> {
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(expression::item(&lease_row::row(lease))))
            .condition_expression("attribute_not_exists(#key)")
            .expression_attribute_names("#key", KEY);
        let send = request.customize().config_override(self.once()).send();
        Written::of(self.attempt(Call::PutItem, &self.table, send).await)
    }

    async fn update(&self, update: &Update) -> Result<Written, Error> {
        let expression = Expression::of(update);
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(KEY, AttributeValue::S(update.key.to_string()))
            .condition_expression(expression.condition())
            .set_update_expression(expression.update())
            .set_expression_attribute_names(Some(expression.names()))
            .set_expression_attribute_values(expression.values());
        let send = request.customize().config_override(self.once()).send();
        Written::of(self.attempt(Call::UpdateItem, &self.table, send).await)
    }

    async fn delete(&self, key: &LeaseKey, counter: LeaseCounter) -> Result<Written, Error> {
        let expression = Expression::at(counter);
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key(KEY, AttributeValue::S(key.to_string()))
            .condition_expression(expression.condition())
            .set_expression_attribute_names(Some(expression.names()))
            .set_expression_attribute_values(expression.values());
        let send = request.customize().config_override(self.once()).send();
        Written::of(self.attempt(Call::DeleteItem, &self.table, send).await)
    }

    /// KCL 3.0 to 3.4 keep the item in a table of its own, 3.5 in the lease table.
    async fn client_version(&self) -> Result<ClientVersion, Error> {
        let own_table = format!("{}-CoordinatorState", self.table);
        let mut item = match self.get(&own_table, "key", CLIENT_VERSION_KEY).await {
            Ok(item) => item,
            Err(error) if error.kind() == ErrorKind::Gone => None,
            // Policies written for KCL 2.x name the lease table only. A fleet that runs 3.0 to 3.4 has rights on both.
            Err(error) if error.kind() == ErrorKind::Denied => {
                tracing::debug!(%error, "the coordinator table of KCL 3.x cannot be read");
                None
            }
            Err(error) => return Err(error),
        };
        if item.is_none() {
            item = self.get(&self.table, KEY, CLIENT_VERSION_KEY).await?;
        }
        let text = item.as_ref().and_then(lease_row::client_version);
        Ok(text.map_or(ClientVersion::Absent, ClientVersion::parse))
    }
}

type Item = HashMap<String, AttributeValue>;

const CREATION_POLL: Duration = Duration::from_millis(500);
const CREATION_LIMIT: Duration = Duration::from_secs(600);
const PAGES: usize = 1_000;
const ROWS: usize = 100_000;
