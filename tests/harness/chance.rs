//! Numbers that look random and are the same for the same seed.
//!
//! *Invariant:* what is drawn depends on the seed and the order of drawing, on nothing else.

/// A source of such numbers (`SplitMix64`).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// Begins with a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from zero to below `end`, which is at least one.
    pub const fn below(&mut self, end: i64) -> i64 {
        (self.next() % end.unsigned_abs()).cast_signed()
    }

    /// From zero to below one.
    #[expect(clippy::cast_precision_loss, reason = "no more bits are used than a double has")]
    pub fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of several.
    pub fn of<T: Copy>(&mut self, several: &[T]) -> T {
        let index = self.next() % several.len() as u64;
        several[usize::try_from(index).unwrap_or_default()]
    }
}
