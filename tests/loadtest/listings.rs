//! What lists and questions cost in the database: the pages that people and programs look at.
//!
//! *Invariant:* queries are those of the server.

use std::time::Instant;

use shared::repository_pattern::anchors;
use shared::scope::Resource;
use shared::secret::Secret;
use token_server::db::{self, audit, grants, teams};

use crate::data::DataSet;
use crate::fill;
use crate::report::Report;

const ROUNDS: usize = 300;

/// The rows of a page.
const PAGE: i64 = 100;

pub(crate) async fn run(url: &str, data: &DataSet) -> anyhow::Result<Report> {
    let mut report = Report::new("listings", data, &fill::fingerprint(url).await?);
    let pool = db::connect(&Secret::new(url), 1)?;
    let questions = data.questions(ROUNDS);
    let mut times = Vec::new();
    for (user, _) in &questions {
        let began = Instant::now();
        grants::list_all_applicable(&pool, Some(DataSet::user_pid(*user)), 1_001).await?;
        times.push(began.elapsed());
    }
    report.times("everything_of_a_user", times);
    let (mut times, mut behind) = (Vec::new(), Vec::new());
    for (_, repository) in &questions {
        let anchors = anchors([&Resource::Repository(repository.parse()?)]);
        let began = Instant::now();
        let rows = grants::list_at(&pool, &anchors).await?;
        times.push(began.elapsed());
        let mut holders: Vec<i64> = rows.iter().map(|row| row.subject_pid).collect();
        holders.sort_unstable();
        holders.dedup();
        if behind.len() < ROUNDS / 10 {
            let began = Instant::now();
            teams::list_behind(&pool, &holders).await?;
            behind.push(began.elapsed());
        }
    }
    report.times("rows_about_a_repository", times);
    report.times("everybody_behind_those_rows", behind);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        audit::list_latest_events(&pool, &audit::EventFilter::default(), PAGE).await?;
        times.push(began.elapsed());
    }
    report.times("newest_records", times);
    Ok(report)
}
