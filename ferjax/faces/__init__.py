"""Data sets of faces with crowd votes: reading and drawing them, label filters, preprocessing."""
