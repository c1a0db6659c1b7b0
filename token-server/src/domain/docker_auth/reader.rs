//! From the document to settings: which keys there are, and what their values are for docker_auth.
//!
//! *Invariant:* every key is read, known to be of no account here, or reported.

use std::collections::BTreeMap;

use ipnet::IpNet;
use shared::secret::Secret;

use super::config::{Config, External, Problem, TokenSection, Trap, User};
use super::document::{Entry, Kind, Node};
use super::regular;
use super::rule::{Allowed, Field, Labels, Rule};

/// Reads all sections.
pub(super) fn read(root: &Node) -> Result<Config, Vec<Problem>> {
    let mut reader = Reader::default();
    let mut config = Config::default();
    for entry in reader.map(root, "the file") {
        reader.section(entry, &mut config);
    }
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    config.traps = reader.traps;
    Ok(config)
}

const SERVER_KEYS: &[&str] = &[
    "addr",
    "net",
    "path_prefix",
    "real_ip_header",
    "real_ip_pos",
    "certificate",
    "key",
    "hsts",
    "tls_min_version",
    "tls_curve_preferences",
    "tls_cipher_suites",
    "letsencrypt",
];

const TOKEN_KEYS: &[&str] = &["issuer", "certificate", "key", "expiration", "disable_legacy_key_id"];

const LOGINS: &[&str] = &[
    "ext_auth",
    "google_auth",
    "github_auth",
    "oidc_auth",
    "gitlab_auth",
    "ldap_auth",
    "mongo_auth",
    "xorm_auth",
    "plugin_authn",
];

const RIGHTS: &[&str] = &["acl_mongo", "acl_xorm", "ext_authz", "plugin_authz", "casbin_authz"];

#[derive(Default)]
struct Reader {
    traps: Vec<Trap>,
    problems: Vec<Problem>,
}

impl Reader {
    fn trap(&mut self, line: usize, kind: &'static str, sentence: impl Into<String>) {
        self.traps.push(Trap { line, kind, sentence: sentence.into() });
    }

    fn problem(&mut self, line: usize, sentence: impl Into<String>) {
        self.problems.push(Problem { line, sentence: sentence.into() });
    }

