//! What `explain` and `who-can` say is what tokens say, whatever the rows.
//!
//! Rows are written with plain SQL, which is more than commands do. Tokens are asked for over HTTP, for our registry and
//! for one of another kind, and read as a registry reads them.
//!
//! *Invariant:* what is random here comes from seeds that stand here, so a failure comes again.

use std::collections::BTreeMap;

use harness::actors::Town;
use harness::chance::Chance;
use harness::client::{OciClient, Request, basic};
use harness::forge::claims_of;
use harness::settings::{PEER_SERVICE, SERVICE};
use harness::stack::{Stack, basic_of};
use reqwest::header::AUTHORIZATION;
use shared::action::{Action, ActionSet};
use shared::claims::Claims;
use shared::clock::Clock as _;
use shared::limits::{Limits, TagSet, is_attachment};
use shared::repository_pattern::RepositoryPattern;
use shared::secret::Secret;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use token_server::db::{self, Pool};
use token_server::domain::audience::Verifier;
use token_server::domain::explanation::{Explanation, explain, who_can};
use token_server::domain::grant::Circumstances;
use token_server::domain::grant_subject::GrantSubject;
use token_server::domain::question::Question;
use token_server::domain::right::{Right, RightSet};

use crate::rights::{actions, done, run};

const NAMES: [&str; 9] = ["a", "a/b", "a/b/c", "a/c", "b/a", "b/u3/x", "u3", "a-dev", "a/b-dev/c"];

const PATTERNS: [&str; 14] = [
    "**",
    "a",
    "a/b",
    "a/**",
    "a/b/**",
    "a/b/c",
    "b/**",
    "*-dev",
    "a/*-dev/**",
    "a/{b,c}",
    "${user}/**",
    "b/${user}/*",
    "**/c",
    "a/?",
];

const SIGNATURE: &str = "sha256-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.sig";

/// Words, and whether they are asked about a tag.
const ACTIONS: [(&str, Option<&str>); 16] = [
    ("pull", None),
    ("push", None),
    ("push", Some("v1")),
    ("push", Some("x")),
    ("push", Some(SIGNATURE)),
    ("delete", None),
    ("delete", Some("v1")),
    ("repository-delete", None),
    ("*", None),
    ("attach", None),
    ("push-digest", None),
    ("tag-create", None),
    ("tag-update", Some("v1")),
    ("tag-delete", None),
    ("manifest-delete", None),
    ("repository-create", None),
];

/// Everybody whose rights are random, as they are written.
const HOLDERS: [&str; 14] = [
    "everyone",
    "authenticated",
    "user:u0",
    "user:u1",
    "user:u2",
    "user:u3",
    "user:gone",
    "team:t0",
    "team:t1",
    "team:t2",
    "team:t0",
    "team:t1",
    "robot:bots/r0",
    "robot:bots/r1",
];

/// Rights that a token can show.
const SHOWN: RightSet = RightSet::PUSH.union(RightSet::DELETE).union(RightSet::of(&[
    Right::Pull,
    Right::RepositoryDelete,
    Right::All,
]));

/// People, teams in teams, robots, and how each of them logs in.
struct Village {
    stack: Stack,
    client: OciClient,
    pool: Pool,
    connection: PgConnection,
    pids: BTreeMap<&'static str, i64>,
    /// The subject, and the header of somebody who has its rights and no others.
    logins: Vec<(&'static str, Option<String>)>,
}

impl Village {
    async fn build() -> anyhow::Result<Self> {
        let stack = Stack::start().await?;
        let mut logins = vec![("everyone", None), ("authenticated", Some(basic_of("newcomer")))];
        for user in ["u0", "u1", "u2", "u3", "gone", "newcomer", "m0", "m1", "m2"] {
            stack.add_user(user).await?;
        }
        // A team holds what somebody holds who is in it and nothing else; the first lies in the second, both in the third.
        stack.add_team("t0", &["m0", "u0"]).await?;
        stack.add_team("t1", &["m1", "u1", "u0"]).await?;
        stack.add_team("t2", &["m2", "u2"]).await?;
        done(
            &stack,
            &[
                "team member add t1 team:t0",
                "team member add t2 team:t1",
                "namespace add bots --owner user:newcomer",
                "robot add bots/r0",
                "robot add bots/r1",
                "team member add t0 robot:bots/r0",
                "user disable gone --yes",
            ],
        )
        .await?;
        for (subject, user) in [
            ("user:u0", "u0"),
            ("user:u1", "u1"),
            ("user:u2", "u2"),
            ("user:u3", "u3"),
            ("user:gone", "gone"),
            ("team:t0", "m0"),
            ("team:t1", "m1"),
            ("team:t2", "m2"),
        ] {
            logins.push((subject, Some(basic_of(user))));
        }
        for subject in ["robot:bots/r0", "robot:bots/r1"] {
            let robot = &subject["robot:".len()..];
            let secret =
                run(&stack, &format!("robot secret add {robot} --label main")).await?.success()?.output;
            logins.push((subject, Some(basic(robot, secret.trim()))));
        }
        let mut connection = stack.database.db_connect().await?;
        let mut pids = BTreeMap::from([
            ("everyone", db::principals::EVERYONE),
            ("authenticated", db::principals::AUTHENTICATED),
        ]);
        for holder in HOLDERS {
            let Some((kind, name)) = holder.split_once(':') else { continue };
            let pid = db::principals::find_principal(&mut connection, kind, name).await?;
            pids.insert(holder, pid.expect("it was just made"));
        }
        let pool = db::connect(&Secret::new(stack.database.url()), 2)?;
        Ok(Self { client: stack.anonymous()?, stack, pool, connection, pids, logins })
    }

