#!/bin/sh
# RawTherapee (and every program that can send a picture to an "external editor"): paints the file
# that it is given beside it, and opens the painting. See docs/integrations.md.
#
# CNNART is the command, if it is not on the PATH; CNNART_STYLE the style.
set -eu
for photo in "$@"; do
    "${CNNART:-cnnart}" fast-stylize "$photo" --style "${CNNART_STYLE:-great-wave}" \
        -o "${photo%.*}-painted.png" --open
done
