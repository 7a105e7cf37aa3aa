//! Windows, drafts, turns and waiting prompts of another file of the same journal, taken over row by row: the way back to an
//! older format carries them as they are, where a snapshot's documents would have to be read and written anew.

use std::path::Path;

use gander_model::{SessionId, WindowId};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::connect::{self, Access};
use crate::error::OpenError;
use crate::tx::{Result, Tx};

/// The tables, in the order in which they are written, and whether what is not there is removed here.
const TABLES: &[(&str, bool)] = &[("windows", true), ("drafts", true), ("turns", false), ("queue", true)];

/// One table's rows.
struct Table {
    name: &'static str,
    replaces: bool,
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

/// Rows of another file, read with the columns that this version knows.
pub struct Rows(Vec<Table>);

impl Rows {
    /// Reads them from `other`, with the columns that the same tables have in `own`. A newer format that has not all of them
    /// cannot be carried back.
    pub fn read(own: &Path, other: &Path) -> std::result::Result<Rows, OpenError> {
        let (own, other) = (connect::reader(own)?, connect::reader_with(other, Access::Alone)?);
        let mut tables = Vec::new();
        for (name, replaces) in TABLES {
            let columns = columns(&own, name)?;
            let sql = format!("SELECT {} FROM {name}", columns.join(", "));
            let mut query = other.prepare(&sql)?;
            let width = columns.len();
            let row = |row: &rusqlite::Row<'_>| (0..width).map(|at| row.get::<_, Value>(at)).collect();
            let rows = query.query_map([], row)?.collect::<rusqlite::Result<_>>()?;
            tables.push(Table { name, replaces: *replaces, columns, rows });
        }
        Ok(Rows(tables))
    }
}

fn columns(conn: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut query = conn.prepare("SELECT name FROM pragma_table_info(?1)")?;
    query.query_map([table], |row| row.get(0))?.collect()
}

impl Tx<'_> {
    /// Makes windows, drafts, turns and waiting prompts those of another file. Sessions that they name must be here.
    pub fn take_over(&mut self, rows: &Rows) -> Result<()> {
        for table in &rows.0 {
            if table.replaces {
                self.conn.execute(&format!("DELETE FROM {}", table.name), [])?;
            }
            let places = vec!["?"; table.columns.len()].join(", ");
            let sql = format!("INSERT OR REPLACE INTO {} ({}) VALUES ({places})", table.name, table.columns.join(", "));
            let mut insert = self.conn.prepare(&sql)?;
            for row in &table.rows {
                insert.execute(params_from_iter(row))?;
            }
        }
        let touched = |sql: &str| -> rusqlite::Result<Vec<[u8; 16]>> {
            self.conn.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
        };
        let windows = touched("SELECT window_id FROM windows")?;
        let sessions = touched("SELECT session_id FROM heads")?;
        windows.into_iter().for_each(|window| self.touch_window(WindowId::from_bytes(window)));
        sessions.into_iter().for_each(|session| self.touch_session(SessionId::from_bytes(session)));
        Ok(())
    }
}
