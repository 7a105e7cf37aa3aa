"""A window from which files are dragged, as from a file manager: `drag_source.py FILE...`. It says on its standard output
where the pointer takes hold of them, whether what is below the pointer would take them, and when the drag has ended."""

import sys

import gi

gi.require_version("Gdk", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gio, GLib, Gtk

uris = [Gio.File.new_for_path(path).get_uri() for path in sys.argv[1:]]
window = Gtk.Window(title="Files")
window.set_default_size(160, 120)
window.move(20, 900)
button = Gtk.Button(label="Drag me")
button.drag_source_set(Gdk.ModifierType.BUTTON1_MASK, [], Gdk.DragAction.COPY)
button.drag_source_add_uri_targets()
button.connect("drag-data-get", lambda _widget, _context, data, _info, _time: data.set_uris(uris))


def begun(_widget, context):
    context.connect("action-changed", lambda _context, action: print(f"action {'taken' if action else 'refused'}", flush=True))


button.connect("drag-begin", begun)
button.connect("drag-end", lambda _widget, _context: print("ended", flush=True))
window.add(button)


def shown():
    _, x, y = window.get_window().get_origin()
    print(f"ready {x + 80} {y + 60}", flush=True)
    return False


# The window manager has put it somewhere by then.
window.connect("map-event", lambda _window, _event: GLib.idle_add(shown) and False)
window.show_all()
Gtk.main()
