//! `forebay iam`: the smallest policy for this very configuration, and how the AWS side is set up. Nothing is applied.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{ConfigArguments, leases::account, note, say};
use crate::{
    config::{Config, Kinesis, Objects},
    exit::Exit,
};

#[derive(Debug, Args)]
pub(super) struct IamArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// How the policy is written.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// Only the rights without which nothing is read; what is missed without the others is told on standard error.
    #[arg(long)]
    strict: bool,
    /// Instead of the policy, the commands that make stream, subscription, role, trail, topic and queue.
    #[arg(long)]
    setup: bool,
    /// Account number for ARNs; else it comes from ARNs of the configuration or from STS.
    #[arg(long, value_name = "NUMBER")]
    account: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    /// A policy document for each credentials set.
    Json,
    /// `aws_iam_policy` resources.
    Terraform,
    /// `aws iam create-policy` commands.
    Cli,
}

pub(super) async fn iam(arguments: &IamArguments) -> anyhow::Result<Exit> {
    let config = arguments.config.load()?;
    for name in &config.used_accounts() {
        let place = Place::find(&config, name, arguments.account.as_deref()).await;
        if arguments.setup {
            setup(&config, name, &place)?;
            continue;
        }
        let statements = statements(&config, name, &place);
        let document = document(&statements, arguments.strict);
        for statement in &statements {
            for (action, without) in &statement.optional {
                if arguments.strict {
                    note(format_args!("left out: {action} ({without})"));
                }
            }
        }
        match arguments.format {
            Format::Json => say(format_args!("{document:#}"))?,
            Format::Terraform => say(format_args!(
                "resource \"aws_iam_policy\" \"forebay_{}\" {{\n  name   = \"forebay-{name}\"\n  policy = <<-POLICY\n{}\n  POLICY\n}}",
                name.replace(|c: char| !c.is_ascii_alphanumeric(), "_"),
                indented(&format!("{document:#}"), "    "),
            ))?,
            Format::Cli => say(format_args!(
                "aws iam create-policy --policy-name forebay-{name} --policy-document '{document}'"
            ))?,
        }
    }
    Ok(Exit::Done)
}

