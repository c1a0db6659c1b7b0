//! Registry trees as files: copied, compared, and asked for everything that is in them.
//!
//! *Invariant:* what is asked for comes from the tree, so that nothing in it is left out; the tree itself is only read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use reqwest::Method;
use serde_json::Value;

use crate::answer::Answer;
use crate::client::{OciClient, Request};
use crate::images;

/// Where images lie below the root of either registry.
pub const IMAGES: &str = "docker/registry/v2";

/// Every file below a folder with its digest, by its path from there.
pub fn files(root: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    walk(root, &mut |path, is_folder| {
        if !is_folder {
            found.insert(relative(root, path)?, images::sha256(&std::fs::read(path)?));
        }
        Ok(())
    })?;
    Ok(found)
}

/// Whether a path is one of ours, which the distribution registry passes over.
pub fn is_ours(path: &str) -> bool {
    let inside = ["/_manifests/referrers", "/_portcullis", "/_manifests/intents", "/_trash"];
    !path.starts_with("docker/")
        || inside.iter().any(|ours| path.contains(ours))
        || path.ends_with("/portcullis")
}

/// Copies a tree.
pub fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    walk(from, &mut |path, is_folder| {
        let target = to.join(relative(from, path)?);
        if is_folder {
            std::fs::create_dir_all(target)?;
        } else {
            std::fs::copy(path, target)?;
        }
        Ok(())
    })
}

/// Folders come before what is in them.
fn walk(root: &Path, visit: &mut impl FnMut(&Path, bool) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut ahead = vec![root.to_owned()];
    while let Some(folder) = ahead.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            visit(&path, path.is_dir())?;
            if path.is_dir() {
                ahead.push(path);
            }
        }
    }
    Ok(())
}

fn relative(root: &Path, path: &Path) -> anyhow::Result<String> {
    Ok(path.strip_prefix(root)?.to_str().context("a path of a registry is text")?.to_owned())
}

/// The digests of all blobs that have bytes.
pub fn blobs(root: &Path) -> anyhow::Result<BTreeSet<String>> {
    let folder = root.join(IMAGES).join("blobs/sha256");
    let mut found = BTreeSet::new();
    walk(&folder, &mut |path, is_folder| {
        let name = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        if !is_folder && path.ends_with("data") {
            found.insert(format!("sha256:{}", name.context("a blob has a folder")?));
        }
        Ok(())
    })?;
    Ok(found)
}

/// The path of a blob's bytes.
pub fn blob(root: &Path, digest: &str) -> PathBuf {
    let hex = digest.trim_start_matches("sha256:");
    root.join(IMAGES).join("blobs/sha256").join(&hex[..2]).join(hex).join("data")
}

/// The folder of a repository.
pub fn repository(root: &Path, name: &str) -> PathBuf {
    root.join(IMAGES).join("repositories").join(name)
}

/// Everything a client can ask for because of what is in a tree, also what has been deleted.
pub fn targets(root: &Path) -> anyhow::Result<Vec<Request>> {
    let mut targets = BTreeSet::from(["/v2/_catalog".to_owned()]);
    let repositories = root.join(IMAGES).join("repositories");
    walk(&repositories, &mut |path, is_folder| {
        let path = relative(&repositories, path)?;
        let Some((name, inside)) = path.split_once("/_") else { return Ok(()) };
        let parts: Vec<_> = inside.split('/').collect();
        match parts[..] {
            ["manifests" | "layers"] => drop(targets.insert(format!("/v2/{name}/tags/list"))),
            ["manifests", "tags", tag] if is_folder => {
                targets.insert(format!("/v2/{name}/manifests/{tag}"));
            }
            ["manifests", "revisions", algorithm, hex] => {
                targets.insert(format!("/v2/{name}/manifests/{algorithm}:{hex}"));
                targets.insert(format!("/v2/{name}/blobs/{algorithm}:{hex}"));
            }
            ["layers", algorithm, hex] => drop(targets.insert(format!("/v2/{name}/blobs/{algorithm}:{hex}"))),
            _ => {}
        }
        Ok(())
    })?;
    let both = |target: String| {
        let is_list = target.ends_with("/tags/list") || target.ends_with("_catalog");
        let get = Request::get(&target).accepting_manifests();
        let head = Request::new(Method::HEAD, target).accepting_manifests();
        std::iter::once(get).chain((!is_list).then_some(head))
    };
    Ok(targets.into_iter().flat_map(both).collect())
}

/// What of an answer both registries agree on, as text.
pub fn essence(answer: &Answer) -> anyhow::Result<String> {
    for (end, field) in [("/tags/list", "tags"), ("_catalog", "repositories")] {
        if !answer.asked.ends_with(end) {
            continue;
        }
        let list = if answer.status == 200 { answer.json()? } else { Value::Null };
        // The 2.x line lists in the order of the file system, and knows no repository without tags.
        let mut names = list[field].as_array().cloned().unwrap_or_default();
        names.sort_by_key(ToString::to_string);
        anyhow::ensure!(!names.is_empty() || matches!(answer.status, 200 | 404), "{answer}");
        return Ok(format!("{} -> {}", answer.asked, Value::Array(names)));
    }
    let mut essence = format!("{} -> {}", answer.asked, answer.status);
    if answer.status != 200 {
        let code = if answer.body.is_empty() {
            String::new()
        } else {
            answer.json()?["errors"][0]["code"].to_string()
        };
        return Ok(format!("{essence} {code}"));
    }
    // To a long digest ours answers with that one, and theirs with the canonical one.
    let names = if answer.asked.contains("sha512:") { &[][..] } else { &["docker-content-digest", "etag"] };
    for header in ["content-type", "content-length", "accept-ranges"].iter().chain(names) {
        if let Some(value) = answer.header(header) {
            // Writing to a string cannot fail.
            let _ = write!(essence, "\n  {header}: {value}");
        }
    }
    Ok(format!("{essence}\n  {}", images::sha256(&answer.body)))
}

/// Asks a registry for all of it.
pub async fn answers(registry: &str, targets: &[Request]) -> anyhow::Result<Vec<String>> {
    let client = OciClient::anonymous(registry)?;
    let mut answers = Vec::with_capacity(targets.len());
    for target in targets {
        answers.push(essence(&client.raw(target).await?)?);
    }
    Ok(answers)
}
