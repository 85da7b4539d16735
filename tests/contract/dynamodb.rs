use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeAction, AttributeDefinition, AttributeValue, AttributeValueUpdate, BillingMode,
    ComparisonOperator, CreateGlobalSecondaryIndexAction, ExpectedAttributeValue,
    GlobalSecondaryIndex, GlobalSecondaryIndexUpdate, IndexStatus, KeySchemaElement, KeyType,
    Projection, ProjectionType, ProvisionedThroughput, ReturnValue,
    ReturnValuesOnConditionCheckFailure, ScalarAttributeType, TableStatus,
};

use crate::endpoint::{CaseResult, Check, Endpoint, case, ensure, refused};

/// Conditional writes, updates, scans and queries as lease tables need them.
pub async fn dynamodb_suite(endpoint: &Endpoint) -> Vec<CaseResult> {
    let client = Client::new(endpoint.config());
    let mut results = vec![case("dynamodb/a-new-table-becomes-active", new_table(&client)).await];
    results.extend([
        case(
            "dynamodb/a-second-table-of-that-name-is-refused",
            second_table(&client),
        )
        .await,
        case("dynamodb/all-types-come-back-unchanged", all_types(&client)).await,
        case("dynamodb/put-only-if-absent", put_if_absent(&client)).await,
        case(
            "dynamodb/a-failed-condition-shows-the-item",
            failed_condition(&client),
        )
        .await,
        case("dynamodb/condition-language", condition_language(&client)).await,
        case("dynamodb/update-language", update_language(&client)).await,
        case("dynamodb/numbers-are-exact", exact_numbers(&client)).await,
        case(
            "dynamodb/unused-values-and-reserved-words-are-refused",
            strict_expressions(&client),
        )
        .await,
        case("dynamodb/legacy-expected-and-updates", legacy(&client)).await,
        case(
            "dynamodb/legacy-expected-guards-a-delete",
            legacy_delete(&client),
        )
        .await,
        case("dynamodb/scan-pages-filters-and-segments", scan(&client)).await,
        case(
            "dynamodb/a-sparse-index-answers-queries",
            index_query(&client),
        )
        .await,
        case(
            "dynamodb/an-index-is-added-to-a-table-later",
            later_index(&client),
        )
        .await,
        case("dynamodb/one-of-sixteen-writers-wins", races(&client)).await,
        case(
            "dynamodb/items-above-400-kib-are-refused",
            large_item(&client),
        )
        .await,
    ]);
    results
}

