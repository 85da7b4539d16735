//! CloudWatch: PutMetricData, kept for tests to read, and ListMetrics.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::ServiceError;
use crate::wire::json::{missing, required, text};

/// The metrics of one account and region, as they were put.
#[derive(Clone, Debug, Default)]
pub struct CloudWatch {
    data: Vec<Datum>,
}

/// One value, or set of values, of a metric.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Datum {
    /// The namespace.
    pub namespace: String,
    /// The metric.
    pub name: String,
    /// Dimensions by name.
    pub dimensions: BTreeMap<String, String>,
    /// The unit, `None` if not given.
    pub unit: Option<String>,
    /// The time the sender gave, in Unix seconds.
    pub timestamp: Option<f64>,
    /// How many samples it stands for.
    pub samples: f64,
    /// Their sum.
    pub sum: f64,
    /// When it arrived, in Unix milliseconds.
    pub arrived: u64,
}

impl CloudWatch {
    /// All data, oldest first.
    pub fn data(&self) -> &[Datum] {
        &self.data
    }

    /// The sum of a metric over all its data.
    pub fn sum(&self, namespace: &str, name: &str) -> f64 {
        self.data
            .iter()
            .filter(|datum| datum.namespace == namespace && datum.name == name)
            .map(|datum| datum.sum)
            .sum()
    }

    /// Runs an operation; `None`: not modelled.
    pub(crate) fn call(
        &mut self,
        operation: &str,
        input: &Value,
        now: u64,
    ) -> Option<Result<Value, ServiceError>> {
        match operation {
            "PutMetricData" => Some(self.put(input, now)),
            "ListMetrics" => Some(Ok(self.list(input))),
            _ => None,
        }
    }

    fn put(&mut self, input: &Value, now: u64) -> Result<Value, ServiceError> {
        let namespace = required(input, "Namespace")?;
        if namespace.starts_with("AWS/") {
            return Err(invalid(
                "The value AWS/ for parameter Namespace is invalid.",
            ));
        }
        let entries = input
            .get("MetricData")
            .and_then(Value::as_array)
            .ok_or_else(|| missing("metricData"))?;
        if entries.len() > 1_000 {
            return Err(invalid(
                "The collection MetricData must not have a size greater than 1000.",
            ));
        }
        let data = entries
            .iter()
            .map(|entry| datum(namespace, entry, now))
            .collect::<Result<Vec<_>, _>>()?;
        self.data.extend(data);
        Ok(json!({}))
    }

    fn list(&self, input: &Value) -> Value {
        let metrics: BTreeSet<(&str, &str, &BTreeMap<String, String>)> = self
            .data
            .iter()
            .filter(|datum| {
                text(input, "Namespace").is_none_or(|wanted| wanted == datum.namespace)
                    && text(input, "MetricName").is_none_or(|wanted| wanted == datum.name)
            })
            .map(|datum| {
                (
                    datum.namespace.as_str(),
                    datum.name.as_str(),
                    &datum.dimensions,
                )
            })
            .collect();
        let metrics: Vec<Value> = metrics
            .into_iter()
            .map(|(namespace, name, dimensions)| {
                let dimensions: Vec<Value> = dimensions
                    .iter()
                    .map(|(name, value)| json!({"Name": name, "Value": value}))
                    .collect();
                json!({"Namespace": namespace, "MetricName": name, "Dimensions": dimensions})
            })
            .collect();
        json!({"Metrics": metrics})
    }
}

fn datum(namespace: &str, entry: &Value, now: u64) -> Result<Datum, ServiceError> {
    let dimensions: BTreeMap<String, String> = entry
        .get("Dimensions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|dimension| {
            Ok((
                required(dimension, "Name")?.to_owned(),
                required(dimension, "Value")?.to_owned(),
            ))
        })
        .collect::<Result<_, ServiceError>>()?;
    if dimensions.len() > 30 {
        return Err(invalid(
            "The collection Dimensions must not have a size greater than 30.",
        ));
    }
    let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_f64);
    let numbers = |name: &str| -> Option<Vec<f64>> {
        Some(
            entry
                .get(name)?
                .as_array()?
                .iter()
                .filter_map(Value::as_f64)
                .collect(),
        )
    };
    let (samples, sum) = if let Some(statistics) = entry
        .get("StatisticValues")
        .filter(|value| !value.is_null())
    {
        let part = |name: &str| {
            number(statistics, name)
                .ok_or_else(|| invalid(&format!("StatisticValues needs {name}.")))
        };
        (part("SampleCount")?, part("Sum")?)
    } else if let Some(values) = numbers("Values").filter(|values| !values.is_empty()) {
        let counts = numbers("Counts").unwrap_or_else(|| vec![1.0; values.len()]);
        if counts.len() != values.len() || values.len() > 150 {
            return Err(invalid(
                "Values and Counts must have the same size, at most 150.",
            ));
        }
        let sum = values
            .iter()
            .zip(&counts)
            .map(|(value, count)| value * count)
            .sum();
        (counts.iter().sum(), sum)
    } else {
        let value = number(entry, "Value")
            .ok_or_else(|| invalid("A datum needs Value, Values or StatisticValues."))?;
        (1.0, value)
    };
    Ok(Datum {
        namespace: namespace.to_owned(),
        name: required(entry, "MetricName")?.to_owned(),
        dimensions,
        unit: text(entry, "Unit").map(str::to_owned),
        timestamp: number(entry, "Timestamp"),
        samples,
        sum,
        arrived: now,
    })
}

fn invalid(message: &str) -> ServiceError {
    ServiceError::client("InvalidParameterValue", message)
}
