//! A rich Markdown answer and a picture.

/// Everything that a transcript may hold, with the tricks that a renderer must not fall for.
pub(super) const MARKDOWN: &str = include_str!("sample.md");

/// A 64 × 64 gradient as PNG, in Base64. Stored, not compressed: small enough to make by hand.
pub(super) fn picture() -> String {
    let side: u32 = 64;
    let mut pixels = Vec::new();
    for y in 0..side {
        pixels.push(0);
        for x in 0..side {
            pixels.extend([(x * 4) as u8, (y * 4) as u8, 160]);
        }
    }
    let mut zlib = vec![0x78, 0x01, 0x01];
    let length = pixels.len() as u16;
    zlib.extend(length.to_le_bytes());
    zlib.extend((!length).to_le_bytes());
    zlib.extend(&pixels);
    zlib.extend(adler32(&pixels).to_be_bytes());
    let mut header = Vec::new();
    header.extend(side.to_be_bytes());
    header.extend(side.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [(b"IHDR", header), (b"IDAT", zlib), (b"IEND", Vec::new())] {
        png.extend((data.len() as u32).to_be_bytes());
        let at = png.len();
        png.extend(kind);
        png.extend(data);
        png.extend(crc32(&png[at..]).to_be_bytes());
    }
    base64(&png)
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    (b << 16) | a
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let bits = part.iter().enumerate().fold(0_u32, |bits, (at, byte)| bits | u32::from(*byte) << (16 - 8 * at));
        for at in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= part.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_picture_is_made_of_the_right_sums() {
        assert_eq!(super::crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(super::adler32(b"Wikipedia"), 0x11e6_0398);
        assert_eq!(super::base64(b"any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw==");
    }
}
