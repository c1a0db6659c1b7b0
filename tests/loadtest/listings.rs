//! What lists and questions cost in the database: the pages that people and programs look at, from anywhere in the
//! list.
//!
//! *Invariant:* queries are those of the server.

use std::time::{Duration, Instant};

use shared::repository_pattern::{RepositoryPattern, anchors};
use shared::scope::Resource;
use shared::secret::Secret;
use token_server::db::places::{AnchorRange, Place};
use token_server::db::{self, audit, grant_pages, grants, teams, users};

use crate::data::DataSet;
use crate::fill;
use crate::report::Report;

const ROUNDS: usize = 300;

/// The rows of a page.
const PAGE: i64 = 100;

/// More rows of somebody are not looked at for the list of repositories.
const ROWS_FOR_A_CATALOGUE: i64 = 1_001;

async fn time(
    what: impl Future<Output = anyhow::Result<usize>>,
    times: &mut Vec<Duration>,
) -> anyhow::Result<()> {
    let began = Instant::now();
    what.await?;
    times.push(began.elapsed());
    Ok(())
}

pub(crate) async fn run(url: &str, data: &DataSet) -> anyhow::Result<Report> {
    let mut report = Report::new("listings", data, &fill::fingerprint(url).await?);
    let pool = db::connect(&Secret::new(url), 1)?;
    let questions = data.questions(ROUNDS);
    let (mut of_grants, mut of_users, mut of_teams, mut of_records) = (vec![], vec![], vec![], vec![]);
    let (mut of_a_user, mut about_a_repository) = (vec![], vec![]);
    for (user, repository) in &questions {
        let place = Place { anchor: RepositoryPattern::parse(repository)?.anchor(), id: 0 };
        let page = async {
            Ok(grant_pages::list_grants_behind(&pool, &[AnchorRange::all()], &place, PAGE).await?.len())
        };
        time(page, &mut of_grants).await?;
        let name = DataSet::user_name(*user);
        let page = async { Ok(users::list_users_behind(&pool, &name, PAGE).await?.len()) };
        time(page, &mut of_users).await?;
        let name = format!("team{:05}", user % data.teams);
        let page = async { Ok(teams::list_teams_behind(&pool, &name, None, PAGE).await?.len()) };
        time(page, &mut of_teams).await?;
        let page =
            async { Ok(audit::list_latest_events(&pool, &audit::EventFilter::default(), PAGE).await?.len()) };
        time(page, &mut of_records).await?;
        let pid = Some(DataSet::user_pid(*user));
        let rows = async { Ok(grants::list_all_applicable(&pool, pid, ROWS_FOR_A_CATALOGUE).await?.len()) };
        time(rows, &mut of_a_user).await?;
        let anchors = anchors([&Resource::Repository(repository.parse()?)]);
        time(async { Ok(grants::list_at(&pool, &anchors).await?.len()) }, &mut about_a_repository).await?;
    }
    for (name, times) in [
        ("page_of_grants", of_grants),
        ("page_of_users", of_users),
        ("page_of_teams", of_teams),
        ("page_of_records", of_records),
        ("rows_of_a_user", of_a_user),
        ("rows_about_a_repository", about_a_repository),
    ] {
        report.times(name, times);
    }
    Ok(report)
}
