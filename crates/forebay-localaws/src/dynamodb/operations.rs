use serde_json::{Value, json};

use super::DynamoDb;
use super::condition::Condition;
use super::expression::Substitutes;
use super::legacy;
use super::search::{Projection, search};
use super::table::{Key, Table};
use super::update::Update;
use super::value::{Item, read_item, write_item};
use crate::ServiceError;
use crate::wire::json::{missing, number, required, text};

impl DynamoDb {
    /// Runs an operation on JSON as the DynamoDB API reference writes it. `None`: not modelled.
    pub fn call(
        &mut self,
        operation: &str,
        input: &Value,
        now: u64,
    ) -> Option<Result<Value, ServiceError>> {
        self.tables.retain(|_, table| !table.is_gone(now));
        Some(match operation {
            "CreateTable" => self.create(input, now),
            "DescribeTable" => self
                .table(input)
                .map(|table| json!({"Table": table.describe(now)})),
            "UpdateTable" => self.update_table(input, now),
            "DeleteTable" => self.delete_table(input, now),
            "ListTables" => self.list_tables(input),
            "GetItem" => self.get_item(input, now),
            "PutItem" => self.put_item(input, now),
            "UpdateItem" => self.update_item(input, now),
            "DeleteItem" => self.delete_item(input, now),
            "Scan" => self.search(input, false, now),
            "Query" => self.search(input, true, now),
            _ => return None,
        })
    }

    pub(crate) fn create(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let table = Table::create(input, &self.arn_prefix, &self.settings, now)?;
        if self.tables.contains_key(&table.name) {
            return Err(ServiceError::client(
                "ResourceInUseException",
                format!("Table already exists: {}", table.name),
            ));
        }
        let mut description = table.describe(now);
        // The answer says CREATING even if the table is ready at once.
        description["TableStatus"] = "CREATING".into();
        self.tables.insert(table.name.clone(), table);
        Ok(json!({"TableDescription": description}))
    }

    fn update_table(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let duration = self.settings.index_ms;
        let table = self.table_mut(input)?;
        table.update(input, duration, now)?;
        Ok(json!({"TableDescription": table.describe(now)}))
    }

    fn delete_table(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let duration = self.settings.delete_ms;
        let table = self.table_mut(input)?;
        table.begin_deletion(duration, now);
        Ok(json!({"TableDescription": table.describe(now)}))
    }

    fn list_tables(&self, input: &Value) -> Result<Value, ServiceError> {
        let limit = number(input, "Limit", 1..=100)?.unwrap_or(100) as usize;
        let after = text(input, "ExclusiveStartTableName");
        let mut names: Vec<&String> = self
            .tables
            .keys()
            .filter(|name| after.is_none_or(|after| name.as_str() > after))
            .collect();
        let more = names.len() > limit;
        names.truncate(limit);
        let mut answer = json!({"TableNames": names});
        if let (true, Some(last)) = (more, names.last()) {
            answer["LastEvaluatedTableName"] = last.as_str().into();
        }
        Ok(answer)
    }

    fn get_item(&self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let table = self.ready(input, now)?;
        let key = table.exact_key(&key(input)?)?;
        let substitutes = Substitutes::read(input)?;
        let projection = Projection::read(input, &substitutes)?;
        substitutes.check_all_used()?;
        let found = match self.stale_at(input, now) {
            Some(time) => table.get_at(&key, time),
            None => table.get(&key),
        };
        Ok(found.map_or_else(
            || json!({}),
            |item| json!({"Item": write_item(&projection.apply(item))}),
        ))
    }

    fn put_item(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let item = read_item(input.get("Item").ok_or_else(|| missing("item"))?)?;
        let substitutes = Substitutes::read(input)?;
        let condition = condition(input, &substitutes)?;
        substitutes.check_all_used()?;
        let table = self.ready_mut(input, now)?;
        let key = table.key_of(&item)?;
        check(table, &key, condition.as_ref(), input)?;
        let old = table.store(key, Some(item), now)?;
        returned(input, old.as_ref(), None, &[])
    }

    fn delete_item(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let substitutes = Substitutes::read(input)?;
        let condition = condition(input, &substitutes)?;
        substitutes.check_all_used()?;
        let table = self.ready_mut(input, now)?;
        let key = table.exact_key(&key(input)?)?;
        check(table, &key, condition.as_ref(), input)?;
        let old = table.store(key, None, now)?;
        returned(input, old.as_ref(), None, &[])
    }

