//! Searching: what people find is what the list of repositories shows them, whichever way their client logs in.
//!
//! *Invariant:* every expectation is a complete list of names.

use harness::actors::Town;
use harness::answer::Answer;
use harness::client::{OciClient, Request};
use harness::containers::ContainersPerson;
use harness::docker_engine::{DockerEngine, DockerPerson};
use harness::edited;
use harness::images::Image;
use harness::passwords;
use harness::settings::{Auth, SERVICE};
use harness::stack::{LoneRegistry, StackOptions, basic_of, password_of};
use reqwest::header::{AUTHORIZATION, HeaderName};
use shared::challenge::BearerChallenge;

const DOCKER_TOKEN: HeaderName = HeaderName::from_static("x-docker-token");

const REPOSITORIES: [&str; 4] = ["other/app", "platform/app", "platform/secret-app", "public/tool-app"];

/// People and images, behind one address.
async fn town() -> anyhow::Result<Town> {
    let options = StackOptions { same_origin: true, ..Default::default() };
    let town = Town::with(options).await?;
    let image = Image::new(840, 1, 1000)?;
    for repository in REPOSITORIES {
        town.admin.push_image(repository, "1", &image).await?;
    }
    let words = ["grant", "add", "user:alice", "--deny", "--actions", "pull", "platform/secret-app"];
    town.stack.operator(&words, "").await?.success()?;
    Ok(town)
}

fn names(answer: &Answer) -> anyhow::Result<Vec<String>> {
    let found = answer.json()?["results"].as_array().cloned().unwrap_or_default();
    Ok(found.iter().filter_map(|result| Some(result["name"].as_str()?.to_owned())).collect())
}

/// Asks as the engine does, with these credentials.
async fn ask(client: &OciClient, query: &str, authorization: Option<&str>) -> anyhow::Result<Answer> {
    let request = Request::get(format!("/v1/search{query}")).header(DOCKER_TOKEN, "true");
    let request = match authorization {
        Some(value) => request.header(AUTHORIZATION, value),
        None => request,
    };
    client.raw(&request).await
}

async fn searched(person: &DockerPerson, place: &str) -> anyhow::Result<Vec<String>> {
    let said = person.docker(&["search", "--format", "{{.Name}}", place]).await?.success()?;
    Ok(said.output.lines().map(str::to_owned).collect())
}

#[tokio::test]
async fn docker_search_finds_what_a_person_may_pull() -> anyhow::Result<()> {
    let (town, docker) = (town().await?, DockerEngine::shared().await?);
    let registry = town.stack.registry_address();
    let place = format!("{registry}/APP");
    for (user, expected) in [
        (None, vec!["public/tool-app"]),
        (Some("admin"), REPOSITORIES.to_vec()),
        (Some("alice"), vec!["platform/app", "public/tool-app"]),
        (Some("bob"), vec!["public/tool-app"]),
    ] {
        let person = docker.person()?;
        let Some(user) = user else {
            assert_eq!(searched(&person, &place).await?, expected, "nobody");
            continue;
        };
        // A login that is kept as a refresh token asks the token server itself, one that is kept as a password does not.
        person.login(&registry, user, &password_of(user)).await?.success()?;
        assert!(person.stored_credentials()?.to_string().contains("identitytoken"));
        assert_eq!(searched(&person, &place).await?, expected, "{user}");
        person.store_password(&registry, user, &password_of(user))?;
        assert_eq!(searched(&person, &place).await?, expected, "{user} with a password");
        assert_eq!(searched(&person, &format!("{registry}/nothing-like-it")).await?, Vec::<String>::new());
    }
    let person = docker.person()?;
    person.store_password(&registry, "alice", "wrong")?;
    let text = person.docker(&["search", &place]).await?.failure()?;
    assert!(text.to_lowercase().contains("unexpected status code 401"), "{text}");
    Ok(())
}

