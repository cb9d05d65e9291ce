"""Which images are poor or superfluous, and what can go?"""

from lsi.ui import quality, redundancy
from lsi.ui.bar import page_view, shown_positions

view = page_view()
positions = shown_positions(view)
quality.section(view)
leaking = redundancy.leaking(view, is_filtered=len(positions) < len(view.table))
redundancy.groups(view, positions, leaking)
redundancy.budget(view, positions)
