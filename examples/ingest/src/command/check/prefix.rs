//! The rights on prefixes that are polled.

use forebay_s3::{ObjectId, ObjectSource};

use super::{Findings, Level, within};
use crate::{aws::Account, config::S3, trail_input::source};

/// Lists the beginning of each prefix, and opens the first object there.
pub(super) async fn prefixes(
    name: &str,
    input: &S3,
    account: &Account,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let source = source(input, account);
    for objects in &input.objects {
        let place = ObjectId::new(&objects.bucket, &objects.prefix);
        let owner = objects.owner.as_deref();
        let listed = within(source.list(&place.bucket, &place.key, None, owner)).await;
        let first = match listed {
            Ok(listed) => listed.into_iter().next(),
            Err(error) => {
                findings.right(name, Err(error), None)?;
                continue;
            }
        };
        let Some(first) = first else {
            let text = format!("{place} can be listed and is empty: `s3:GetObject` was not tried");
            findings.tell(name, Level::Note, text)?;
            continue;
        };
        let object = ObjectId::new(&objects.bucket, first.key);
        match within(source.open(&object, owner)).await {
            Ok(_) => {
                let text = format!("{place} can be listed, and {object} read");
                findings.tell(name, Level::Ok, text)?;
            }
            Err(error) => findings.right(name, Err(error), None)?,
        }
    }
    Ok(())
}
