//! The tests of migrations, which only the next format has. A binary of its own, so that they build in the features that the
//! version that is upgraded to is built in (`.ci/next-version`), and nothing is compiled for them alone.
#![allow(clippy::unwrap_used, reason = "in a test, a failure to get there is a failure")]
#![allow(dead_code, reason = "a part of what the other tests are helped by")]

#[path = "it/disk.rs"]
mod disk;
#[path = "it/fixtures.rs"]
mod fixtures;
#[path = "it/migration.rs"]
mod migration;
#[path = "it/support.rs"]
mod support;
