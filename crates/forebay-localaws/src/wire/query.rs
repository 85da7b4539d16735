use std::collections::BTreeMap;

/// The parameters of a query or form body, decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads `a=b&c=d`, percent-encoded, with `+` for a space.
    pub(crate) fn parse(text: &str) -> Self {
        Self(
            text.split('&')
                .filter(|part| !part.is_empty())
                .map(|part| {
                    let (name, value) = part.split_once('=').unwrap_or((part, ""));
                    (decode(name, true), decode(value, true))
                })
                .collect(),
        )
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The values of a list `Prefix.1`, `Prefix.2`, ..., in that order.
    pub(crate) fn list(&self, prefix: &str) -> Vec<&str> {
        (1..)
            .map_while(|index| self.get(&format!("{prefix}.{index}")))
            .collect()
    }
}

/// Decodes percent escapes, and `+` as a space where asked. Broken escapes stay as they are.
pub(crate) fn decode(text: &str, plus: bool) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'+' if plus => out.push(b' '),
            b'%' => match tail.split_at_checked(2).and_then(|(hex, after)| {
                let hex = std::str::from_utf8(hex).ok()?;
                Some((u8::from_str_radix(hex, 16).ok()?, after))
            }) {
                Some((byte, after)) => {
                    out.push(byte);
                    rest = after;
                }
                None => out.push(b'%'),
            },
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_decoded_and_its_lists_keep_their_order() {
        let form = Parameters::parse("Action=Do+it&Name.1=a%2Fb&Name.2=%zz&empty");
        assert_eq!(form.get("Action"), Some("Do it"));
        assert_eq!(form.list("Name"), ["a/b", "%zz"]);
        assert!(form.contains("empty"));
    }
}
