//! AWS clients from the configuration: standard credential chain, region, endpoints, assumed roles.

use anyhow::Context;
use aws_config::{
    BehaviorVersion, Region, SdkConfig, sts::AssumeRoleProvider, timeout::TimeoutConfig,
};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};

use crate::config;

/// One credentials set of the configuration, ready to make clients.
#[derive(Clone, Debug)]
pub struct Account {
    sdk: SdkConfig,
    settings: config::Aws,
}

impl Account {
    /// Loads region and credentials as `settings` say; what they leave open follows the standard AWS chain.
    ///
    /// # Errors
    ///
    /// A secret cannot be read, or no region is known.
    pub async fn load(name: &str, settings: config::Aws) -> anyhow::Result<Self> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(
            // Calls set their own limits where they need others; nothing may hang for ever.
            TimeoutConfig::builder()
                .connect_timeout(std::time::Duration::from_secs(3))
                .operation_attempt_timeout(std::time::Duration::from_secs(30))
                .build(),
        );
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &settings.profile {
            loader = loader.profile_name(profile);
        }
        if let (Some(key), Some(secret)) = (&settings.access_key, &settings.secret_key) {
            let secret = secret
                .read()
                .with_context(|| format!("`secret_key` of [aws.{name}]"))?;
            loader = loader.credentials_provider(Credentials::new(
                key,
                secret,
                None,
                None,
                "forebay.toml",
            ));
        }
        let mut sdk = loader.load().await;
        anyhow::ensure!(
            sdk.region().is_some(),
            "no region is known for [aws.{name}]: set `region`, or AWS_REGION in the environment"
        );
        if let Some(role) = &settings.assume_role {
            let mut provider = AssumeRoleProvider::builder(&role.arn)
                .session_name(&role.session_name)
                .configure(&sdk_for(&sdk, &settings, "sts", None));
            if let Some(external_id) = &role.external_id {
                provider = provider.external_id(external_id);
            }
            let provider = SharedCredentialsProvider::new(provider.build().await);
            sdk = sdk.into_builder().credentials_provider(provider).build();
        }
        Ok(Self { sdk, settings })
    }

    /// An account over a ready-made SDK configuration: the demo's and the tests' way in.
    #[must_use]
    pub fn from_sdk(sdk: SdkConfig, settings: config::Aws) -> Self {
        Self { sdk, settings }
    }

    /// The region that clients use unless told otherwise.
    #[must_use]
    pub fn region(&self) -> &str {
        self.sdk.region().map_or("", Region::as_ref)
    }

    fn sdk_for(&self, service: &str, region: Option<&str>) -> SdkConfig {
        sdk_for(&self.sdk, &self.settings, service, region)
    }

    /// A Kinesis client.
    #[must_use]
    pub fn kinesis(&self) -> aws_sdk_kinesis::Client {
        aws_sdk_kinesis::Client::new(&self.sdk_for("kinesis", None))
    }

    /// A DynamoDB client.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.sdk_for("dynamodb", None))
    }

    /// An STS client.
    #[must_use]
    pub fn sts(&self) -> aws_sdk_sts::Client {
        aws_sdk_sts::Client::new(&self.sdk_for("sts", None))
    }

    /// An SQS client for `region`, or the account's own.
    #[must_use]
    pub fn sqs(&self, region: Option<&str>) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.sdk_for("sqs", region))
    }

    /// An S3 client for `region`, or the account's own.
    #[must_use]
    pub fn s3(&self, region: Option<&str>) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.sdk_for("s3", region))
            .force_path_style(self.settings.s3_path_style)
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// An EC2 client for `region`, or the account's own.
    #[cfg(feature = "entities")]
    #[must_use]
    pub fn ec2(&self, region: Option<&str>) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.sdk_for("ec2", region))
    }

    /// A classic ELB client for `region`, or the account's own.
    #[cfg(feature = "entities")]
    #[must_use]
    pub fn elasticloadbalancing(
        &self,
        region: Option<&str>,
    ) -> aws_sdk_elasticloadbalancing::Client {
        aws_sdk_elasticloadbalancing::Client::new(&self.sdk_for("elasticloadbalancing", region))
    }
}

fn sdk_for(
    sdk: &SdkConfig,
    settings: &config::Aws,
    service: &str,
    region: Option<&str>,
) -> SdkConfig {
    let mut builder = sdk.to_builder();
    if let Some(region) = region {
        builder = builder.region(Region::new(region.to_owned()));
    }
    if let Some(endpoint) = settings.endpoints.get(service) {
        builder = builder.endpoint_url(endpoint);
    }
    builder.build()
}
