//! The groups of an entry, and the groups that these are in.
//!
//! *Invariant:* each group is looked at once, so groups that are in one another do no harm; of more than a bounded number
//! the others are nothing.

use std::collections::BTreeSet;

use ldap3::Scope;

use super::super::profile::MAX_GROUPS;
use super::super::provider::Directory;
use super::connection::{Connection, NoAnswer};
use super::entry::Entry;
use super::filters;

/// Groups in groups are followed so far.
const MAX_DEPTH: usize = 10;

/// So many groups are asked about at once.
const AT_ONCE: usize = 50;

/// What a directory calls the groups of an entry.
pub async fn of(
    connection: &mut Connection,
    directory: &Directory,
    entry: &Entry,
) -> Result<Vec<String>, NoAnswer> {
    let Some(template) = &directory.group_filter else { return Ok(Vec::new()) };
    let name = entry.name(&directory.attributes).unwrap_or_default();
    // Where groups list names of users, no group is in another one.
    let goes_on = directory.nested_groups && !template.contains(filters::USER);
    let depth = if goes_on { MAX_DEPTH } else { 1 };
    let (mut names, mut seen) = (Vec::new(), BTreeSet::new());
    let mut wanted = vec![entry.dn.clone()];
    for _ in 0..depth {
        let mut next = Vec::new();
        for dns in wanted.chunks(AT_ONCE) {
            let filter = filters::of_groups(template, name, dns);
            let base = (&*directory.group_base, Scope::Subtree);
            let attribute = &*directory.attributes.group;
            let found = connection.search(base, &filter, &[attribute], MAX_GROUPS).await?;
            if found.has_more || seen.len() + found.entries.len() > MAX_GROUPS {
                tracing::warn!(base = base.0, "somebody is in more groups than are looked at");
            }
            for group in found.entries {
                // Of a name that is written in several ways the first one counts.
                if seen.len() < MAX_GROUPS && seen.insert(group.dn.to_lowercase()) {
                    names.extend(group.texts(attribute).map(str::to_owned));
                    next.push(group.dn);
                }
            }
        }
        if next.is_empty() {
            break;
        }
        wanted = next;
    }
    Ok(names)
}
