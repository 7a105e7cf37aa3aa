//! Tables for people: columns as wide as they need, one of them giving way where the terminal is narrow.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::style::{Style, Tone, one_line};

/// The width that is assumed where there is no terminal (a pipe, a file): nothing is cut there.
const ENDLESS: usize = usize::MAX;
/// Between two columns.
const GAP: usize = 2;
/// A column that gives way keeps this much.
const LEAST: usize = 8;

/// A cell and what it means.
pub struct Cell {
    text: String,
    tone: Tone,
    /// Aligned to the right, as numbers are.
    right: bool,
}

impl Cell {
    pub fn new(text: impl AsRef<str>) -> Self {
        Self { text: one_line(text.as_ref()), tone: Tone::Plain, right: false }
    }

    pub fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    pub fn number(number: u64) -> Self {
        Self { text: number.to_string(), tone: Tone::Plain, right: true }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

/// Rows below one heading each.
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    /// Columns that give way, the first one first.
    flexible: Vec<usize>,
}

impl Table {
    pub fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new(), flexible: Vec::new() }
    }

    /// Columns that are cut where the terminal is narrow, the first one first.
    pub fn flexible(mut self, columns: &[usize]) -> Self {
        self.flexible = columns.to_vec();
        self
    }

    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The whole table, each line ended. A column in which nothing stands is left out.
    pub fn render(&self, width: Option<usize>, style: Style) -> String {
        let widths = self.widths(width.unwrap_or(ENDLESS));
        let mut text = String::new();
        let headings: Vec<Cell> = self.headings.iter().map(|heading| Cell::new(heading).tone(Tone::Quiet)).collect();
        for row in std::iter::once(&headings).chain(&self.rows) {
            line(&mut text, row, &widths, style);
        }
        text
    }

    fn is_empty(&self, column: usize) -> bool {
        self.rows.iter().all(|row| row.get(column).is_none_or(|cell| cell.text.is_empty()))
    }

    /// Each column's width; nothing for one that is left out.
    fn widths(&self, room: usize) -> Vec<Option<usize>> {
        let mut widths: Vec<Option<usize>> = Vec::new();
        for (column, heading) in self.headings.iter().enumerate() {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.width());
            let widest = cells.max().unwrap_or(0).max(heading.width());
            widths.push((!self.is_empty(column)).then_some(widest));
        }
        for &column in &self.flexible {
            let shown: Vec<usize> = widths.iter().copied().flatten().collect();
            let over = (shown.iter().sum::<usize>() + GAP * shown.len().saturating_sub(1)).saturating_sub(room);
            if let Some(width) = &mut widths[column] {
                *width = width.saturating_sub(over).max(LEAST.min(*width));
            }
        }
        widths
    }
}

fn line(text: &mut String, row: &[Cell], widths: &[Option<usize>], style: Style) {
    for (cell, width) in row.iter().zip(widths) {
        let Some(width) = *width else { continue };
        let shown = cut(&cell.text, width);
        let space = " ".repeat(width.saturating_sub(shown.width()));
        let painted = style.paint(cell.tone, &shown);
        let (before, after) = if cell.right { (space.as_str(), "") } else { ("", space.as_str()) };
        text.push_str(&format!("{before}{painted}{after}{}", " ".repeat(GAP)));
    }
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

/// What fits, with `…` where something was cut off.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for letter in text.chars() {
        used += letter.width().unwrap_or(0);
        if used > width {
            break;
        }
        kept.push(letter);
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::{Cell, Table};
    use crate::style::Style;

    fn table() -> Table {
        let mut table = Table::new(&["ID", "ENTRIES", "STATE", "NAME"]).flexible(&[3]);
        table.row(vec!["a1".into(), Cell::number(7), "".into(), "Fix the flaky test in the parser".into()]);
        table.row(vec!["b2".into(), Cell::number(1204), "".into(), "日本語の名前".into()]);
        table
    }

    #[test]
    fn a_wide_terminal_or_a_pipe_shows_everything() {
        insta::assert_snapshot!(table().render(None, Style::plain()), @r"
        ID  ENTRIES  NAME
        a1        7  Fix the flaky test in the parser
        b2     1204  日本語の名前
        ");
    }

    #[test]
    fn a_narrow_terminal_cuts_the_flexible_column() {
        insta::assert_snapshot!(table().render(Some(24), Style::plain()), @r"
        ID  ENTRIES  NAME
        a1        7  Fix the fl…
        b2     1204  日本語の名…
        ");
    }
}
