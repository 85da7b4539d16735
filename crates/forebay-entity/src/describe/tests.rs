use super::*;

/// One rule: what the interface shows, what it must give, and where that form is documented or was seen.
struct Case {
    description: &'static str,
    interface_type: &'static str,
    requester: &'static str,
    kind: Kind<'static>,
    id: &'static str,
    source: &'static str,
}

const fn case(
    (description, interface_type, requester): (&'static str, &'static str, &'static str),
    (kind, id): (Kind<'static>, &'static str),
    source: &'static str,
) -> Case {
    Case {
        description,
        interface_type,
        requester,
        kind,
        id,
        source,
    }
}

const ELB: &str = "Elastic Load Balancing User Guide, network interfaces carry `ELB` and the name";
const TYPES: &str = "EC2 API reference, NetworkInterface.InterfaceType";
const SEEN: &str = "form seen in public inventories of interfaces";

const CASES: &[Case] = &[
    case(
        ("ELB my-classic", "interface", "amazon-elb"),
        (Kind::ClassicLoadBalancer, "my-classic"),
        ELB,
    ),
    case(
        ("ELB app/my-alb/50dc6c495c0c9188", "interface", "amazon-elb"),
        (Kind::ApplicationLoadBalancer, "app/my-alb/50dc6c495c0c9188"),
        ELB,
    ),
    case(
        (
            "ELB net/my-nlb/50dc6c495c0c9188",
            "network_load_balancer",
            "amazon-elb",
        ),
        (Kind::NetworkLoadBalancer, "net/my-nlb/50dc6c495c0c9188"),
        ELB,
    ),
    case(
        (
            "ELB gwy/my-gwlb/50dc6c495c0c9188",
            "gateway_load_balancer",
            "amazon-elb",
        ),
        (Kind::GatewayLoadBalancer, "gwy/my-gwlb/50dc6c495c0c9188"),
        ELB,
    ),
    case(
        ("ELB two words", "interface", "amazon-elb"),
        (Kind::ClassicLoadBalancer, "unknown-name"),
        "the plugin: not exactly two words",
    ),
    case(
        ("Balancer my-own", "interface", "amazon-elb"),
        (Kind::ClassicLoadBalancer, "my-own"),
        "the plugin: the second of two words, whatever the first",
    ),
    case(
        ("", "interface", "amazon-elb"),
        (Kind::ClassicLoadBalancer, "unknown-name"),
        "the plugin: not exactly two words",
    ),
    case(
        ("", "network_load_balancer", "123456789012"),
        (Kind::NetworkLoadBalancer, ""),
        TYPES,
    ),
    case(
        ("", "gateway_load_balancer", ""),
        (Kind::GatewayLoadBalancer, ""),
        TYPES,
    ),
    case(
        ("", "load_balancer", ""),
        (Kind::ApplicationLoadBalancer, ""),
        TYPES,
    ),
    case(
        (
            "VPC Endpoint Interface vpce-0a1b",
            "gateway_load_balancer_endpoint",
            "123456789012",
        ),
        (Kind::VpcEndpoint, "vpce-0a1b"),
        "VPC User Guide, Gateway Load Balancer endpoints",
    ),
    case(
        ("", "gateway_load_balancer_endpoint", ""),
        (Kind::GatewayLoadBalancerEndpoint, ""),
        TYPES,
    ),
    case(
        (
            "Interface for NAT Gateway nat-0f4d22a3e997d73c2",
            "nat_gateway",
            "123456789012",
        ),
        (Kind::NatGateway, "nat-0f4d22a3e997d73c2"),
        "VPC User Guide, NAT gateway basics",
    ),
    case(("", "natGateway", ""), (Kind::NatGateway, ""), TYPES),
    case(
        ("RDSNetworkInterface", "interface", "amazon-rds"),
        (Kind::Database, ""),
        "the plugin: requester `amazon-rds`",
    ),
    case(
        ("RDSNetworkInterface", "interface", "123456789012"),
        (Kind::Database, ""),
        SEEN,
    ),
    case(
        (
            "Network interface for DBProxy shop-proxy",
            "interface",
            "123456789012",
        ),
        (Kind::DatabaseProxy, "shop-proxy"),
        SEEN,
    ),
    case(
        (
            "AWS Lambda VPC ENI-shop-cart-d76ce498-2640-4e1d-8433-43ab016ada1f",
            "lambda",
            "AROA4:role",
        ),
        (Kind::LambdaFunction, "shop-cart"),
        "Lambda Developer Guide, Hyperplane interfaces",
    ),
    case(
        ("AWS Lambda VPC ENI-shop-cart", "lambda", ""),
        (Kind::LambdaFunction, "shop-cart"),
        SEEN,
    ),
    case(
        (
            "AWS Lambda VPC ENI: d76ce498-2640-4e1d-8433-43ab016ada1f",
            "interface",
            "",
        ),
        (Kind::LambdaFunction, ""),
        SEEN,
    ),
    case(("", "lambda", ""), (Kind::LambdaFunction, ""), TYPES),
    case(
        (
            "VPC Endpoint Interface vpce-0123456789abcdef0",
            "vpc_endpoint",
            "727180483921",
        ),
        (Kind::VpcEndpoint, "vpce-0123456789abcdef0"),
        "AWS PrivateLink Guide, interface endpoints",
    ),
    case(("", "vpc_endpoint", ""), (Kind::VpcEndpoint, ""), TYPES),
    case(
        (
            "Network Interface for Transit Gateway Attachment tgw-attach-06bf47fa39e5d1578",
            "transit_gateway",
            "",
        ),
        (Kind::TransitGateway, "tgw-attach-06bf47fa39e5d1578"),
        SEEN,
    ),
    case(
        ("", "transit_gateway", ""),
        (Kind::TransitGateway, ""),
        TYPES,
    ),
    case(
        (
            "EFS mount target for fs-0dcdbf56073416b82 (fsmt-0852ce334db888836)",
            "efs",
            "",
        ),
        (Kind::FileSystem, "fs-0dcdbf56073416b82"),
        "EFS User Guide, logging with CloudTrail",
    ),
    case(
        ("EFS mount target for fs-0dcdbf56073416b82", "interface", ""),
        (Kind::FileSystem, "fs-0dcdbf56073416b82"),
        SEEN,
    ),
    case(
        (
            "arn:aws:ecs:eu-west-1:123456789012:attachment/38059629-1d3c",
            "interface",
            "578734482556",
        ),
        (Kind::EcsTask, "38059629-1d3c"),
        "ECS Developer Guide, task networking",
    ),
    case(
        (
            "arn:aws-cn:ecs:cn-north-1:123456789012:attachment/7",
            "branch",
            "",
        ),
        (Kind::EcsTask, "7"),
        "ECS Developer Guide, trunking",
    ),
    case(
        ("Amazon EKS shop-cluster", "interface", ""),
        (Kind::EksCluster, "shop-cluster"),
        "EKS User Guide, VPC and subnet requirements",
    ),
    case(
        ("aws-k8s-branch-eni", "branch", ""),
        (Kind::EksPod, ""),
        "EKS User Guide, security groups for pods",
    ),
    case(("", "branch", ""), (Kind::EksPod, ""), TYPES),
    case(
        (
            "ElastiCache shop-cache-001",
            "interface",
            "amazon-elasticache",
        ),
        (Kind::Cache, "shop-cache-001"),
        SEEN,
    ),
    case(
        ("ElastiCache+shop-cache-001", "interface", ""),
        (Kind::Cache, "shop-cache-001"),
        SEEN,
    ),
    case(
        ("other words", "interface", "amazon-elasticache"),
        (Kind::Cache, ""),
        SEEN,
    ),
    case(
        ("DAX shop-dax-a", "interface", ""),
        (Kind::Accelerator, "shop-dax-a"),
        SEEN,
    ),
    case(
        ("RedshiftNetworkInterface", "interface", "amazon-redshift"),
        (Kind::Warehouse, ""),
        SEEN,
    ),
    case(
        ("", "interface", "amazon-redshift"),
        (Kind::Warehouse, ""),
        SEEN,
    ),
    case(
        ("ENI managed by APIGateway", "interface", ""),
        (Kind::ApiGatewayLink, ""),
        SEEN,
    ),
    case(
        ("", "api_gateway_managed", ""),
        (Kind::ApiGatewayLink, ""),
        TYPES,
    ),
    case(
        ("ES shop-search", "interface", "amazon-elasticsearch"),
        (Kind::SearchDomain, "shop-search"),
        SEEN,
    ),
    case(
        ("", "interface", "amazon-elasticsearch"),
        (Kind::SearchDomain, ""),
        SEEN,
    ),
    case(
        (
            "AWS created network interface for directory d-92670a1b2c",
            "interface",
            "",
        ),
        (Kind::Directory, "d-92670a1b2c"),
        "Directory Service Administration Guide",
    ),
    case(
        (
            "Created By Amazon Workspaces for AWS Account ID 123456789012",
            "interface",
            "",
        ),
        (Kind::Workspace, "123456789012"),
        SEEN,
    ),
    case(
        ("DMSNetworkInterface", "interface", ""),
        (Kind::ReplicationInstance, ""),
        SEEN,
    ),
    case(
        (
            "DO NOT DELETE - Amazon MSK network interface for cluster arn:aws:kafka:eu-west-2:123456789012:cluster/events/6411a16c-75d7-2.",
            "interface",
            "",
        ),
        (Kind::KafkaCluster, "events"),
        SEEN,
    ),
    case(
        (
            "Route 53 Resolver: rslvr-in-55829d25693e4b729:rni-9494385465134fa5a",
            "interface",
            "",
        ),
        (Kind::Resolver, "rslvr-in-55829d25693e4b729"),
        SEEN,
    ),
    case(
        (
            "Attached to Glue using role: arn:aws:iam::123456789012:role/etl",
            "interface",
            "",
        ),
        (Kind::GlueConnection, ""),
        SEEN,
    ),
    case(
        (
            "[DO NOT DELETE] ENI managed by SageMaker for Studio Domain (d-1)",
            "interface",
            "",
        ),
        (Kind::Notebook, ""),
        SEEN,
    ),
    case(
        ("Amazon Kinesis Firehose - shop-stream.", "interface", ""),
        (Kind::DeliveryStream, "shop-stream"),
        SEEN,
    ),
    case(
        ("AWS CodeStar Connections", "interface", ""),
        (Kind::CodeConnection, ""),
        SEEN,
    ),
    case(
        ("", "aws_codestar_connections_managed", ""),
        (Kind::CodeConnection, ""),
        TYPES,
    ),
    case(
        ("CloudHSM Management Interface", "interface", ""),
        (Kind::HardwareSecurityModule, ""),
        SEEN,
    ),
    case(
        ("", "global_accelerator_managed", ""),
        (Kind::GlobalAccelerator, ""),
        TYPES,
    ),
    case(("", "iot_rules_managed", ""), (Kind::IotRule, ""), TYPES),
    case(("", "quicksight", ""), (Kind::QuickSight, ""), TYPES),
    case(
        ("", "evs", "123456789012"),
        (Kind::Other("evs"), ""),
        "a type newer than these rules",
    ),
    case(
        ("my own interface", "interface", "123456789012"),
        (Kind::NetworkInterface, "eni-1"),
        "nothing tells",
    ),
    case(
        ("ELB", "interface", ""),
        (Kind::NetworkInterface, "eni-1"),
        "a word alone names nobody",
    ),
    case(
        ("ESpresso machine", "interface", ""),
        (Kind::NetworkInterface, "eni-1"),
        "a prefix is not a word",
    ),
];

#[test]
fn every_rule_recognises_its_interface() {
    for case in CASES {
        let found = identify(&InterfaceDescription {
            id: "eni-1",
            description: case.description,
            interface_type: case.interface_type,
            requester: case.requester,
            ..InterfaceDescription::default()
        });
        assert_eq!(
            (found.kind, found.id),
            (case.kind, case.id),
            "{} / {} ({})",
            case.description,
            case.interface_type,
            case.source
        );
    }
}

#[test]
fn an_interface_on_an_instance_is_the_instance_whatever_it_says() {
    let found = identify(&InterfaceDescription {
        instance: "i-1",
        description: "ELB x",
        ..InterfaceDescription::default()
    });
    assert_eq!((found.kind, found.id), (Kind::Instance, "i-1"));
}

#[test]
fn the_owner_of_the_public_address_decides_as_in_the_plugin() {
    let check = |owner: &'static str, description: &'static str, kind: Kind<'_>, id: &str| {
        let found = identify(&InterfaceDescription {
            address_owner: owner,
            description,
            ..InterfaceDescription::default()
        });
        assert_eq!((found.kind, found.id), (kind, id), "{owner}");
    };
    check(
        "amazon-elb",
        "ELB my-classic",
        Kind::ClassicLoadBalancer,
        "my-classic",
    );
    check(
        "amazon-elb",
        "nothing telling us",
        Kind::ClassicLoadBalancer,
        "unknown-name",
    );
    check("amazon-rds", "RDSNetworkInterface", Kind::Database, "");
}

