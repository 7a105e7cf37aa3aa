"""What a desktop's shell does for applications, on the message bus of a test: notifications, the tray, the launcher's
badge and the setting for light and dark. It writes one JSON line for each thing that an application asks of it, and does
what it reads, one JSON line each:

    {"click": 3}              somebody clicks notification 3
    {"close": 3}              notification 3 goes away
    {"menu": true}            reads the tray's menu and writes it
    {"choose": "Quit Gander"} somebody chooses this in the tray's menu
    {"dark": true}            the desktop becomes dark
"""

import json
import sys

from gi.repository import Gio, GLib

XML = """<node>
  <interface name="org.freedesktop.Notifications">
    <method name="Notify">
      <arg direction="in" type="s"/><arg direction="in" type="u"/><arg direction="in" type="s"/><arg direction="in" type="s"/>
      <arg direction="in" type="s"/><arg direction="in" type="as"/><arg direction="in" type="a{sv}"/><arg direction="in" type="i"/>
      <arg direction="out" type="u"/>
    </method>
    <method name="CloseNotification"><arg direction="in" type="u"/></method>
    <method name="GetCapabilities"><arg direction="out" type="as"/></method>
    <method name="GetServerInformation">
      <arg direction="out" type="s"/><arg direction="out" type="s"/><arg direction="out" type="s"/><arg direction="out" type="s"/>
    </method>
    <signal name="ActionInvoked"><arg type="u"/><arg type="s"/></signal>
    <signal name="NotificationClosed"><arg type="u"/><arg type="u"/></signal>
  </interface>
  <interface name="org.kde.StatusNotifierWatcher">
    <method name="RegisterStatusNotifierItem"><arg direction="in" type="s"/></method>
    <method name="RegisterStatusNotifierHost"><arg direction="in" type="s"/></method>
    <property name="RegisteredStatusNotifierItems" type="as" access="read"/>
    <property name="IsStatusNotifierHostRegistered" type="b" access="read"/>
    <property name="ProtocolVersion" type="i" access="read"/>
    <signal name="StatusNotifierHostRegistered"/>
  </interface>
  <interface name="org.freedesktop.portal.Settings">
    <method name="Read"><arg direction="in" type="s"/><arg direction="in" type="s"/><arg direction="out" type="v"/></method>
    <signal name="SettingChanged"><arg type="s"/><arg type="s"/><arg type="v"/></signal>
  </interface>
</node>"""

NOTIFICATIONS = ("org.freedesktop.Notifications", "/org/freedesktop/Notifications")
WATCHER = ("org.kde.StatusNotifierWatcher", "/StatusNotifierWatcher")
PORTAL = ("org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop", "org.freedesktop.portal.Settings")
APPEARANCE = ("org.freedesktop.appearance", "color-scheme")
MENU = "com.canonical.dbusmenu"


def say(**said):
    print(json.dumps(said), flush=True)


