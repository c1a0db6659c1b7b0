//! What lists and questions cost in the database: the pages that people and programs look at, from anywhere in the
//! list.
//!
//! *Invariant:* queries are those of the server.

use std::time::{Duration, Instant};

use futures_util::TryFutureExt as _;
use shared::clock::{Clock as _, SystemClock};
use shared::repository_pattern::{RepositoryPattern, anchors};
use shared::secret::Secret;
use token_server::db::error::DbError;
use token_server::db::places::{AnchorRange, Place};
use token_server::db::token_uses::TokenUseFilter;
use token_server::db::{
    self, Pool, audit, barriers, elevations, grant_pages, grants, namespaces, robots, teams, token_uses,
    users,
};

use crate::data::DataSet;
use crate::fill;
use crate::report::Report;

const ROUNDS: usize = 300;

/// The rows of a page.
const PAGE: i64 = 100;

/// The rows that are read for a page of which perhaps not all are shown.
const READ_AT_ONCE: i64 = 1_000;

/// More rows of somebody are not looked at for the list of repositories.
const ROWS_FOR_A_CATALOGUE: i64 = 1_001;

/// How long each kind of query took, in the order in which they were first asked.
#[derive(Default)]
struct Times(Vec<(&'static str, Vec<Duration>)>);

impl Times {
    async fn add(
        &mut self,
        name: &'static str,
        rows: impl Future<Output = Result<usize, DbError>>,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        rows.await?;
        let took = began.elapsed();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, times)) => times.push(took),
            None => self.0.push((name, vec![took])),
        }
        Ok(())
    }
}

pub(crate) async fn run(url: &str, data: &DataSet) -> anyhow::Result<Report> {
    let mut report = Report::new("listings", data, &fill::fingerprint(url).await?);
    let pool = db::connect(&Secret::new(url), 1)?;
    let mut times = Times::default();
    for (user, repository) in &data.questions(ROUNDS) {
        add_pages(&mut times, &pool, data, *user, repository).await?;
        add_cut_pages(&mut times, &pool, data, *user).await?;
        let pid = Some(DataSet::user_pid(*user));
        let rows = grants::list_all_applicable(&pool, pid, ROWS_FOR_A_CATALOGUE).map_ok(|rows| rows.len());
        times.add("rows_of_a_user", rows).await?;
        let anchors = anchors([&repository.parse()?]);
        let rows = grants::list_at(&pool, &anchors).map_ok(|rows| rows.len());
        times.add("rows_about_a_repository", rows).await?;
    }
    for (name, times) in times.0 {
        report.times(name, times);
    }
    Ok(report)
}

/// Pages of which everything is shown.
async fn add_pages(
    times: &mut Times,
    pool: &Pool,
    data: &DataSet,
    user: i64,
    repository: &str,
) -> anyhow::Result<()> {
    let anchor = RepositoryPattern::parse(repository)?.anchor();
    let (all, place) = ([AnchorRange::all()], Place { anchor, id: 0 });
    let page = grant_pages::list_grants_behind(pool, &all, &place, PAGE).map_ok(|rows| rows.len());
    times.add("page_of_grants", page).await?;
    let anchor = format!("s:{}/", DataSet::namespace_name(user % data.namespaces));
    let page = barriers::list_barriers_behind(pool, &all[0], &anchor, PAGE).map_ok(|rows| rows.len());
    times.add("page_of_barriers", page).await?;
    let name = DataSet::user_name(user);
    let page = users::list_users_behind(pool, &name, PAGE).map_ok(|rows| rows.len());
    times.add("page_of_users", page).await?;
    let team = user % data.teams;
    let name = format!("team{team:05}");
    let page = teams::list_teams_behind(pool, &name, None, PAGE).map_ok(|rows| rows.len());
    times.add("page_of_teams", page).await?;
    let page = teams::list_members_behind(pool, data.team_pid(team), 0, PAGE).map_ok(|rows| rows.len());
    times.add("page_of_members", page).await?;
    let filter = audit::EventFilter::default();
    let page = audit::list_latest_events(pool, &filter, PAGE).map_ok(|rows| rows.len());
    times.add("page_of_records", page).await?;
    let filter = TokenUseFilter::default();
    let page = token_uses::list_uses_before(pool, &filter, None, PAGE).map_ok(|rows| rows.len());
    times.add("page_of_token_uses", page).await
}

/// Pages that are cut to what somebody may see, of which more is read.
async fn add_cut_pages(times: &mut Times, pool: &Pool, data: &DataSet, user: i64) -> anyhow::Result<()> {
    let (name, now) = (DataSet::namespace_name(user % data.namespaces), SystemClock.now());
    let page = namespaces::list_namespaces_behind(pool, &name, READ_AT_ONCE).map_ok(|rows| rows.len());
    times.add("page_of_namespaces", page).await?;
    let page = robots::list_robots_behind(pool, &name, None, now, READ_AT_ONCE).map_ok(|rows| rows.len());
    times.add("page_of_robots", page).await?;
    let page = elevations::list_elevations_before(pool, None, false, now, READ_AT_ONCE);
    times.add("page_of_elevations", page.map_ok(|rows| rows.len())).await
}
