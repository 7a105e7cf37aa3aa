//! What every answer carries: no framing, no sniffing, no referrer, and a content policy under which a transcript is inert.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// For pages and what they load. Scripts and styles are files of ours and nothing is inline: what the page positions, it
/// positions through the CSSOM. Images come from this server or from the page itself.
pub fn page_policy(address: &str, remote_images: bool) -> String {
    // Only where the user asked for it: an image from the web tells its server that it was looked at.
    let web = if remote_images { " https:" } else { "" };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; \
         img-src 'self' data: blob:{web}; font-src 'self'; connect-src 'self' ws://{address}; worker-src 'self'; \
         manifest-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// For data that somebody else made: nothing runs, nothing loads.
pub const DATA_POLICY: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";

static FIXED: [(HeaderName, &str); 5] = [
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=(), usb=()"),
];

/// Cuts the tie to pages of other places that opened this one or were opened by it.
const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Whether a native window asks. It shows pages of this server alone and opens no others, so there is no tie to cut; and cutting
/// it gives each window a web process of its own, at 200 MB each.
pub fn is_native(headers: &HeaderMap) -> bool {
    headers
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .is_some_and(|agent| agent.contains("GanderDesktop/"))
}

/// Adds what is not there yet.
pub fn harden(headers: &mut HeaderMap, page_policy: &HeaderValue, native: bool) {
    for (name, value) in &FIXED {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if !native {
        headers.entry(OPENER).or_insert(HeaderValue::from_static("same-origin"));
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert_with(|| page_policy.clone());
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