    /// The entries of a map, of those that are written twice the last; nothing is an empty map.
    fn map<'a>(&mut self, node: &'a Node, what: &str) -> Vec<&'a Entry> {
        let entries = match &node.kind {
            Kind::Map(entries) => entries.as_slice(),
            Kind::Null => &[],
            _ => {
                self.problem(node.line, format!("{what} must have keys and values"));
                &[]
            }
        };
        let mut last: BTreeMap<&str, usize> = BTreeMap::new();
        for (position, entry) in entries.iter().enumerate() {
            if last.insert(&entry.name, position).is_some() {
                let name = &entry.name;
                self.trap(
                    entry.line,
                    "repeated_key",
                    format!("`{name}` is written twice; only the last counts"),
                );
            }
        }
        let is_last = |(position, entry): &(usize, &Entry)| last.get(entry.name.as_str()) == Some(position);
        entries.iter().enumerate().filter(is_last).map(|(_, entry)| entry).collect()
    }

    fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.kind {
            Kind::Scalar(text) => Some(text.clone()),
            Kind::Null => None,
            _ => {
                self.problem(node.line, format!("{what} must be a text"));
                None
            }
        }
    }

    fn texts(&mut self, node: &Node, what: &str) -> Vec<String> {
        match &node.kind {
            Kind::List(items) => items.iter().filter_map(|item| self.text(item, what)).collect(),
            Kind::Null => Vec::new(),
            _ => {
                self.problem(node.line, format!("{what} must be a list"));
                Vec::new()
            }
        }
    }

    fn unknown_key(&mut self, entry: &Entry, place: &str) {
        let sentence = format!("`{}` is no key of {place}; docker_auth passes over it", entry.name);
        self.trap(entry.line, "unknown_key", sentence);
    }

    fn section(&mut self, entry: &Entry, config: &mut Config) {
        let is_there = entry.value.kind != Kind::Null;
        match entry.name.as_str() {
            "server" => self.server(&entry.value, &mut config.token),
            "token" => self.token(&entry.value, &mut config.token),
            "users" => self.users(&entry.value, config),
            "acl" => match &entry.value.kind {
                Kind::List(items) => config.rules = items.iter().map(|item| self.rule(item)).collect(),
                Kind::Null => {}
                _ => self.problem(entry.line, "`acl` must be a list of rules"),
            },
            key if LOGINS.contains(&key) || RIGHTS.contains(&key) => {
                let is_login = LOGINS.contains(&key);
                if is_there {
                    config.externals.push(External { line: entry.line, key: key.to_owned(), is_login });
                }
            }
            // Anchors for other places are kept under any name.
            key if key.starts_with("x-") => {}
            _ => self.unknown_key(entry, "the file"),
        }
    }

    fn server(&mut self, node: &Node, token: &mut TokenSection) {
        for entry in self.map(node, "`server`") {
            match entry.name.as_str() {
                "path_prefix" => token.path_prefix = self.text(&entry.value, "`path_prefix`"),
                "real_ip_header" => token.real_ip_header = self.text(&entry.value, "`real_ip_header`"),
                key if SERVER_KEYS.contains(&key) => {}
                _ => self.unknown_key(entry, "`server`"),
            }
        }
    }

    fn token(&mut self, node: &Node, token: &mut TokenSection) {
        for entry in self.map(node, "`token`") {
            match entry.name.as_str() {
                "issuer" => token.issuer = self.text(&entry.value, "`issuer`"),
                "expiration" => token.expiration = self.text(&entry.value, "`expiration`"),
                "disable_legacy_key_id" => {
                    let text = self.text(&entry.value, "`disable_legacy_key_id`").unwrap_or_default();
                    token.thumbprints = ["true", "yes", "on", "y"].contains(&text.to_lowercase().as_str());
                }
                key if TOKEN_KEYS.contains(&key) => {}
                _ => self.unknown_key(entry, "`token`"),
            }
        }
    }

    fn users(&mut self, node: &Node, config: &mut Config) {
        for entry in self.map(node, "`users`") {
            let name = &entry.name;
            let shown = if name.is_empty() { "\"\"" } else { name };
            if entry.value.kind == Kind::Null {
                let sentence = format!(
                    "user {shown} has nothing behind the colon, not even {{}}; docker_auth knows no such user"
                );
                self.trap(entry.line, "empty_user", sentence);
                continue;
            }
            let (mut password, mut labels) = (None, Labels::new());
            for part in self.map(&entry.value, &format!("user {shown}")) {
                match part.name.as_str() {
                    "password" => password = self.text(&part.value, "`password`").map(Secret::new),
                    "labels" => labels = self.labels(&part.value),
                    _ => self.unknown_key(part, &format!("user {shown}")),
                }
            }
            match (name.is_empty(), password) {
                (true, None) => config.anonymous = Some(labels),
                (true, Some(_)) => self.trap(
                    entry.line,
                    "anonymous_with_password",
                    "people without a login have no password, so nobody is let in as \"\"",
                ),
                (false, password) => {
                    config.users.push(User { line: entry.line, name: name.clone(), password, labels });
                }
            }
        }
    }

    fn labels(&mut self, node: &Node) -> Labels {
        let entries = self.map(node, "`labels`");
        entries
            .into_iter()
            .map(|entry| (entry.name.clone(), self.texts(&entry.value, &format!("label `{}`", entry.name))))
            .collect()
    }

    fn rule(&mut self, node: &Node) -> Rule {
        let mut rule = Rule {
            line: node.line,
            account: None,
            kind: None,
            name: None,
            service: None,
            network: None,
            labels: BTreeMap::new(),
            unknown: Vec::new(),
            allowed: Allowed::Words(Vec::new()),
            comment: None,
        };
        let (mut has_match, mut has_actions) = (false, false);
        for entry in self.map(node, "a rule") {
            let is_there = entry.value.kind != Kind::Null;
            match entry.name.as_str() {
                "match" => {
                    has_match = is_there;
                    self.conditions(&entry.value, &mut rule);
                }
                "actions" => {
                    has_actions = is_there;
                    let words = self.texts(&entry.value, "`actions`");
                    rule.allowed = if words == ["*"] { Allowed::Everything } else { Allowed::Words(words) };
                }
                "comment" => rule.comment = self.text(&entry.value, "`comment`"),
                _ => self.unknown_key(entry, "a rule"),
            }
        }
        if !has_match {
            self.problem(node.line, "the rule has no `match`; docker_auth does not start with it");
        }
        if !has_actions {
            let sentence = "the rule has no `actions`; docker_auth breaks off requests that it matches (write `actions: []` to deny)";
            self.problem(node.line, sentence);
        }
        rule
    }

    fn conditions(&mut self, node: &Node, rule: &mut Rule) {
        for entry in self.map(node, "`match`") {
            let (name, line) = (entry.name.as_str(), entry.line);
            if entry.value.kind == Kind::Null
                && (Field::ALL.iter().any(|field| field.as_str() == name) || name == "ip")
            {
                let sentence = format!(
                    "`{name}` has no value, so it is no condition: the rule matches whatever the {name} is (write \"\" for an empty one)"
                );
                self.trap(line, "null_condition", sentence);
                continue;
            }
            match name {
                "account" => rule.account = self.condition(entry),
                "type" => rule.kind = self.condition(entry),
                "name" => rule.name = self.condition(entry),
                "service" => rule.service = self.condition(entry),
                "ip" => rule.network = self.network(&entry.value),
                "labels" => {
                    for label in self.map(&entry.value, "`labels`") {
                        // Nothing is an empty text here.
                        let pattern = self.condition(label).unwrap_or_default();
                        rule.labels.insert(label.name.clone(), pattern);
                    }
                }
                _ => {
                    rule.unknown.push(name.to_owned());
                    let sentence = format!(
                        "`{name}` is no condition that docker_auth knows; it passes over it, so the rule matches as if it were not there{}",
                        if name == "ips" || name == "accounts" || name == "names" {
                            " (conditions are in the singular)"
                        } else {
                            ""
                        }
                    );
                    self.trap(line, "unknown_condition", sentence);
                }
            }
        }
    }

    fn condition(&mut self, entry: &Entry) -> Option<String> {
        let text = self.text(&entry.value, &format!("`{}`", entry.name))?;
        if regular::expression(&text).is_some_and(|expression| regular::compile(expression).is_none()) {
            let sentence = format!("`{text}` is no regular expression; docker_auth does not start with it");
            self.problem(entry.line, sentence);
        }
        Some(text)
    }

    fn network(&mut self, node: &Node) -> Option<IpNet> {
        let text = self.text(node, "`ip`")?;
        let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
        if parsed.is_err() {
            let sentence =
                format!("`{text}` is neither an address nor a network; docker_auth does not start with it");
            self.problem(node.line, sentence);
        }
        parsed.ok().map(|network| network.trunc())
    }
}
