#!/usr/bin/env python3
"""GIMP 3: Filters > Artistic > Paint with cnnart; the painting is a new layer.

Copy the folder ``cnnart`` into GIMP's folder of plug-ins; see docs/integrations.md. CNNART is the
command, if it is not on the PATH.
"""

import os
import subprocess
import sys
import tempfile

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
from gi.repository import Gimp, GimpUi, Gio, GLib, GObject  # noqa: E402  # versions come first

CNNART = os.environ.get("CNNART", "cnnart")
NAME = "plug-in-cnnart-paint"


class Cnnart(Gimp.PlugIn):
    def do_query_procedures(self):
        return [NAME]

    def do_set_i18n(self, name):
        return False

    def do_create_procedure(self, name):
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, self.run, None)
        procedure.set_image_types("*")
        procedure.set_menu_label("Paint with cnnart...")
        procedure.add_menu_path("<Image>/Filters/Artistic")
        procedure.set_documentation(
            "Paint the picture in a style", "A trained style, or that of any picture", name
        )
        procedure.set_attribution("cnnart", "cnnart", "2026")
        writable = GObject.ParamFlags.READWRITE
        procedure.add_string_argument(
            "style",
            "_Style",
            "A name (`cnnart styles list`) or the path of a picture",
            "great-wave",
            writable,
        )
        procedure.add_double_argument(
            "strength", "S_trength", "0 is the picture, 1 the style", 0.0, 1.0, 1.0, writable
        )
        return procedure

    def run(self, procedure, run_mode, image, drawables, config, data):
        if run_mode == Gimp.RunMode.INTERACTIVE:
            GimpUi.init("cnnart")
            dialog = GimpUi.ProcedureDialog.new(procedure, config, "Paint with cnnart")
            dialog.fill(None)
            if not dialog.run():
                return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, None)
            dialog.destroy()
        try:
            paint(image, config.get_property("style"), config.get_property("strength"))
        except FileNotFoundError:
            return self.failed(procedure, f"There is no command {CNNART}: set CNNART to it.")
        except subprocess.CalledProcessError as error:
            return self.failed(procedure, error.stderr.strip())
        return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)

    def failed(self, procedure, message):
        error = GLib.Error.new_literal(Gimp.PlugIn.error_quark(), message, 0)
        return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, error)


def paint(image, style, strength):
    """The image in a style, as a layer on top of the others."""
    Gimp.progress_init("cnnart paints")
    with tempfile.TemporaryDirectory() as folder:
        photo, result = f"{folder}/photo.png", f"{folder}/result.png"
        whole = image.duplicate()
        whole.flatten()
        Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, whole, Gio.File.new_for_path(photo), None)
        whole.delete()
        line = [CNNART, "fast-stylize", photo, "--style", style, "--strength", str(strength)]
        subprocess.run(
            [*line, "--no-metadata", "-q", "-o", result], capture_output=True, text=True, check=True
        )
        layer = Gimp.file_load_layer(
            Gimp.RunMode.NONINTERACTIVE, image, Gio.File.new_for_path(result)
        )
    layer.set_name(f"cnnart: {style}")
    image.undo_group_start()
    image.insert_layer(layer, None, 0)
    image.undo_group_end()
    Gimp.displays_flush()


Gimp.main(Cnnart.__gtype__, sys.argv)
