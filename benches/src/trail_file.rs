//! CloudTrail log files.

/// CloudTrail log files, the same for ever but none like another: records of six kinds, 700 to 2,500 bytes each.
///
/// Many, because a processor learns the branches of a file that is read again and again, those of inflating first of all.
pub fn trail_files(records: usize) -> impl Iterator<Item = String> {
    let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    std::iter::repeat_with(move || {
        let mut text = String::from(r#"{"Records":["#);
        for number in 0..records {
            if number > 0 {
                text.push(',');
            }
            text.push_str(&record(&mut random));
        }
        text.push_str("]}");
        text
    })
}

fn record(random: &mut impl FnMut() -> u64) -> String {
    let id = |random: &mut dyn FnMut() -> u64| {
        let (a, b) = (random(), random());
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            a as u32,
            (a >> 32) as u16,
            (a >> 48) & 0xfff,
            b & 0xfff,
            b >> 16
        )
    };
    let (session, access_key, request, event) =
        (random() % 40, random() % 40, id(random), id(random));
    let role = [
        "Reader",
        "Deployer",
        "AWSReservedSSO_Admin_0123456789abcdef",
        "ecsTaskExecutionRole",
    ][(random() % 4) as usize];
    let user = if random().is_multiple_of(4) {
        format!(
            r#"{{"type":"IAMUser","principalId":"AIDAEXAMPLE{session:08}","arn":"arn:aws:iam::123456789012:user/user-{session}","accountId":"123456789012","accessKeyId":"AKIAEXAMPLE{access_key:08}","userName":"user-{session}"}}"#
        )
    } else {
        format!(
            r#"{{"type":"AssumedRole","principalId":"AROAEXAMPLE{session:08}:session-{session}","arn":"arn:aws:sts::123456789012:assumed-role/{role}/session-{session}","accountId":"123456789012","accessKeyId":"ASIAEXAMPLE{access_key:08}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROAEXAMPLE{session:08}","arn":"arn:aws:iam::123456789012:role/{role}","accountId":"123456789012","userName":"{role}"}},"webIdFederationData":{{}},"attributes":{{"creationDate":"2024-07-10T16:03:25Z","mfaAuthenticated":"false"}}}}}}"#
        )
    };
    let kind = random() % 6;
    let (source, name, request_parameters, response, extra) = match kind {
        0 => ("ec2", "DescribeInstances", format!(r#"{{"instancesSet":{{"items":[{{"instanceId":"i-{:016x}"}}]}},"filterSet":{{}}}}"#, random()), "null".to_owned(), ""),
        1 => ("s3", "GetObject", format!(r#"{{"bucketName":"data-lake","Host":"data-lake.s3.eu-west-1.amazonaws.com","key":"year=2024/month=07/part-{:016x}.parquet"}}"#, random()), "null".to_owned(), r#","additionalEventData":{"SignatureVersion":"SigV4","CipherSuite":"ECDHE-RSA-AES128-GCM-SHA256","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","bytesTransferredOut":17893},"resources":[{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::data-lake/year=2024"},{"accountId":"123456789012","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::data-lake"}]"#),
        2 => ("sts", "AssumeRole", format!(r#"{{"roleArn":"arn:aws:iam::123456789012:role/{role}","roleSessionName":"session-{session}","durationSeconds":3600}}"#), format!(r#"{{"credentials":{{"accessKeyId":"ASIA{:016X}","sessionToken":"{:016x}{:016x}{:016x}","expiration":"Jul 10, 2024, 5:48:26 PM"}},"assumedRoleUser":{{"assumedRoleId":"AROAEXAMPLE:{session}","arn":"arn:aws:sts::123456789012:assumed-role/{role}/session-{session}"}}}}"#, random(), random(), random(), random()), ""),
        3 => ("kms", "Decrypt", format!(r#"{{"encryptionContext":{{"aws:s3:arn":"arn:aws:s3:::data-lake/part-{:016x}"}},"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}}"#, random()), "null".to_owned(), r#","resources":[{"accountId":"123456789012","type":"AWS::KMS::Key","ARN":"arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"}]"#),
        4 => ("iam", "CreatePolicyVersion", r#"{"policyArn":"arn:aws:iam::123456789012:policy/app","policyDocument":"{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n    {\"Effect\": \"Allow\", \"Action\": [\"s3:GetObject\"], \"Resource\": \"*\"}\n  ]\n}","setAsDefault":true}"#.to_owned(), r#"{"policyVersion":{"versionId":"v7","isDefaultVersion":true,"createDate":"Jul 10, 2024, 4:48:26 PM"}}"#.to_owned(), ""),
        _ => ("logs", "PutRetentionPolicy", "null".to_owned(), "null".to_owned(), r#","errorCode":"AccessDenied","errorMessage":"User: arn:aws:iam::123456789012:user/x is not authorized to perform: logs:PutRetentionPolicy on resource: arn:aws:logs:eu-west-1:123456789012:log-group:app because no identity-based policy allows it""#),
    };
    format!(
        r#"{{"eventVersion":"1.11","userIdentity":{user},"eventTime":"2024-07-10T16:{:02}:{:02}Z","eventSource":"{source}.amazonaws.com","eventName":"{name}","awsRegion":"eu-west-1","sourceIPAddress":"192.0.2.{}","userAgent":"aws-sdk-rust/1.3.10 ua/2.1 api/{source}#1.50 os/linux lang/rust#1.95 md/http#hyper-1.x","requestParameters":{request_parameters},"responseElements":{response}{extra},"requestID":"{request}","eventID":"{event}","readOnly":{},"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"123456789012","eventCategory":"Management","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{source}.eu-west-1.amazonaws.com"}}}}"#,
        random() % 60,
        random() % 60,
        random() % 250,
        kind != 4
    )
}
