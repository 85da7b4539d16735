//! The fields a log message gains: those of the plugin, and more on request.

use std::fmt;

use crate::{Entity, Kind};

/// Which fields an entity gives.
///
/// The rule, also in `docs/decisions/0012-entity-fields.md`: for what the plugin knew, values are
/// exactly the plugin's; for every other kind the same three fields follow one pattern; whatever is
/// beyond them has names of its own and appears only with [`FieldSet::Extended`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum FieldSet {
    /// `_entity`, `_entity_description`, `_entity_aws_type`.
    #[default]
    Plugin,
    /// Those, and `_entity_kind`, `_entity_name`, `_entity_detail`, `_entity_account`, `_entity_region`,
    /// `_entity_vpc`, `_entity_subnet`, `_entity_interface`.
    Extended,
}

/// A field: what to append to the name of the translated field, and its text.
///
/// For the address in `src_addr`, the suffix `_entity` makes `src_addr_entity`.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Field<'a> {
    /// To append to the name of the field that held the address.
    pub suffix: &'static str,
    /// The value; print it with `Display`.
    pub value: Label<'a>,
}

/// A text of up to two pieces, joined by a colon when printed: `ec2:i-0a1b`. Not stored anywhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Label<'a> {
    prefix: &'a str,
    text: &'a str,
}

impl<'a> Label<'a> {
    /// The word before the colon; empty when there is none.
    #[must_use]
    pub fn prefix(&self) -> &'a str {
        self.prefix
    }

    /// The text behind the colon, or all of it.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The pieces to write one after the other: prefix, colon, text. For writers that escape piece by piece.
    #[must_use]
    pub fn pieces(&self) -> [&'a str; 3] {
        let colon = if self.prefix.is_empty() { "" } else { ":" };
        [self.prefix, colon, self.text]
    }
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces()
            .into_iter()
            .try_for_each(|piece| out.write_str(piece))
    }
}

impl<'a> Entity<'a> {
    /// The plugin's `F_entity`: `ec2:<instance id>`, `elb:<name>`, and `<prefix>:<id>` for new kinds.
    ///
    /// `None` for a database, which the plugin cannot name.
    #[must_use]
    pub fn label(&self) -> Option<Label<'a>> {
        let kind = self.kind();
        match kind {
            Kind::Database => None,
            _ if self.id().is_empty() => None,
            Kind::Other(text) => Some(Label {
                prefix: text,
                text: self.id(),
            }),
            _ => Some(Label {
                prefix: self.notation().0,
                text: self.id(),
            }),
        }
    }

    /// The plugin's `F_entity_description`: an instance's name. New kinds give their name as well.
    ///
    /// `None` for load balancers and databases, as in the plugin.
    #[must_use]
    pub fn description(&self) -> Option<&'a str> {
        match self.kind() {
            Kind::Database => None,
            kind if kind.is_load_balancer() => None,
            _ => self.name(),
        }
    }

    /// The fields of this entity, without an allocation. Absent values are left out.
    ///
    /// ```
    /// use forebay_entity::{FieldSet, Index, InstanceDescription, OnConflict, Origin, PartBuilder, Scope, Source};
    ///
    /// let address = "10.0.0.7".parse()?;
    /// let mut part = PartBuilder::new(Origin::new("123456789012", "eu-west-1"), Source::Instances);
    /// part.instance(&InstanceDescription {
    ///     id: "i-0a1b",
    ///     addresses: &[address],
    ///     tags: &[("Name", "web")],
    ///     ..Default::default()
    /// });
    /// let index = Index::new([part.finish()?], OnConflict::ByInterface)?;
    ///
    /// let entity = index.lookup(address, &Scope::default()).entity().ok_or("not known")?;
    /// let text: Vec<String> = entity.fields(FieldSet::Plugin).map(|field| format!("dst_addr{}={}", field.suffix, field.value)).collect();
    /// assert_eq!(text, ["dst_addr_entity=ec2:i-0a1b", "dst_addr_entity_description=web", "dst_addr_entity_aws_type=EC2"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fields(&self, set: FieldSet) -> impl Iterator<Item = Field<'a>> + use<'a> {
        let entity = *self;
        let count = match set {
            FieldSet::Plugin => PLUGIN_FIELDS,
            FieldSet::Extended => ALL_FIELDS,
        };
        (0..count).filter_map(move |at| entity.field(at))
    }

    /// The field at a position, so that only wanted values are looked up.
    fn field(&self, at: u8) -> Option<Field<'a>> {
        let plain = |text| Label { prefix: "", text };
        let (suffix, value) = match at {
            0 => ("_entity", self.label()?),
            1 => ("_entity_description", plain(self.description()?)),
            2 => ("_entity_aws_type", plain(self.notation().1)),
            3 => ("_entity_kind", plain(self.kind().as_str())),
            4 => ("_entity_name", plain(self.name()?)),
            5 => ("_entity_detail", plain(self.detail()?)),
            6 => ("_entity_account", plain(self.account()?)),
            7 => ("_entity_region", plain(self.region()?)),
            8 => ("_entity_vpc", plain(self.vpc()?)),
            9 => ("_entity_subnet", plain(self.subnet()?)),
            10 => ("_entity_interface", plain(self.interface()?)),
            _ => return None,
        };
        Some(Field { suffix, value })
    }
}

