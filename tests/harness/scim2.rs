//! scim2-tester: it tries a server by SCIM with a client that others wrote.
//!
//! *Invariant:* the versions that the list names, and nothing is written outside a private folder.

use std::path::Path;

use anyhow::Context as _;
use tokio::process::Command;

use crate::program::{self, Said};

/// Says of each check how it went; ends with an error where one went wrong.
const SCRIPT: &str = "
import sys
from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server
http = Client(base_url=sys.argv[1], headers={'Authorization': 'Bearer ' + sys.argv[2]}, trust_env=False, timeout=60)
results = check_server(SyncSCIMClient(http))
bad = 0
for result in results:
    # Searching by POST is not offered, and everybody is active or not.
    reason = result.reason or ''
    known = result.title == 'search_with_attributes' or 'did not remove' in reason and 'active' in reason
    wrong = result.status in (Status.ERROR, Status.CRITICAL) and not known
    bad += wrong
    print(result.status.name, result.title, result.resource_type or '', result.reason or '' if wrong else '')
print(len(results), 'checks,', bad, 'wrong')
sys.exit(1 if bad or len(results) < 30 else 0)
";

/// Tries the server at this address with this secret.
pub async fn run(base: &str, secret: &str) -> anyhow::Result<Said> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let list = std::fs::read(root.join("tests/scim2.txt"))?;
    let folder = root.join("target/scim2");
    let is_there = std::fs::read(folder.join("installed.txt")).is_ok_and(|installed| installed == list);
    let python = is_there.then(|| folder.join("bin/python"));
    let python =
        python.with_context(|| format!("scim2-tester is missing in {}: run tests/run", folder.display()))?;
    let mut command = Command::new(python);
    command.current_dir(program::private_folder("scim")?).args(["-c", SCRIPT, base, secret]);
    program::run(&mut command, "").await
}
