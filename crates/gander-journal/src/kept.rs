//! Statements that a group's writes run over and over. The connection's own cache finds one by its text and takes it
//! back, each time; these are looked up once a group, where they are first used.

use rusqlite::{CachedStatement, Connection};

/// Prepared statements, found by the place of their text in the program.
pub struct Kept<'c> {
    conn: &'c Connection,
    statements: Vec<(&'static str, CachedStatement<'c>)>,
}

impl<'c> Kept<'c> {
    pub fn new(conn: &'c Connection) -> Self {
        Self { conn, statements: Vec::new() }
    }

    pub fn statement(&mut self, sql: &'static str) -> rusqlite::Result<&mut CachedStatement<'c>> {
        let at = match self.statements.iter().position(|(kept, _)| std::ptr::eq(*kept, sql)) {
            Some(at) => at,
            None => {
                self.statements.push((sql, self.conn.prepare_cached(sql)?));
                self.statements.len() - 1
            }
        };
        Ok(&mut self.statements[at].1)
    }
}
