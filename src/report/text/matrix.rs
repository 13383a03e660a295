//! The matrix of `list`: kinds of evidence down, parts of the image across.

use std::fmt::Write;

use super::clean;
use crate::predicate::Family;
use crate::report::coverage::{CoverageCell, CoverageRow};

const LABEL_WIDTH: usize = 26;
/// Narrow enough for a terminal of 80 columns; wider ones tell more in the sections below the matrix.
const LINE_WIDTH: usize = 80;
/// Marks that are drawn before a number stands for them.
const MARKS: usize = 3;

/// Draws the matrix, or, where it would be too wide, one line for each kind.
pub(super) fn matrix(text: &mut String, rows: &[CoverageRow]) {
    let Some(first) = rows.first() else { return };
    let widths: Vec<usize> = (0..first.parts.len()).map(|place| width(rows, place)).collect();
    let total = LABEL_WIDTH + widths.iter().map(|width| width + 2).sum::<usize>();
    text.push('\n');
    if total > LINE_WIDTH {
        return rows.iter().for_each(|row| summary(text, row));
    }
    let mut line = " ".repeat(LABEL_WIDTH);
    for (cell, width) in first.parts.iter().zip(&widths) {
        let _ = write!(line, "  {:<width$}", clean(&cell.part));
    }
    let _ = writeln!(text, "{}", line.trim_end());
    for row in rows {
        let mut line = format!("{:<LABEL_WIDTH$}", label(row));
        for (cell, width) in row.parts.iter().zip(&widths) {
            let _ = write!(line, "  {:<width$}", marks(cell));
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = writeln!(text, "{:LABEL_WIDTH$}  ● signed   ◐ signed through its manifest   ○ unsigned", "");
}

fn width(rows: &[CoverageRow], place: usize) -> usize {
    let cells = rows.iter().filter_map(|row| row.parts.get(place));
    let widths = cells.map(|cell| marks(cell).chars().count().max(cell.part.chars().count()));
    widths.max().unwrap_or_default()
}

fn marks(cell: &CoverageCell) -> String {
    let of = |mark: &str, number: usize| match number {
        0 => None,
        1..=MARKS => Some(vec![mark; number].join(" ")),
        _ => Some(format!("{mark}×{number}")),
    };
    let own = [of("●", cell.signed), of("◐", cell.chained), of("○", cell.unsigned)];
    let own: Vec<String> = own.into_iter().flatten().collect();
    match (own.is_empty(), cell.inherited) {
        (true, true) => "inherits".to_owned(),
        (true, false) => "·".to_owned(),
        (false, _) => own.join(" "),
    }
}

/// A row of an image with many parts.
fn summary(text: &mut String, row: &CoverageRow) {
    let (whole, parts) = match row.parts.split_first() {
        Some((whole, parts)) if !parts.is_empty() => (marks(whole), parts),
        _ => return,
    };
    let own = parts.iter().filter(|cell| cell.signed + cell.chained > 0).count();
    let unsigned = parts.iter().filter(|cell| cell.signed + cell.chained == 0 && cell.unsigned > 0).count();
    let inherits =
        parts.iter().filter(|cell| cell.signed + cell.chained + cell.unsigned == 0 && cell.inherited).count();
    let mut facts = vec![format!("index {whole}"), format!("own on {own} of {}", parts.len())];
    for (number, what) in [(inherits, "inherited on"), (unsigned, "unsigned on")] {
        if number > 0 {
            facts.push(format!("{what} {number}"));
        }
    }
    let _ = writeln!(text, "{:<LABEL_WIDTH$}  {}", label(row), facts.join(", "));
}

fn label(row: &CoverageRow) -> String {
    let title = match (Family::named(&row.kind), row.kind.as_str()) {
        (_, "unknown") => "unknown type".to_owned(),
        (_, "signature") => "image signature".to_owned(),
        (Some(family), _) => family.title().to_owned(),
        (None, uri) => clean(uri),
    };
    title.chars().take(LABEL_WIDTH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn cell(part: &str, signed: usize, chained: usize, unsigned: usize, inherited: bool) -> CoverageCell {
        CoverageCell {
            part: part.to_owned(),
            digest: Digest::sha256(part.as_bytes()),
            signed,
            chained,
            unsigned,
            inherited,
        }
    }

    fn row(parts: Vec<CoverageCell>) -> CoverageRow {
        CoverageRow { kind: "spdx".to_owned(), parts }
    }

    #[test]
    fn what_is_only_inherited_says_so_and_many_become_a_number() {
        for (given, expected) in [
            (cell("a", 2, 1, 0, true), "● ● ◐"),
            (cell("a", 0, 0, 1, false), "○"),
            (cell("a", 0, 0, 0, true), "inherits"),
            (cell("a", 0, 0, 0, false), "·"),
            (cell("a", 200, 0, 0, false), "●×200"),
        ] {
            assert_eq!(marks(&given), expected);
        }
    }

    #[test]
    fn a_matrix_that_is_too_wide_becomes_a_line_a_kind() {
        let many = (0..12).map(|place| cell(&format!("linux/arch-{place}"), usize::from(place < 5), 0, 0, place > 5));
        let mut text = String::new();
        matrix(&mut text, &[row([cell("index", 1, 0, 0, false)].into_iter().chain(many).collect())]);
        assert_eq!(text.trim(), "SPDX SBOM                   index ●, own on 5 of 12, inherited on 6");
        assert!(text.lines().all(|line| line.chars().count() <= LINE_WIDTH));
    }
}