#[tokio::test]
async fn docker_search_works_where_there_is_no_token_server() -> anyhow::Result<()> {
    let docker = DockerEngine::shared().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("htpasswd");
    passwords::write(&file, &["alice"])?;
    for (auth, user) in [(Auth::Open, None), (Auth::Htpasswd { file }, Some("alice"))] {
        let registry = LoneRegistry::start(&folder.path().join("images"), auth).await?;
        let client = match user {
            Some(user) => registry.client(user)?,
            None => OciClient::anonymous(&registry.url())?,
        };
        client.push_image("web/app", "1", &Image::new(841, 1, 1000)?).await?;
        let person = docker.person()?;
        let place = format!("{}/web", registry.address());
        if let Some(user) = user {
            person.docker(&["search", &place]).await?.failure()?;
            person.login(&registry.address(), user, &password_of(user)).await?.success()?;
        }
        assert_eq!(searched(&person, &place).await?, ["web/app"], "{user:?}");
    }
    Ok(())
}

#[tokio::test]
async fn docker_search_works_over_tls() -> anyhow::Result<()> {
    let (town, docker) = (town().await?, DockerEngine::shared().await?);
    let folder = tempfile::tempdir()?;
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&certificate, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    std::os::unix::fs::symlink(town.stack.images(), folder.path().join("images"))?;
    let auth = Auth::TokenServer { url: town.stack.token_server_url(), same_origin: true, feed: None };
    let (certificate, key) = (certificate.display(), key.display());
    let tls = format!("http:\n  tls:\n    certificate: {certificate}\n    key: {key}\n");
    let server = edited::registry(folder.path(), auth, &[("http:\n", &tls)], &town.stack.clock).await?;
    let registry = server.address().to_string();
    let place = format!("{registry}/app");
    // A password goes along only where there is one.
    let person = docker.person()?;
    assert_eq!(searched(&person, &place).await?, ["public/tool-app"]);
    person.store_password(&registry, "alice", &password_of("alice"))?;
    assert_eq!(searched(&person, &place).await?, ["platform/app", "public/tool-app"]);
    person.login(&registry, "alice", &password_of("alice")).await?.success()?;
    assert_eq!(searched(&person, &place).await?, ["platform/app", "public/tool-app"]);
    Ok(())
}

#[tokio::test]
async fn podman_search_finds_what_a_person_may_pull() -> anyhow::Result<()> {
    let town = town().await?;
    let registry = town.stack.registry_address();
    let place = format!("{registry}/app");
    let search = ["search", "--tls-verify=false", "--format", "{{.Name}}", &place];
    let person = ContainersPerson::new()?;
    person.podman_login(&registry, "alice", &password_of("alice")).await?.success()?;
    let said = person.podman(&search).await?.success()?;
    let expected = ["platform/app", "public/tool-app"].map(|name| format!("{registry}/{name}"));
    assert_eq!(said.output.lines().collect::<Vec<_>>(), expected);
    // It asks for a token without saying what for, which nobody gets without a login.
    let text = ContainersPerson::new()?.podman(&search).await?.failure()?;
    assert!(text.contains("log in with a user name and a password"), "{text}");
    Ok(())
}

