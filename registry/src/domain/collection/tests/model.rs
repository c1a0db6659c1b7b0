//! Random registries, collected and compared with what a naive reading of the rules says must stay.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// How many different blobs and manifests there are.
const BLOBS: usize = 5;
const MANIFESTS: usize = 7;
const REPOSITORIES: usize = 3;

/// A manifest may refer to blobs and to manifests with a smaller number, as it must, since it holds their digests.
#[derive(Clone, Debug)]
struct Node {
    blobs: BTreeSet<usize>,
    children: BTreeSet<usize>,
    subject: Option<usize>,
}

#[derive(Clone, Debug)]
struct Registry {
    nodes: Vec<Node>,
    repositories: Vec<Holding>,
}

#[derive(Clone, Debug)]
struct Holding {
    revisions: BTreeSet<usize>,
    layers: BTreeSet<usize>,
    /// Tag number by number, what it names.
    tags: Vec<Option<usize>>,
}

fn registry() -> impl Strategy<Value = Registry> {
    let some = |limit: usize, most: usize| proptest::collection::btree_set(0..limit, 0..most);
    let node = move |number: usize| {
        let lower = number.max(1);
        (some(BLOBS, 3), some(lower, 3), proptest::option::weighted(0.4, 0..lower)).prop_map(
            move |(blobs, children, subject)| {
                let is_first = number == 0;
                Node {
                    blobs,
                    children: if is_first { BTreeSet::new() } else { children },
                    subject: subject.filter(|_| !is_first),
                }
            },
        )
    };
    let holding = (
        some(MANIFESTS, MANIFESTS),
        some(BLOBS, BLOBS),
        proptest::collection::vec(proptest::option::of(0..MANIFESTS), 0..3),
    )
        .prop_map(|(revisions, layers, tags)| Holding { revisions, layers, tags });
    let nodes: Vec<_> = (0..MANIFESTS).map(node).collect();
    (nodes, proptest::collection::vec(holding, REPOSITORIES))
        .prop_map(|(nodes, repositories)| Registry { nodes, repositories })
}

fn blob(number: usize) -> Vec<u8> {
    format!("blob {number}").into_bytes()
}

impl Registry {
    /// The bytes of all manifests, which depend on those they refer to.
    fn manifests(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let of = |content: &[u8]| json!({"digest": Digest::sha256_of(content).to_string()});
            let manifest = |number: &usize| of(all[*number].as_bytes());
            let mut text = json!({
                "number": number,
                "layers": node.blobs.iter().map(|number| of(&blob(*number))).collect::<Vec<_>>(),
                "manifests": node.children.iter().map(manifest).collect::<Vec<_>>(),
            });
            if let Some(subject) = &node.subject {
                text["subject"] = manifest(subject);
            }
            all.push(text.to_string());
        }
        all
    }

    /// The rules, said once more and differently: what of a repository is alive.
    fn alive(&self, holding: &Holding, delete_untagged: bool) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let tagged = holding.tags.iter().flatten().copied();
        let mut manifests: BTreeSet<usize> = tagged.collect();
        if !delete_untagged {
            manifests.extend(&holding.revisions);
        }
        loop {
            let before = manifests.len();
            for (number, node) in self.nodes.iter().enumerate() {
                if !holding.revisions.contains(&number) {
                    continue;
                }
                let listed = manifests.iter().any(|parent| self.nodes[*parent].children.contains(&number));
                let refers = node.subject.is_some_and(|subject| manifests.contains(&subject));
                if listed || refers {
                    manifests.insert(number);
                }
            }
            if manifests.len() == before {
                break;
            }
        }
        let blobs = manifests.iter().flat_map(|number| self.nodes[*number].blobs.clone()).collect();
        (manifests, blobs)
    }
}

/// What is left: bytes, and for each repository revisions, layers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Left {
    bytes: BTreeSet<Digest>,
    links: BTreeMap<usize, BTreeSet<Digest>>,
}

fn write(tree: &Tree, registry: &Registry) -> (Vec<Digest>, Vec<Digest>) {
    let manifests = registry.manifests();
    let digests: Vec<_> = manifests.iter().map(|text| Digest::sha256_of(text.as_bytes())).collect();
    let blobs: Vec<_> = (0..BLOBS).map(|number| Digest::sha256_of(&blob(number))).collect();
    for (digest, text) in digests.iter().zip(&manifests) {
        tree.storage_write(&layout::blob(digest), text);
    }
    for (number, digest) in blobs.iter().enumerate() {
        tree.storage_write(&layout::blob(digest), blob(number));
    }
    for (number, holding) in registry.repositories.iter().enumerate() {
        let repository = name(&format!("r{number}"));
        for revision in &holding.revisions {
            let digest = &digests[*revision];
            tree.storage_write(&layout::revision_link(&repository, digest), digest.to_string());
        }
        for layer in &holding.layers {
            tree.storage_write(&layout::layer_link(&repository, &blobs[*layer]), blobs[*layer].to_string());
        }
        for (number, named) in holding.tags.iter().enumerate() {
            let Some(named) = named else { continue };
            let (tag, digest) = (tag(&format!("t{number}")), &digests[*named]);
            tree.storage_write(&layout::tag_index_link(&repository, &tag, digest), digest.to_string());
            tree.storage_write(&layout::tag_current_link(&repository, &tag), digest.to_string());
        }
    }
    (digests, blobs)
}

fn expected(registry: &Registry, delete_untagged: bool, manifests: &[Digest], blobs: &[Digest]) -> Left {
    let mut left = Left::default();
    for (number, holding) in registry.repositories.iter().enumerate() {
        let (living, needed) = registry.alive(holding, delete_untagged);
        left.bytes.extend(living.iter().map(|number| manifests[*number].clone()));
        // What is listed is kept although the repository does not have it as a manifest.
        let listed = living.iter().flat_map(|number| registry.nodes[*number].children.iter());
        left.bytes.extend(listed.map(|number| manifests[*number].clone()));
        left.bytes.extend(needed.iter().map(|number| blobs[*number].clone()));
        let links = left.links.entry(number).or_default();
        links.extend(living.intersection(&holding.revisions).map(|number| manifests[*number].clone()));
        links.extend(needed.intersection(&holding.layers).map(|number| blobs[*number].clone()));
    }
    left
}

fn found(tree: &Tree, manifests: &[Digest], blobs: &[Digest]) -> Left {
    let mut left = Left::default();
    left.bytes.extend(manifests.iter().chain(blobs).filter(|digest| is_blob(tree, digest)).cloned());
    for number in 0..REPOSITORIES {
        let repository = name(&format!("r{number}"));
        let there = |key: Key| tree.storage_exists(&key);
        let revisions = manifests.iter().filter(|digest| there(layout::revision_link(&repository, digest)));
        let layers = blobs.iter().filter(|digest| there(layout::layer_link(&repository, digest)));
        left.links.insert(number, revisions.chain(layers).cloned().collect());
    }
    left
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_stays_is_what_the_rules_say(registry in registry(), delete_untagged: bool) {
        let tree = Tree::new();
        let (manifests, blobs) = write(&tree, &registry);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        std::fs::create_dir_all(tree.path(&layout::repositories())).expect("made");
        let lines = runtime.block_on(collect(&tree, CollectionOptions { dry_run: false, delete_untagged }));
        prop_assert!(lines.kept().is_empty(), "{:?}", lines.kept());
        let expected = expected(&registry, delete_untagged, &manifests, &blobs);
        prop_assert_eq!(found(&tree, &manifests, &blobs), expected);
    }
}
