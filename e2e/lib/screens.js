// What is plugged into an X server that has any number of screens (TigerVNC's): a viewer may say which there are, in the protocol of
// RFC 6143 with the extension "ExtendedDesktopSize".

import { connect } from 'node:net';

const EXTENDED_DESKTOP_SIZE = -308;
const SET_DESKTOP_SIZE = 251;

/** Plugs in exactly these screens, each `{ id, x, y, width, height }`; done when the server has said that it has them. */
export async function plug(socket, screens) {
  const viewer = connect(socket);
  try {
    const read = reader(viewer);
    // Version, security (the first kind, which is none), a shared session.
    viewer.write(await read(12));
    await read((await read(1))[0]);
    viewer.write(Buffer.of(1));
    if ((await read(4)).readUInt32BE() !== 0) throw new Error('the X server lets no viewer in');
    viewer.write(Buffer.of(1));
    await read((await read(24)).readUInt32BE(20));

    const encodings = Buffer.alloc(8);
    encodings.set([2, 0, 0, 1]);
    encodings.writeInt32BE(EXTENDED_DESKTOP_SIZE, 4);
    const wanted = Buffer.alloc(8 + 16 * screens.length);
    wanted[0] = SET_DESKTOP_SIZE;
    wanted.writeUInt16BE(Math.max(...screens.map(({ x, width }) => x + width)), 2);
    wanted.writeUInt16BE(Math.max(...screens.map(({ y, height }) => y + height)), 4);
    wanted[6] = screens.length;
    for (const [index, { id, x, y, width, height }] of screens.entries()) {
      const at = 8 + 16 * index;
      wanted.writeUInt32BE(id, at);
      for (const [field, value] of [x, y, width, height].entries()) wanted.writeUInt16BE(value, at + 4 + 2 * field);
    }
    viewer.write(Buffer.concat([encodings, wanted, Buffer.of(3, 1, 0, 0, 0, 0, 0, 1, 0, 1)]));
    // The screens that there are, then the answer: who asked, how it went, the size, the kind of message.
    for (;;) {
      const [, , , rectangles] = await read(4);
      for (let rectangle = 0; rectangle < rectangles; rectangle += 1) {
        const said = await read(12);
        if (said.readInt32BE(8) !== EXTENDED_DESKTOP_SIZE) throw new Error('the X server says something that nobody asked for');
        const [count] = await read(4);
        await read(16 * count);
        const [asker, result] = [said.readUInt16BE(0), said.readUInt16BE(2)];
        if (asker === 1 && result !== 0) throw new Error(`the X server refuses these screens: ${result}`);
        if (asker === 1) return;
      }
      viewer.write(Buffer.of(3, 1, 0, 0, 0, 0, 0, 1, 0, 1));
    }
  } finally {
    viewer.destroy();
  }
}

/** Reads so many bytes at a time. */
function reader(stream) {
  const pieces = stream[Symbol.asyncIterator]();
  let rest = Buffer.alloc(0);
  return async (count) => {
    while (rest.length < count) {
      const { value, done } = await pieces.next();
      if (done) throw new Error('the X server hung up');
      rest = Buffer.concat([rest, value]);
    }
    const read = rest.subarray(0, count);
    rest = rest.subarray(count);
    return read;
  };
}
