"""What runs in a browser alone: the gallery and the map, which the app and a site without a server both show."""

from pathlib import Path

PARTS = Path(__file__).parent  # holds gallery.html, .css and .js, and the same of the map
