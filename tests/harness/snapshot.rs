//! Complete answers as text that is the same in every run: status, headers in order, body.
//!
//! *Invariant:* only what differs from run to run is redacted, and no token or key stays readable.

use crate::answer::Answer;

/// Replaces whatever differs from run to run: addresses, ids, times, tokens.
///
/// `known` are texts of this run, such as the address of a server, and what to write instead.
pub fn redacted(answer: &Answer, known: &[(&str, &str)]) -> String {
    let mut lines = vec![answer.status.to_string()];
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        // Whether a refused request keeps its connection depends on how much of its body had arrived by then.
        .filter(|(name, _)| *name != "connection")
        .map(|(name, value)| match name.as_str() {
            "date" | "x-request-id" => format!("{name}: [{name}]"),
            _ => format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())),
        })
        .collect();
    headers.sort();
    lines.append(&mut headers);
    lines.push(String::new());
    lines.push(answer.text());
    let mut text = lines.join("\n");
    for (from, to) in known {
        text = text.replace(from, to);
    }
    redact_words(&without_state(&text))
}

/// The signed state in upload addresses differs with the time.
fn without_state(text: &str) -> String {
    let mut parts = text.split("_state=");
    let mut redacted = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|character: char| character.is_whitespace() || "&\"".contains(character));
        redacted.push_str("_state=[state]");
        redacted.push_str(&part[end.unwrap_or(part.len())..]);
    }
    redacted
}

/// Redacts ids (UUIDs) and signed tokens wherever they stand.
fn redact_words(text: &str) -> String {
    let is_word = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let mut redacted = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        redacted.push_str(match word {
            _ if uuid::Uuid::try_parse(word).is_ok() => "[id]",
            _ if word.starts_with("eyJ") => "[token]",
            _ => word,
        });
        let separator = after.chars().next().map_or(0, char::len_utf8);
        redacted.push_str(&after[..separator]);
        rest = &after[separator..];
    }
    redacted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_tokens_are_redacted_and_the_rest_is_not() {
        let id = uuid::Uuid::nil();
        assert_eq!(redact_words(&format!("/a/{id}?x")), "/a/[id]?x");
        assert_eq!(redact_words("\"eyJhbGciOi.J9.x_-\",1"), "\"[token]\",1");
        assert_eq!(redact_words("sha256:abc é"), "sha256:abc é");
    }
}
