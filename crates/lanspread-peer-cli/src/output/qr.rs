//! A text as a QR code on a terminal. Pure.

use qrcode::{Color, EcLevel, QrCode};

/// Modules of white that a reader needs around the code.
const QUIET_MODULES: usize = 4;

/// The lines of the code, two rows of modules in each: a block is white, a space is black. `None` if the text is too long.
/// Letters are written as capitals, which take half the space.
pub(super) fn half_blocks(text: &str) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(text.to_ascii_uppercase(), EcLevel::M).ok()?;
    let (width, colours) = (code.width(), code.to_colors());
    let is_white = |row: usize, column: usize| {
        let inside = |place: usize| place.checked_sub(QUIET_MODULES).filter(|place| *place < width);
        match (inside(row), inside(column)) {
            (Some(row), Some(column)) => colours[row * width + column] == Color::Light,
            _ => true,
        }
    };
    let side = width + 2 * QUIET_MODULES;
    let line = |row: usize| {
        (0..side).map(move |column| match (is_white(row, column), is_white(row + 1, column)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        })
    };
    Some((0..side).step_by(2).map(|row| line(row).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "party1qqqsyqcyq5rqwzqfpg9scrgwpuf8fyaf";

    #[test]
    fn a_party_line_fits_on_a_small_terminal() {
        let lines = half_blocks(LINE).unwrap();
        assert_eq!(lines.len(), 17);
        assert!(lines.iter().all(|line| line.chars().count() == 33));
        let long = half_blocks(&"A".repeat(89)).unwrap();
        assert_eq!((long.len(), long[0].chars().count()), (21, 41));
        assert!(half_blocks(&"é".repeat(9000)).is_none());
    }

    /// The three corners by which a reader finds the code, inside a white margin.
    #[test]
    fn the_code_has_its_corners_and_its_margin() {
        let lines = half_blocks(LINE).unwrap();
        let rows: Vec<Vec<bool>> = lines
            .iter()
            .flat_map(|line| {
                [
                    line.chars().map(|c| "█▀".contains(c)).collect(),
                    line.chars().map(|c| "█▄".contains(c)).collect(),
                ]
            })
            .collect();
        let corner = |top: usize, left: usize| {
            (0..7).all(|row| {
                (0..7).all(|column| {
                    let ring = row.min(6 - row).min(column.min(6 - column));
                    rows[top + row][left + column] == (ring == 1)
                })
            })
        };
        assert!(corner(4, 4) && corner(4, 22) && corner(22, 4) && !corner(22, 22));
        assert!(rows[..4].iter().chain(&rows[29..33]).flatten().all(|white| *white));
        assert!(rows.iter().all(|row| row[..4].iter().chain(&row[29..]).all(|white| *white)));
    }
}
