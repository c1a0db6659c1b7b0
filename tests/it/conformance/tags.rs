//! Listing tags.
//!
//! Spec: distribution-spec, "Listing Tags".

use harness::client::Request;
use serde_json::json;

use super::{Case, in_every_mode, next_page};

/// In byte order: digits, upper case, underscore, lower case.
const TAGS: [&str; 8] = ["1.0", "1.0-rc1", "10", "2", "Alpha", "_x", "alpha", "beta"];

/// A repository with all of [`TAGS`], pushed in another order.
async fn tagged(case: &Case) -> anyhow::Result<String> {
    let name = case.repository();
    let manifest = case.artifact(&name, 1001).await?;
    for tag in TAGS.iter().rev() {
        case.stored(&name, tag, &manifest).await?;
    }
    Ok(name)
}

async fn list(case: &Case, name: &str, query: &str) -> anyhow::Result<harness::answer::Answer> {
    case.send(&Request::get(format!("/v2/{name}/tags/list{query}"))).await
}

#[tokio::test]
async fn l_1_the_list_has_the_name_and_the_tags() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = tagged(case).await?;
        let answer = list(case, &name, "").await?.expect(200)?;
        assert_eq!(answer.json()?, json!({"name": name, "tags": TAGS}));
        assert!(answer.needs_header("content-type")?.starts_with("application/json"), "{answer}");
        list(case, &case.repository(), "").await?.expect_error(404, "NAME_UNKNOWN")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn l_1_a_repository_without_tags_has_an_empty_list() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let manifest = case.artifact(&name, 1002).await?;
        case.stored(&name, &manifest.digest, &manifest).await?;
        let answer = list(case, &name, "").await?.expect(200)?;
        assert_eq!(answer.json()?, json!({"name": name, "tags": []}));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn l_2_tags_come_in_byte_order_on_every_page() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = tagged(case).await?;
        let mut next = Some(format!("/v2/{name}/tags/list?n=3"));
        let mut seen: Vec<String> = Vec::new();
        while let Some(target) = next {
            let answer = case.send(&Request::get(target)).await?.expect(200)?;
            seen.extend(serde_json::from_value::<Vec<String>>(answer.json()?["tags"].clone())?);
            next = next_page(&answer)?;
        }
        assert_eq!(seen, TAGS);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn l_3_a_page_has_as_many_tags_as_were_asked_for() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = tagged(case).await?;
        for n in 1..=TAGS.len() + 2 {
            let answer = list(case, &name, &format!("?n={n}")).await?.expect(200)?;
            assert_eq!(answer.json()?["tags"], json!(TAGS[..n.min(TAGS.len())]), "n={n}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn l_4_a_link_leads_on_while_tags_remain_and_only_then() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = tagged(case).await?;
        for n in 1..=TAGS.len() + 1 {
            let answer = list(case, &name, &format!("?n={n}")).await?.expect(200)?;
            assert_eq!(next_page(&answer)?.is_some(), n < TAGS.len(), "n={n}: {answer}");
        }
        let answer = list(case, &name, "?n=3").await?.expect(200)?;
        let next = next_page(&answer)?.expect("five remain");
        let answer = case.send(&Request::get(next)).await?.expect(200)?;
        assert_eq!(answer.json()?["tags"], json!(TAGS[3..6]));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn l_5_a_page_of_nothing_is_empty_and_leads_nowhere() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = tagged(case).await?;
        for query in ["?n=0", "?n=0&last=alpha"] {
            let answer = list(case, &name, query).await?.expect(200)?;
            assert_eq!(answer.json()?, json!({"name": name, "tags": []}));
            assert!(answer.header("link").is_none(), "{answer}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn l_6_the_list_goes_on_strictly_after_the_last_tag() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = tagged(case).await?;
        for (at, last) in TAGS.iter().enumerate() {
            let answer = list(case, &name, &format!("?last={last}")).await?.expect(200)?;
            assert_eq!(answer.json()?["tags"], json!(TAGS[at + 1..]), "after {last}");
            let answer = list(case, &name, &format!("?n=2&last={last}")).await?.expect(200)?;
            assert_eq!(answer.json()?["tags"], json!(TAGS[at + 1..TAGS.len().min(at + 3)]), "after {last}");
        }
        // A tag, never a place; and it need not exist.
        let answer = list(case, &name, "?last=3").await?.expect(200)?;
        assert_eq!(answer.json()?["tags"], json!(TAGS[4..]));
        let answer = list(case, &name, "?n=5&last=zzz").await?.expect(200)?;
        assert_eq!(answer.json()?["tags"], json!([]));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn l_7_a_page_size_that_is_no_number_is_400() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = tagged(case).await?;
        for n in ["-1", "x", "1.5", "1e3", "99999999999999999999999"] {
            list(case, &name, &format!("?n={n}")).await?.expect_error(400, "SIZE_INVALID")?;
        }
        Ok(())
    })
    .await
}
