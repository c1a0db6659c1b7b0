//! SCIM as Entra ID and Okta speak it, request by request, put together from what their makers document.
//!
//! *Invariant:* what they send from the first question to the last is answered as they expect.

use harness::scim::town;
use harness::stack::StackOptions;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn entra_id_provisions_and_deprovisions() -> anyhow::Result<()> {
    let (_town, scim) = town(StackOptions::default()).await?;
    // Its test of the connection asks for somebody who is not there.
    let none = scim.find("/Users", r#"userName eq "0d1c8b5e-6f6f-4a53-8a0f-2f2b4e3c9a11""#).await?;
    assert_eq!((&none["totalResults"], &none["Resources"]), (&json!(0), &json!([])));
    let user = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User",
                    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
        "externalId": "7f1e0c52-object-id", "userName": "Bob.Smith@contoso.example", "active": true,
        "displayName": "Bob Smith", "name": {"formatted": "Bob Smith", "familyName": "Smith", "givenName": "Bob"},
        "emails": [{"primary": true, "type": "work", "value": "bob.smith@contoso.example"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Sales"},
        "meta": {"resourceType": "User"}, "roles": []
    });
    let id = scim.make("/Users", &user).await?;
    let address = format!("/Users/{id}");
    let found = scim.find("/Users", r#"userName eq "Bob.Smith@contoso.example""#).await?;
    assert_eq!(found["Resources"][0]["id"], json!(id));
    let changes = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [
        {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "updated@contoso.example"},
        {"op": "Replace", "path": "name.familyName", "value": "Smythe"},
        {"op": "Add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "X"}]});
    let after = scim.call(Method::PATCH, &address, &changes).await?.expect(200)?.json()?;
    assert_eq!(after["emails"][0]["value"], "updated@contoso.example");
    assert_eq!(after["name"]["familyName"], "Smythe");
    let group = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group",
                                   "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
                       "externalId": "8aa1a0c0", "displayName": "devs", "meta": {"resourceType": "Group"}});
    let group = scim.make("/Groups", &group).await?;
    let listed = scim.get(&format!("/Groups/{group}?excludedAttributes=members")).await?.expect(200)?;
    assert_eq!(listed.json()?["displayName"], "devs");
    let add =
        json!({"Operations": [{"op": "Add", "path": "members", "value": [{"$ref": null, "value": id}]}]});
    scim.call(Method::PATCH, &format!("/Groups/{group}"), &add).await?.expect(204)?;
    let is_in = scim.find("/Groups", &format!(r#"id eq "{group}" and members eq "{id}""#)).await?;
    assert_eq!(is_in["totalResults"], 1);
    let remove = json!({"Operations": [{"op": "Remove", "path": "members", "value": [{"value": id}]}]});
    scim.call(Method::PATCH, &format!("/Groups/{group}"), &remove).await?.expect(204)?;
    let is_in = scim.find("/Groups", &format!(r#"id eq "{group}" and members eq "{id}""#)).await?;
    assert_eq!(is_in["totalResults"], 0);
    let disable = json!({"Operations": [{"op": "Replace", "path": "active", "value": "False"}]});
    let after = scim.call(Method::PATCH, &address, &disable).await?.expect(200)?.json()?;
    assert_eq!(after["active"], false);
    scim.send(scim.request(Method::DELETE, &address, None)).await?.expect(204)?;
    scim.get(&address).await?.expect(404)?;
    Ok(())
}

#[tokio::test]
async fn okta_provisions_and_deactivates() -> anyhow::Result<()> {
    let (_town, scim) = town(StackOptions::default()).await?;
    scim.get("/Users?startIndex=1&count=2").await?.expect(200)?;
    let none = scim.find("/Users", r#"userName eq "test.user@okta.local""#).await?;
    assert_eq!(none["totalResults"], 0);
    let user = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "test.user@okta.local",
        "name": {"givenName": "Test", "familyName": "User"},
        "emails": [{"primary": true, "value": "test.user@okta.local", "type": "work"}],
        "displayName": "Test User", "locale": "en-US", "externalId": "00ujl29u0le5T6Aj10h7", "groups": [],
        "password": "1mz050nq", "active": true
    });
    let id = scim.make("/Users", &user).await?;
    let address = format!("/Users/{id}");
    let shown = scim.get(&address).await?.expect(200)?;
    anyhow::ensure!(!shown.text().contains("1mz050nq"), "{shown}");
    let mut whole = shown.json()?;
    whole["name"]["familyName"] = json!("Another");
    let after = scim.call(Method::PUT, &address, &whole).await?.expect(200)?.json()?;
    assert_eq!(after["name"]["familyName"], "Another");
    for active in [false, true, false] {
        let change = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                            "Operations": [{"op": "replace", "value": {"active": active}}]});
        let after = scim.call(Method::PATCH, &address, &change).await?.expect(200)?.json()?;
        assert_eq!(after["active"], active);
    }
    let group = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Test SCIMv2",
                       "members": [{"value": id, "display": "test.user@okta.local"}]});
    let group = scim.make("/Groups", &group).await?;
    let change = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [
        {"op": "replace", "value": {"id": group, "displayName": "Renamed"}},
        {"op": "remove", "path": format!("members[value eq \"{id}\"]")}]});
    scim.call(Method::PATCH, &format!("/Groups/{group}"), &change).await?.expect(204)?;
    let shown = scim.get(&format!("/Groups/{group}")).await?.json()?;
    assert_eq!((&shown["displayName"], &shown["members"]), (&json!("Renamed"), &json!(null)));
    scim.send(scim.request(Method::DELETE, &format!("/Groups/{group}"), None)).await?.expect(204)?;
    Ok(())
}
