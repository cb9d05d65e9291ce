"""What can go?"""

from lsi.ui import redundancy
from lsi.ui.sidebar import page_view, shown_positions

view = page_view("Redundancy")
positions = shown_positions(view)
redundancy.groups(view, positions)
redundancy.budget(view, positions)
