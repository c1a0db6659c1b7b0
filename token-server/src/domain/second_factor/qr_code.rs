//! A text as a picture that a phone can read.
//!
//! *Invariant:* the picture is a path of squares: nothing of the text is markup in it.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};

/// Light squares around the picture, without which it is not found.
const MARGIN: usize = 4;

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// How many squares it is wide and high.
    pub size: usize,
    /// The dark ones, as the path of an SVG.
    pub path: String,
}

/// Draws a text; nothing if it is too long.
pub fn draw(text: &str) -> Option<Picture> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    let mut path = String::new();
    for (index, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            // Writing into a text cannot fail.
            let _ = write!(path, "M{} {}h1v1h-1z", index % width + MARGIN, index / width + MARGIN);
        }
    }
    Some(Picture { size: width + 2 * MARGIN, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_begins_with_a_corner_to_find_it_by() {
        let picture = draw("otpauth://totp/a:b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        assert!(picture.path.starts_with("M4 4h1v1h-1zM5 4h1v1h-1z"), "{}", &picture.path[..40]);
        assert!(picture.size >= 21 + 8);
        assert_eq!(draw(&"x".repeat(5_000)), None);
    }
}
