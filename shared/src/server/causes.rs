//! An error and what was behind it, as one sentence for the operator.
//!
//! *Invariant:* a cause that the error already tells is not told twice.

use std::error::Error;

/// The sentence of an error, then those of its causes as far as they say more.
pub fn sentence(error: &dyn Error) -> String {
    let mut sentence = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !sentence.contains(&text) {
            sentence.push_str(": ");
            sentence.push_str(&text);
        }
        source = cause.source();
    }
    sentence
}
