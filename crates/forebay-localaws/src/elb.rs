//! Classic load balancers: DescribeLoadBalancers from a fixture.

use crate::ServiceError;
use crate::route::REQUEST_ID;
use crate::wire::query::Parameters;
use crate::wire::xml::Xml;

/// The classic load balancers of one account and region.
#[derive(Clone, Debug, Default)]
pub struct Elb {
    balancers: Vec<LoadBalancer>,
}

/// A classic load balancer.
#[expect(
    clippy::exhaustive_structs,
    reason = "fixtures are written as literals"
)]
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LoadBalancer {
    /// Its name.
    pub name: String,
    /// Its DNS name.
    pub dns_name: String,
    /// `vpc-...`.
    pub vpc: Option<String>,
    /// `internet-facing` or `internal`; empty means the former.
    pub scheme: String,
}

impl Elb {
    /// Adds a load balancer.
    pub fn add(&mut self, balancer: LoadBalancer) {
        self.balancers.push(balancer);
    }

    /// Runs an operation of the query protocol; `None`: not modelled.
    pub(crate) fn call(
        &self,
        operation: &str,
        input: &Parameters,
    ) -> Option<Result<String, ServiceError>> {
        // Newer load balancers share the scope and the operation's name; the version tells them apart.
        let classic = input
            .get("Version")
            .is_none_or(|version| version == "2012-06-01");
        (operation == "DescribeLoadBalancers" && classic).then(|| self.describe(input))
    }

    fn describe(&self, input: &Parameters) -> Result<String, ServiceError> {
        let names = input.list("LoadBalancerNames.member");
        if let Some(name) = names
            .iter()
            .find(|name| !self.balancers.iter().any(|one| one.name == **name))
        {
            return Err(ServiceError::client(
                "LoadBalancerNotFound",
                format!("There is no ACTIVE Load Balancer named '{name}'"),
            ));
        }
        let limit = match input.get("PageSize") {
            None => 400,
            Some(text) => text
                .parse::<usize>()
                .ok()
                .filter(|size| (1..=400).contains(size))
                .ok_or_else(|| {
                    ServiceError::client("ValidationError", "PageSize must be from 1 to 400")
                })?,
        };
        let mut shown: Vec<&LoadBalancer> = self
            .balancers
            .iter()
            .filter(|one| names.is_empty() || names.contains(&one.name.as_str()))
            .filter(|one| {
                input
                    .get("Marker")
                    .is_none_or(|marker| one.name.as_str() > marker)
            })
            .collect();
        shown.sort_by(|one, other| one.name.cmp(&other.name));
        let more = shown.len() > limit;
        shown.truncate(limit);
        Ok(Xml::document(
            "DescribeLoadBalancersResponse",
            "http://elasticloadbalancing.amazonaws.com/doc/2012-06-01/",
            |xml| {
                xml.element("DescribeLoadBalancersResult", |xml| {
                    xml.element("LoadBalancerDescriptions", |xml| {
                        for balancer in &shown {
                            xml.element("member", |xml| balancer.write(xml));
                        }
                    });
                    if let (true, Some(last)) = (more, shown.last()) {
                        xml.text("NextMarker", &last.name);
                    }
                });
                xml.element("ResponseMetadata", |xml| xml.text("RequestId", REQUEST_ID));
            },
        ))
    }
}

impl LoadBalancer {
    fn write(&self, xml: &mut Xml) {
        xml.text("LoadBalancerName", &self.name);
        xml.text("DNSName", &self.dns_name);
        xml.option("VPCId", self.vpc.as_ref());
        let scheme = if self.scheme.is_empty() {
            "internet-facing"
        } else {
            &self.scheme
        };
        xml.text("Scheme", scheme);
    }
}
