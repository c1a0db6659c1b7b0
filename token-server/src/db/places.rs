//! Places in the order of anchors, in which lists of rights are read a page at a time.
//!
//! *Invariant:* a range holds every anchor that begins with its prefix, and no other.

/// Anchors from one on, and before another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorRange {
    /// The first.
    pub from: String,
    /// The first that is no longer in it.
    pub to: String,
}

impl AnchorRange {
    /// Every anchor.
    pub fn all() -> Self {
        Self { from: String::new(), to: "~".to_owned() }
    }

    /// Just this one.
    pub fn exactly(anchor: String) -> Self {
        Self { to: format!("{anchor}\u{1}"), from: anchor }
    }

    /// Those that begin so. Anchors are visible ASCII, so nothing sorts behind a tilde.
    pub fn beginning_with(prefix: &str) -> Self {
        Self { from: prefix.to_owned(), to: format!("{prefix}~") }
    }
}

/// Where to read: behind a place, and before an anchor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Anchors of the places.
    pub(super) anchors: Vec<String>,
    /// Numbers at these places.
    pub(super) ids: Vec<i64>,
    /// The anchors before which reading ends.
    pub(super) ends: Vec<String>,
}

impl Bounds {
    /// What of these ranges lies behind a place. An index is entered at one place, so that is found here.
    pub(super) fn behind(ranges: &[AnchorRange], place: &Place) -> Self {
        let mut bounds = Self::default();
        for range in ranges.iter().filter(|range| place.anchor < range.to) {
            let (anchor, id) =
                if place.anchor < range.from { (&range.from, 0) } else { (&place.anchor, place.id) };
            bounds.anchors.push(anchor.clone());
            bounds.ids.push(id);
            bounds.ends.push(range.to.clone());
        }
        bounds
    }
}

/// A row in a list that is ordered by anchor, and there by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its anchor.
    pub anchor: String,
    /// Its number.
    pub id: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_goes_on_behind_a_place() {
        let ranges = ["r:a/", "s:a/"].map(AnchorRange::beginning_with);
        let begin = |anchor: &str, id| {
            let bounds = Bounds::behind(&ranges, &Place { anchor: anchor.to_owned(), id });
            bounds.anchors.into_iter().zip(bounds.ids).collect::<Vec<_>>()
        };
        let whole = |anchor: &str| (anchor.to_owned(), 0);
        assert_eq!(begin("", 0), [whole("r:a/"), whole("s:a/")]);
        assert_eq!(begin("r:a/b", 7), [("r:a/b".to_owned(), 7), whole("s:a/")]);
        assert_eq!(begin("s:a/", 7), [("s:a/".to_owned(), 7)]);
        assert_eq!(begin("s:b/", 7), []);
    }

    #[test]
    fn a_range_holds_what_begins_so() {
        let holds = |range: &AnchorRange, anchor: &str| *range.from <= *anchor && *anchor < *range.to;
        let below = AnchorRange::beginning_with("s:a/");
        assert!(holds(&below, "s:a/") && holds(&below, "s:a/b/"));
        assert!(!holds(&below, "s:a") && !holds(&below, "s:a-b/") && !holds(&below, "s:a0/"));
        let one = AnchorRange::exactly("r:a".into());
        assert!(holds(&one, "r:a") && !holds(&one, "r:a-b") && !holds(&one, "r:a/b"));
        assert!(holds(&AnchorRange::all(), "s:") && holds(&AnchorRange::all(), "r:z"));
    }
}
