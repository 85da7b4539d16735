//! The invented company of the demo: what stands in the embedded AWS before the first event.

use anyhow::Context;

use forebay_localaws::{Association, Cloud, Instance, LocalAws, NetworkInterface};

use crate::aws::Account;

/// Clients for the producer's side, and where things are.
#[derive(Debug)]
pub(super) struct World {
    pub(super) kinesis: aws_sdk_kinesis::Client,
    pub(super) s3: aws_sdk_s3::Client,
    pub(super) sqs: aws_sdk_sqs::Client,
    pub(super) queue_url: String,
}

/// An instance with its interface.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host {
    pub(super) instance: &'static str,
    pub(super) interface: &'static str,
    pub(super) address: &'static str,
    pub(super) name: &'static str,
}

/// A load balancer that is known by its interface only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Balancer {
    pub(super) interface: &'static str,
    pub(super) address: &'static str,
    pub(super) public_address: &'static str,
    pub(super) name: &'static str,
}

pub(super) const HOSTS: [Host; 4] = [
    Host {
        instance: "i-0a00000000000001",
        interface: "eni-0a00000000000001",
        address: "10.0.4.7",
        name: "web-1",
    },
    Host {
        instance: "i-0a00000000000002",
        interface: "eni-0a00000000000002",
        address: "10.0.4.8",
        name: "web-2",
    },
    Host {
        instance: "i-0a00000000000003",
        interface: "eni-0a00000000000003",
        address: "10.0.9.20",
        name: "checkout",
    },
    Host {
        instance: "i-0a00000000000004",
        interface: "eni-0a00000000000004",
        address: "10.0.9.21",
        name: "orders-db",
    },
];

pub(super) const LOAD_BALANCER: Balancer = Balancer {
    interface: "eni-0b00000000000001",
    address: "10.0.1.5",
    public_address: "203.0.113.80",
    name: "app/shop/50dc6c495c0c9188",
};

pub(super) const STREAM: &str = "demo-logs";
pub(super) const SHARDS: i32 = 2;
pub(super) const QUEUE: &str = "demo-trail-notices";
pub(super) const BUCKET: &str = "demo-trail";
pub(super) const TRAIL_ACCOUNT: &str = "123456789012";
pub(super) const REGION: &str = "eu-west-1";
pub(super) const VPC: &str = "vpc-0a1b";

/// Instances and interfaces, which nobody makes through the SDK's clients of the pipeline.
fn stage(cloud: &mut Cloud) {
    let ec2 = cloud.ec2_in(TRAIL_ACCOUNT, REGION);
    for host in HOSTS {
        ec2.add_instance(Instance {
            id: host.instance.into(),
            private_address: Some(host.address.into()),
            vpc: Some(VPC.into()),
            tags: vec![("Name".into(), host.name.into())],
            ..Instance::default()
        });
        ec2.add_interface(NetworkInterface {
            id: host.interface.into(),
            instance: Some(host.instance.into()),
            private_addresses: vec![host.address.into()],
            vpc: Some(VPC.into()),
            ..NetworkInterface::default()
        });
    }
    ec2.add_interface(NetworkInterface {
        id: LOAD_BALANCER.interface.into(),
        description: format!("ELB {}", LOAD_BALANCER.name),
        requester: Some("amazon-elb".into()),
        requester_managed: true,
        private_addresses: vec![LOAD_BALANCER.address.into()],
        association: Some(Association {
            public_address: LOAD_BALANCER.public_address.into(),
            owner: "amazon-elb".into(),
        }),
        vpc: Some(VPC.into()),
        ..NetworkInterface::default()
    });
}

impl World {
    /// Makes stream, queue and bucket through the SDK, as a person would.
    pub(super) async fn build(account: &Account, aws: &LocalAws) -> anyhow::Result<Self> {
        aws.with(|cloud, _| stage(cloud));
        let (kinesis, s3, sqs) = (account.kinesis(), account.s3(None), account.sqs(None));
        kinesis
            .create_stream()
            .stream_name(STREAM)
            .shard_count(SHARDS)
            .send()
            .await
            .context("the demo's stream")?;
        s3.create_bucket()
            .bucket(BUCKET)
            .send()
            .await
            .context("the demo's bucket")?;
        let queue = sqs
            .create_queue()
            .queue_name(QUEUE)
            .send()
            .await
            .context("the demo's queue")?;
        let queue_url = queue.queue_url.context("the demo's queue has no URL")?;
        loop {
            let summary = kinesis
                .describe_stream_summary()
                .stream_name(STREAM)
                .send()
                .await
                .context("the demo's stream")?;
            let status = summary
                .stream_description_summary
                .map(|summary| summary.stream_status);
            if status == Some(aws_sdk_kinesis::types::StreamStatus::Active) {
                return Ok(Self {
                    kinesis,
                    s3,
                    sqs,
                    queue_url,
                });
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}
