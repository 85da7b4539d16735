# What `forebay run` reads, and the least it may do: a Kinesis stream fed by a CloudWatch Logs subscription, a queue fed
# by CloudTrail's topic, a lease table, and a policy. Only the named topic may write to the queue: anybody else could
# send forged notices.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = ">= 5.0" }
  }
}

variable "stream_name" {
  type    = string
  default = "flowlogs"
}

variable "shard_count" {
  type    = number
  default = 2
}

variable "flow_log_group" {
  type        = string
  description = "Log group that flow logs are written to"
}

variable "trail_topic_arn" {
  type        = string
  description = "SNS topic that CloudTrail notifies"
}

variable "trail_bucket" {
  type        = string
  description = "Bucket that CloudTrail writes to"
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

resource "aws_kinesis_stream" "logs" {
  name             = var.stream_name
  shard_count      = var.shard_count
  retention_period = 48
  encryption_type  = "KMS"
  kms_key_id       = "alias/aws/kinesis"
}

data "aws_iam_policy_document" "subscription_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["logs.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_iam_role" "subscription" {
  name_prefix        = "forebay-subscription-"
  assume_role_policy = data.aws_iam_policy_document.subscription_trust.json
}

resource "aws_iam_role_policy" "subscription" {
  role = aws_iam_role.subscription.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "kinesis:PutRecord", Resource = aws_kinesis_stream.logs.arn }]
  })
}

resource "aws_cloudwatch_log_subscription_filter" "flow_logs" {
  name            = "forebay"
  log_group_name  = var.flow_log_group
  filter_pattern  = ""
  distribution    = "Random"
  destination_arn = aws_kinesis_stream.logs.arn
  role_arn        = aws_iam_role.subscription.arn
}

resource "aws_dynamodb_table" "leases" {
  name         = "graylog-aws-plugin-${var.stream_name}"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "leaseKey"
  attribute {
    name = "leaseKey"
    type = "S"
  }
}

resource "aws_sqs_queue" "trail_dead_letters" {
  name_prefix               = "forebay-trail-dead-"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue" "trail" {
  name_prefix                = "forebay-trail-"
  message_retention_seconds  = 1209600
  visibility_timeout_seconds = 300
  sqs_managed_sse_enabled    = true
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.trail_dead_letters.arn
    maxReceiveCount     = 10
  })
}

resource "aws_sqs_queue_policy" "trail" {
  queue_url = aws_sqs_queue.trail.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "sns.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.trail.arn
      Condition = { ArnEquals = { "aws:SourceArn" = var.trail_topic_arn } }
    }]
  })
}

resource "aws_sns_topic_subscription" "trail" {
  topic_arn            = var.trail_topic_arn
  protocol             = "sqs"
  endpoint             = aws_sqs_queue.trail.arn
  raw_message_delivery = true
}

resource "aws_iam_policy" "reader" {
  name_prefix = "forebay-"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["kinesis:ListShards", "kinesis:GetShardIterator", "kinesis:GetRecords", "kinesis:DescribeStreamSummary"]
        Resource = aws_kinesis_stream.logs.arn
      },
      {
        Effect = "Allow"
        Action = [
          "dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem",
          "dynamodb:DeleteItem", "dynamodb:Scan",
        ]
        Resource = aws_dynamodb_table.leases.arn
      },
      {
        Effect = "Allow"
        Action = [
          "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueUrl",
          "sqs:GetQueueAttributes",
        ]
        Resource = aws_sqs_queue.trail.arn
      },
      {
        Effect    = "Allow"
        Action    = "s3:GetObject"
        Resource  = "arn:${data.aws_partition.current.partition}:s3:::${var.trail_bucket}/*"
        Condition = { StringEquals = { "aws:ResourceAccount" = data.aws_caller_identity.current.account_id } }
      },
      {
        Effect = "Allow"
        Action = [
          "ec2:DescribeNetworkInterfaces", "ec2:DescribeInstances", "elasticloadbalancing:DescribeLoadBalancers",
        ]
        Resource = "*"
      },
    ]
  })
}

output "queue" {
  value = aws_sqs_queue.trail.id
}

output "policy" {
  value = aws_iam_policy.reader.arn
}
