//! The rules that the database itself keeps (its triggers, and what they stand on), and whether they are all there.

use rusqlite::Connection;

use crate::migrate;

/// A trigger or index: its name and what makes it.
pub type Rule = (String, String);

/// Triggers and indexes as this version makes them.
fn wanted() -> rusqlite::Result<Vec<Rule>> {
    let fresh = Connection::open_in_memory()?;
    migrate::make_tables(&fresh)?;
    rules(&fresh)
}

fn rules(conn: &Connection) -> rusqlite::Result<Vec<Rule>> {
    conn.prepare(
        "SELECT name, sql FROM sqlite_schema WHERE type IN ('trigger', 'index') AND sql IS NOT NULL ORDER BY name",
    )?
    .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect()
}

fn lacking(conn: &Connection) -> rusqlite::Result<Vec<Rule>> {
    let there = rules(conn)?;
    Ok(wanted()?.into_iter().filter(|rule| !there.contains(rule)).collect())
}

/// Names of those that are missing or altered.
pub fn missing(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    Ok(lacking(conn)?.into_iter().map(|(name, _)| name).collect())
}

/// Puts them back; gives the names of those that were missing or altered. The engine counts every change of its
/// schema, so where none was made since the last time there is nothing to look at.
pub fn restore(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let seen: Option<i64> = migrate::meta(conn, "guarded")?;
    let now: i64 = conn.query_row("PRAGMA schema_version", [], |row| row.get(0))?;
    if seen == Some(now) {
        return Ok(Vec::new());
    }
    let lacking = lacking(conn)?;
    for (name, sql) in &lacking {
        conn.execute_batch(&format!("DROP TRIGGER IF EXISTS {name}; DROP INDEX IF EXISTS {name}; {sql}"))?;
    }
    let now: i64 = conn.query_row("PRAGMA schema_version", [], |row| row.get(0))?;
    migrate::set_meta(conn, "guarded", now)?;
    Ok(lacking.into_iter().map(|(name, _)| name).collect())
}

/// Takes away the triggers that keep entries, bodies and heads, for a write that puts them back; gives them.
pub fn lift(conn: &Connection) -> rusqlite::Result<Vec<Rule>> {
    let rules: Vec<Rule> = conn
        .prepare(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name IN ('entries', 'bodies', 'heads')
             ORDER BY name",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (name, _) in &rules {
        conn.execute_batch(&format!("DROP TRIGGER {name}"))?;
    }
    Ok(rules)
}

/// Puts back what [`lift`] took away.
pub fn put_back(conn: &Connection, rules: &[Rule]) -> rusqlite::Result<()> {
    rules.iter().try_for_each(|(_, sql)| conn.execute_batch(sql))
}
