//! What an address belongs to.

use std::fmt;

use crate::part::{Part, Record, Span};

/// The sort of an entity.
///
/// AWS adds services faster than this list grows: an interface that a service manages and no rule
/// knows is [`Kind::Other`] with the interface type as AWS writes it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind<'a> {
    /// An EC2 instance, running or stopped.
    Instance,
    /// A classic load balancer.
    ClassicLoadBalancer,
    /// An Application Load Balancer.
    ApplicationLoadBalancer,
    /// A Network Load Balancer.
    NetworkLoadBalancer,
    /// A Gateway Load Balancer.
    GatewayLoadBalancer,
    /// An endpoint of a Gateway Load Balancer (also AWS Network Firewall).
    GatewayLoadBalancerEndpoint,
    /// A NAT gateway.
    NatGateway,
    /// A database of RDS, Aurora, Neptune or DocumentDB; their interfaces look alike and carry no name.
    Database,
    /// An RDS proxy.
    DatabaseProxy,
    /// A Lambda function in a VPC.
    LambdaFunction,
    /// An interface endpoint (PrivateLink).
    VpcEndpoint,
    /// An attachment of a transit gateway.
    TransitGateway,
    /// A mount target of an EFS file system.
    FileSystem,
    /// An ECS or Fargate task with its own interface.
    EcsTask,
    /// The control plane of an EKS cluster.
    EksCluster,
    /// A Kubernetes pod with its own (branch) interface.
    EksPod,
    /// An ElastiCache node.
    Cache,
    /// A DynamoDB Accelerator node.
    Accelerator,
    /// A Redshift node.
    Warehouse,
    /// A VPC link of API Gateway.
    ApiGatewayLink,
    /// An OpenSearch (Elasticsearch) domain.
    SearchDomain,
    /// A directory of AWS Directory Service.
    Directory,
    /// A desktop of Amazon WorkSpaces.
    Workspace,
    /// A replication instance of the Database Migration Service.
    ReplicationInstance,
    /// A broker of Amazon MSK.
    KafkaCluster,
    /// An endpoint of the Route 53 Resolver.
    Resolver,
    /// A Glue connection.
    GlueConnection,
    /// An interface of SageMaker.
    Notebook,
    /// A delivery stream of Firehose.
    DeliveryStream,
    /// A host of AWS CodeConnections (formerly CodeStar).
    CodeConnection,
    /// A CloudHSM.
    HardwareSecurityModule,
    /// An endpoint of Global Accelerator.
    GlobalAccelerator,
    /// A rule action of AWS IoT.
    IotRule,
    /// A VPC connection of QuickSight.
    QuickSight,
    /// An interface that nothing tells more about.
    NetworkInterface,
    /// A published address range of an AWS service.
    AwsService,
    /// Managed by a service no rule knows; the text is the interface type or the requester.
    Other(&'a str),
}

/// One row per kind: the kind, its name, the prefix of its label, its type in the plugin's notation.
///
/// The position of a row is what a record stores, and rows are never saved to a file by position, so
/// rows may move. `Other` stands last.
type Row = (Kind<'static>, &'static str, &'static str, &'static str);

