use crate::scan::Scanner;
use crate::text::Text;

/// Finds the base64 text in `{"awslogs":{"data":"..."}}`, the event a Lambda function is given.
///
/// Producers forward such events into Kinesis as they are. `None` for any other text.
pub(crate) fn find_data(json: &[u8]) -> Option<Text<'_>> {
    let mut scanner = Scanner::new(json);
    scanner.expect(b'{').ok()?;
    if scanner.key().ok()? != "awslogs" {
        return None;
    }
    scanner.expect(b'{').ok()?;
    loop {
        let name = scanner.key().ok()?;
        if name == "data" {
            let data = scanner.string().ok()?;
            return (!data.is_invalid()).then(|| data.text(json));
        }
        scanner.skip_value(LEVELS).ok()?;
        scanner.expect(b',').ok()?;
    }
}

/// As deep as members beside `data` may nest; there are none today.
const LEVELS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_found_in_the_lambda_form_only() {
        let cases = [
            (r#"{"awslogs":{"data":"H4sI"}}"#, Some("H4sI")),
            (
                " {\n \"awslogs\" : { \"more\": [1, {}], \"data\" : \"a\\/b\" } }",
                Some("a/b"),
            ),
            (r#"{"awslogs":{"data":5}}"#, None),
            (r#"{"awslogs":{}}"#, None),
            (r#"{"awslogs":"data"}"#, None),
            (
                r#"{"messageType":"DATA_MESSAGE","awslogs":{"data":"x"}}"#,
                None,
            ),
            (r#"{"awslogs":{"data":"#, None),
            ("", None),
        ];
        for (json, expected) in cases {
            let found = find_data(json.as_bytes()).map(|text| text.to_str_lossy().into_owned());
            assert_eq!(found.as_deref(), expected, "{json}");
        }
    }
}
