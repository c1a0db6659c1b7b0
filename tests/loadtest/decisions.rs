//! Decisions in process: what a token request asks of memory, and what it would ask of the database.
//!
//! *Invariant:* both ways are asked the same questions, and different answers are an error.

use std::time::{Duration, Instant};

use shared::repository_name::RepositoryName;
use shared::scope::ScopeList;
use shared::secret::Secret;
use time::macros::datetime;
use token_server::db;
use token_server::domain::audience::Verifier;
use token_server::domain::grant::Circumstances;
use token_server::domain::issue::{self, Asker, Decision, Relevant};
use token_server::domain::policy::Rows;
use token_server::domain::snapshot::Snapshot;
use token_server::domain::stored_rows;

use crate::data::DataSet;
use crate::report::Report;
use crate::workload::Arguments;
use crate::{fill, process};

/// How often everything is read.
const LOADS: usize = 3;

const QUESTIONS: usize = 200_000;

/// Of those, the database is asked so many.
const ASKED_OF_DATABASE: usize = 2_000;

/// Who wants to pull from and push to which repository.
struct Question {
    pid: i64,
    user: String,
    scopes: ScopeList,
    repository: RepositoryName,
}

impl Question {
    fn decide(&self, near: Rows) -> Decision {
        let circumstances =
            Circumstances { now: datetime!(2026-12-01 0:00 UTC), address: None, second_factor: false };
        let asker = Asker { user: Some(&self.user), circumstances, verifier: Verifier::Portcullis };
        issue::decide(&self.scopes, &Relevant { near, all: None }, asker)
    }

    /// Everything from the question to the answer.
    fn ask(&self, snapshot: &Snapshot) -> anyhow::Result<Decision> {
        Ok(self.decide(snapshot.near(Some(self.pid), &[&self.repository])?))
    }
}

/// The rows that a decision rests on come in the order in which they were found, which says nothing.
fn in_order(mut decision: Decision) -> Decision {
    decision.rests_on.sort_unstable();
    decision
}

pub(crate) async fn run(url: &str, data: &DataSet, arguments: &Arguments) -> anyhow::Result<Report> {
    let mut report = Report::new("decisions", data, &fill::fingerprint(url).await?);
    let own = std::process::id();
    let mut connection = fill::dialer(url)?.dial().await?;
    let before = process::anonymous_kib(own)?;
    let mut loads = Vec::new();
    let (began, processor) = (Instant::now(), process::processor_time()?);
    let snapshot = Snapshot::load(&mut connection).await?;
    loads.push(began.elapsed());
    report.seconds("load_processor", process::processor_time()?.saturating_sub(processor));
    report.megabytes("snapshot_memory", process::anonymous_kib(own)?.saturating_sub(before));
    report.megabytes("snapshot_memory_peak", process::peak_kib(own)?.saturating_sub(before));
    for _ in 1..LOADS {
        let began = Instant::now();
        let again = Snapshot::load(&mut connection).await?;
        loads.push(began.elapsed());
        anyhow::ensure!(again.says_the_same(&snapshot), "reading twice gave two snapshots");
    }
    report.times("load", loads);

    let questions = questions(data)?;
    let mut times = Vec::with_capacity(questions.len());
    let mut granted = 0;
    // Once to warm up, as a server that has run for a while.
    for _ in 0..2 {
        times.clear();
        granted = 0;
        for question in &questions {
            let began = Instant::now();
            let decision = question.ask(&snapshot)?;
            times.push(began.elapsed());
            granted += i64::from(!decision.granted.is_empty());
        }
    }
    report.count("granted", granted);
    report.times("decision_from_memory", times);
    let pool = db::connect(&Secret::new(url), 1)?;
    let mut times: Vec<Duration> = Vec::with_capacity(ASKED_OF_DATABASE);
    let mut different = 0;
    for question in questions.iter().take(ASKED_OF_DATABASE) {
        let began = Instant::now();
        let near = stored_rows::near(&pool, Some(question.pid), &[&question.repository]).await?;
        let decision = question.decide(near);
        times.push(began.elapsed());
        different += usize::from(in_order(decision) != in_order(question.ask(&snapshot)?));
    }
    anyhow::ensure!(different == 0, "{different} of {ASKED_OF_DATABASE} decisions differ");
    report.times("decision_from_database", times);
    follow(url, data, arguments, &mut report, snapshot).await?;
    Ok(report)
}

/// What it takes to follow one change.
async fn follow(
    url: &str,
    data: &DataSet,
    arguments: &Arguments,
    report: &mut Report,
    mut snapshot: Snapshot,
) -> anyhow::Result<()> {
    let mut connection = fill::dialer(url)?.dial().await?;
    let mut changing = <sqlx::PgConnection as sqlx::Connection>::connect(url).await?;
    let mut times = Vec::new();
    for round in 0..i64::from(arguments.length) * 10 {
        sqlx::query(
            "insert into acl_grant (subject_pid, anchor, pattern, effect, role)
             values ($1, 'r:loadtest/' || $2::bigint, 'loadtest/' || $2::bigint, 'allow', 'viewer')
             on conflict do nothing",
        )
        .bind(DataSet::user_pid(round % data.users))
        .bind(round)
        .execute(&mut changing)
        .await?;
        let began = Instant::now();
        let next = snapshot.next(&mut connection).await?;
        times.push(began.elapsed());
        snapshot = next.ok_or_else(|| anyhow::anyhow!("the log of changes does not lead on"))?;
    }
    report.times("following_a_change", times);
    sqlx::query("delete from acl_grant where pattern like 'loadtest/%'").execute(&mut changing).await?;
    Ok(())
}

fn questions(data: &DataSet) -> anyhow::Result<Vec<Question>> {
    let drawn = data.questions(QUESTIONS).into_iter().map(|(user, repository)| {
        Ok(Question {
            pid: DataSet::user_pid(user),
            user: DataSet::user_name(user),
            scopes: ScopeList::parse([format!("repository:{repository}:pull,push").as_str()]),
            repository: repository.parse()?,
        })
    });
    drawn.collect()
}
