"""Where does information sit?"""

from lsi.ui import classes
from lsi.ui.sidebar import page_view, shown_positions

view = page_view("Classes")
positions = shown_positions(view)
classes.per_class(view, positions)
classes.confusions(view, positions)
classes.compare(view)
