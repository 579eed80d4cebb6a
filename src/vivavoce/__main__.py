"""`python -m vivavoce` is the command."""

from vivavoce.cli.main import main

main()
