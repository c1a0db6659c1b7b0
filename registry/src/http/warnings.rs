//! `Warning` headers: what a person should be told about a request that succeeded.
//!
//! *Invariant:* a warning has code 299, no agent and no date, is a well-formed quoted string of printable ASCII, and
//! all of one answer together are at most 4096 bytes. Nothing of the protocol stands in one.
//!
//! Spec: distribution-spec, "Warnings"; RFC 7234 §5.5.

use actix_web::HttpResponseBuilder;
use actix_web::http::header::WARNING;

use crate::domain::manifests::PushWarning;

/// All values of one answer together.
const MAX_BYTES: usize = 4096;

/// Tells who pushed a manifest what those who pull it may miss.
pub(super) fn add(response: &mut HttpResponseBuilder, warnings: &[PushWarning]) {
    for value in values(warnings.iter().map(sentence)) {
        response.append_header((WARNING, value));
    }
}

fn sentence(warning: &PushWarning) -> String {
    match warning {
        PushWarning::ChildrenMissing { count: 1, first } => {
            format!("a manifest that this index lists is not in this repository: {first}")
        }
        PushWarning::ChildrenMissing { count, first } => {
            format!("{count} manifests that this index lists are not in this repository, such as {first}")
        }
        PushWarning::LayersElsewhere { count } => format!(
            "{count} of the layers may not be distributed and are not in this repository; \
             whoever pulls the image must get them from their source"
        ),
    }
}

fn values(sentences: impl Iterator<Item = String>) -> Vec<String> {
    let mut left = MAX_BYTES;
    let values = sentences.map(|sentence| format!("299 - \"{}\"", quoted(&sentence)));
    values
        .take_while(|value| {
            let fits = value.len() <= left;
            left = left.saturating_sub(value.len());
            fits
        })
        .collect()
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => quoted.push('?'),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_warning_is_quoted() {
        let values = values(["a \"b\\c\" é\r\nX: y".to_owned()].into_iter());
        assert_eq!(values, [r#"299 - "a \"b\\c\" ???X: y""#]);
    }

    proptest! {
        #[test]
        fn all_warnings_fit_and_are_printable(sentences in proptest::collection::vec("\\PC{0,900}", 0..12)) {
            let values = values(sentences.into_iter());
            prop_assert!(values.iter().map(String::len).sum::<usize>() <= MAX_BYTES);
            prop_assert!(values.iter().all(|value| value.bytes().all(|byte| (b' '..=b'~').contains(&byte))));
        }
    }
}
