//! Many clients use tokens of two token servers while the signing key is exchanged.
//!
//! *Invariant:* the registry refuses no token, whenever and by whichever server it was signed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use harness::actors::Town;
use harness::api::Api;
use harness::client::{OciClient, Request};
use harness::forge::header_of;
use harness::images::Image;
use harness::program;
use harness::server::{Server, Threaded, Which};
use harness::settings::SERVICE;
use harness::stack::{StackOptions, basic_of};
use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use tokio::sync::RwLock;
use tokio::task::JoinHandle;

use crate::imported_keys::UNTIL_IT_SIGNS;
use crate::key_life::{published, until_published};

/// So many connections ask at once.
const CLIENTS: usize = 6;

/// So many tokens of a key are used at each server before a test goes on.
const ENOUGH: usize = 20;

/// What happened: uses by server and key, and refusals.
#[derive(Debug, Default)]
struct Tally {
    used: BTreeMap<(usize, String), usize>,
    refused: Vec<String>,
}

/// Two token servers, a registry that fetches keys from the first, and clients that do not stop.
struct Crowd {
    town: Town,
    urls: [String; 2],
    tally: Arc<Mutex<Tally>>,
    is_over: Arc<AtomicBool>,
    /// Held by whoever has a token that is not used yet, and by who outdates tokens.
    in_flight: Arc<RwLock<()>>,
    clients: Vec<JoinHandle<anyhow::Result<()>>>,
    _other: Server,
}