async fn new_table(client: &Client) -> Check {
    client
        .create_table()
        .table_name(TABLE)
        .attribute_definitions(definition("leaseKey")?)
        .attribute_definitions(definition("leaseOwner")?)
        .key_schema(key_element("leaseKey", KeyType::Hash)?)
        .global_secondary_indexes(
            GlobalSecondaryIndex::builder()
                .index_name(INDEX)
                .key_schema(key_element("leaseOwner", KeyType::Hash)?)
                .key_schema(key_element("leaseKey", KeyType::Range)?)
                .projection(
                    Projection::builder()
                        .projection_type(ProjectionType::KeysOnly)
                        .build(),
                )
                .build()?,
        )
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await?;
    for _ in 0..100 {
        let answer = client.describe_table().table_name(TABLE).send().await?;
        if answer.table().and_then(|table| table.table_status()) == Some(&TableStatus::Active) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err("the table does not become ACTIVE in ten seconds".into())
}

async fn second_table(client: &Client) -> Check {
    let again = client
        .create_table()
        .table_name(TABLE)
        .attribute_definitions(definition("leaseKey")?)
        .key_schema(key_element("leaseKey", KeyType::Hash)?)
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await;
    refused(&again, &["ResourceInUseException"])?;
    let missing = client
        .describe_table()
        .table_name("contract-missing")
        .send()
        .await;
    refused(&missing, &["ResourceNotFoundException"])
}

async fn all_types(client: &Client) -> Check {
    let item = HashMap::from([
        ("leaseKey".to_owned(), s("types")),
        ("n".to_owned(), n("-12.5")),
        ("b".to_owned(), AttributeValue::B(vec![0u8, 255].into())),
        ("flag".to_owned(), AttributeValue::Bool(true)),
        ("nothing".to_owned(), AttributeValue::Null(true)),
        ("list_".to_owned(), AttributeValue::L(vec![s("x"), n("1")])),
        (
            "map_".to_owned(),
            AttributeValue::M(HashMap::from([("nested".to_owned(), s("y"))])),
        ),
        ("ss".to_owned(), AttributeValue::Ss(vec!["one".to_owned()])),
        ("ns".to_owned(), AttributeValue::Ns(vec!["7".to_owned()])),
    ]);
    client
        .put_item()
        .table_name(TABLE)
        .set_item(Some(item.clone()))
        .send()
        .await?;
    let got = get(client, "types").await?;
    ensure(got == item, || format!("{got:?}"))
}

async fn put_if_absent(client: &Client) -> Check {
    let put = || {
        client
            .put_item()
            .table_name(TABLE)
            .item("leaseKey", s("absent"))
            .item("leaseCounter", n("0"))
            .condition_expression("attribute_not_exists(leaseKey)")
    };
    put().send().await?;
    refused(&put().send().await, &["ConditionalCheckFailedException"])
}

async fn failed_condition(client: &Client) -> Check {
    seed(client, "shown", "w1", "5").await?;
    let answer = client
        .update_item()
        .table_name(TABLE)
        .key("leaseKey", s("shown"))
        .update_expression("SET leaseCounter = leaseCounter + :one")
        .condition_expression("leaseOwner = :me AND leaseCounter = :five")
        .expression_attribute_values(":one", n("1"))
        .expression_attribute_values(":me", s("w2"))
        .expression_attribute_values(":five", n("5"))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await;
    match answer {
        Err(SdkError::ServiceError(error)) => match error.err() {
            UpdateItemError::ConditionalCheckFailedException(failed) => {
                let owner = failed.item().and_then(|item| item.get("leaseOwner"));
                ensure(owner == Some(&s("w1")), || format!("{failed:?}"))
            }
            other => Err(format!("{other:?}").into()),
        },
        other => Err(format!("{other:?}").into()),
    }
}

async fn condition_language(client: &Client) -> Check {
    client
        .put_item()
        .table_name(TABLE)
        .item("leaseKey", s("language"))
        .item("leaseCounter", n("10"))
        .item(
            "tags_",
            AttributeValue::Ss(vec!["red".to_owned(), "blue".to_owned()]),
        )
        .item("text_", s("forebay"))
        .item(
            "map_",
            AttributeValue::M(HashMap::from([("nested".to_owned(), n("3"))])),
        )
        .send()
        .await?;
    for (condition, holds) in [
        (
            "attribute_exists(text_) AND attribute_not_exists(gone)",
            true,
        ),
        ("leaseCounter >= :nine AND NOT leaseCounter < :nine", true),
        ("leaseCounter < :nine OR contains(tags_, :red)", true),
        ("contains(text_, :red)", false),
        ("begins_with(text_, :fore)", true),
        ("size(tags_) = :two", true),
        ("leaseCounter BETWEEN :two AND :nine", false),
        ("leaseCounter IN (:two, :ten)", true),
        ("map_.nested > :two", true),
        ("gone <> :two", true),
        ("gone = :two", false),
        ("attribute_type(tags_, :ss)", true),
        (
            "(leaseCounter = :two OR leaseCounter = :ten) AND text_ = :fore",
            false,
        ),
    ] {
        let mut request = client
            .update_item()
            .table_name(TABLE)
            .key("leaseKey", s("language"))
            .update_expression("SET touched = :two")
            .condition_expression(condition)
            .expression_attribute_values(":two", n("2"));
        for (name, value) in [
            (":nine", n("9")),
            (":ten", n("10.0")),
            (":red", s("red")),
            (":fore", s("fore")),
            (":ss", s("SS")),
        ] {
            if condition.contains(name) {
                request = request.expression_attribute_values(name, value);
            }
        }
        let answer = request.send().await;
        if holds {
            answer.map_err(|error| format!("`{condition}` should hold: {error:?}"))?;
        } else {
            refused(&answer, &["ConditionalCheckFailedException"])
                .map_err(|error| format!("`{condition}`: {error}"))?;
        }
    }
    Ok(())
}

async fn update_language(client: &Client) -> Check {
    client
        .put_item()
        .table_name(TABLE)
        .item("leaseKey", s("update"))
        .item("gone", s("x"))
        .item(
            "tags_",
            AttributeValue::Ss(vec!["a".to_owned(), "b".to_owned()]),
        )
        .item("list_", AttributeValue::L(vec![n("1")]))
        .send()
        .await?;
    let answer = client
        .update_item()
        .table_name(TABLE)
        .key("leaseKey", s("update"))
        .update_expression(
            "SET leaseCounter = if_not_exists(leaseCounter, :zero) + :one, list_ = list_append(list_, :more) REMOVE gone ADD hits :one DELETE tags_ :a",
        )
        .expression_attribute_values(":zero", n("0"))
        .expression_attribute_values(":one", n("1"))
        .expression_attribute_values(":more", AttributeValue::L(vec![n("2")]))
        .expression_attribute_values(":a", AttributeValue::Ss(vec!["a".to_owned()]))
        .return_values(ReturnValue::AllNew)
        .send()
        .await?;
    let wanted = HashMap::from([
        ("leaseKey".to_owned(), s("update")),
        ("leaseCounter".to_owned(), n("1")),
        ("hits".to_owned(), n("1")),
        ("list_".to_owned(), AttributeValue::L(vec![n("1"), n("2")])),
        ("tags_".to_owned(), AttributeValue::Ss(vec!["b".to_owned()])),
    ]);
    ensure(answer.attributes() == Some(&wanted), || {
        format!("{:?}", answer.attributes())
    })
}

async fn exact_numbers(client: &Client) -> Check {
    for (start, wanted) in [
        ("9007199254740993", "9007199254740994"),
        ("0.1", "1.1"),
        (
            "99999999999999999999999999999999999998",
            "99999999999999999999999999999999999999",
        ),
    ] {
        seed(client, "exact", "w", start).await?;
        let answer = client
            .update_item()
            .table_name(TABLE)
            .key("leaseKey", s("exact"))
            .update_expression("ADD leaseCounter :one")
            .expression_attribute_values(":one", n("1"))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await?;
        let got = answer
            .attributes()
            .and_then(|item| item.get("leaseCounter").cloned());
        ensure(got == Some(n(wanted)), || format!("{start} + 1 = {got:?}"))?;
    }
    Ok(())
}

async fn strict_expressions(client: &Client) -> Check {
    let update = |expression: &str| {
        client
            .update_item()
            .table_name(TABLE)
            .key("leaseKey", s("strict"))
            .update_expression(expression)
            .expression_attribute_values(":one", n("1"))
    };
    let unused = update("SET a = :one")
        .expression_attribute_values(":two", n("2"))
        .send()
        .await;
    refused(&unused, &["ValidationException"])?;
    refused(
        &update("SET status = :one").send().await,
        &["ValidationException"],
    )?;
    refused(
        &update("SET a = :missing").send().await,
        &["ValidationException"],
    )?;
    refused(
        &update("SET leaseKey = :one").send().await,
        &["ValidationException"],
    )?;
    let empty = client
        .put_item()
        .table_name(TABLE)
        .item("leaseKey", s("strict"))
        .item("tags_", AttributeValue::Ss(Vec::new()))
        .send()
        .await;
    refused(&empty, &["ValidationException"])
}

async fn legacy(client: &Client) -> Check {
    seed(client, "legacy", "w1", "3").await?;
    let take = |owner: &str, counter: &str| {
        let value = |value| {
            AttributeValueUpdate::builder()
                .value(value)
                .action(AttributeAction::Put)
                .build()
        };
        client
            .update_item()
            .table_name(TABLE)
            .key("leaseKey", s("legacy"))
            .attribute_updates("leaseOwner", value(s("w2")))
            .attribute_updates("leaseCounter", value(n("4")))
            .attribute_updates(
                "note",
                AttributeValueUpdate::builder()
                    .action(AttributeAction::Delete)
                    .build(),
            )
            .expected(
                "leaseOwner",
                ExpectedAttributeValue::builder().value(s(owner)).build(),
            )
            .expected(
                "leaseCounter",
                ExpectedAttributeValue::builder().value(n(counter)).build(),
            )
    };
    take("w1", "3").send().await?;
    refused(
        &take("w1", "3").send().await,
        &["ConditionalCheckFailedException"],
    )?;
    let got = get(client, "legacy").await?;
    ensure(
        got.get("leaseOwner") == Some(&s("w2")) && got.get("leaseCounter") == Some(&n("4")),
        || format!("{got:?}"),
    )?;
    let absent = client
        .put_item()
        .table_name(TABLE)
        .item("leaseKey", s("legacy"))
        .expected(
            "leaseKey",
            ExpectedAttributeValue::builder().exists(false).build(),
        )
        .send()
        .await;
    refused(&absent, &["ConditionalCheckFailedException"])
}

async fn legacy_delete(client: &Client) -> Check {
    seed(client, "legacy-delete", "w1", "3").await?;
    let rule = ExpectedAttributeValue::builder()
        .comparison_operator(ComparisonOperator::Eq)
        .attribute_value_list(n("9"))
        .build();
    let answer = client
        .delete_item()
        .table_name(TABLE)
        .key("leaseKey", s("legacy-delete"))
        .expected("leaseCounter", rule)
        .send()
        .await;
    refused(&answer, &["ConditionalCheckFailedException"])
}

async fn scan(client: &Client) -> Check {
    for number in 0..25 {
        seed(
            client,
            &format!("scan-{number}"),
            "scanner",
            &number.to_string(),
        )
        .await?;
    }
    let mut seen = BTreeSet::new();
    for segment in 0..3 {
        let mut start = None;
        loop {
            let page = client
                .scan()
                .table_name(TABLE)
                .limit(4)
                .segment(segment)
                .total_segments(3)
                .filter_expression("leaseOwner = :scanner")
                .expression_attribute_values(":scanner", s("scanner"))
                .set_exclusive_start_key(start)
                .send()
                .await?;
            ensure(page.scanned_count() <= 4, || {
                format!("{} scanned", page.scanned_count())
            })?;
            for item in page.items() {
                let key = item
                    .get("leaseKey")
                    .and_then(|key| key.as_s().ok())
                    .ok_or("no key")?;
                ensure(seen.insert(key.clone()), || format!("{key} twice"))?;
            }
            start = page.last_evaluated_key().cloned();
            if start.is_none() {
                break;
            }
        }
    }
    ensure(seen.len() == 25, || format!("{} of 25", seen.len()))
}

async fn index_query(client: &Client) -> Check {
    for number in 0..3 {
        seed(client, &format!("index-{number}"), "indexed", "0").await?;
    }
    client
        .update_item()
        .table_name(TABLE)
        .key("leaseKey", s("index-1"))
        .update_expression("REMOVE leaseOwner")
        .send()
        .await?;
    let answer = client
        .query()
        .table_name(TABLE)
        .index_name(INDEX)
        .key_condition_expression("leaseOwner = :me")
        .expression_attribute_values(":me", s("indexed"))
        .send()
        .await?;
    let keys: Vec<&String> = answer
        .items()
        .iter()
        .filter_map(|item| item.get("leaseKey")?.as_s().ok())
        .collect();
    ensure(keys == ["index-0", "index-2"], || format!("{keys:?}"))?;
    let projected = answer
        .items()
        .iter()
        .all(|item| !item.contains_key("leaseCounter"));
    ensure(projected, || {
        format!("more than keys: {:?}", answer.items())
    })
}

/// As KCL 3.x does with tables of its forerunners.
async fn later_index(client: &Client) -> Check {
    let table = "contract-index";
    let created = client
        .create_table()
        .table_name(table)
        .attribute_definitions(definition("leaseKey")?)
        .key_schema(key_element("leaseKey", KeyType::Hash)?)
        .billing_mode(BillingMode::Provisioned)
        .provisioned_throughput(
            ProvisionedThroughput::builder()
                .read_capacity_units(10)
                .write_capacity_units(10)
                .build()?,
        )
        .send()
        .await?;
    let capacity = created
        .table_description()
        .and_then(|table| table.provisioned_throughput()?.read_capacity_units());
    ensure(capacity == Some(10), || format!("{created:?}"))?;
    index_status(client, table, None).await?;
    client
        .put_item()
        .table_name(table)
        .item("leaseKey", s("before"))
        .item("leaseOwner", s("me"))
        .send()
        .await?;
    let index = CreateGlobalSecondaryIndexAction::builder()
        .index_name(INDEX)
        .key_schema(key_element("leaseOwner", KeyType::Hash)?)
        .key_schema(key_element("leaseKey", KeyType::Range)?)
        .projection(
            Projection::builder()
                .projection_type(ProjectionType::KeysOnly)
                .build(),
        )
        .provisioned_throughput(
            ProvisionedThroughput::builder()
                .read_capacity_units(10)
                .write_capacity_units(10)
                .build()?,
        )
        .build()?;
    client
        .update_table()
        .table_name(table)
        .attribute_definitions(definition("leaseKey")?)
        .attribute_definitions(definition("leaseOwner")?)
        .global_secondary_index_updates(GlobalSecondaryIndexUpdate::builder().create(index).build())
        .send()
        .await?;
    index_status(client, table, Some(IndexStatus::Active)).await?;
    let found = client
        .query()
        .table_name(table)
        .index_name(INDEX)
        .key_condition_expression("leaseOwner = :me")
        .expression_attribute_values(":me", s("me"))
        .send()
        .await?;
    ensure(found.items().len() == 1, || {
        format!("{:?} instead of the item from before", found.items())
    })
}

/// Waits for an ACTIVE table whose index is as wanted.
async fn index_status(client: &Client, table: &str, wanted: Option<IndexStatus>) -> Check {
    for _ in 0..100 {
        let answer = client.describe_table().table_name(table).send().await?;
        let table = answer.table().ok_or("no table")?;
        let index = table.global_secondary_indexes().first();
        if table.table_status() == Some(&TableStatus::Active)
            && index.and_then(|index| index.index_status()) == wanted.as_ref()
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(format!("the index does not become {wanted:?} in ten seconds").into())
}

async fn races(client: &Client) -> Check {
    seed(client, "race", "nobody", "0").await?;
    let writers = (0..16).map(|number| {
        client
            .update_item()
            .table_name(TABLE)
            .key("leaseKey", s("race"))
            .update_expression("SET leaseOwner = :me, leaseCounter = :one")
            .condition_expression("leaseCounter = :zero")
            .expression_attribute_values(":me", s(&format!("w{number}")))
            .expression_attribute_values(":zero", n("0"))
            .expression_attribute_values(":one", n("1"))
            .send()
    });
    let results = futures_util::future::join_all(writers).await;
    let winners = results.iter().filter(|result| result.is_ok()).count();
    ensure(winners == 1, || format!("{winners} winners"))
}

async fn large_item(client: &Client) -> Check {
    let answer = client
        .put_item()
        .table_name(TABLE)
        .item("leaseKey", s("large"))
        .item("text_", s(&"x".repeat(400 * 1024 + 1)))
        .send()
        .await;
    refused(&answer, &["ValidationException"])
}

async fn seed(client: &Client, key: &str, owner: &str, counter: &str) -> Check {
    client
        .put_item()
        .table_name(TABLE)
        .item("leaseKey", s(key))
        .item("leaseOwner", s(owner))
        .item("leaseCounter", n(counter))
        .item("note", s("kept"))
        .send()
        .await?;
    Ok(())
}

async fn get(
    client: &Client,
    key: &str,
) -> Result<HashMap<String, AttributeValue>, Box<dyn std::error::Error>> {
    let answer = client
        .get_item()
        .table_name(TABLE)
        .key("leaseKey", s(key))
        .consistent_read(true)
        .send()
        .await?;
    Ok(answer.item().cloned().ok_or("no item")?)
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn n(text: &str) -> AttributeValue {
    AttributeValue::N(text.to_owned())
}

fn definition(name: &str) -> Result<AttributeDefinition, Box<dyn std::error::Error>> {
    Ok(AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(ScalarAttributeType::S)
        .build()?)
}

fn key_element(name: &str, kind: KeyType) -> Result<KeySchemaElement, Box<dyn std::error::Error>> {
    Ok(KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind)
        .build()?)
}

const TABLE: &str = "contract-leases";
const INDEX: &str = "LeaseOwnerToLeaseKeyIndex";
