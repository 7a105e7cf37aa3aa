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

    /// The whole table, each line ended.
    pub fn render(&self, width: Option<usize>, style: Style) -> String {
        let widths = self.widths(width.unwrap_or(ENDLESS));
        let mut text = String::new();
        let headings: Vec<Cell> = self.headings.iter().map(|heading| Cell::new(heading).tone(Tone::Quiet)).collect();
        for row in std::iter::once(&headings).chain(&self.rows) {
            line(&mut text, row, &widths, style);
        }
        text
    }

    fn widths(&self, room: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = self.headings.iter().map(|heading| heading.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.width());
            }
        }
        for &column in &self.flexible {
            let all = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
            let over = all.saturating_sub(room);
            widths[column] = widths[column].saturating_sub(over).max(LEAST.min(widths[column]));
        }
        widths
    }
}

fn line(text: &mut String, row: &[Cell], widths: &[usize], style: Style) {
    for (index, (cell, &width)) in row.iter().zip(widths).enumerate() {
        let shown = cut(&cell.text, width);
        let space = " ".repeat(width.saturating_sub(shown.width()));
        let last = index + 1 == row.len();
        if cell.right {
            text.push_str(&space);
        }
        text.push_str(&style.paint(cell.tone, &shown));
        if !last {
            if !cell.right {
                text.push_str(&space);
            }
            text.push_str(&" ".repeat(GAP));
        }
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
        let mut table = Table::new(&["ID", "ENTRIES", "NAME"]).flexible(&[2]);
        table.row(vec!["a1".into(), Cell::number(7), "Fix the flaky test in the parser".into()]);
        table.row(vec!["b2".into(), Cell::number(1204), "日本語の名前".into()]);
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
