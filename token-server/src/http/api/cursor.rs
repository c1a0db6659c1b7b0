//! Where a page ended, for whoever wants the next one.
//!
//! A cursor is for programs to hand back, not to read: what is in it may change.
//!
//! *Invariant:* a cursor says only where in the order of a list to go on; what is listed is decided anew for each page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::parameters::Query;
use crate::http::error::ApiError;

/// Writes a cursor for a list; another list does not take it.
pub(super) fn write(list: &str, key: &impl Serialize) -> String {
    let text = serde_json::to_string(&(list, key)).expect("keys are texts and numbers");
    URL_SAFE_NO_PAD.encode(text)
}

/// Reads the cursor of a request, if there is one.
pub(super) fn read<T: DeserializeOwned>(list: &str, query: &Query) -> Result<Option<T>, ApiError> {
    let Some(text) = query.get("cursor") else { return Ok(None) };
    let key = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| {
        let text = String::from_utf8(bytes).ok().filter(|text| !text.contains("\\u0000"))?;
        let (of, key): (String, T) = serde_json::from_str(&text).ok()?;
        (of == list).then_some(key)
    });
    let sentence = || "is not one that this list gave; begin without it".to_owned();
    key.map(Some).ok_or_else(|| ApiError::BadParameter { name: "cursor", sentence: sentence() })
}

#[cfg(test)]
mod tests {
    use super::super::parameters::LIMIT;
    use super::*;

    #[test]
    fn a_cursor_is_good_for_the_list_that_gave_it() {
        let query = |cursor: &str| Query::parse(&format!("cursor={cursor}"), &LIMIT).unwrap();
        let cursor = write("grants", &("s:a/", 7));
        assert_eq!(read::<(String, i64)>("grants", &query(&cursor)).unwrap(), Some(("s:a/".into(), 7)));
        for (list, cursor) in [
            ("barriers", cursor.as_str()),
            ("grants", ""),
            ("grants", "x"),
            ("grants", &write("grants", &7)),
            ("grants", &write("grants", &("\0", 7))),
        ] {
            assert!(read::<(String, i64)>(list, &query(cursor)).is_err(), "{list} {cursor}");
        }
        assert_eq!(read::<i64>("grants", &Query::parse("", &LIMIT).unwrap()).unwrap(), None);
    }
}
