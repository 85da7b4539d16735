use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumAlgorithm;

use crate::endpoint::{CaseResult, Check, Endpoint, case, ensure, refused};

/// Objects whole and in ranges, conditions, listings, errors.
pub async fn s3_suite(endpoint: &Endpoint) -> Vec<CaseResult> {
    let config = aws_sdk_s3::config::Builder::from(endpoint.config())
        .force_path_style(true)
        .build();
    let client = Client::from_conf(config);
    let bucket = client.create_bucket().bucket(BUCKET).send().await;
    let mut results = vec![
        case("s3/a-bucket-can-be-made", async {
            bucket.map(|_| ()).map_err(Into::into)
        })
        .await,
    ];
    results.extend([
        case("s3/bytes-come-back-unchanged", bytes_come_back(&client)).await,
        case("s3/a-streamed-file-is-stored-whole", streamed_file(&client)).await,
        case(
            "s3/every-checksum-of-the-sdk-is-accepted",
            checksums(&client),
        )
        .await,
        case("s3/a-wrong-checksum-is-refused", wrong_checksum(&client)).await,
        case("s3/ranges-are-cut", ranges(&client)).await,
        case("s3/if-match-guards-the-read", if_match(&client)).await,
        case("s3/head-tells-size-and-tag", head(&client)).await,
        case("s3/listings-page-and-group", listing(&client)).await,
        case("s3/errors-have-their-types", errors(&client)).await,
        case("s3/the-expected-owner-is-checked", expected_owner(&client)).await,
    ]);
    results
}

async fn bytes_come_back(client: &Client) -> Check {
    let body: Vec<u8> = (0..200_000u32).map(|number| (number % 251) as u8).collect();
    let key = "AWSLogs/1234 +\u{20ac}&=/file.json.gz";
    put(client, key, body.clone()).await?;
    ensure(get(client, key, None).await? == body, || {
        "the bytes differ".to_owned()
    })
}

async fn streamed_file(client: &Client) -> Check {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("file");
    let body = vec![7u8; 300_000];
    std::fs::write(&path, &body)?;
    let stream = ByteStream::from_path(&path).await?;
    client
        .put_object()
        .bucket(BUCKET)
        .key("streamed")
        .body(stream)
        .send()
        .await?;
    ensure(get(client, "streamed", None).await? == body, || {
        "the file differs".to_owned()
    })
}

async fn checksums(client: &Client) -> Check {
    for algorithm in [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Crc64Nvme,
    ] {
        client
            .put_object()
            .bucket(BUCKET)
            .key("checked")
            .checksum_algorithm(algorithm.clone())
            .body(ByteStream::from_static(b"checked"))
            .send()
            .await
            .map_err(|error| format!("{algorithm}: {error:?}"))?;
    }
    Ok(())
}

async fn wrong_checksum(client: &Client) -> Check {
    let answer = client
        .put_object()
        .bucket(BUCKET)
        .key("wrong")
        .checksum_crc32("AAAAAA==")
        .body(ByteStream::from_static(b"not what the checksum says"))
        .send()
        .await;
    refused(&answer, &["BadDigest", "InvalidRequest"])
}

async fn ranges(client: &Client) -> Check {
    put(client, "ranges", b"0123456789".to_vec()).await?;
    for (range, wanted) in [
        ("bytes=0-3", "0123"),
        ("bytes=7-", "789"),
        ("bytes=-2", "89"),
        ("bytes=8-100", "89"),
    ] {
        let got = get(client, "ranges", Some(range)).await?;
        ensure(got == wanted.as_bytes(), || format!("{range}: {got:?}"))?;
    }
    let beyond = client
        .get_object()
        .bucket(BUCKET)
        .key("ranges")
        .range("bytes=10-")
        .send()
        .await;
    refused(&beyond, &["InvalidRange"])
}

async fn if_match(client: &Client) -> Check {
    put(client, "guarded", b"one".to_vec()).await?;
    let head = client
        .head_object()
        .bucket(BUCKET)
        .key("guarded")
        .send()
        .await?;
    let tag = head.e_tag().ok_or("no tag")?;
    client
        .get_object()
        .bucket(BUCKET)
        .key("guarded")
        .if_match(tag)
        .send()
        .await?;
    put(client, "guarded", b"two".to_vec()).await?;
    let answer = client
        .get_object()
        .bucket(BUCKET)
        .key("guarded")
        .if_match(tag)
        .send()
        .await;
    refused(&answer, &["PreconditionFailed"])
}

