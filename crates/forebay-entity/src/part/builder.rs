//! Packs what a source tells.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::SystemTime;

use super::{EntityDescription, Origin, Part, Record, Source, Span};
use crate::describe::{Identity, identify};
use crate::{
    Error, InstanceDescription, InterfaceDescription, Kind, LoadBalancerDescription, Prefix,
};

/// Collects what one source tells and packs it into a [`Part`].
#[derive(Debug)]
pub struct PartBuilder {
    part: Part,
    text: String,
    records: Vec<Record>,
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u32)>,
    prefixes: Vec<(Prefix, u32)>,
    tags: Vec<String>,
    balancers: HashMap<String, String>,
    seen: HashMap<u64, Span>,
    hasher: RandomState,
    account: Span,
    region: Span,
    too_large: bool,
}

impl PartBuilder {
    /// An empty part. Names come from the tag `Name` until [`PartBuilder::tags`] says otherwise.
    #[must_use]
    pub fn new(origin: Origin, source: Source) -> Self {
        let part = Part {
            origin,
            source,
            taken: None,
            text: Box::default(),
            records: Box::default(),
            v4: Box::default(),
            v6: Box::default(),
            prefixes: Box::default(),
        };
        let mut builder = Self {
            part,
            text: String::new(),
            records: Vec::new(),
            v4: Vec::new(),
            v6: Vec::new(),
            prefixes: Vec::new(),
            tags: vec!["Name".to_owned()],
            balancers: HashMap::new(),
            seen: HashMap::new(),
            hasher: RandomState::new(),
            account: Span::default(),
            region: Span::default(),
            too_large: false,
        };
        let Origin { account, region } = builder.part.origin.clone();
        builder.region = builder.shared(&region);
        if is_account(&account) {
            builder.account = builder.shared(&account);
        }
        builder
    }

    /// Sets when the source was asked. Between two answers for one address in one VPC the newer wins.
    #[must_use]
    pub fn taken(mut self, at: SystemTime) -> Self {
        self.part.taken = Some(at);
        self
    }

    /// Sets which tags name an entity: the first of these keys that is present and not empty.
    #[must_use]
    pub fn tags(mut self, keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tags = keys.into_iter().map(Into::into).collect();
        self
    }

    /// Adds what is known about a classic load balancer. Call it before [`PartBuilder::interface`].
    ///
    /// `DescribeLoadBalancers` gives no addresses; the interfaces do. This adds the DNS name to them.
    pub fn load_balancer(&mut self, balancer: &LoadBalancerDescription<'_>) {
        self.balancers
            .insert(balancer.name.to_owned(), balancer.dns_name.to_owned());
    }

    /// Adds an instance with the addresses of one of its interfaces, or of all when the source does not split them.
    pub fn instance(&mut self, instance: &InstanceDescription<'_>) {
        let name = self.name_of(instance.tags);
        self.entity(&EntityDescription {
            kind: Kind::Instance,
            id: instance.id,
            name,
            vpc: instance.vpc,
            subnet: instance.subnet,
            interface: instance.interface,
            account: instance.account,
            addresses: instance.addresses,
            prefixes: instance.prefixes,
            ..EntityDescription::default()
        });
    }

    /// Adds a network interface; its type, description and requester tell whose it is.
    pub fn interface(&mut self, interface: &InterfaceDescription<'_>) {
        let Identity {
            kind,
            id,
            name,
            mut detail,
        } = identify(interface);
        let tag = self.name_of(interface.tags);
        // An instance's interface may have a Name tag of its own; the plugin's description is the
        // instance's, so nothing is better than the wrong one.
        let name = if kind == Kind::Instance {
            ""
        } else if tag.is_empty() {
            name
        } else {
            tag
        };
        let dns_name = match kind {
            Kind::ClassicLoadBalancer => self.balancers.get(id).cloned(),
            _ => None,
        };
        if let Some(dns_name) = &dns_name {
            detail = dns_name;
        }
        self.entity(&EntityDescription {
            kind,
            id,
            name,
            detail,
            vpc: interface.vpc,
            subnet: interface.subnet,
            interface: interface.id,
            account: interface.account,
            addresses: interface.addresses,
            prefixes: interface.prefixes,
            ..EntityDescription::default()
        });
    }

    /// Adds an entity as it is.
    pub fn entity(&mut self, entity: &EntityDescription<'_>) {
        let Ok(at) = u32::try_from(self.records.len()) else {
            self.too_large = true;
            return;
        };
        let record = Record {
            kind: entity.kind.code(),
            other: if let Kind::Other(text) = entity.kind {
                self.shared(text)
            } else {
                Span::default()
            },
            id: self.append(entity.id),
            // Names repeat (groups of equal instances), ids do not.
            name: self.shared(entity.name),
            detail: self.shared(entity.detail),
            vpc: self.shared(entity.vpc),
            subnet: self.shared(entity.subnet),
            interface: self.append(entity.interface),
            account: if entity.account.is_empty() {
                self.account
            } else {
                self.shared(entity.account)
            },
            region: if entity.region.is_empty() {
                self.region
            } else {
                self.shared(entity.region)
            },
        };
        self.records.push(record);
        for address in entity.addresses {
            match address.to_canonical() {
                IpAddr::V4(address) => self.v4.push((address.to_bits(), at)),
                IpAddr::V6(address) => self.v6.push((address.to_bits(), at)),
            }
        }
        self.prefixes
            .extend(entity.prefixes.iter().map(|&prefix| (prefix, at)));
    }

    /// Number of entities so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing was added yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Packs the part.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond 4 GiB of text or 2^32 entities.
    pub fn finish(self) -> Result<Part, Error> {
        if self.too_large {
            return Err(Error::TooLarge);
        }
        Ok(Part {
            text: self.text.into_boxed_str(),
            records: self.records.into_boxed_slice(),
            v4: self.v4.into_boxed_slice(),
            v6: self.v6.into_boxed_slice(),
            prefixes: self.prefixes.into_boxed_slice(),
            ..self.part
        })
    }

    fn name_of<'t>(&self, tags: &[(&'t str, &'t str)]) -> &'t str {
        self.tags
            .iter()
            .find_map(|key| {
                tags.iter()
                    .find(|tag| tag.0 == key && !tag.1.trim().is_empty())
            })
            .map_or("", |tag| tag.1.trim())
    }

    fn append(&mut self, text: &str) -> Span {
        let end = self.text.len() + text.len();
        match (u32::try_from(self.text.len()), u32::try_from(end)) {
            (Ok(start), Ok(_)) => {
                self.text.push_str(text);
                Span {
                    start,
                    length: text.len() as u32,
                }
            }
            _ => {
                self.too_large = true;
                Span::default()
            }
        }
    }

    /// Like `append`, but text that is there already is not stored again.
    fn shared(&mut self, text: &str) -> Span {
        if text.is_empty() {
            return Span::default();
        }
        let hash = self.hasher.hash_one(text);
        if let Some(&span) = self.seen.get(&hash) {
            let start = span.start as usize;
            // Two texts may share a hash: then the second is stored each time, which is only waste.
            return match self.text.get(start..start + span.length as usize) {
                Some(found) if found == text => span,
                _ => self.append(text),
            };
        }
        let span = self.append(text);
        self.seen.insert(hash, span);
        span
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}