const KINDS: [Row; 37] = [
    (Kind::Instance, "instance", "ec2", "EC2"),
    (
        Kind::ClassicLoadBalancer,
        "classic-load-balancer",
        "elb",
        "ELB",
    ),
    (
        Kind::ApplicationLoadBalancer,
        "application-load-balancer",
        "elb",
        "ELB",
    ),
    (
        Kind::NetworkLoadBalancer,
        "network-load-balancer",
        "elb",
        "ELB",
    ),
    (
        Kind::GatewayLoadBalancer,
        "gateway-load-balancer",
        "elb",
        "ELB",
    ),
    (
        Kind::GatewayLoadBalancerEndpoint,
        "gateway-load-balancer-endpoint",
        "vpce",
        "VPCE",
    ),
    (Kind::NatGateway, "nat-gateway", "nat", "NAT"),
    (Kind::Database, "database", "rds", "RDS"),
    (Kind::DatabaseProxy, "database-proxy", "rds-proxy", "RDS"),
    (Kind::LambdaFunction, "lambda-function", "lambda", "LAMBDA"),
    (Kind::VpcEndpoint, "vpc-endpoint", "vpce", "VPCE"),
    (Kind::TransitGateway, "transit-gateway", "tgw", "TGW"),
    (Kind::FileSystem, "file-system", "efs", "EFS"),
    (Kind::EcsTask, "ecs-task", "ecs", "ECS"),
    (Kind::EksCluster, "eks-cluster", "eks", "EKS"),
    (Kind::EksPod, "eks-pod", "eks-pod", "EKS"),
    (Kind::Cache, "cache", "elasticache", "ELASTICACHE"),
    (Kind::Accelerator, "accelerator", "dax", "DAX"),
    (Kind::Warehouse, "warehouse", "redshift", "REDSHIFT"),
    (
        Kind::ApiGatewayLink,
        "api-gateway-link",
        "apigateway",
        "APIGATEWAY",
    ),
    (Kind::SearchDomain, "search-domain", "es", "ES"),
    (Kind::Directory, "directory", "ds", "DS"),
    (Kind::Workspace, "workspace", "workspaces", "WORKSPACES"),
    (
        Kind::ReplicationInstance,
        "replication-instance",
        "dms",
        "DMS",
    ),
    (Kind::KafkaCluster, "kafka-cluster", "kafka", "KAFKA"),
    (
        Kind::Resolver,
        "resolver",
        "route53resolver",
        "ROUTE53RESOLVER",
    ),
    (Kind::GlueConnection, "glue-connection", "glue", "GLUE"),
    (Kind::Notebook, "notebook", "sagemaker", "SAGEMAKER"),
    (
        Kind::DeliveryStream,
        "delivery-stream",
        "firehose",
        "FIREHOSE",
    ),
    (
        Kind::CodeConnection,
        "code-connection",
        "codeconnections",
        "CODECONNECTIONS",
    ),
    (
        Kind::HardwareSecurityModule,
        "hardware-security-module",
        "cloudhsm",
        "CLOUDHSM",
    ),
    (
        Kind::GlobalAccelerator,
        "global-accelerator",
        "globalaccelerator",
        "GLOBALACCELERATOR",
    ),
    (Kind::IotRule, "iot-rule", "iot", "IOT"),
    (Kind::QuickSight, "quicksight", "quicksight", "QUICKSIGHT"),
    (Kind::NetworkInterface, "network-interface", "eni", "ENI"),
    (Kind::AwsService, "aws-service", "aws", "AWS"),
    (Kind::Other(""), "other", "other", "OTHER"),
];

const OTHER: Row = (Kind::Other(""), "other", "other", "OTHER");

impl<'a> Kind<'a> {
    /// The kind's name, such as `application-load-balancer`; for [`Kind::Other`] its text.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        match self {
            Self::Other(text) => text,
            known => known.row().1,
        }
    }

    /// The kind with that name; any other text becomes [`Kind::Other`].
    #[must_use]
    pub fn from_name(name: &'a str) -> Self {
        KINDS
            .iter()
            .find(|row| row.1 == name && !matches!(row.0, Kind::Other(_)))
            .map_or(Self::Other(name), |row| row.0)
    }

    /// The short word before the colon of a label: `ec2` in `ec2:i-0a1b`. [`Kind::Other`] gives `other`.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        self.row().2
    }

    /// The type as the plugin writes it (`EC2`, `ELB`, `RDS`); for other kinds the same notation.
    #[must_use]
    pub fn aws_type(self) -> &'static str {
        self.row().3
    }

    /// Whether the plugin writes its `elb:` label for it.
    #[must_use]
    pub fn is_load_balancer(self) -> bool {
        matches!(
            self,
            Self::ClassicLoadBalancer
                | Self::ApplicationLoadBalancer
                | Self::NetworkLoadBalancer
                | Self::GatewayLoadBalancer
        )
    }

    pub(crate) fn code(self) -> u8 {
        let same = |row: &Row| std::mem::discriminant(&row.0) == std::mem::discriminant(&self);
        KINDS.iter().position(same).unwrap_or(KINDS.len() - 1) as u8
    }

    pub(crate) fn from_code(code: u8, other: &'a str) -> Self {
        match KINDS.get(usize::from(code)) {
            Some((Kind::Other(_), ..)) | None => Self::Other(other),
            Some(row) => row.0,
        }
    }

    fn row(self) -> Row {
        KINDS
            .get(usize::from(self.code()))
            .copied()
            .unwrap_or(OTHER)
    }
}

