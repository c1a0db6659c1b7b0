//! `storage`: where images are kept and what may happen to them.
//!
//! *Invariant:* images are never kept elsewhere than the settings say.

pub(super) mod maintenance;

pub(super) mod object_stores;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use shared::server::settings::{Key, Kind, Loaded};

pub(crate) use maintenance::MaintenanceSettings;

use super::findings::Findings;
use crate::storage::{filesystem, memory};

const NO_OBJECT_STORES: &str = "object stores come with a later version";
const ALL_IS_LOST: &str =
    "`storage.inmemory` is chosen: images are kept in memory, and all are lost when the registry stops";
const UNSUPPORTED: &str = "this storage driver is not supported";

pub(super) const KEYS: &[Key] = &[
    Key::new("storage", Kind::Selector, "", "Where images are kept; exactly one driver."),
    Key::new("storage.filesystem.rootdirectory", Kind::Scalar, "/var/lib/registry", "Folder of the images."),
    Key::new("storage.filesystem.maxthreads", Kind::Scalar, "100", "File operations at a time; at least 25."),
    Key::new(
        "storage.inmemory",
        Kind::Map,
        "",
        "Keeps images in memory until the registry stops; there is nothing to set.",
    ),
    Key::new("storage.oss", Kind::SecretMap, "", "Keeps images in Aliyun OSS (2.x).").refused(UNSUPPORTED),
    Key::new("storage.swift", Kind::SecretMap, "", "Keeps images in OpenStack Swift (2.x).")
        .refused(UNSUPPORTED),
    Key::new(
        "storage.delete.enabled",
        Kind::Scalar,
        "false",
        "Whether manifests, tags and blobs can be deleted.",
    ),
    Key::new("storage.cache.blobdescriptor", Kind::Scalar, "", "Where descriptors are cached.")
        .no_effect("nothing needs to be cached on a filesystem"),
    Key::new("storage.cache.layerinfo", Kind::Scalar, "", "Old name of storage.cache.blobdescriptor.")
        .no_effect("nothing needs to be cached on a filesystem"),
    Key::new("storage.cache.blobdescriptorsize", Kind::Scalar, "", "Most descriptors in the cache.")
        .no_effect("nothing needs to be cached on a filesystem"),
    Key::new(
        "storage.redirect.disable",
        Kind::Scalar,
        "",
        "Whether blobs are never fetched from the driver's own URL.",
    )
    .no_effect("a filesystem has nowhere to redirect to"),
    Key::new(
        "storage.tag.concurrencylimit",
        Kind::Scalar,
        "",
        "Tags read at a time when a manifest is deleted.",
    )
    .no_effect("tags are read one after the other"),
];

#[derive(Deserialize)]
pub(super) struct RawStorage {
    filesystem: RawFilesystem,
    delete: RawDelete,
    maintenance: maintenance::RawMaintenance,
}

#[derive(Deserialize)]
struct RawFilesystem {
    rootdirectory: PathBuf,
    maxthreads: usize,
}

#[derive(Deserialize)]
struct RawDelete {
    enabled: bool,
}

/// Where images are kept.
#[derive(Clone, Debug)]
pub(crate) struct StorageSettings {
    pub(crate) driver: DriverSettings,
    pub(crate) delete_enabled: bool,
    pub(crate) maintenance: MaintenanceSettings,
}

/// What keeps them.
#[derive(Clone, Debug)]
pub(crate) enum DriverSettings {
    /// Files below `root`.
    Filesystem { root: PathBuf, threads: usize },
    /// The memory of the process.
    Memory,
}

impl DriverSettings {
    /// What metrics and health checks call it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Filesystem { .. } => filesystem::NAME,
            Self::Memory => memory::NAME,
        }
    }

    /// The folder of the images, if they lie in one.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Filesystem { root, .. } => Some(root),
            Self::Memory => None,
        }
    }
}

/// What lies below `storage` besides drivers.
const NO_DRIVERS: [&str; 5] = ["cache", "delete", "maintenance", "redirect", "tag"];

impl RawStorage {
    pub(super) fn parse(self, loaded: &Loaded, findings: &mut Findings) -> StorageSettings {
        let mut drivers = loaded.given_below("storage");
        drivers.retain(|name| !NO_DRIVERS.contains(name));
        // It has nothing to set, so its name alone is a choice.
        if loaded.is_mentioned("storage.inmemory") {
            drivers.insert(memory::NAME);
        }
        for driver in &drivers {
            object_stores::check(driver, loaded, findings);
        }
        let RawFilesystem { rootdirectory: root, maxthreads: threads } = self.filesystem;
        let mut chosen = DriverSettings::Filesystem { root, threads };
        match drivers.into_iter().collect::<Vec<_>>().as_slice() {
            [] | [filesystem::NAME] => {}
            [memory::NAME] => {
                findings.warn(ALL_IS_LOST);
                chosen = DriverSettings::Memory;
            }
            [driver] => {
                let why = match *driver {
                    "s3" | "gcs" | "azure" => NO_OBJECT_STORES,
                    _ => UNSUPPORTED,
                };
                let sentence = format!("`storage.{driver}` is set, but {why}");
                // A driver with parameters has been refused by the table already.
                if !findings.problems.contains(&sentence) {
                    findings.refuse(sentence);
                }
            }
            drivers => findings.refuse(format!(
                "`storage` names more than one driver: {}; remove all but one, or choose one with REGISTRY_STORAGE",
                drivers.join(", ")
            )),
        }
        StorageSettings {
            driver: chosen,
            delete_enabled: self.delete.enabled,
            maintenance: self.maintenance.parse(findings),
        }
    }
}
