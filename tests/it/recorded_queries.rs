//! The metadata with which the build checks SQL, against the schema that the migrations make.
//!
//! The build believes `.sqlx`; a migration that was changed without recording again would go unnoticed until a query
//! fails in production.
//!
//! *Invariant:* every recorded query has the parameters that Postgres describes, by type, and the same columns in the
//! same order, by name, type and nullability.

use std::fs;

use harness::database::Database;
use serde_json::{Value, json};
use sqlx::postgres::PgTypeInfo;
use sqlx::{AssertSqlSafe, Column as _, Either, Executor as _, SqlSafeStr as _, TypeInfo as _};

use crate::tidy::root;

/// The name of a type as it is recorded.
fn word(kind: &PgTypeInfo) -> String {
    kind.name().to_lowercase().replace("[]", "array")
}

#[tokio::test]
async fn recorded_queries_match_the_schema() -> anyhow::Result<()> {
    let database = Database::create().await?;
    let mut connection = database.db_connect().await?;
    let mut checked = 0;
    for entry in fs::read_dir(root().join(".sqlx"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let recorded: Value = serde_json::from_slice(&fs::read(&path)?)?;
        let query = recorded["query"].as_str().unwrap_or_default().to_owned();
        let described = connection
            .describe(AssertSqlSafe(query.clone()).into_sql_str())
            .await
            .map_err(|error| anyhow::anyhow!("{error} in {query}"))?;
        let columns: Vec<_> = described.columns().iter().map(sqlx::Column::name).collect();
        let named: Vec<_> = recorded["describe"]["columns"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|column| &column["name"])
            .collect();
        assert_eq!(json!(columns), json!(named), "{query}");
        let described_types: Vec<_> =
            described.columns().iter().map(|column| word(column.type_info())).collect();
        let recorded_types: Vec<_> = recorded["describe"]["columns"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|column| column["type_info"].as_str().unwrap_or("custom").to_lowercase())
            .collect();
        assert_eq!(described_types, recorded_types, "{query}");
        let nullable: Vec<_> = (0..columns.len()).map(|column| described.nullable(column)).collect();
        assert_eq!(json!(nullable), recorded["describe"]["nullable"], "{query}");
        let Some(Either::Left(parameters)) = described.parameters() else {
            anyhow::bail!("the parameters of {query} are not described");
        };
        let parameters: Vec<_> = parameters.iter().map(word).collect();
        let recorded_parameters: Vec<_> = recorded["describe"]["parameters"]["Left"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|kind| kind.as_str().unwrap_or("custom").to_lowercase())
            .collect();
        assert_eq!(parameters, recorded_parameters, "{query}");
        checked += 1;
    }
    assert!(checked > 10, "only {checked} queries are recorded");
    Ok(())
}
