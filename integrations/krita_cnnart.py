"""Krita: paint the open picture with cnnart, as a new layer.

Run it with Tools > Scripts > Scripter, or bind it to a key with Ten Scripts; see
docs/integrations.md. CNNART is the command, if it is not on the PATH.
"""

import json
import os
import subprocess
import tempfile

from krita import InfoObject, Krita
from PyQt5.QtWidgets import QInputDialog, QMessageBox

CNNART = os.environ.get("CNNART", "cnnart")


def trained_styles():
    """The names of the styles that take a second."""
    listed = subprocess.run(
        [CNNART, "styles", "list", "--json"], capture_output=True, text=True, check=True
    )
    return [style["name"] for style in json.loads(listed.stdout) if style["trained"]]


def paint(document, style, strength):
    """The document in a style, as a layer on top of the others."""
    with tempfile.TemporaryDirectory() as folder:
        photo, result = f"{folder}/photo.png", f"{folder}/result.png"
        document.setBatchmode(True)  # no dialog of the export
        try:
            document.exportImage(photo, InfoObject())
        finally:
            document.setBatchmode(False)
        line = [CNNART, "fast-stylize", photo, "--style", style, "--strength", str(strength)]
        subprocess.run(
            [*line, "--no-metadata", "-q", "-o", result], capture_output=True, text=True, check=True
        )
        painted = Krita.instance().openDocument(result)
        painted.setColorSpace(document.colorModel(), document.colorDepth(), document.colorProfile())
        width, height = document.width(), document.height()
        pixels = painted.pixelData(0, 0, width, height)
        painted.close()
    layer = document.createNode(f"cnnart: {style}", "paintlayer")
    layer.setPixelData(pixels, 0, 0, width, height)
    document.rootNode().addChildNode(layer, None)
    document.refreshProjection()


def main():
    document = Krita.instance().activeDocument()
    if document is None:
        QMessageBox.warning(None, "cnnart", "Open a picture first.")
        return
    try:
        style, chosen = QInputDialog.getItem(None, "cnnart", "Style", trained_styles(), 0, False)
        if not chosen:
            return
        strength, chosen = QInputDialog.getDouble(None, "cnnart", "Strength", 1.0, 0.0, 1.0, 2)
        if chosen:
            paint(document, style, strength)
    except FileNotFoundError:
        QMessageBox.warning(None, "cnnart", f"There is no command {CNNART}: set CNNART to it.")
    except subprocess.CalledProcessError as error:
        QMessageBox.warning(None, "cnnart", error.stderr.strip())


main()
