use crate::ServiceError;
use crate::route::REQUEST_ID;
use crate::wire::query::Parameters;
use crate::wire::{time, xml::Xml};

/// The account an access key belongs to: twelve digits name it, as do keys that AssumeRole gave out.
pub(crate) fn account_of(access_key: &str) -> Option<&str> {
    let digits = access_key.strip_prefix("ASIA").unwrap_or(access_key);
    let account = digits.get(..12)?;
    (account.bytes().all(|byte| byte.is_ascii_digit())
        && (digits.len() == 12 || digits != access_key))
        .then_some(account)
}

/// GetCallerIdentity and AssumeRole. Every role may be assumed; refusals come from the fault plan.
pub(crate) fn call(
    operation: &str,
    input: &Parameters,
    (account, access_key): (&str, &str),
    now: u64,
) -> Option<Result<String, ServiceError>> {
    match operation {
        "GetCallerIdentity" => Some(Ok(answer(operation, |xml| {
            xml.text("Arn", format!("arn:aws:iam::{account}:user/{access_key}"));
            xml.text("UserId", access_key);
            xml.text("Account", account);
        }))),
        "AssumeRole" => Some(assume_role(input, now)),
        _ => None,
    }
}

fn assume_role(input: &Parameters, now: u64) -> Result<String, ServiceError> {
    let missing = |name: &str| {
        ServiceError::client(
            "ValidationError",
            format!("`{name}` is missing or malformed"),
        )
    };
    let role = input.get("RoleArn").ok_or_else(|| missing("RoleArn"))?;
    let session = input
        .get("RoleSessionName")
        .ok_or_else(|| missing("RoleSessionName"))?;
    let account = role
        .split(':')
        .nth(4)
        .filter(|account| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or_else(|| missing("RoleArn"))?;
    let seconds = match input.get("DurationSeconds") {
        None => 3_600,
        Some(text) => text
            .parse::<u64>()
            .ok()
            .filter(|seconds| (900..=43_200).contains(seconds))
            .ok_or_else(|| missing("DurationSeconds"))?,
    };
    let name = role.rsplit('/').next().unwrap_or_default();
    Ok(answer("AssumeRole", |xml| {
        xml.element("AssumedRoleUser", |xml| {
            xml.text("AssumedRoleId", format!("AROA{account}0000:{session}"));
            xml.text(
                "Arn",
                format!("arn:aws:sts::{account}:assumed-role/{name}/{session}"),
            );
        });
        xml.element("Credentials", |xml| {
            xml.text("AccessKeyId", format!("ASIA{account}0000"));
            xml.text("SecretAccessKey", "local");
            xml.text("SessionToken", "local");
            xml.text("Expiration", time::iso(now + seconds * 1000));
        });
    }))
}

fn answer(operation: &str, fill: impl FnOnce(&mut Xml)) -> String {
    Xml::document(
        &format!("{operation}Response"),
        "https://sts.amazonaws.com/doc/2011-06-15/",
        |xml| {
            xml.element(&format!("{operation}Result"), fill);
            xml.element("ResponseMetadata", |xml| xml.text("RequestId", REQUEST_ID));
        },
    )
}
