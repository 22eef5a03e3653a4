"""Pages in one file that fetch nothing: figures (`figures`), tables (`tables`), an executed notebook (`notebook`).

A page of figures is `figures.figure_html(figure, label)` for each and once `figures.plotly_html()` and
`figures.drawing_html()`. `execute` runs a notebook.
"""