#[tokio::test]
async fn an_answer_has_the_shape_of_the_first_protocol_and_a_bounded_size() -> anyhow::Result<()> {
    let town = town().await?;
    let alice = basic_of("alice");
    let client = &town.anonymous;
    let answer = ask(client, "?q=Tool&n=25", Some(&alice)).await?.expect(200)?;
    let expected = serde_json::json!({
        "query": "Tool", "num_results": 1, "num_pages": 1, "page": 1, "page_size": 25,
        "results": [{
            "name": "public/tool-app", "description": "", "star_count": 0,
            "is_official": false, "is_automated": false, "is_trusted": false,
        }],
    });
    assert_eq!(answer.json()?, expected);
    for (query, expected, known, size) in [
        ("", vec!["platform/app", "public/tool-app"], 2, 25),
        ("?n=0", vec!["platform/app", "public/tool-app"], 2, 25),
        ("?n=1", vec!["platform/app"], 2, 1),
        ("?n=1&page=2", vec!["public/tool-app"], 2, 1),
        ("?n=1&page=3", vec![], 2, 1),
        ("?n=99999", vec!["platform/app", "public/tool-app"], 2, 100),
        ("?q=secret", vec![], 0, 25),
        ("?q=%2Fapp", vec!["platform/app"], 1, 25),
    ] {
        let answer = ask(client, query, Some(&alice)).await?.expect(200)?;
        assert_eq!(names(&answer)?, expected, "{query}");
        let json = answer.json()?;
        assert_eq!((&json["num_results"], &json["page_size"]), (&known.into(), &size.into()), "{query}");
    }
    ask(client, "?n=x", Some(&alice)).await?.expect_error(400, "SIZE_INVALID")?;
    ask(client, "?page=-1", Some(&alice)).await?.expect_error(400, "SIZE_INVALID")?;
    let ping = client.raw(&Request::get("/v1/_ping")).await?.expect(200)?;
    assert_eq!(ping.header("x-docker-registry-standalone"), Some("false"));
    Ok(())
}

#[tokio::test]
async fn credentials_are_passed_on_and_refused_where_they_are_wrong() -> anyhow::Result<()> {
    let town = town().await?;
    let client = &town.anonymous;
    let wrong = ask(client, "?q=app", Some("Basic YWxpY2U6d3Jvbmc=")).await?;
    let wrong = wrong.expect_error(401, "UNAUTHORIZED")?;
    assert!(wrong.error_message()?.contains("wrong user name or password"), "{wrong}");
    assert_eq!(wrong.header("www-authenticate"), Some(format!("Basic realm=\"{SERVICE}\"").as_str()));
    ask(client, "?q=app", Some("Digest x")).await?.expect(401)?;
    ask(client, "?q=app", Some("Bearer x")).await?.expect(401)?;
    assert_eq!(names(&ask(client, "?q=app", None).await?.expect(200)?)?, ["public/tool-app"]);

    // Who does not say that a challenge is no use gets one.
    let challenged =
        client.raw(&Request::get("/v1/search?q=app")).await?.expect_error(401, "UNAUTHORIZED")?;
    let challenge =
        BearerChallenge::parse(challenged.needs_header("www-authenticate")?).expect("a challenge");
    assert_eq!(challenge.scope.as_deref(), Some("registry:catalog:*"));
    let answer = town.alice.send(&Request::get("/v1/search?q=app")).await?.expect(200)?;
    assert_eq!(names(&answer)?, ["platform/app", "public/tool-app"]);

    // Where nobody may see anything, nothing is found.
    let words = ["grant", "remove", "everyone", "viewer", "public/**", "--yes"];
    town.stack.operator(&words, "").await?.success()?;
    assert_eq!(names(&ask(client, "?q=app", None).await?.expect(200)?)?, Vec::<String>::new());
    let answer = ask(client, "?q=app", Some(&basic_of("bob"))).await?.expect(200)?;
    assert_eq!(names(&answer)?, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn without_forwarding_a_password_is_answered_with_the_challenge() -> anyhow::Result<()> {
    let (town, docker) = (Town::start().await?, DockerEngine::shared().await?);
    town.admin.push_image("platform/app", "1", &Image::new(842, 1, 1000)?).await?;
    let answer = ask(&town.anonymous, "?q=app", Some(&basic_of("alice"))).await?;
    let answer = answer.expect_error(401, "UNAUTHORIZED")?;
    assert!(answer.needs_header("www-authenticate")?.starts_with("Bearer realm="), "{answer}");
    ask(&town.anonymous, "?q=app", None).await?.expect(401)?;
    // The engine reaches the token server by itself with a login that is kept as a refresh token.
    let registry = town.stack.registry_address();
    let person = docker.person()?;
    person.login(&registry, "alice", &password_of("alice")).await?.success()?;
    assert_eq!(searched(&person, &format!("{registry}/app")).await?, ["platform/app"]);
    Ok(())
}