class Services:
    def __init__(self):
        self.bus = Gio.bus_get_sync(Gio.BusType.SESSION)
        self.number = 0
        self.tray = None
        self.dark = False
        interfaces = Gio.DBusNodeInfo.new_for_xml(XML)
        for name, path, interface in [
            (NOTIFICATIONS[0], NOTIFICATIONS[1], NOTIFICATIONS[0]),
            (WATCHER[0], WATCHER[1], WATCHER[0]),
            PORTAL,
        ]:
            self.bus.register_object(path, interfaces.lookup_interface(interface), self.called, self.read)
            self.ask("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", "(su)", (name, 0))
        launcher = "com.canonical.Unity.LauncherEntry"
        self.bus.signal_subscribe(None, launcher, "Update", None, None, Gio.DBusSignalFlags.NONE, self.badge)

    def ask(self, name, path, interface, method, kind, arguments):
        given = GLib.Variant(kind, arguments) if kind else None
        return self.bus.call_sync(name, path, interface, method, given, None, Gio.DBusCallFlags.NONE, 60000, None).unpack()

    def tell(self, path, interface, signal, kind, arguments):
        self.bus.emit_signal(None, path, interface, signal, GLib.Variant(kind, arguments))

    def badge(self, _bus, _sender, path, _interface, _signal, said):
        uri, properties = said.unpack()
        say(badge=properties, uri=uri, path=path)

    def called(self, _bus, sender, _path, _interface, method, given, call):
        given = given.unpack()
        answer = None
        if method == "Notify":
            self.number += 1
            _, _, icon, title, body, actions, hints, _ = given
            say(notification=self.number, title=title, body=body, actions=actions, icon=icon, entry=hints.get("desktop-entry"))
            answer = GLib.Variant("(u)", (self.number,))
        elif method == "GetCapabilities":
            answer = GLib.Variant("(as)", (["actions", "body", "body-markup"],))
        elif method == "GetServerInformation":
            answer = GLib.Variant("(ssss)", ("stand-in", "gander", "1", "1.2"))
        elif method == "RegisterStatusNotifierItem":
            # A path on the caller's own connection, or another bus name.
            self.tray = (sender, given[0]) if given[0].startswith("/") else (given[0], "/StatusNotifierItem")
            say(tray=self.tray[1])
        elif method == "Read":
            scheme = GLib.Variant("u", 1 if self.dark else 2)
            if given != APPEARANCE:
                call.return_dbus_error("org.freedesktop.portal.Error.NotFound", "there is no such setting")
                return
            answer = GLib.Variant("(v)", (GLib.Variant("v", scheme),))
        call.return_value(answer)

    def read(self, _bus, _sender, _path, _interface, name):
        if name == "RegisteredStatusNotifierItems":
            return GLib.Variant("as", ["".join(self.tray)] if self.tray else [])
        return GLib.Variant("b", True) if name == "IsStatusNotifierHostRegistered" else GLib.Variant("i", 0)

    def menu(self):
        name, path = self.tray
        properties = "org.freedesktop.DBus.Properties"
        item = self.ask(name, path, properties, "GetAll", "(s)", ("org.kde.StatusNotifierItem",))[0]
        at = item["Menu"]
        self.ask(name, at, MENU, "AboutToShow", "(i)", (0,))
        _, (_, _, children) = self.ask(name, at, MENU, "GetLayout", "(iias)", (0, -1, []))
        items = []
        for number, shown, _ in children:
            if shown.get("type") != "separator":
                items.append({"number": number, "label": shown.get("label", "").replace("_", ""), "enabled": shown.get("enabled", True)})
        return name, at, item, items

    def do(self, wanted):
        if "click" in wanted:
            self.tell(NOTIFICATIONS[1], NOTIFICATIONS[0], "ActionInvoked", "(us)", (wanted["click"], "default"))
        elif "close" in wanted:
            self.tell(NOTIFICATIONS[1], NOTIFICATIONS[0], "NotificationClosed", "(uu)", (wanted["close"], 2))
        elif "menu" in wanted:
            _, _, item, items = self.menu()
            say(menu=items, label=item.get("XAyatanaLabel", ""), status=item.get("Status"))
        elif "choose" in wanted:
            name, at, _, items = self.menu()
            number = next(item["number"] for item in items if item["label"] == wanted["choose"])
            self.ask(name, at, MENU, "Event", "(isvu)", (number, "clicked", GLib.Variant("i", 0), 0))
            say(chosen=wanted["choose"])
        elif "dark" in wanted:
            self.dark = wanted["dark"]
            scheme = GLib.Variant("u", 1 if self.dark else 2)
            self.tell(PORTAL[1], PORTAL[2], "SettingChanged", "(ssv)", (*APPEARANCE, scheme))
            say(dark=self.dark)


def main():
    services = Services()
    loop = GLib.MainLoop()

    def heard(source, _condition):
        line = source.readline()
        if line == "":
            loop.quit()
            return False
        try:
            services.do(json.loads(line))
        except Exception as error:  # It is told to the test, which knows what it wanted.
            say(failed=f"{type(error).__name__}: {error}")
        return True

    GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, heard)
    say(ready=True)
    loop.run()


main()
