//! The description of the API as a page for people.
//!
//! *Invariant:* the page needs nothing but itself: no script, no font, no picture; every text in it is escaped.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use serde_json::Value;

const STYLE: &str = "\
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}\
body{max-width:56rem;margin:0 auto;padding:1rem;overflow-wrap:anywhere}\
h1{font-size:1.6rem}h2{margin-top:2.5rem;border-bottom:1px solid #8888}\
section section{margin:1.5rem 0;padding-left:.8rem;border-left:3px solid #8886}\
h3{margin:0;font-size:1rem;font-family:ui-monospace,monospace}\
p{margin:.4rem 0}code{font-family:ui-monospace,monospace;font-size:.9em}\
dl{margin:.4rem 0 .4rem 1rem}dd{margin:0 0 .4rem 1.2rem}nav a{margin-right:.8rem}";

/// Text that stands for itself.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// Text in which what stands between backquotes is code.
fn prose(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(number, part)| match number % 2 {
        0 => escaped(part),
        _ => format!("<code>{}</code>", escaped(part)),
    });
    parts.collect()
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// The page, and the policy that goes with it.
pub(super) fn page(document: &Value) -> (String, String) {
    let mut page = String::new();
    let title = escaped(text(&document["info"], "title"));
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}: API</title><style>{STYLE}</style></head><body><h1>{title}: API</h1>"
    );
    for paragraph in text(&document["info"], "description").split("\n\n") {
        let _ = write!(page, "<p>{}</p>", prose(paragraph));
    }
    let _ = write!(page, "<p>For programs: <a href=\"openapi.json\">openapi.json</a></p><nav>");
    for tag in list(&document["tags"]) {
        let name = escaped(text(tag, "name"));
        let _ = write!(page, "<a href=\"#{name}\">{name}</a>");
    }
    page.push_str("<a href=\"#schemas\">Schemas</a></nav>");
    for tag in list(&document["tags"]) {
        let name = text(tag, "name");
        let _ = write!(page, "<section><h2 id=\"{0}\">{0}</h2>", escaped(name));
        for (path, item) in members(&document["paths"]) {
            for (method, operation) in members(item) {
                if list(&operation["tags"]).any(|tag| tag == name) {
                    write_operation(&mut page, &method.to_uppercase(), path, operation);
                }
            }
        }
        page.push_str("</section>");
    }
    page.push_str("<section><h2 id=\"schemas\">Schemas</h2>");
    for (name, schema) in members(&document["components"]["schemas"]) {
        let name = escaped(name);
        let _ = write!(page, "<section><h3 id=\"schema-{name}\">{name}</h3>");
        let _ = write!(page, "<p>{}</p><dl>", prose(text(schema, "description")));
        if !schema["example"].is_null() {
            let _ = write!(page, "<dd><code>{}</code></dd>", escaped(&schema["example"].to_string()));
        }
        if schema["enum"].is_array() {
            let _ = write!(page, "<dt>{}</dt>", kind(schema));
        }
        for part in list(&schema["allOf"]).filter(|part| part["$ref"].is_string()) {
            let _ =
                write!(page, "<dt>all of {}</dt><dd>{}</dd>", kind(part), prose(text(part, "description")));
        }
        for part in [schema].into_iter().chain(list(&schema["allOf"])) {
            write_members(&mut page, part);
        }
        page.push_str("</dl></section>");
    }
    page.push_str("</section></body></html>");
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    (page, policy)
}

/// What stands in an object, member by member.
fn write_members(page: &mut String, schema: &Value) {
    let required: Vec<&str> = list(&schema["required"]).filter_map(Value::as_str).collect();
    for (member, of) in members(&schema["properties"]) {
        let needed = if required.contains(&member.as_str()) { "" } else { ", optional" };
        let _ = write!(page, "<dt><code>{}</code> {}{needed}</dt>", escaped(member), kind(of));
        // Of what may also be `null`, the other alternative says what it is.
        let alternatives = list(&of["oneOf"]).map(|one| text(one, "description"));
        let about = [text(of, "description")].into_iter().chain(alternatives).find(|about| !about.is_empty());
        let _ = write!(page, "<dd>{}</dd>", prose(about.unwrap_or_default()));
    }
}

