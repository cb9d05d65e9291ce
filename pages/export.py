"""What leaves?"""

from lsi.ui import decisions_file, export_view
from lsi.ui.bar import chips, filtered, page_view

view = page_view()
positions = filtered(view)
chips(view, len(positions))
selection = export_view.counts(view, positions)
export_view.check(view, selection)
export_view.recompute(view)
export_view.download(view, selection, positions)
decisions_file.read_in(view)
