"""Where does information sit?"""

from lsi.ui import classes
from lsi.ui.bar import need_labels, page_view, shown_positions

view = page_view()
need_labels(view, "class")
positions = shown_positions(view)
classes.per_class(view, positions)
classes.confusions(view, positions)