impl fmt::Display for Kind<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// One entity, borrowed from the snapshot that knows it.
///
/// Copying it copies two pointers. Absent parts are `None`; no accessor returns empty text, except
/// [`Entity::id`] for kinds whose interfaces carry no identity and have no interface id either.
#[derive(Clone, Copy)]
pub struct Entity<'a> {
    part: &'a Part,
    record: &'a Record,
}

impl<'a> Entity<'a> {
    pub(crate) fn new(part: &'a Part, record: &'a Record) -> Self {
        Self { part, record }
    }

    /// The sort of entity.
    #[must_use]
    pub fn kind(&self) -> Kind<'a> {
        Kind::from_code(self.record.kind, self.part.text(self.record.other))
    }

    /// The identity within its kind: `i-…`, `nat-…`, `app/my-alb/50dc…`, a function's name, `S3`.
    ///
    /// Where the interface does not tell (databases, Redshift), it is the interface's id.
    #[must_use]
    pub fn id(&self) -> &'a str {
        match self.part.text(self.record.id) {
            "" => self.part.text(self.record.interface),
            id => id,
        }
    }

    /// The label's prefix and the plugin's type, straight from the stored code.
    pub(crate) fn notation(&self) -> (&'static str, &'static str) {
        let row = KINDS.get(usize::from(self.record.kind)).unwrap_or(&OTHER);
        (row.2, row.3)
    }

    /// Whether [`Entity::id`] is the entity's own, not that of its interface.
    #[must_use]
    pub fn has_own_id(&self) -> bool {
        !self.part.text(self.record.id).is_empty()
    }

    /// The name a person gave: the first of the configured tags that is present, `Name` by default.
    #[must_use]
    pub fn name(&self) -> Option<&'a str> {
        self.optional(self.record.name)
    }

    /// What else the source tells: the DNS name of a load balancer, the mount target of a file system.
    #[must_use]
    pub fn detail(&self) -> Option<&'a str> {
        self.optional(self.record.detail)
    }

    /// The VPC, as `vpc-…`.
    #[must_use]
    pub fn vpc(&self) -> Option<&'a str> {
        self.optional(self.record.vpc)
    }

    /// The subnet, as `subnet-…`.
    #[must_use]
    pub fn subnet(&self) -> Option<&'a str> {
        self.optional(self.record.subnet)
    }

    /// The network interface, as `eni-…`.
    #[must_use]
    pub fn interface(&self) -> Option<&'a str> {
        self.optional(self.record.interface)
    }

    /// The account that owns it, as twelve digits. Text, because leading zeros count.
    #[must_use]
    pub fn account(&self) -> Option<&'a str> {
        self.optional(self.record.account)
    }

    /// The region, such as `eu-west-1`.
    #[must_use]
    pub fn region(&self) -> Option<&'a str> {
        self.optional(self.record.region)
    }

    /// The part of the snapshot it came from: which account, region and source, and how old.
    #[must_use]
    pub fn part(&self) -> &'a Part {
        self.part
    }

    fn optional(&self, span: Span) -> Option<&'a str> {
        let text = self.part.text(span);
        (!text.is_empty()).then_some(text)
    }
}

impl PartialEq for Entity<'_> {
    /// Equal when both are the same record of the same snapshot part.
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.record, other.record)
    }
}

impl Eq for Entity<'_> {}

impl fmt::Debug for Entity<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Entity")
            .field("kind", &self.kind())
            .field("id", &self.id())
            .field("name", &self.name())
            .field("detail", &self.detail())
            .field("vpc", &self.vpc())
            .field("subnet", &self.subnet())
            .field("interface", &self.interface())
            .field("account", &self.account())
            .field("region", &self.region())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_keeps_its_name_and_code() {
        for (kind, name, ..) in KINDS.iter().filter(|row| !matches!(row.0, Kind::Other(_))) {
            assert_eq!(Kind::from_name(name), *kind);
            assert_eq!(kind.as_str(), *name);
            assert_eq!(Kind::from_code(kind.code(), ""), *kind);
        }
    }

    #[test]
    fn an_unknown_kind_keeps_its_text() {
        let kind = Kind::from_name("evs_managed");
        assert_eq!(kind, Kind::Other("evs_managed"));
        assert_eq!(kind.as_str(), "evs_managed");
        assert_eq!(Kind::from_code(kind.code(), "evs_managed"), kind);
        assert_eq!((kind.prefix(), kind.aws_type()), ("other", "OTHER"));
    }
}
