"""Pages in one file that fetch nothing: an executed notebook as HTML (`notebook`), and running it (`execute`)."""
