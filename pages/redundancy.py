"""Which images are poor or superfluous, and what can go?"""

from lsi.ui import quality, redundancy
from lsi.ui.sidebar import page_view, shown_positions

view = page_view("Quality and duplicates")
positions = shown_positions(view)
quality.section(view, positions)
redundancy.groups(view, positions)
redundancy.budget(view, positions)
