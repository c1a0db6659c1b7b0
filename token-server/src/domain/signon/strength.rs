//! Whether a provider says that somebody showed a second factor there.
//!
//! *Invariant:* what is not said, or in words that are not known, counts for nothing.
//!
//! Spec: RFC 8176 (values of `amr`); OpenID Connect Core 1.0 §2 (`acr`).

use serde_json::{Map, Value};

/// By what somebody can be known, each in the words of RFC 8176.
const KINDS: [&[&str]; 3] = [
    // What they know, …
    &["pwd", "pin", "kba"],
    // … have …
    &["otp", "hwk", "swk", "sc", "sms", "tel"],
    // … or are.
    &["face", "fpt", "iris", "retina", "vbm"],
];

/// Whether these claims say so: more than one method, two of different kinds, or one of these classes.
pub(super) fn has_second_factor(claims: &Map<String, Value>, classes: &[String]) -> bool {
    let class = claims.get("acr").and_then(Value::as_str);
    if class.is_some_and(|class| classes.iter().any(|known| known == class)) {
        return true;
    }
    let methods = claims.get("amr").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let methods: Vec<&str> = methods.iter().filter_map(Value::as_str).collect();
    let is_there = |kind: &&&[&str]| kind.iter().any(|method| methods.contains(method));
    methods.contains(&"mfa") || KINDS.iter().filter(is_there).count() > 1
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_said_clearly_counts() {
        for (claims, expected) in [
            (json!({"amr": ["pwd", "mfa"]}), true),
            (json!({"amr": ["pwd", "otp"]}), true),
            (json!({"amr": ["hwk", "pin"]}), true),
            (json!({"amr": ["hwk", "fpt"]}), true),
            (json!({"acr": "gold"}), true),
            (json!({"acr": "silver"}), false),
            (json!({"amr": ["pwd"]}), false),
            (json!({"amr": ["pwd", "pin"]}), false),
            (json!({"amr": ["hwk", "swk", "user"]}), false),
            (json!({"amr": "mfa"}), false),
            (json!({"amr": ["MFA"]}), false),
            (json!({}), false),
        ] {
            let found = has_second_factor(claims.as_object().unwrap(), &["gold".to_owned()]);
            assert_eq!(found, expected, "{claims}");
        }
    }
}