async fn head(client: &Client) -> Check {
    client
        .put_object()
        .bucket(BUCKET)
        .key("headed")
        .content_type("application/json")
        .body(ByteStream::from_static(b"0123456789"))
        .send()
        .await?;
    let head = client
        .head_object()
        .bucket(BUCKET)
        .key("headed")
        .send()
        .await?;
    ensure(head.content_length() == Some(10), || format!("{head:?}"))?;
    ensure(
        head.e_tag() == Some("\"781e5e245d69b566979b86e28d23f2c7\""),
        || format!("{head:?}"),
    )?;
    ensure(head.content_type() == Some("application/json"), || {
        format!("{head:?}")
    })?;
    ensure(head.last_modified().is_some(), || format!("{head:?}"))?;
    let missing = client
        .head_object()
        .bucket(BUCKET)
        .key("missing")
        .send()
        .await;
    ensure(
        missing.is_err_and(|error| error.into_service_error().is_not_found()),
        || "not typed as NotFound".to_owned(),
    )
}

async fn listing(client: &Client) -> Check {
    for key in ["list/a/1", "list/a/2", "list/b/1", "list/c", "list/d"] {
        put(client, key, b"x".to_vec()).await?;
    }
    let mut keys = Vec::new();
    let mut token = None;
    loop {
        let page = client
            .list_objects_v2()
            .bucket(BUCKET)
            .prefix("list/")
            .max_keys(2)
            .set_continuation_token(token)
            .send()
            .await?;
        ensure(page.contents().len() <= 2, || format!("{page:?}"))?;
        keys.extend(
            page.contents()
                .iter()
                .filter_map(|object| object.key().map(str::to_owned)),
        );
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    ensure(
        keys == ["list/a/1", "list/a/2", "list/b/1", "list/c", "list/d"],
        || format!("{keys:?}"),
    )?;
    let grouped = client
        .list_objects_v2()
        .bucket(BUCKET)
        .prefix("list/")
        .delimiter("/")
        .send()
        .await?;
    let prefixes: Vec<&str> = grouped
        .common_prefixes()
        .iter()
        .filter_map(|group| group.prefix())
        .collect();
    ensure(
        prefixes == ["list/a/", "list/b/"] && grouped.contents().len() == 2,
        || format!("{grouped:?}"),
    )
}

async fn errors(client: &Client) -> Check {
    let missing = client
        .get_object()
        .bucket(BUCKET)
        .key("missing")
        .send()
        .await;
    ensure(
        missing.is_err_and(|error| error.into_service_error().is_no_such_key()),
        || "not typed as NoSuchKey".to_owned(),
    )?;
    let bucket = client
        .get_object()
        .bucket("contract-no-bucket")
        .key("x")
        .send()
        .await;
    refused(&bucket, &["NoSuchBucket"])?;
    put(client, "deleted", b"x".to_vec()).await?;
    for _ in 0..2 {
        client
            .delete_object()
            .bucket(BUCKET)
            .key("deleted")
            .send()
            .await?;
    }
    let gone = client
        .get_object()
        .bucket(BUCKET)
        .key("deleted")
        .send()
        .await;
    refused(&gone, &["NoSuchKey"])
}

async fn expected_owner(client: &Client) -> Check {
    put(client, "owned", b"x".to_vec()).await?;
    let answer = client
        .get_object()
        .bucket(BUCKET)
        .key("owned")
        .expected_bucket_owner("999999999999")
        .send()
        .await;
    refused(&answer, &["AccessDenied"])
}

async fn put(client: &Client, key: &str, body: Vec<u8>) -> Check {
    client
        .put_object()
        .bucket(BUCKET)
        .key(key)
        .body(ByteStream::from(body))
        .send()
        .await?;
    Ok(())
}

async fn get(
    client: &Client,
    key: &str,
    range: Option<&str>,
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let answer = client
        .get_object()
        .bucket(BUCKET)
        .key(key)
        .set_range(range.map(str::to_owned))
        .send()
        .await?;
    Ok(answer.body.collect().await?.to_vec())
}

const BUCKET: &str = "contract-bucket";