    fn update_item(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let substitutes = Substitutes::read(input)?;
        let condition = condition(input, &substitutes)?;
        let update = match text(input, "UpdateExpression") {
            Some(expression) => Update::parse(expression, &substitutes)?,
            None => legacy::updates(input)?.unwrap_or_default(),
        };
        substitutes.check_all_used()?;
        let attributes = key(input)?;
        let table = self.ready_mut(input, now)?;
        let key = table.exact_key(&attributes)?;
        if let Some((path, _)) = update
            .actions
            .iter()
            .find(|(path, _)| table.keys.has(path.root()))
        {
            return Err(ServiceError::validation(format!(
                "One or more parameter values were invalid: Cannot update attribute {}. This attribute is part of the key",
                path.root()
            )));
        }
        check(table, &key, condition.as_ref(), input)?;
        let old = table.get(&key).cloned();
        let new = update.apply(old.as_ref().unwrap_or(&attributes))?;
        table.store(key, Some(new.clone()), now)?;
        let touched: Vec<&str> = update.actions.iter().map(|(path, _)| path.root()).collect();
        returned(input, old.as_ref(), Some(&new), &touched)
    }

    fn search(&self, input: &Value, query: bool, now: u64) -> Result<Value, ServiceError> {
        let table = self.ready(input, now)?;
        search(table, input, query, self.stale_at(input, now), now)
    }

    fn stale_at(&self, input: &Value, now: u64) -> Option<u64> {
        let consistent = input.get("ConsistentRead") == Some(&Value::Bool(true));
        (self.stale && !consistent).then(|| now.saturating_sub(self.settings.stale_ms))
    }

    fn table(&self, input: &Value) -> Result<&Table, ServiceError> {
        let name = table_name(input)?;
        self.tables.get(name).ok_or_else(|| not_found(name))
    }

    fn table_mut(&mut self, input: &Value) -> Result<&mut Table, ServiceError> {
        let name = table_name(input)?;
        self.tables.get_mut(name).ok_or_else(|| not_found(name))
    }

    /// A table that serves items: not one that is still being created.
    fn ready(&self, input: &Value, now: u64) -> Result<&Table, ServiceError> {
        let table = self.table(input)?;
        if table.status(now) == "CREATING" {
            Err(not_found(&table.name))
        } else {
            Ok(table)
        }
    }

    fn ready_mut(&mut self, input: &Value, now: u64) -> Result<&mut Table, ServiceError> {
        self.ready(input, now)?;
        self.table_mut(input)
    }
}

fn table_name(input: &Value) -> Result<&str, ServiceError> {
    // A table may be named by its ARN.
    required(input, "TableName").map(|name| name.rsplit("table/").next().unwrap_or(name))
}

fn not_found(name: &str) -> ServiceError {
    ServiceError::client(
        "ResourceNotFoundException",
        format!("Requested resource not found: Table: {name} not found"),
    )
}

fn key(input: &Value) -> Result<Item, ServiceError> {
    read_item(input.get("Key").ok_or_else(|| missing("key"))?)
}

fn condition(input: &Value, substitutes: &Substitutes) -> Result<Option<Condition>, ServiceError> {
    let legacy = legacy::expected(input)?;
    match text(input, "ConditionExpression") {
        Some(_) if legacy.is_some() => Err(ServiceError::validation(
            "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}",
        )),
        Some(expression) => Condition::parse(expression, substitutes).map(Some),
        None => Ok(legacy),
    }
}

fn check(
    table: &Table,
    key: &Key,
    condition: Option<&Condition>,
    input: &Value,
) -> Result<(), ServiceError> {
    let Some(condition) = condition else {
        return Ok(());
    };
    let found = table.get(key);
    if condition.holds(found.unwrap_or(&Item::new())) {
        return Ok(());
    }
    let error = ServiceError::client(
        "ConditionalCheckFailedException",
        "The conditional request failed",
    );
    Err(match found {
        Some(item) if text(input, "ReturnValuesOnConditionCheckFailure") == Some("ALL_OLD") => {
            error.with_member("Item", write_item(item))
        }
        _ => error,
    })
}

fn returned(
    input: &Value,
    old: Option<&Item>,
    new: Option<&Item>,
    touched: &[&str],
) -> Result<Value, ServiceError> {
    let only = |item: Option<&Item>| {
        item.map(|item| {
            item.iter()
                .filter(|(name, _)| touched.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect::<Item>()
        })
    };
    let shown = match text(input, "ReturnValues").unwrap_or("NONE") {
        "NONE" => None,
        "ALL_OLD" => old.cloned(),
        "ALL_NEW" if new.is_some() => new.cloned(),
        "UPDATED_OLD" if new.is_some() => only(old),
        "UPDATED_NEW" if new.is_some() => only(new),
        other => {
            return Err(ServiceError::validation(format!(
                "Return values set to invalid value {other}"
            )));
        }
    };
    Ok(shown.map_or_else(
        || json!({}),
        |item| json!({"Attributes": write_item(&item)}),
    ))
}