    /// Other rows instead of those there are.
    async fn fill(&mut self, chance: &mut Chance, grants: usize) -> anyhow::Result<()> {
        self.connection
            .execute(sqlx::raw_sql(
                "delete from acl_grant; delete from acl_barrier; delete from namespace where name in ('a', 'b')",
            ))
            .await?;
        for _ in 0..grants {
            let pattern = RepositoryPattern::parse(chance.of(&PATTERNS))?;
            let roles = ["puller", "viewer", "signer", "publisher", "writer", "maintainer", "admin", "owner"];
            let what = format!("'allow', '{}', null", chance.of(&roles));
            let words = [
                "list,pull",
                "push",
                "delete",
                "tag-update",
                "attach,pull",
                "repository-create",
                "tag-create",
            ];
            let given = format!("'allow', null, '{}'", chance.of(&words));
            let words = [
                "pull",
                "push",
                "tag-create",
                "tag-delete",
                "attach",
                "manifest-delete",
                "repository-create",
            ];
            let denied = format!("'deny', null, '{}'", chance.of(&words));
            let conditions = [
                "null, null, null",
                "null, null, null",
                "null, null, null",
                "null, '2020-01-01', null",
                "'2090-01-01', '2091-01-01', null",
                "null, '2090-01-01', '{192.0.2.0/24}'",
                "null, null, '{127.0.0.0/8,192.0.2.0/24}'",
            ];
            let row = format!(
                "insert into acl_grant (subject_pid, anchor, pattern, effect, role, rights, tags, not_before, expires_at,
                                        networks, second_factor)
                 select {}, '{}', '{pattern}', effect, role, rights, {}, {}, {} and effect = 'allow'
                   from (values ({})) row(effect, role, rights) on conflict do nothing",
                self.pids[chance.of(&HOLDERS)],
                pattern.anchor(),
                chance.of(&["null", "null", "null", "'v*'", "'[px]*'", "'{v1,sha256-*}'"]),
                chance.of(&conditions),
                chance.below(8) == 0,
                chance.of(&[what.as_str(), &what, &given, &given, &denied])
            );
            self.connection.execute(AssertSqlSafe(row)).await?;
        }
        for folder in ["a", "a/b", "b"].into_iter().filter(|_| chance.below(3) == 0).collect::<Vec<_>>() {
            let rights = chance.of(&["push", "pull,delete", "attach", "repository-delete"]);
            let row = format!(
                "insert into acl_barrier (anchor, pattern, rights) values ('s:{folder}/', '{folder}/**', '{rights}')"
            );
            self.connection.execute(AssertSqlSafe(row)).await?;
        }
        for name in ["a", "b"] {
            let create = chance.of(&["pushers", "admins", "nobody"]);
            let row = format!(
                "insert into namespace (name, owner_pid, visibility, create_policy)
                 values ('{name}', {}, 'private', '{create}')",
                self.pids["user:u0"]
            );
            self.connection.execute(AssertSqlSafe(row)).await?;
        }
        Ok(())
    }

    fn circumstances(&self) -> anyhow::Result<Circumstances> {
        Ok(Circumstances {
            now: self.stack.clock.now(),
            address: Some("127.0.0.1".parse()?),
            second_factor: false,
        })
    }

