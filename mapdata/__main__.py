"""`python -m mapdata` is the console command."""

from mapdata.cli import main

main()
