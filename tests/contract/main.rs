//! The contract suites: what each AWS service must do, run on our model and on independent emulators.
//!
//! A suite is a function over an [`Endpoint`] that answers named cases. On our model every case must pass. With
//! `FOREBAY_CONTRACT_KINESIS=http://127.0.0.1:4568` (likewise `_DYNAMODB`, `_SQS`, `_S3`, `_EC2`, `_ELB`,
//! `_CLOUDWATCH`; `_READER` for `forebay-s3` on SQS and S3 together) and
//! `FOREBAY_CONTRACT_EMULATOR=NAME` the suite also runs on that emulator, held against `known_differences.txt`.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "the counts of an emulator's run go to the terminal"
)]

mod cloudwatch;
mod dynamodb;
mod ec2;
mod elb;
mod endpoint;
mod faults;
mod kinesis;
mod reader;
mod s3;
mod sqs;

pub use cloudwatch::cloudwatch_suite;
pub use dynamodb::dynamodb_suite;
pub use ec2::ec2_suite;
pub use elb::elb_suite;
pub use endpoint::{CaseResult, Endpoint};
pub use kinesis::kinesis_suite;
pub use reader::reader_suite;
pub use s3::s3_suite;
pub use sqs::sqs_suite;

use endpoint::{expect_all_pass, expect_known_differences};

macro_rules! contract {
    ($model:ident, $emulator:ident, $suite:path, $service:literal) => {
        #[tokio::test(start_paused = true)]
        async fn $model() {
            let endpoint = Endpoint::model().await;
            expect_all_pass(&$suite(&endpoint).await);
        }

        #[tokio::test]
        async fn $emulator() {
            let Some(endpoint) = Endpoint::emulator($service).await else {
                println!("skipped: FOREBAY_CONTRACT_{} names no emulator", $service);
                return;
            };
            expect_known_differences($service, &$suite(&endpoint).await);
        }
    };
}

contract!(
    our_kinesis_keeps_the_contract,
    an_emulator_keeps_the_kinesis_contract,
    kinesis_suite,
    "KINESIS"
);
contract!(
    our_dynamodb_keeps_the_contract,
    an_emulator_keeps_the_dynamodb_contract,
    dynamodb_suite,
    "DYNAMODB"
);
contract!(
    our_sqs_keeps_the_contract,
    an_emulator_keeps_the_sqs_contract,
    sqs_suite,
    "SQS"
);
contract!(
    our_s3_keeps_the_contract,
    an_emulator_keeps_the_s3_contract,
    s3_suite,
    "S3"
);
contract!(
    our_ec2_keeps_the_contract,
    an_emulator_keeps_the_ec2_contract,
    ec2_suite,
    "EC2"
);
contract!(
    our_elb_keeps_the_contract,
    an_emulator_keeps_the_elb_contract,
    elb_suite,
    "ELB"
);
contract!(
    our_cloudwatch_keeps_the_contract,
    an_emulator_keeps_the_cloudwatch_contract,
    cloudwatch_suite,
    "CLOUDWATCH"
);
contract!(
    our_model_carries_the_s3_reader,
    an_emulator_keeps_the_reader_contract,
    reader_suite,
    "READER"
);
