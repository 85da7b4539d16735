use std::fmt;

/// An AWS service that the model knows, by its signing scope.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Service {
    /// Kinesis Data Streams (`kinesis`).
    Kinesis,
    /// DynamoDB (`dynamodb`).
    DynamoDb,
    /// Simple Queue Service (`sqs`).
    Sqs,
    /// Simple Storage Service (`s3`).
    S3,
    /// EC2 describe calls (`ec2`).
    Ec2,
    /// Classic load balancers (`elasticloadbalancing`).
    Elb,
    /// CloudWatch metrics (`monitoring`).
    CloudWatch,
    /// Security Token Service (`sts`).
    Sts,
}

impl Service {
    /// The service of a signing scope, the third part of the credential scope.
    pub fn from_signing_scope(scope: &str) -> Option<Self> {
        Some(match scope {
            "kinesis" => Self::Kinesis,
            "dynamodb" => Self::DynamoDb,
            "sqs" => Self::Sqs,
            "s3" => Self::S3,
            "ec2" => Self::Ec2,
            "elasticloadbalancing" => Self::Elb,
            "monitoring" => Self::CloudWatch,
            "sts" => Self::Sts,
            _ => return None,
        })
    }

    /// The signing scope, which is also the prefix of IAM actions except for CloudWatch's.
    pub fn signing_scope(self) -> &'static str {
        match self {
            Self::Kinesis => "kinesis",
            Self::DynamoDb => "dynamodb",
            Self::Sqs => "sqs",
            Self::S3 => "s3",
            Self::Ec2 => "ec2",
            Self::Elb => "elasticloadbalancing",
            Self::CloudWatch => "monitoring",
            Self::Sts => "sts",
        }
    }

    /// The prefix of IAM actions: `cloudwatch` for metrics, else the signing scope.
    pub fn iam_prefix(self) -> &'static str {
        match self {
            Self::CloudWatch => "cloudwatch",
            other => other.signing_scope(),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.signing_scope())
    }
}