fn write_operation(page: &mut String, method: &str, path: &str, operation: &Value) {
    let id = escaped(text(operation, "operationId"));
    let _ = write!(page, "<section id=\"{id}\"><h3>{method} {}</h3>", escaped(path));
    let _ = write!(page, "<p>{}</p><dl>", prose(text(operation, "summary")));
    for parameter in list(&operation["parameters"]) {
        let needed = if parameter["required"] == true { "" } else { ", optional" };
        let name = escaped(text(parameter, "name"));
        let place = escaped(text(parameter, "in"));
        let _ = write!(page, "<dt><code>{name}</code> in the {place}{needed}</dt>");
        let _ = write!(page, "<dd>{}</dd>", prose(text(parameter, "description")));
    }
    for (media_type, content) in members(&operation["requestBody"]["content"]) {
        let (media_type, kind) = (escaped(media_type), kind(&content["schema"]));
        let _ = write!(page, "<dt>takes <code>{media_type}</code> {kind}</dt>");
    }
    if let Some(about) = operation["requestBody"]["description"].as_str() {
        let _ = write!(page, "<dd>{}</dd>", prose(about));
    }
    for (status, response) in members(&operation["responses"]) {
        let _ = write!(page, "<dt>{}</dt><dd>{}", escaped(status), prose(text(response, "description")));
        for (media_type, content) in members(&response["content"]) {
            let _ = write!(page, " <code>{}</code> {}", escaped(media_type), kind(&content["schema"]));
        }
        page.push_str("</dd>");
    }
    page.push_str("</dl></section>");
}

/// What a schema is, in words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        let name = escaped(name);
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    if let Some(one_of) = schema["oneOf"].as_array() {
        return one_of.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    if let Some(all_of) = schema["allOf"].as_array() {
        return all_of.iter().map(kind).collect::<Vec<_>>().join(" and ");
    }
    if let Some(words) = schema["enum"].as_array() {
        let words = words.iter().map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned));
        return words.map(|word| format!("<code>{}</code>", escaped(&word))).collect::<Vec<_>>().join(" or ");
    }
    if schema["properties"]["next_cursor"].is_object() {
        return format!("page of {}", kind(&schema["properties"]["items"]["items"]));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().into_iter().collect(),
    };
    let named = types.iter().map(|name| match *name {
        "array" => format!("list of {}", kind(&schema["items"])),
        name => escaped(name),
    });
    named.collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_stand_for_themselves() {
        let document = json!({
            "info": {"title": "<b>&", "description": "one `a<b`\n\ntwo"},
            "tags": [{"name": "Users"}],
            "paths": {"/x/{y}": {"get": {
                "operationId": "getX", "summary": "\"quoted\" <script>", "tags": ["Users"],
                "parameters": [{"name": "y", "in": "path", "required": true}],
                "responses": {"200": {"description": "ok", "content": {"application/json": {
                    "schema": {"$ref": "#/components/schemas/User"}}}}},
            }}},
            "components": {"schemas": {
                "User": {"properties": {
                    "name": {"type": ["string", "null"]},
                    "colour": {"oneOf": [
                        {"$ref": "#/components/schemas/Colour", "description": "Of the hat."}, {"type": "null"},
                    ]},
                }},
                "Colour": {"type": "string", "enum": ["red", "<blue>"]},
                "MadeUser": {"allOf": [
                    {"$ref": "#/components/schemas/User", "description": "What is shown."},
                    {"type": "object", "required": ["key"], "properties": {"key": {"type": "string"}}},
                ]},
            }},
        });
        let (page, policy) = page(&document);
        for part in [
            "<h1>&lt;b&gt;&amp;: API</h1>",
            "<code>a&lt;b</code>",
            "GET /x/{y}",
            "&quot;quoted&quot; &lt;script&gt;",
            "<a href=\"#schema-User\">User</a>",
            "string or null, optional",
            "<dt><code>red</code> or <code>&lt;blue&gt;</code></dt>",
            "<a href=\"#schema-Colour\">Colour</a> or null, optional</dt><dd>Of the hat.</dd>",
            "<dt>all of <a href=\"#schema-User\">User</a></dt><dd>What is shown.</dd>",
            "<dt><code>key</code> string</dt>",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("<script") && !page.contains("http"), "{page}");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    }
}
