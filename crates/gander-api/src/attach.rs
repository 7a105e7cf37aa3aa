//! Which page shows which window at this moment. Kept in memory only: a page that is gone is detached, whatever it did
//! last; and a window has one page at a time, so a second one takes it over.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use gander_model::WindowId;
use tokio::sync::watch;

use crate::error::ApiError;
use crate::gander::{Ctx, Gander, lock};

#[derive(Default)]
pub(crate) struct Attachments {
    by_window: Mutex<HashMap<WindowId, Holder>>,
    serials: AtomicU64,
}

struct Holder {
    serial: u64,
    taken: watch::Sender<Option<String>>,
}

impl Attachments {
    pub fn is_attached(&self, window: WindowId) -> bool {
        lock(&self.by_window).contains_key(&window)
    }
}

/// A page's hold on a window; dropping it lets go.
pub struct Attachment {
    ctx: Arc<Ctx>,
    window: WindowId,
    serial: u64,
    taken: watch::Receiver<Option<String>>,
}

impl Attachment {
    /// The window.
    pub fn window(&self) -> WindowId {
        self.window
    }

    /// Resolves when another page has taken the window, with that page's name.
    pub async fn taken(&mut self) -> String {
        let by = self.taken.wait_for(Option::is_some).await.map(|by| by.clone().unwrap_or_default());
        match by {
            Ok(by) => by,
            // The holder was replaced and told nothing: that does not happen, and waiting does no harm.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let mut holders = lock(&self.ctx.attachments.by_window);
        if holders.get(&self.window).is_some_and(|holder| holder.serial == self.serial) {
            holders.remove(&self.window);
            drop(holders);
            self.ctx.window_passing(self.window);
        }
    }
}

impl Gander {
    /// A page shows a window; the page that did before is told by whom it was taken.
    pub async fn attach(&self, window: WindowId, tab: &str) -> Result<Attachment, ApiError> {
        self.ctx.read(move |reader| reader.window(window)).await?;
        let (taken, receiver) = watch::channel(None);
        let serial = self.ctx.attachments.serials.fetch_add(1, Ordering::SeqCst);
        let earlier = lock(&self.ctx.attachments.by_window).insert(window, Holder { serial, taken });
        if let Some(earlier) = earlier {
            earlier.taken.send_replace(Some(tab.to_owned()));
        }
        self.ctx.window_passing(window);
        Ok(Attachment { ctx: self.ctx.clone(), window, serial, taken: receiver })
    }
}
