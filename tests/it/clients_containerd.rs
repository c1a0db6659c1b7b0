//! containerd's `ctr`, which asks with POST first and falls back to GET, as Kubernetes nodes do.
//!
//! *Invariant:* one containerd serves all cases of this file, in order.

use harness::actors::Town;
use harness::containerd::Containerd;
use harness::images::{Image, Index};
use harness::stack::password_of;

#[tokio::test]
async fn ctr_pulls_pushes_and_is_refused() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let containerd = Containerd::start().await?;
    let registry = town.stack.registry_address();
    let image = Image::new(51, 2, 100_000)?;
    town.admin.push_image("public/tool", "1", &image).await?;
    town.admin.push_image("platform/app", "1", &image).await?;
    town.admin.push_index("public/multi", "1", &Index::two_platforms(52)?).await?;

    let public = format!("{registry}/public/tool:1");
    containerd.ctr(&["images", "pull", "--plain-http", &public]).await?.success()?;
    let listed = containerd.ctr(&["images", "list", "-q"]).await?.success()?;
    assert!(listed.output.contains(&public), "{}", listed.output);
    let multi = format!("{registry}/public/multi:1");
    containerd.ctr(&["images", "pull", "--plain-http", "--all-platforms", &multi]).await?.success()?;

    let private = format!("{registry}/platform/app:1");
    containerd.ctr(&["images", "pull", "--plain-http", &private]).await?.failure()?;
    let alice = format!("alice:{}", password_of("alice"));
    containerd.ctr(&["images", "pull", "--plain-http", "--user", &alice, &private]).await?.success()?;

    let pushed = format!("{registry}/platform/pushed:1");
    containerd.ctr(&["images", "tag", &private, &pushed]).await?.success()?;
    containerd.ctr(&["images", "push", "--plain-http", "--user", &alice, &pushed]).await?.success()?;
    town.alice.pull_image("platform/pushed", "1", &image).await?;

    let bob = format!("bob:{}", password_of("bob"));
    let text =
        containerd.ctr(&["images", "push", "--plain-http", "--user", &bob, &pushed]).await?.failure()?;
    assert!(text.contains("bob may not push to platform/pushed: no grant allows it; ask admin"), "{text}");
    Ok(())
}
