//! `forebay entities`, and names in a run.

use std::path::Path;

use forebay_localaws::{Instance, NetworkInterface, Service};
use serde_json::{Value, json};

use crate::bed::{self, Aws, Bed, command};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entities_are_listed_and_looked_up() {
    let bed = Bed::new("[entities]\nenabled = true\n").await;
    {
        let mut cloud = bed.aws.cloud.lock().expect("the model");
        let ec2 = cloud.ec2_in("123456789012", "eu-west-1");
        for (number, vpc) in [(1, "vpc-1"), (2, "vpc-2")] {
            ec2.add_instance(Instance {
                id: format!("i-{number}"),
                private_address: Some("10.0.0.7".into()),
                vpc: Some(vpc.into()),
                tags: vec![("Name".into(), format!("web-{number}"))],
                ..Instance::default()
            });
            ec2.add_interface(NetworkInterface {
                id: format!("eni-{number}"),
                instance: Some(format!("i-{number}")),
                private_addresses: vec!["10.0.0.7".into()],
                vpc: Some(vpc.into()),
                ..NetworkInterface::default()
            });
        }
    }
    let ls = command(&bed.config, &["entities", "ls"]).await;
    assert_eq!(ls.code, Some(0), "{ls:?}");
    assert!(
        ls.out.contains("ec2:i-1  \"web-1\"") && ls.err.contains("1 of them with several owners"),
        "{ls:?}"
    );
    let ambiguous = command(&bed.config, &["entities", "lookup", "10.0.0.7"]).await;
    assert!(
        ambiguous.out.contains("nothing of the record decides"),
        "{ambiguous:?}"
    );
    let chosen = command(
        &bed.config,
        &["entities", "lookup", "10.0.0.7", "--vpc", "vpc-2"],
    )
    .await;
    assert!(
        chosen.out.contains("chosen by vpc")
            && chosen.out.contains("src_addr_entity_description = web-2"),
        "{chosen:?}"
    );
    bed.aws.deny(Service::Ec2, "DescribeInstances");
    let denied = command(&bed.config, &["entities", "ls"]).await;
    assert_eq!(denied.code, Some(3), "{denied:?}");
    assert!(
        denied.err.contains("needs `ec2:DescribeInstances`"),
        "{denied:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_settings_of_the_names_work_and_a_restart_knows_them_at_once() {
    let aws = Aws::with_stream().await;
    let (address, mut messages) = bed::receiver().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let ranges = json!({"prefixes": [{"ip_prefix": "10.0.0.2/32", "service": "S3", "region": "eu-west-1"}], "ipv6_prefixes": []});
    std::fs::write(path("ranges.json"), ranges.to_string()).expect("written");
    let more = format!(
        "[entities]\nenabled = true\nfields = [\"src_addr\", \"dst_addr\"]\nextended = true\ntags = [\"role\", \"Name\"]\nload_balancers = false\nsnapshot_file = {:?}\nranges_file = {:?}\n",
        path("names.json"),
        path("ranges.json"),
    );
    let config = bed::config(folder.path(), &aws, address, &more);
    aws.cloud
        .lock()
        .expect("the model")
        .ec2_in("123456789012", "eu-west-1")
        .add_instance(Instance {
            id: "i-1".into(),
            private_address: Some("10.0.0.1".into()),
            vpc: Some("vpc-1".into()),
            tags: vec![
                ("Name".into(), "web".into()),
                ("role".into(), "front".into()),
            ],
            ..Instance::default()
        });
    for round in 1..=2 {
        aws.put(round).await;
        let ended = command(&config, &["run", "--until-caught-up"]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let arrived = messages.next().await.expect("a message");
        let message: Value = serde_json::from_slice(&arrived.json).expect("GELF");
        let known = [
            ("_src_addr_entity", "ec2:i-1"),
            ("_src_addr_entity_description", "front"),
            ("_src_addr_entity_aws_type", "EC2"),
            ("_src_addr_entity_kind", "instance"),
            ("_src_addr_entity_vpc", "vpc-1"),
            ("_dst_addr_entity", "aws:S3"),
            ("_dst_addr_entity_region", "eu-west-1"),
        ];
        for (field, value) in known {
            assert_eq!(message[field], value, "{message}");
        }
        assert!(Path::new(&path("names.json")).exists());
        // From now on only the snapshot file can know.
        for operation in ["DescribeInstances", "DescribeNetworkInterfaces"] {
            aws.deny(Service::Ec2, operation);
        }
    }
    let called = aws.called();
    assert!(
        !called
            .iter()
            .any(|action| action.starts_with("elasticloadbalancing")),
        "{called:?}"
    );
}
