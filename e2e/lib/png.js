// A picture of an X server's screen (its frame buffer, in the format of xwd) as PNG.

import { crc32, deflateSync } from 'node:zlib';

function chunk(type, data) {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const whole = Buffer.alloc(named.length + 8);
  whole.writeUInt32BE(data.length, 0);
  named.copy(whole, 4);
  whole.writeUInt32BE(crc32(named), named.length + 4);
  return whole;
}

/** Where the points of a frame buffer lie. */
function layout(xwd) {
  // Big-endian words: header size, version, pixmap format, depth, width, height, …; colours follow the header.
  const word = (n) => xwd.readUInt32BE(n * 4);
  const [width, height, bits, stride, colours] = [word(4), word(5), word(11), word(12), word(19)];
  if (word(1) !== 7 || bits !== 32) throw new Error(`not a frame buffer that can be read: version ${word(1)}, ${bits} bits a pixel`);
  return { width, height, stride, pixels: word(0) + colours * 12 };
}

/** Red, green and blue of a point. */
export function pointsOf(xwd) {
  const { stride, pixels } = layout(xwd);
  return (x, y) => {
    const from = pixels + y * stride + x * 4;
    return [xwd[from + 2], xwd[from + 1], xwd[from]];
  };
}

export function png(xwd) {
  const { width, height, stride, pixels } = layout(xwd);
  const rows = Buffer.alloc(height * (width * 3 + 1));
  for (let y = 0, to = 0; y < height; y += 1) {
    to += 1;
    for (let x = 0, from = pixels + y * stride; x < width; x += 1, from += 4) {
      rows[to++] = xwd[from + 2];
      rows[to++] = xwd[from + 1];
      rows[to++] = xwd[from];
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(rows, { level: 6 })), chunk('IEND', Buffer.alloc(0))]);
}