/// How many positions of [`Entity::field`] are the plugin's, and how many there are.
const PLUGIN_FIELDS: u8 = 3;
const ALL_FIELDS: u8 = 11;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Index, InstanceDescription, InterfaceDescription, OnConflict, Origin, PartBuilder, Scope,
        Source,
    };

    fn check(
        set: FieldSet,
        fill: impl FnOnce(&mut PartBuilder, &[std::net::IpAddr]),
        expected: &[&str],
    ) {
        let addresses = ["10.0.0.1".parse().unwrap()];
        let mut part =
            PartBuilder::new(Origin::new("123456789012", "eu-west-1"), Source::Interfaces);
        fill(&mut part, &addresses);
        let index = Index::new([part.finish().unwrap()], OnConflict::ByInterface).unwrap();
        let entity = index
            .lookup(addresses[0], &Scope::default())
            .entity()
            .unwrap();
        let fields: Vec<String> = entity
            .fields(set)
            .map(|field| format!("F{}={}", field.suffix, field.value))
            .collect();
        assert_eq!(fields, expected);
    }

    fn interface(description: &'static str, requester: &'static str, expected: &[&str]) {
        let fill = |part: &mut PartBuilder, addresses: &[std::net::IpAddr]| {
            part.interface(&InterfaceDescription {
                id: "eni-1",
                description,
                requester,
                addresses,
                ..Default::default()
            });
        };
        check(FieldSet::Plugin, fill, expected);
    }

    #[test]
    fn what_the_plugin_knew_has_the_plugins_values() {
        // `spec/graylog.md`, section 4, "Fields added".
        interface(
            "ELB my-classic",
            "amazon-elb",
            &["F_entity=elb:my-classic", "F_entity_aws_type=ELB"],
        );
        interface(
            "ELB app/my-alb/50dc",
            "amazon-elb",
            &["F_entity=elb:app/my-alb/50dc", "F_entity_aws_type=ELB"],
        );
        interface(
            "ELB one two",
            "amazon-elb",
            &["F_entity=elb:unknown-name", "F_entity_aws_type=ELB"],
        );
        interface(
            "RDSNetworkInterface",
            "amazon-rds",
            &["F_entity_aws_type=RDS"],
        );
        let instance = |tags: &'static [(&'static str, &'static str)]| {
            move |part: &mut PartBuilder, addresses: &[std::net::IpAddr]| {
                part.instance(&InstanceDescription {
                    id: "i-1",
                    addresses,
                    tags,
                    ..Default::default()
                });
            }
        };
        check(
            FieldSet::Plugin,
            instance(&[]),
            &["F_entity=ec2:i-1", "F_entity_aws_type=EC2"],
        );
        check(
            FieldSet::Plugin,
            instance(&[("Owner", "me"), ("Name", "web")]),
            &[
                "F_entity=ec2:i-1",
                "F_entity_description=web",
                "F_entity_aws_type=EC2",
            ],
        );
    }

    #[test]
    fn new_kinds_follow_one_pattern() {
        interface(
            "Interface for NAT Gateway nat-1",
            "",
            &["F_entity=nat:nat-1", "F_entity_aws_type=NAT"],
        );
        interface(
            "RedshiftNetworkInterface",
            "",
            &["F_entity=redshift:eni-1", "F_entity_aws_type=REDSHIFT"],
        );
        interface(
            "whatever",
            "",
            &["F_entity=eni:eni-1", "F_entity_aws_type=ENI"],
        );
    }

    #[test]
    fn the_extended_set_says_where_it_is() {
        let fill = |part: &mut PartBuilder, addresses: &[std::net::IpAddr]| {
            part.interface(&InterfaceDescription {
                id: "eni-1",
                description: "EFS mount target for fs-1 (fsmt-1)",
                vpc: "vpc-1",
                addresses,
                ..Default::default()
            });
        };
        let expected = [
            "F_entity=efs:fs-1",
            "F_entity_aws_type=EFS",
            "F_entity_kind=file-system",
            "F_entity_detail=fsmt-1",
            "F_entity_account=123456789012",
            "F_entity_region=eu-west-1",
            "F_entity_vpc=vpc-1",
            "F_entity_interface=eni-1",
        ];
        check(FieldSet::Extended, fill, &expected);
    }

    #[test]
    fn the_configured_tags_name_in_their_order() {
        for (keys, expected) in [
            (&["app", "Name"][..], Some("shop")),
            (&["missing", "Name"], Some("web")),
            (&["empty"], None),
            (&[], None),
        ] {
            let addresses = ["10.0.0.1".parse().unwrap()];
            let tags = [("Name", "web"), ("app", "shop"), ("empty", "  ")];
            let mut part = PartBuilder::new(Origin::new("a", "b"), Source::Instances)
                .tags(keys.iter().copied());
            part.instance(&InstanceDescription {
                id: "i-1",
                addresses: &addresses,
                tags: &tags,
                ..Default::default()
            });
            let part = part.finish().unwrap();
            assert_eq!(part.entities().next().unwrap().name(), expected, "{keys:?}");
        }
    }
}
