//! Rows whose columns begin below each other. Nothing here does I/O.

use unicode_width::UnicodeWidthStr;

/// What is between two columns.
const GAP: usize = 2;

/// One line for each row. A column is as wide as its widest cell; nothing follows the last cell of a row.
pub(super) fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let line = |row: &[String; COLUMNS]| {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line += cell;
            line += &" ".repeat(width + GAP - cell.width());
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_begin_below_each_other_in_any_script() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let rows = [row(["game", "size", ""]), row(["ゲーム", "1", "x"]), row(["", "", "y"])];
        assert_eq!(aligned(&rows), ["game    size", "ゲーム  1     x", "              y"]);
        assert_eq!(aligned::<3>(&[]), [""; 0]);
    }
}
