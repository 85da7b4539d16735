//! The address ranges AWS publishes, from a local copy of the file.

use serde::Deserialize;

use crate::{EntityDescription, Error, Kind, Origin, Part, PartBuilder, Prefix, Source};

/// Reads a local copy of <https://ip-ranges.amazonaws.com/ip-ranges.json> ("AWS IP address ranges",
/// Amazon VPC User Guide) into a part for [`crate::Index::new`].
///
/// Each range becomes a [`Kind::AwsService`] whose id is the service (`S3`, `CLOUDFRONT`), whose region is the range's and
/// whose detail is its network border group where that differs. Members that AWS adds later are passed over.
///
/// # Errors
/// [`Error::Json`] when the file does not decode, [`Error::Prefix`] when a range is none.
///
/// ```
/// use forebay_entity::{Index, OnConflict, Scope, service_ranges};
///
/// let file = br#"{"syncToken": "1", "prefixes": [
///     {"ip_prefix": "52.92.0.0/17", "region": "eu-west-1", "service": "S3", "network_border_group": "eu-west-1"}
/// ], "ipv6_prefixes": []}"#;
/// let index = Index::new([service_ranges(file)?], OnConflict::ByInterface)?;
/// let found = index.lookup("52.92.1.1".parse()?, &Scope::default()).entity().ok_or("not known")?;
/// assert_eq!((found.id(), found.region()), ("S3", Some("eu-west-1")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn service_ranges(file: &[u8]) -> Result<Part, Error> {
    let file: File<'_> = serde_json::from_slice(file).map_err(Error::from_json)?;
    let mut part = PartBuilder::new(Origin::new("", ""), Source::ServiceRanges);
    for range in file.prefixes.into_iter().chain(file.ipv6_prefixes) {
        let prefix: Prefix = range.prefix.parse()?;
        part.entity(&EntityDescription {
            kind: Kind::AwsService,
            id: &range.service,
            detail: if range.network_border_group == range.region {
                ""
            } else {
                &range.network_border_group
            },
            region: &range.region,
            prefixes: &[prefix],
            ..EntityDescription::default()
        });
    }
    part.finish()
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    prefixes: Vec<Range<'a>>,
    #[serde(borrow, default)]
    ipv6_prefixes: Vec<Range<'a>>,
}

#[derive(Deserialize)]
struct Range<'a> {
    #[serde(borrow, alias = "ip_prefix", alias = "ipv6_prefix")]
    prefix: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    service: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    region: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    network_border_group: std::borrow::Cow<'a, str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Index, OnConflict, Scope};

    #[test]
    fn both_families_are_read_and_unknown_members_passed_over() {
        let file = br#"{"syncToken":"1","createDate":"2026-01-01-00-00-00","novel":[1],
            "prefixes":[
                {"ip_prefix":"3.4.0.0/16","region":"us-east-1","service":"AMAZON","network_border_group":"us-east-1","novel":true},
                {"ip_prefix":"3.4.0.0/16","region":"us-east-1","service":"EC2","network_border_group":"us-east-1-bos-1"}],
            "ipv6_prefixes":[{"ipv6_prefix":"2600:9000::/28","region":"GLOBAL","service":"CLOUDFRONT","network_border_group":"GLOBAL"}]}"#;
        let index = Index::new([service_ranges(file).unwrap()], OnConflict::ByInterface).unwrap();
        let check = |address: &str, id: &str, detail: Option<&str>, label: &str| {
            let entity = index
                .lookup(address.parse().unwrap(), &Scope::default())
                .entity()
                .unwrap();
            assert_eq!((entity.id(), entity.detail()), (id, detail));
            assert_eq!(entity.label().unwrap().to_string(), label);
        };
        check("3.4.5.6", "EC2", Some("us-east-1-bos-1"), "aws:EC2");
        check("2600:9000::1", "CLOUDFRONT", None, "aws:CLOUDFRONT");
        // The ranges are no part of a refresh, so they have no age.
        assert_eq!(index.age(std::time::SystemTime::UNIX_EPOCH), None);
    }

    #[test]
    fn a_broken_file_is_refused_with_its_place() {
        let cut = service_ranges(b"{\"prefixes\":[\n{\"ip_prefix\":").unwrap_err();
        assert!(matches!(cut, Error::Json { line: 2, .. }), "{cut}");
        let wrong = service_ranges(br#"{"prefixes":[{"ip_prefix":"3.4.0.0","service":"S3"}]}"#)
            .unwrap_err();
        assert_eq!(
            wrong,
            Error::Prefix {
                text: "3.4.0.0".to_owned()
            }
        );
    }
}
