//! Where a page ended, for whoever wants the next one.
//!
//! A cursor is for programs to hand back, not to read: what is in it may change.
//!
//! *Invariant:* a cursor says only where in the order of a list to go on; what is listed is decided anew for each page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::call::Call;
use super::parameters::Query;
use super::reply::Reply;
use crate::http::error::ApiError;

/// Writes a cursor for a list; another list does not take it.
pub(super) fn write(list: &str, key: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(text(list, key))
}

/// The same for a list whose pages end perhaps at something that is not shown: only servers can read it.
pub(super) fn write_sealed(call: &Call, list: &str, key: &impl Serialize) -> Result<String, ApiError> {
    let sealed = call.administration()?.seal_page_end(text(list, key).as_bytes())?;
    Ok(URL_SAFE_NO_PAD.encode(sealed))
}

fn text(list: &str, key: &impl Serialize) -> String {
    serde_json::to_string(&(list, key)).expect("keys are texts and numbers")
}

/// Reads the cursor of a request, if there is one.
pub(super) fn read<T: DeserializeOwned>(list: &str, query: &Query) -> Result<Option<T>, ApiError> {
    read_opened(list, query, Some)
}

/// The page of a short list, all of which is at hand in the order of the numbers of what is in it, which begin with the
/// time; `is_behind` says which of two numbers comes later in the list.
pub(super) fn page_of_numbered<'a, T, R: From<&'a T> + Serialize>(
    call: &Call,
    list: &str,
    found: &'a [T],
    number: impl Fn(&T) -> Uuid,
    is_behind: impl Fn(Uuid, Uuid) -> bool,
) -> Result<Reply, ApiError> {
    let (behind, limit): (Option<Uuid>, _) = (read(list, &call.query)?, call.query.limit()?);
    let rest: Vec<&T> =
        found.iter().filter(|item| behind.is_none_or(|end| is_behind(number(item), end))).collect();
    let items = rest.iter().take(limit).map(|item| R::from(*item)).collect();
    let end = rest.get(limit.saturating_sub(1)).filter(|_| rest.len() > limit);
    Ok(Reply::page(items, end.map(|item| write(list, &number(item)))))
}

/// The same of what has names, in the order of those.
pub(super) fn page_of_named<'a, T, R: From<&'a T> + Serialize>(
    call: &Call,
    list: &str,
    found: &'a [T],
    name: impl Fn(&T) -> &String,
) -> Result<Reply, ApiError> {
    let (behind, limit): (Option<String>, _) = (read(list, &call.query)?, call.query.limit()?);
    let rest: Vec<&T> =
        found.iter().filter(|item| behind.as_ref().is_none_or(|end| name(item) > end)).collect();
    let items = rest.iter().take(limit).map(|item| R::from(*item)).collect();
    let end = rest.get(limit.saturating_sub(1)).filter(|_| rest.len() > limit);
    Ok(Reply::page(items, end.map(|item| write(list, name(item)))))
}

/// Reads a cursor that [`write_sealed`] wrote.
pub(super) fn read_sealed<T: DeserializeOwned>(call: &Call, list: &str) -> Result<Option<T>, ApiError> {
    let administration = call.administration()?;
    read_opened(list, &call.query, |sealed| administration.open_page_end(&sealed).ok())
}

fn read_opened<T: DeserializeOwned>(
    list: &str,
    query: &Query,
    open: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>,
) -> Result<Option<T>, ApiError> {
    let Some(text) = query.get("cursor") else { return Ok(None) };
    let key = URL_SAFE_NO_PAD.decode(text).ok().and_then(open).and_then(|bytes| {
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
