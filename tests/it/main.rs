//! The one system-test binary: whatever users, operators and attackers do, over real sockets.
//!
//! *Invariant:* each test makes its own servers, database and folders, so all of them can run at the same time.
//!
//! Reading order: the rules of the code itself, then the promises of the token endpoint and the registry, then the
//! real clients and the real peer, then what happens when things go wrong.

mod takeover;
mod tidy;

mod dependencies;

mod shell;

mod recorded_queries;

mod login;

mod token_endpoint;
mod token_exchange;

mod refresh_tokens;

mod personal_tokens;

mod guarded_door;

mod login_tries;

mod account;

mod directory;
mod directory_groups;

mod api;
mod api_conventions;
mod api_delegation;
mod api_expected;
mod api_fuzz;
mod api_imports;
mod api_keys;

mod api_matrix;
mod api_policy;
mod api_sight;
mod api_uses;

mod rights;

mod roles;

mod namespaces;

mod team_maintainers;

mod robots;

mod limited_secrets;

mod workloads;

mod elevations;

mod policy_file;

mod snapshot;

mod decisions;

mod explanations;

mod contention;

mod audit;
mod audit_chain;

mod token_uses;

mod least_privilege;

mod what_if;

mod commands;

mod check_config;

mod access_matrix;

mod odd_tokens;

mod htpasswd;

mod trust;
mod trusted_keys;

mod revocations;
mod stale_revocations;

mod revocation_feed;

mod imported_keys;

mod key_life;

mod key_rotation;

mod device_logins;

mod docker_auth;
mod docker_auth_shadow;

mod certificates;

mod secrecy;

mod canaries;

mod front_door;

mod proxies;

mod pruning;
mod push_pull;

mod uploads;

mod blobs;

mod manifests;

mod manifest_rules;

mod tag_limits;

mod referrers;
mod repository_delete;

mod read_only;

mod scim;

mod scim_leaver;

mod scim_providers;

mod search;

mod wire;

mod conformance;

mod odd_content;

mod hostile;

mod clients_docker;

mod clients_podman;

mod clients_containerd;

mod in_memory;

mod interop;

mod collection;

mod adoption;

mod crash;

mod credential_helper;

mod database_away;

mod token_server_away;

mod lease;

mod listener;

mod observability;

mod health_checks;

mod sign_on;

mod sign_on_hostile;

mod sign_on_secrets;

mod second_factor;

mod passkeys;

mod sockets;

mod behind_nginx;

mod memory;

mod keycloak;

mod large;

mod quickstart;
