//! Which characters a text may have that is shown on one line, in a terminal or on a page.
//!
//! *Invariant:* what is let through takes the place where it stands: nothing ends a line, nothing is invisible, and
//! nothing changes the direction of what comes after it, so that a record reads as what it says.
//!
//! Source: Unicode Standard, general categories Cc, Cf, Zl and Zp.

/// Whether a character shows what it is.
pub fn is_plain(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_all_scripts_are_plain_and_tricks_are_not() {
        assert!("Grüße, 世界, שלום, 🙂 – “so”".chars().all(is_plain));
        for trick in
            ["\n", "\0", "\u{85}", "\u{202e}", "\u{2066}", "\u{200b}", "\u{2028}", "\u{feff}", "\u{e0041}"]
        {
            assert!(!trick.chars().any(is_plain), "{trick:?}");
        }
    }
}