fn indented(text: &str, margin: &str) -> String {
    text.lines()
        .map(|line| format!("{margin}{line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Where the resources of a credentials set are.
#[derive(Debug)]
struct Place {
    partition: &'static str,
    region: String,
    /// Account number, or `*`.
    account: String,
}

impl Place {
    async fn find(config: &Config, name: &str, given: Option<&str>) -> Self {
        let aws = config.aws(name).unwrap_or_default();
        let written = aws.assume_role.as_ref().map(|role| role.arn.as_str());
        let streams = config.kinesis.values();
        let streams = streams.filter(|input| input.aws == name);
        let queues = config.cloudtrail.values();
        let queues = queues.filter(|input| input.aws == name);
        let in_arn = |arn: &str| Some(arn.strip_prefix("arn:")?.split(':').nth(3)?.to_owned());
        let mut written = written
            .into_iter()
            .chain(streams.map(|input| input.stream.as_str()))
            .chain(queues.map(|input| input.queue.as_str()));
        let known = given.map(str::to_owned).or_else(|| {
            let found = written.find_map(in_arn);
            found.filter(|account| account.len() == 12)
        });
        let account = account(config, name).await;
        let region = match (&aws.region, &account) {
            (Some(region), _) => region.clone(),
            (None, Ok(account)) => account.region().to_owned(),
            (None, Err(_)) => "*".to_owned(),
        };
        let asked = match (known, account) {
            (Some(known), _) => Some(known),
            (None, Ok(account)) => {
                let asked = account.sts().get_caller_identity().send();
                let answer = tokio::time::timeout(PATIENCE, asked)
                    .await
                    .ok()
                    .and_then(Result::ok);
                answer.and_then(|identity| identity.account)
            }
            (None, Err(_)) => None,
        };
        if asked.is_none() {
            note(format_args!(
                "the account of [aws.{name}] is not known: give --account, or resources match any account"
            ));
        }
        Self {
            partition: match region.split('-').next() {
                Some("cn") => "aws-cn",
                _ if region.starts_with("us-gov-") => "aws-us-gov",
                _ => "aws",
            },
            region,
            account: asked.unwrap_or_else(|| "*".to_owned()),
        }
    }

    fn arn(&self, service: &str, region: &str, resource: &str) -> String {
        format!(
            "arn:{}:{service}:{region}:{}:{resource}",
            self.partition, self.account
        )
    }

    fn stream(&self, input: &Kinesis) -> String {
        if input.stream.starts_with("arn:") {
            return input.stream.clone();
        }
        self.arn("kinesis", &self.region, &format!("stream/{}", input.stream))
    }

    fn queue(&self, queue: &str, region: Option<&str>) -> String {
        if queue.starts_with("arn:") {
            return queue.to_owned();
        }
        let name = queue.rsplit('/').next().unwrap_or_default();
        self.arn("sqs", region.unwrap_or(&self.region), name)
    }
}

/// One statement of the policy.
#[derive(Debug)]
struct Statement {
    id: String,
    required: Vec<&'static str>,
    /// Action, and what is missed without it.
    optional: Vec<(&'static str, &'static str)>,
    resources: Vec<String>,
    condition: Option<Value>,
}

impl Statement {
    fn queue(of: &str, arn: String) -> Self {
        Self::new(
            "Queue",
            of,
            &["sqs:ReceiveMessage", "sqs:DeleteMessage"],
            &[
                ("sqs:GetQueueUrl", "the queue must be given as URL"),
                (
                    "sqs:ChangeMessageVisibility",
                    "long objects may be read twice",
                ),
            ],
            vec![arn],
        )
    }

    fn objects(of: &str, arns: Vec<String>) -> Self {
        Self::new(
            "Objects",
            of,
            &["s3:GetObject"],
            &[(
                "s3:GetObjectVersion",
                "objects of versioned buckets whose notice names a version are not read",
            )],
            arns,
        )
    }

    fn new(
        id: &str,
        of: &str,
        required: &[&'static str],
        optional: &[(&'static str, &'static str)],
        resources: Vec<String>,
    ) -> Self {
        Self {
            // Statement ids are letters and digits.
            id: format!("{id}{of}")
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .collect(),
            required: required.to_vec(),
            optional: optional.to_vec(),
            resources,
            condition: None,
        }
    }
}

/// What the running process calls with the credentials `name`.
fn statements(config: &Config, name: &str, place: &Place) -> Vec<Statement> {
    let mut statements = Vec::new();
    for (of, input) in config.kinesis.iter().filter(|(_, input)| input.aws == name) {
        statements.push(Statement::new(
            "Stream",
            of,
            &[
                "kinesis:ListShards",
                "kinesis:GetShardIterator",
                "kinesis:GetRecords",
            ],
            &[(
                "kinesis:DescribeStreamSummary",
                "the retention is not known, so its end is not warned of",
            )],
            vec![place.stream(input)],
        ));
        if let Some(consumer) = &input.fan_out {
            let arn = match consumer.starts_with("arn:") {
                true => consumer.clone(),
                false => format!("{}/consumer/{consumer}:*", place.stream(input)),
            };
            statements.push(Statement::new(
                "Consumer",
                of,
                &["kinesis:SubscribeToShard", "kinesis:DescribeStreamConsumer"],
                &[(
                    "kinesis:RegisterStreamConsumer",
                    "the consumer must exist already",
                )],
                vec![arn, place.stream(input)],
            ));
        }
        let table = input.table();
        let arn = |table: &str| place.arn("dynamodb", &place.region, &format!("table/{table}"));
        statements.push(Statement::new(
            "Leases",
            of,
            &[
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:UpdateItem",
                "dynamodb:Scan",
            ],
            &[
                (
                    "dynamodb:DescribeTable",
                    "a table that is just being made is not waited for",
                ),
                ("dynamodb:CreateTable", "the table must exist"),
                ("dynamodb:DeleteItem", "leases of finished shards stay"),
            ],
            vec![arn(&table)],
        ));
        statements.push(Statement::new(
            "Fleet",
            of,
            &[],
            &[(
                "dynamodb:GetItem",
                "the mode of a KCL 3.0 to 3.4 fleet on the same table is not seen",
            )],
            vec![arn(&format!("{table}-CoordinatorState"))],
        ));
    }
    let objects = config.objects();
    for (of, input) in objects.iter().filter(|(_, input)| input.aws == name) {
        let arn = |rest: &str| format!("arn:{}:s3:::{rest}", place.partition);
        let listed = || input.objects.iter();
        match &input.queue {
            Some(queue) => {
                let queue = place.queue(queue, input.sqs_region.as_deref());
                statements.push(Statement::queue(of, queue));
            }
            None => {
                let buckets = listed().map(|objects| arn(&objects.bucket)).collect();
                let mut list = Statement::new("List", of, &["s3:ListBucket"], &[], buckets);
                let prefixes: Vec<_> = listed()
                    .map(|objects| format!("{}*", objects.prefix))
                    .collect();
                list.condition = Some(json!({"StringLike": {"s3:prefix": prefixes}}));
                statements.push(list);
            }
        }
        let key = |objects: &Objects| arn(&format!("{}/{}*", objects.bucket, objects.prefix));
        let mut keys = Statement::objects(of, listed().map(key).collect());
        // Without a list: CloudTrail's own files in buckets of the account.
        if keys.resources.is_empty() {
            keys.resources.push(arn("*/AWSLogs/*"));
            keys.condition = (place.account != "*")
                .then(|| json!({"StringEquals": {"aws:ResourceAccount": place.account}}));
        }
        statements.push(keys);
    }
    let entities = &config.entities;
    if entities.enabled && entities.accounts.iter().any(|account| account == name) {
        let mut optional = vec![("ec2:DescribeInstances", "no names of instances")];
        if entities.load_balancers {
            let balancers = "elasticloadbalancing:DescribeLoadBalancers";
            optional.push((balancers, "no DNS names of classic load balancers"));
        }
        let required = &["ec2:DescribeNetworkInterfaces"];
        let mut names = Statement::new("Names", "", required, &optional, vec!["*".to_owned()]);
        let regions = match entities.regions.as_slice() {
            [] => std::slice::from_ref(&place.region),
            regions => regions,
        };
        // None of these actions can be limited to a resource.
        names.condition = Some(json!({"StringEquals": {"aws:RequestedRegion": regions}}));
        statements.push(names);
    }
    if let Some(queue) = &config.dead_letter.queue
        && config.dead_letter.aws == name
    {
        let replay = "`replay --queue` cannot";
        statements.push(Statement::new(
            "DeadLetters",
            "",
            &["sqs:SendMessage"],
            &[
                ("sqs:GetQueueUrl", "the queue must be given as URL"),
                ("sqs:ReceiveMessage", replay),
                ("sqs:DeleteMessage", replay),
            ],
            vec![place.queue(queue, config.dead_letter.region.as_deref())],
        ));
    }
    if let Some(role) = config.aws(name).and_then(|aws| aws.assume_role) {
        note(format_args!(
            "the credentials of [aws.{name}] themselves need sts:AssumeRole on {}; this policy belongs to that role",
            role.arn
        ));
    }
    statements
}

fn document(statements: &[Statement], strict: bool) -> Value {
    let statement = |statement: &Statement| {
        let mut actions = statement.required.clone();
        if !strict {
            actions.extend(statement.optional.iter().map(|(action, _)| action));
        }
        if actions.is_empty() {
            return None;
        }
        let mut value = json!({
            "Sid": statement.id,
            "Effect": "Allow",
            "Action": actions,
            "Resource": statement.resources,
        });
        if let Some(condition) = &statement.condition {
            value["Condition"] = condition.clone();
        }
        Some(value)
    };
    json!({"Version": "2012-10-17", "Statement": statements.iter().filter_map(statement).collect::<Vec<_>>()})
}

/// The steps of the plugin's documentation as commands, with the names of this configuration.
fn setup(config: &Config, name: &str, place: &Place) -> anyhow::Result<()> {
    let (partition, region, account) = (place.partition, &place.region, &place.account);
    let trust = |service: &str, conditions: Value| {
        json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole", "Condition": conditions,
        }]})
    };
    for (of, input) in config.kinesis.iter().filter(|(_, input)| input.aws == name) {
        let (stream, arn) = (input.stream_name(), place.stream(input));
        if input.decode == crate::config::Decode::Raw {
            say(format_args!(
                "# [kinesis.{of}]: a stream; its producers write into it.
aws kinesis create-stream --region {region} --stream-name {stream} --shard-count 1"
            ))?;
            continue;
        }
        let role = format!("forebay-logs-to-{stream}");
        let source = json!({"StringEquals": {"aws:SourceAccount": account}});
        let put = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["kinesis:PutRecord", "kinesis:PutRecords"], "Resource": arn},
        ]});
        let group = input
            .route
            .first()
            .map_or("LOG_GROUP", |route| route.log_group.as_str());
        say(format_args!(
            "# [kinesis.{of}]: a stream, and log groups that write into it. Replace LOG_GROUP, and for flow logs VPC_ID.
aws kinesis create-stream --region {region} --stream-name {stream} --shard-count 1
aws iam create-role --role-name {role} --assume-role-policy-document '{}'
aws iam put-role-policy --role-name {role} --policy-name put --policy-document '{put}'",
            trust("logs.amazonaws.com", source.clone()),
        ))?;
        if input.decode != crate::config::Decode::Cloudwatch {
            let deliver = json!({"Version": "2012-10-17", "Statement": [{
                "Effect": "Allow",
                "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogGroups", "logs:DescribeLogStreams"],
                "Resource": "*",
            }]});
            say(format_args!(
                "aws iam create-role --role-name forebay-flow-logs --assume-role-policy-document '{}'
aws iam put-role-policy --role-name forebay-flow-logs --policy-name deliver --policy-document '{deliver}'
aws ec2 create-flow-logs --region {region} --resource-type VPC --resource-ids VPC_ID --traffic-type ALL --log-group-name '{group}' --deliver-logs-permission-arn arn:{partition}:iam::{account}:role/forebay-flow-logs{}",
                trust("vpc-flow-logs.amazonaws.com", source),
                match input.flow_format.as_str() {
                    "default" => String::new(),
                    format => format!(" --log-format '{format}'"),
                },
            ))?;
        }
        say(format_args!(
            "aws logs put-subscription-filter --region {region} --log-group-name '{group}' --filter-name {stream} --filter-pattern '' --destination-arn {arn} --role-arn arn:{partition}:iam::{account}:role/{role}",
        ))?;
    }
    for (of, input) in config
        .cloudtrail
        .iter()
        .filter(|(_, input)| input.aws == name)
    {
        let arn = place.queue(&input.queue, input.sqs_region.as_deref());
        let queue = arn.rsplit(':').next().unwrap_or_default();
        let sqs_region = input.sqs_region.as_deref().unwrap_or(region);
        let bucket = input
            .buckets
            .first()
            .map_or("BUCKET", |bucket| bucket.name.as_str());
        let topic = format!("arn:{partition}:sns:{region}:{account}:{queue}");
        let trail = format!("arn:{partition}:cloudtrail:{region}:{account}:trail/{of}");
        let allow = |service: &str, action: &str, resource: &str, source: &str| {
            json!({"Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Principal": {"Service": service}, "Action": action, "Resource": resource,
                "Condition": {"ArnEquals": {"aws:SourceArn": source}},
            }]})
        };
        let mut write = allow(
            "cloudtrail.amazonaws.com",
            "s3:PutObject",
            &format!("arn:{partition}:s3:::{bucket}/AWSLogs/{account}/*"),
            &trail,
        );
        write["Statement"][0]["Condition"]["StringEquals"] =
            json!({"s3:x-amz-acl": "bucket-owner-full-control"});
        let mut look = allow(
            "cloudtrail.amazonaws.com",
            "s3:GetBucketAcl",
            &format!("arn:{partition}:s3:::{bucket}"),
            &trail,
        );
        if let (Some(write), Some(look)) = (
            write["Statement"].as_array_mut(),
            look["Statement"].as_array_mut(),
        ) {
            write.append(look);
        }
        let policy = json!({"Policy": allow("sns.amazonaws.com", "sqs:SendMessage", &arn, &topic).to_string()});
        say(format_args!(
            "# [cloudtrail.{of}]: a trail that tells a queue of its files. Replace BUCKET.
aws s3 mb s3://{bucket} --region {region}
aws s3api put-bucket-policy --bucket {bucket} --policy '{write}'
aws sns create-topic --region {region} --name {queue}
aws sns set-topic-attributes --region {region} --topic-arn {topic} --attribute-name Policy --attribute-value '{}'
aws sqs create-queue --region {sqs_region} --queue-name {queue} --attributes '{policy}'
aws sns subscribe --region {region} --topic-arn {topic} --protocol sqs --notification-endpoint {arn}
aws cloudtrail create-trail --region {region} --name {of} --s3-bucket-name {bucket} --sns-topic-name {queue} --is-multi-region-trail
aws cloudtrail start-logging --region {region} --name {of}",
            allow("cloudtrail.amazonaws.com", "SNS:Publish", &topic, &trail),
        ))?;
    }
    let statements = statements(config, name, place);
    say(format_args!(
        "# The rights of the process.
aws iam create-policy --policy-name forebay-{name} --policy-document '{}'",
        document(&statements, false)
    ))
}

const PATIENCE: Duration = Duration::from_secs(5);