#[test]
fn a_missing_requester_is_no_error() {
    // The plugin logs an internal error for each lookup of such an interface.
    let found = identify(&InterfaceDescription {
        id: "eni-1",
        ..InterfaceDescription::default()
    });
    assert_eq!(found.kind, Kind::NetworkInterface);
}

#[test]
fn a_managed_interface_without_a_rule_keeps_the_requester() {
    let found = identify(&InterfaceDescription {
        id: "eni-1",
        interface_type: "interface",
        requester: "amazon-newthing",
        requester_managed: true,
        ..InterfaceDescription::default()
    });
    assert_eq!(found.kind, Kind::Other("amazon-newthing"));
}

#[test]
fn details_keep_what_the_identity_drops() {
    let check = |description: &'static str, detail: &str| {
        let found = identify(&InterfaceDescription {
            description,
            ..InterfaceDescription::default()
        });
        assert_eq!(found.detail, detail);
    };
    check("EFS mount target for fs-1 (fsmt-2)", "fsmt-2");
    check(
        "Attached to Glue using role: arn:aws:iam::1:role/etl",
        "arn:aws:iam::1:role/etl",
    );
    check(
        "arn:aws:ecs:eu-west-1:1:attachment/38",
        "arn:aws:ecs:eu-west-1:1:attachment/38",
    );
}

proptest::proptest! {
    #[test]
    fn no_description_breaks_a_rule(description in ".{0,80}", start in 0_usize..30) {
        let start = PREFIXES.get(start).map_or("AWS Lambda VPC ENI-", |rule| rule.0);
        for text in [description.clone(), format!("{start}{description}"), format!("ELB {description}"), format!("arn:{description}")] {
            let found = identify(&InterfaceDescription { id: "eni-1", description: &text, ..InterfaceDescription::default() });
            proptest::prop_assert!(text.contains(found.id) || found.kind == Kind::NetworkInterface);
        }
    }
}