    /// What a token for everything on a repository says; nothing for who may not log in.
    async fn token(&self, login: Option<&str>, service: &str, repository: &str) -> anyhow::Result<Told> {
        let scope = format!("repository:{repository}:pull,push,delete,repository-delete,*");
        let target = format!("{}/token?service={service}&scope={scope}", self.stack.token_server_url());
        let mut request = Request::get(target);
        if let Some(login) = login {
            request = request.header(AUTHORIZATION, login);
        }
        let answer = self.client.raw(&request).await?;
        if answer.status == 401 {
            return Ok(Told::default());
        }
        let body = answer.expect(200)?.json()?;
        let claims: Claims = serde_json::from_value(claims_of(body["token"].as_str().unwrap_or_default())?)?;
        let ours = claims.portcullis.unwrap_or_default();
        let both = claims.access.with(ours.more_access());
        let actions = both.iter().fold(ActionSet::EMPTY, |set, scope| set.union(scope.actions));
        Ok(Told { actions, limits: ours.limits_of(&repository.parse()?).cloned() })
    }
}

/// A token as a registry reads it.
#[derive(Debug, Default)]
struct Told {
    actions: ActionSet,
    limits: Option<Limits>,
}

impl Told {
    /// The limits of an action, if it has any.
    fn limits_of(&self, action: Action) -> Option<&Limits> {
        self.limits.as_ref().filter(|limits| limits.actions.contains(action))
    }

    /// For which tags a right is given, if only for some.
    fn tags(&self, right: Right) -> Option<&TagSet> {
        let set = match right {
            Right::TagCreate => &self.limits_of(Action::Push)?.create,
            Right::TagUpdate => &self.limits_of(Action::Push)?.update,
            Right::TagDelete => &self.limits_of(Action::Delete)?.delete,
            _ => return None,
        };
        Some(set).filter(|set| !set.is_everything())
    }

    fn allows(&self, right: Right, tag: Option<&str>) -> bool {
        let action = [Action::Pull, Action::Push, Action::Delete, Action::RepositoryDelete, Action::All]
            .into_iter()
            .find(|action| {
                let rights = RightSet::behind(*action);
                rights.contains(right) || (*action == Action::Push && right == Right::RepositoryCreate)
            });
        let Some(action) = action.filter(|action| self.actions.contains(*action)) else { return false };
        let Some(limits) = self.limits_of(action) else { return true };
        let is_in = |set: &TagSet, attach: bool| match tag {
            Some(tag) => set.contains(tag) || (attach && is_attachment(tag) && !set.is_excepted(tag)),
            None => !set.is_empty(),
        };
        match right {
            Right::TagCreate => is_in(&limits.create, limits.attach),
            Right::TagUpdate => is_in(&limits.update, limits.attach),
            Right::TagDelete => is_in(&limits.delete, false),
            Right::ManifestDelete => limits.manifests,
            Right::RepositoryCreate => limits.new,
            Right::PushDigest => limits.digests,
            Right::Attach => limits.attach,
            _ => true,
        }
    }

    fn rights(&self, question: &Question) -> RightSet {
        let rights: Vec<Right> =
            question.rights().iter().filter(|right| self.allows(*right, question.tag())).collect();
        RightSet::of(&rights)
    }
}

/// Whether an explanation and the tokens for both kinds of registries say the same.
fn check(found: &Explanation, question: &Question, told: &Told, theirs: &Told) -> Result<(), &'static str> {
    let asked = question.rights();
    let mut comparable = asked.intersection(SHOWN);
    if !told.actions.contains(Action::Push) {
        // Who may only make repositories may not push to them.
        comparable = comparable.difference(RightSet::of(&[Right::RepositoryCreate]));
    }
    if found.held.intersection(comparable) != told.rights(question).intersection(comparable) {
        return Err("held");
    }
    if found.missing != asked.difference(found.held) {
        return Err("missing");
    }
    for right in found.held.intersection(RightSet::OF_TAGS).iter().filter(|_| question.tag().is_none()) {
        let limited = found.limited.iter().find(|limited| limited.right == right);
        if limited.map(|limited| &limited.tags) != told.tags(right) {
            return Err("limited");
        }
    }
    for action in Action::ALL.into_iter().filter(|action| *action != Action::All) {
        let is_held = !found.held.intersection(RightSet::behind(action)).is_empty();
        let lacks = |verifier: Verifier| {
            let about = found.withheld.iter().filter(|one| one.verifiers.contains(&verifier));
            about.map(|one| one.actions).any(|actions| actions.contains(action))
        };
        if is_held && lacks(Verifier::Portcullis) {
            return Err("withheld from ours, where there are few patterns");
        }
        if is_held && theirs.actions.contains(action) == lacks(Verifier::Distribution2) {
            return Err("withheld");
        }
    }
    let needs = found.held.contains(Right::TagCreate) && !told.allows(Right::RepositoryCreate, None);
    if found.needs_repository == needs { Ok(()) } else { Err("needs_repository") }
}