impl Crowd {
    async fn gather(more: &str) -> anyhow::Result<Self> {
        // Longer than the new key is published before it signs.
        let options = StackOptions {
            token_lifetime: "3600s",
            token_server_more: more.to_owned(),
            ..StackOptions::default()
        };
        let town = Town::with(options).await?;
        town.alice.push_image("platform/app", "1", &Image::new(531, 1, 1_000)?).await?;
        let settings = town.stack.token_server_settings();
        let other =
            Server::Thread(Threaded::start(Which::TokenServer, settings, town.stack.clock.clone()).await?);
        let urls = [town.stack.token_server_url(), format!("http://{}", other.address())];
        let (tally, is_over) = (Arc::new(Mutex::new(Tally::default())), Arc::new(AtomicBool::new(false)));
        let in_flight = Arc::new(RwLock::new(()));
        let clients = (0..CLIENTS)
            .map(|number| {
                let (tally, is_over, in_flight) = (tally.clone(), is_over.clone(), in_flight.clone());
                let server = number % urls.len();
                let (url, registry) = (urls[server].clone(), town.stack.registry_url());
                tokio::spawn(async move {
                    while !is_over.load(Ordering::SeqCst) {
                        let _held = in_flight.read().await;
                        let used = use_token(&url, &registry).await?;
                        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                        match used {
                            Ok(kid) => *tally.used.entry((server, kid)).or_default() += 1,
                            Err(refusal) => tally.refused.push(refusal),
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        Ok(Self { town, urls, tally, is_over, in_flight, clients, _other: other })
    }

    fn used(&self, server: usize, kid: &str) -> usize {
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.used.get(&(server, kid.to_owned())).copied().unwrap_or_default()
    }

    /// Waits until enough tokens of this key were used since now.
    async fn until_used(&self, kid: &str) -> anyhow::Result<()> {
        let before: Vec<_> = (0..self.urls.len()).map(|server| self.used(server, kid)).collect();
        program::until("tokens of the key are used", Duration::from_mins(1), || async {
            let mut servers = before.iter().enumerate();
            servers.all(|(server, before)| self.used(server, kid) >= before + ENOUGH)
        })
        .await
    }

    /// Lets hours go by that outdate every token there is.
    async fn pass(&self, hours: u64) {
        let _nothing = self.in_flight.write().await;
        self.town.stack.clock.advance(Duration::from_hours(hours));
    }

    async fn disperse(self) -> anyhow::Result<()> {
        self.is_over.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.await??;
        }
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let used: usize = tally.used.values().sum();
        assert!(tally.refused.is_empty(), "{} of {used}: {:?}", tally.refused.len(), tally.refused.first());
        Ok(())
    }
}

/// Gets a token and uses it; the name of its key, or how it was refused.
async fn use_token(url: &str, registry: &str) -> anyhow::Result<Result<String, String>> {
    let target = format!("/token?service={SERVICE}&scope=repository:platform/app:pull");
    let ask = Request::get(target).header(AUTHORIZATION, basic_of("alice"));
    let body = OciClient::anonymous(url)?.raw(&ask).await?.expect(200)?.json()?;
    let token = body["token"].as_str().context("a token")?;
    let kid = header_of(token)?["kid"].as_str().unwrap_or_default().to_owned();
    let request = Request::new(Method::HEAD, "/v2/platform/app/manifests/1").accepting_manifests();
    let answer = OciClient::anonymous(registry)?.with_token(&request, token).await?;
    Ok(if answer.status == 200 { Ok(kid) } else { Err(format!("{kid}: {answer}")) })
}

async fn until_gone(urls: &[String], kid: &str) -> anyhow::Result<()> {
    program::until("the key is published no more", Duration::from_mins(1), || async {
        for url in urls {
            if published(url).await.is_ok_and(|keys| keys.iter().any(|key| key == kid)) {
                return false;
            }
        }
        true
    })
    .await
}

#[tokio::test]
async fn nobody_is_refused_while_the_key_is_exchanged_in_an_emergency() -> anyhow::Result<()> {
    let crowd = Crowd::gather("").await?;
    let stack = &crowd.town.stack;
    let old = published(&crowd.urls[0]).await?.remove(0);
    crowd.until_used(&old).await?;
    let new = stack.operator(&["key", "rotate", "--now"], "").await?.success()?.output.trim().to_owned();
    until_published(&crowd.urls, &new).await?;
    crowd.until_used(&old).await?;
    stack.clock.advance(UNTIL_IT_SIGNS);
    crowd.until_used(&new).await?;
    // What the old key signed is good until that is ended by hand.
    crowd.until_used(&new).await?;
    let api = Api::of(stack).await?;
    api.call("admin", Method::DELETE, &format!("/keys/{old}"), None).await?.expect(204)?;
    until_gone(&crowd.urls, &old).await?;
    crowd.until_used(&new).await?;
    crowd.disperse().await
}

#[tokio::test]
async fn nobody_is_refused_while_keys_come_and_go_by_time_and_two_servers_make_one() -> anyhow::Result<()> {
    let crowd = Crowd::gather("keys:\n  rotation: 4h\n  verification: 3h").await?;
    let stack = &crowd.town.stack;
    let old = published(&crowd.urls[0]).await?.remove(0);
    crowd.until_used(&old).await?;
    crowd.pass(4).await;
    crowd.until_used(&old).await?;
    program::until("a key is made", Duration::from_mins(1), || async {
        published(&crowd.urls[0]).await.is_ok_and(|keys| keys.len() == 2)
    })
    .await?;
    let new = published(&crowd.urls[0]).await?.into_iter().find(|kid| *kid != old).context("a new key")?;
    until_published(&crowd.urls, &new).await?;
    crowd.until_used(&old).await?;
    stack.clock.advance(Duration::from_secs(2 * 300 + 31));
    crowd.until_used(&new).await?;
    crowd.pass(1).await;
    crowd.until_used(&new).await?;
    assert_eq!(published(&crowd.urls[0]).await?.len(), 2, "the old key still verifies");
    crowd.pass(2).await;
    crowd.until_used(&new).await?;
    until_gone(&crowd.urls, &old).await?;
    let made = stack.database.db_audit_of("key_created").await?;
    let made: Vec<_> = made.iter().map(|row| row.summary()[..3].join(" ")).collect();
    assert_eq!(made, [format!("key_created system {old}"), format!("key_created system {new}")]);
    program::until("it is put away", Duration::from_mins(1), || async {
        stack.database.db_audit_of("key_retired").await.is_ok_and(|rows| !rows.is_empty())
    })
    .await?;
    assert_eq!(stack.database.db_audit_of("key_retired").await?.len(), 1, "once");
    crowd.disperse().await
}
