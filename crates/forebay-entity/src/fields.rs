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
        let plain = |text| Label { prefix: "", text };
        let kind = self.kind();
        let plugin = [
            ("_entity", self.label()),
            ("_entity_description", self.description().map(plain)),
            ("_entity_aws_type", Some(plain(self.notation().1))),
        ];
        let extended = match set {
            FieldSet::Plugin => [("", None); 8],
            FieldSet::Extended => [
                ("_entity_kind", Some(plain(kind.as_str()))),
                ("_entity_name", self.name().map(plain)),
                ("_entity_detail", self.detail().map(plain)),
                ("_entity_account", self.account().map(plain)),
                ("_entity_region", self.region().map(plain)),
                ("_entity_vpc", self.vpc().map(plain)),
                ("_entity_subnet", self.subnet().map(plain)),
                ("_entity_interface", self.interface().map(plain)),
            ],
        };
        plugin
            .into_iter()
            .chain(extended)
            .filter_map(|(suffix, value)| value.map(|value| Field { suffix, value }))
    }
}