#[tokio::test]
async fn answers_about_random_rights_are_those_of_tokens() -> anyhow::Result<()> {
    let mut village = Village::build().await?;
    let circumstances = village.circumstances()?;
    let (mut compared, mut parts, mut wholes, mut withheld, mut listed) = (0, 0, 0, 0, 0);
    for seed in 0..5 {
        let mut chance = Chance::new(seed);
        village.fill(&mut chance, 70).await?;
        for name in NAMES {
            let mut tokens = BTreeMap::new();
            for (subject, login) in &village.logins {
                let ours = village.token(login.as_deref(), SERVICE, name).await?;
                let theirs = village.token(login.as_deref(), PEER_SERVICE, name).await?;
                tokens.insert(*subject, (ours, theirs));
            }
            for _ in 0..4 {
                let (action, tag) = chance.of(&ACTIONS);
                let place = tag.map_or(name.to_owned(), |tag| format!("{name}:{tag}"));
                let question = Question::parse(action, &place)?;
                let capable = who_can(&village.pool, &question, circumstances).await?;
                let listing = |subject: &str| capable.iter().find(|one| one.subject == subject);
                listed += capable.len();
                let mut held = BTreeMap::new();
                for (subject, (ours, theirs)) in &tokens {
                    let parsed = GrantSubject::parse(subject)?;
                    let found = explain(&village.pool, &parsed, &question, circumstances).await?;
                    if let Err(what) = check(&found, &question, ours, theirs) {
                        panic!("{what}: {seed} {subject} {question}\n{found:#?}\n{ours:#?}\n{theirs:#?}");
                    }
                    compared += 1;
                    wholes += usize::from(found.is_whole());
                    parts += usize::from(!found.is_whole() && !found.held.is_empty());
                    withheld += usize::from(!found.withheld.is_empty());
                    held.insert(*subject, found.held);
                }
                for (subject, held_by_it) in &held {
                    match listing(subject) {
                        Some(one) => {
                            assert_eq!(one.held, *held_by_it, "{seed} {subject} {question}");
                            assert!(!one.rows.is_empty(), "{seed} {subject} {question}");
                        }
                        // Teams are listed as their members, and people without rights of their own as `authenticated`.
                        None if subject.starts_with("team:") => {}
                        None if subject.contains(':') => {
                            let more = held_by_it.difference(held["authenticated"]);
                            assert!(more.is_empty(), "{seed} {subject} {question}: {more}");
                        }
                        None => assert!(held_by_it.is_empty(), "{seed} {subject} {question}"),
                    }
                }
            }
        }
    }
    assert!(compared > 2_000, "{compared} answers");
    for (what, count) in [("whole", wholes), ("part", parts), ("withheld", withheld), ("listed", listed)] {
        assert!(count > 100, "the data makes no difference: {what} {count} of {compared}");
    }
    Ok(())
}

#[tokio::test]
async fn more_patterns_than_a_token_has_room_for_are_explained() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let rows = "insert into acl_grant (subject_pid, anchor, pattern, effect, role, tags)
        select pid, 'r:many', 'many', 'allow', 'writer', 'v' || n || '.*'
          from principal, generate_series(1, 33) n where name = 'bob'";
    town.stack.database.db_connect().await?.execute(sqlx::raw_sql(rows)).await?;
    assert_eq!(actions(&town.stack, "bob", "many").await?.0, "pull");
    let said = run(&town.stack, "explain user:bob push many:v1.0").await?.success()?.output;
    let lines: Vec<&str> = said.lines().take(3).collect();
    assert_eq!(
        lines,
        [
            "user:bob tag-create,tag-update many:v1.0: yes: tag-create,tag-update",
            "a token for our registry leaves push out: it takes more patterns of tags than a token has room for",
            "a token for registries of another kind leaves push out: it is limited, and they know no limits",
        ]
    );
    Ok(())
}
