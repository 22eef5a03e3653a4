"""`python -m kit.cli`, for where the console script is not on the path, and for `accelerate launch -m kit.cli`."""

from kit.cli import main

main()
